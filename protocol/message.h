/* SPDX-License-Identifier: MIT
 *
 * message.h - what a request asks and what a response answers, whatever the protocol: the one table of operations,
 * and the two structs that codecs make and consume and that server/dispatch works on.
 *
 * Pure: no I/O, no engine. Plain data; a message is used by one thread at a time.
 */
#ifndef RD_PROTOCOL_MESSAGE_H
#define RD_PROTOCOL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

/* Numbers are part of the binary protocol and never change. */
enum rd_opcode {
    RD_OPCODE_NONE = 0,            /* a request that could not be told; its status says why */
    RD_OPCODE_HELLO = 0x01,
    RD_OPCODE_PING = 0x02,

    RD_OPCODE_WRITE = 0x10,
    RD_OPCODE_BATCH_WRITE = 0x12,
    RD_OPCODE_DELETE = 0x16,
    RD_OPCODE_BATCH_DELETE = 0x17,

    RD_OPCODE_READ = 0x20,
    RD_OPCODE_BATCH_READ = 0x21,
    RD_OPCODE_EXISTS = 0x22,
    RD_OPCODE_METADATA = 0x23,
    RD_OPCODE_LAST = 0x24,
    RD_OPCODE_ITERATE = 0x25,

    RD_OPCODE_STORES = 0x30,
    RD_OPCODE_CREATE = 0x31,
    RD_OPCODE_INFO = 0x32,
    RD_OPCODE_DROP = 0x33,

    /* Never on the binary protocol's wire. */
    RD_OPCODE_HEALTH = 0x80,       /* the process lives */
    RD_OPCODE_READY = 0x81,        /* every store serves */
    RD_OPCODE_CONTINUE = 0x82      /* HTTP's 100 Continue, kept in line with the answers before it */
};

enum rd_operation_class {
    RD_CLASS_CONNECTION,           /* answered without a store */
    RD_CLASS_READ,
    RD_CLASS_WRITE,
    RD_CLASS_ADMIN
};

/* One row an operation. Docs and tests walk this table. */
struct rd_operation {
    enum rd_opcode opcode;
    enum rd_operation_class class;
    bool on_wire;                  /* part of the binary protocol */
    const char *name;              /* as in docs and logs: "batch_write" */
};

extern const struct rd_operation rd_operations[];
extern const size_t rd_operation_count;

/* NULL where there is no such operation. */
const struct rd_operation *rd_operation_find(enum rd_opcode opcode);

/* Same numbers on the wire as here. */
enum rd_message_durability {
    RD_MESSAGE_DURABILITY_DEFAULT = 0,
    RD_MESSAGE_DURABILITY_SYNC = 1,
    RD_MESSAGE_DURABILITY_INTERVAL = 2, /* in answers only */
    RD_MESSAGE_DURABILITY_NONE = 3
};

/* A key by its bytes, or by its XXH3-64 hash alone. */
struct rd_message_key {
    struct rd_slice bytes;         /* data NULL: only the hash is known (an empty key is not NULL) */
    uint64_t hash;                 /* where bytes.data is NULL */
};

struct rd_message_item {
    struct rd_message_key key;
    struct rd_slice value;         /* writes only */
};

/* Owned by whoever holds it; every slice inside points into memory that the request owns and that goes with
 * rd_request_destroy. */
struct rd_request {
    enum rd_opcode opcode;
    enum rd_status status;         /* anything but RD_OK: malformed; answer with this status and `message` */
    const char *message;           /* static text or `detail`, for the above; NULL otherwise */
    char detail[128];              /* a message that names a place, such as an item's number; terminated */
    bool close_after;              /* the connection ends once this one is answered */
    uint64_t id;                   /* the binary protocol's request id; 0 elsewhere */

    struct rd_slice store;         /* a store's name, not yet checked; len 0: the store `default` */
    struct rd_message_key key;     /* write, delete, read, exists, metadata */
    struct rd_slice value;         /* write */
    struct rd_message_item *items; /* batch_*; owned */
    size_t item_count;
    bool allow_null_bytes;         /* batch_write */
    enum rd_message_durability durability; /* writes */
    uint64_t after_offset;         /* iterate: go on below this payload offset; 0: from the newest */
    uint32_t limit;                /* iterate: entries at most; 0: the server's default */
    struct rd_slice confirm;       /* drop: must equal the store's name */
    struct rd_slice settings;      /* create: JSON text; len 0: defaults */

    uint32_t codec_flags;          /* the codec's own notes for its encode */
    uint8_t *body;                 /* owned; what the slices point into */
    size_t body_len;               /* bytes; what the request costs in memory */
};

/* Zeroed, with body_len bytes of body (uninitialised; NULL where body_len is 0). NULL: no memory. */
struct rd_request *rd_request_create(size_t body_len);
void rd_request_destroy(struct rd_request *request);

struct rd_response_item {
    enum rd_status status;         /* batch_read: RD_OK, RD_KEY_NOT_FOUND or RD_CORRUPT */
    uint64_t key_hash;
    uint64_t offset;
    uint64_t len;                  /* of the payload, bytes */
    uint32_t crc32;
    struct rd_slice value;         /* batch_read; borrows */
};

enum rd_message_store_state {
    RD_MESSAGE_STORE_OPEN = 0,
    RD_MESSAGE_STORE_READ_ONLY = 1,
    RD_MESSAGE_STORE_FAILED = 2
};

struct rd_response_store {
    struct rd_slice name;          /* borrows */
    uint64_t entries;
    uint64_t tail;
    uint64_t file_size;
    uint64_t dead_bytes;
    enum rd_message_durability durability;
    uint32_t durability_interval_ms;
    enum rd_message_store_state state;
    struct rd_slice reason;        /* borrows; len 0 where state is open */
};

/* The limits that a codec enforces and hello states. Zero is never "no limit". */
struct rd_limits {
    uint32_t body_len_max;         /* bytes of one request's body (binary: frame body; HTTP: message body) */
    uint32_t header_len_max;       /* bytes of an HTTP request line and headers */
    uint32_t key_len_max;          /* bytes */
    uint32_t batch_count_max;      /* items */
    uint32_t in_flight_max;        /* requests of one connection that are not answered yet */
};

#define RD_LIMITS_DEFAULT                                                                                     \
    (struct rd_limits)                                                                                        \
    {                                                                                                         \
        .body_len_max = 80u << 20, .header_len_max = 64u << 10, .key_len_max = 32u << 10,                     \
        .batch_count_max = 100000, .in_flight_max = 1024                                                      \
    }

/* Everything in it is borrowed until it has been encoded; `value` until its last byte is sent. */
struct rd_response {
    enum rd_status status;
    char message[192];             /* for errors: what, where, what to do; "" otherwise */

    uint64_t offset;               /* of the payload */
    uint64_t tail;                 /* writes: the store's end */
    uint64_t prev_tail;            /* metadata, last */
    uint64_t key_hash;             /* write, read, metadata, last */
    uint64_t value_len;            /* read, metadata, last: bytes of the payload */
    uint64_t count;                /* batch_write: written; batch_delete: deleted */
    uint32_t crc32;
    bool found;                    /* exists; delete: it was there */
    bool replaced;                 /* write */
    enum rd_message_durability durability; /* writes: what was in force */
    uint32_t durability_interval_ms;

    struct rd_slice value;         /* read: the payload; not copied by encode, see codec.h */
    struct rd_response_item *items; /* batch_read, iterate */
    size_t item_count;
    struct rd_response_store *stores; /* stores: all; info and create: one */
    size_t store_count;
    struct rd_limits limits;       /* hello: what the connection is held to */
};

#endif

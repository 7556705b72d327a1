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

struct rd_guards;
struct rd_json_deferred;

/* Numbers are part of the binary protocol and never change. */
enum rd_opcode {
    RD_OPCODE_NONE = 0, /* a request that could not be told; its status says why */
    RD_OPCODE_HELLO = 0x01,
    RD_OPCODE_PING = 0x02,
    RD_OPCODE_AUTH = 0x03,    /* shows a token, which goes for the connection from here on */
    RD_OPCODE_METRICS = 0x04, /* what the process counts, as Prometheus reads it */

    RD_OPCODE_WRITE = 0x10,
    RD_OPCODE_WRITE_STREAM = 0x11, /* a write whose value comes in parts, see rd_stream_part */
    RD_OPCODE_BATCH_WRITE = 0x12,
    RD_OPCODE_RENAME = 0x13,
    RD_OPCODE_COPY = 0x14,
    RD_OPCODE_TRANSFER = 0x15,
    RD_OPCODE_DELETE = 0x16,
    RD_OPCODE_BATCH_DELETE = 0x17,

    RD_OPCODE_READ = 0x20,
    RD_OPCODE_BATCH_READ = 0x21,
    RD_OPCODE_EXISTS = 0x22,
    RD_OPCODE_METADATA = 0x23,
    RD_OPCODE_LAST = 0x24,
    RD_OPCODE_ITERATE = 0x25,

    RD_OPCODE_READ_STREAM = 0x26, /* a read, or a part of one, whose value leaves in parts */

    RD_OPCODE_STORES = 0x30,
    RD_OPCODE_CREATE = 0x31,
    RD_OPCODE_INFO = 0x32,
    RD_OPCODE_DROP = 0x33,
    RD_OPCODE_VERIFY = 0x34,  /* a look at some of a store's entries: checksums, pads, links */
    RD_OPCODE_REOPEN = 0x35,  /* closes a store and opens it again, with full recovery */
    RD_OPCODE_COMPACT = 0x36, /* has a store's file hold what lives alone */
    RD_OPCODE_BACKUP = 0x37,  /* the store's file, or what is behind an offset of it; leaves in parts */

    /* Never on the binary protocol's wire. */
    RD_OPCODE_HEALTH = 0x80,      /* the process lives */
    RD_OPCODE_READY = 0x81,       /* every store serves */
    RD_OPCODE_CONTINUE = 0x82,    /* HTTP's 100 Continue, kept in line with the answers before it */
    RD_OPCODE_SERVER = 0x83,      /* what can be said about the process, the connection and all stores */
    RD_OPCODE_SYNC = 0x84,        /* answered when everything before it is on the disk */
    RD_OPCODE_TRANSACTION = 0x85, /* looks, then puts and deletes, as one */
    RD_OPCODE_WATCH = 0x86,       /* notes which versions its keys have, for guards of a later request */
    RD_OPCODE_PAGE = 0x87         /* HTTP: the status page, which holds no data */
};

/* What a token has to allow, where tokens are asked for. */
enum rd_operation_class {
    RD_CLASS_CONNECTION, /* nothing: answered without a store */
    RD_CLASS_LISTING,    /* nothing in particular: tells of the stores in which it allows anything */
    RD_CLASS_OVERALL,    /* reading in every store: tells of all of them */
    RD_CLASS_READ,       /* reading in the request's store; and so on */
    RD_CLASS_WRITE,
    RD_CLASS_ADMIN
};

/* One row an operation. Docs and tests walk this table. */
struct rd_operation {
    enum rd_opcode opcode;
    enum rd_operation_class class;
    bool on_wire;     /* part of the binary protocol */
    const char *name; /* as in docs and logs: "batch_write" */
};

extern const struct rd_operation rd_operations[];
extern const size_t rd_operation_count;

/* NULL where there is no such operation. */
const struct rd_operation *rd_operation_find(enum rd_opcode opcode);

/* Whether it is done in a store that the request names. NULL: it is not. */
static inline bool rd_operation_has_store(const struct rd_operation *operation)
{
    return operation != NULL && operation->class >= RD_CLASS_READ;
}

/* Whether the answer is followed by parts, where the protocol has such. */
static inline bool rd_opcode_is_download(enum rd_opcode opcode)
{
    return opcode == RD_OPCODE_READ_STREAM || opcode == RD_OPCODE_BACKUP;
}

/* Same numbers on the wire as here. */
enum rd_message_durability {
    RD_MESSAGE_DURABILITY_DEFAULT = 0,
    RD_MESSAGE_DURABILITY_SYNC = 1,
    RD_MESSAGE_DURABILITY_INTERVAL = 2, /* in answers only */
    RD_MESSAGE_DURABILITY_NONE = 3
};

/* A key by its bytes, or by its XXH3-64 hash alone. */
struct rd_message_key {
    struct rd_slice bytes; /* data NULL: only the hash is known (an empty key is not NULL) */
    uint64_t hash;         /* where bytes.data is NULL */
};

/* An empty key by its hash alone is none. */
static inline bool rd_message_key_is_given(const struct rd_message_key *key)
{
    return key->bytes.data != NULL || key->hash != 0;
}

/* What must hold for a request to take effect. */
enum rd_message_condition_kind {
    RD_MESSAGE_IF_ANYTHING = 0,
    RD_MESSAGE_IF_ABSENT = 1,
    RD_MESSAGE_IF_PRESENT = 2,
    RD_MESSAGE_IF_VERSION = 3,    /* the value is the one with this offset and checksum */
    RD_MESSAGE_IF_NOT_VERSION = 4 /* HTTP reads only: answered with not_modified where it is */
};

struct rd_message_condition {
    enum rd_message_condition_kind kind;
    uint64_t offset;
    uint32_t crc32;
};

/* Which bytes of a value a read asks for. */
enum rd_message_range_kind {
    RD_MESSAGE_RANGE_NONE = 0, /* all of it */
    RD_MESSAGE_RANGE_FROM,     /* first .. first + len, or to the value's end */
    RD_MESSAGE_RANGE_SUFFIX,   /* the last len bytes, or all where there are fewer */
    RD_MESSAGE_RANGE_BETWEEN   /* from byte `from` to byte `to`, both included; below 0 they count from the end */
};

struct rd_message_range {
    enum rd_message_range_kind kind;
    uint64_t first; /* bytes */
    uint64_t len;   /* bytes; UINT64_MAX: to the end */
    int64_t from;   /* BETWEEN */
    int64_t to;     /* BETWEEN */
};

/* The part of a value of value_len bytes that the range asks for. False: not a byte of it. */
bool rd_message_range_cut(const struct rd_message_range *range, uint64_t value_len, uint64_t *ret_first,
                          uint64_t *ret_len);

/* One piece of a value that comes in or goes out in parts, of the request with this id. */
enum rd_stream_part_kind {
    RD_STREAM_CHUNK, /* bytes */
    RD_STREAM_END,   /* the value is complete; with a status that is not RD_OK: and must not be written */
    RD_STREAM_ABORT, /* it will never be: forget it */
    RD_STREAM_CREDIT /* binary protocol: so many more bytes may be sent */
};

struct rd_stream_part {
    enum rd_stream_part_kind kind;
    uint64_t id;           /* of the request; 0 where the codec knows one at a time */
    struct rd_slice bytes; /* CHUNK; borrows from the decoder's input until the next call */
    uint64_t credit;       /* CREDIT: bytes */
    enum rd_status status; /* ABORT by the server, or by a decoder that finds a body malformed, and END: why
                            * (`bytes` is the message, UTF-8); RD_OK: the peer wanted it so */
    struct rd_message_condition condition; /* END, of a decoder that learns it behind the value: goes over the
                                            * request's, unless it is ANYTHING */
};

/* Who asks, by the token that a request brings. */
enum rd_message_token_use {
    RD_MESSAGE_TOKEN_KEPT = 0,  /* none is shown: the connection's goes */
    RD_MESSAGE_TOKEN_SHOWN,     /* goes for the connection from here on, this request included, if it is known */
    RD_MESSAGE_TOKEN_FORGOTTEN, /* the connection has none from here on */
    RD_MESSAGE_TOKEN_ALONE      /* goes for this request alone; len 0: it has none */
};

struct rd_message_item {
    struct rd_message_key key;
    struct rd_slice value; /* writes only */
    bool key_only;         /* batch_read: not the value, just whether it is there and how long it is */
};

/* Beside each item of a transaction. */
struct rd_message_change {
    bool deletes;                          /* the key, where it lives; else the item's value is put */
    struct rd_message_condition condition; /* where it does not hold, this item alone is left out */
};

/* What a transaction looks at before it changes anything. */
struct rd_message_look {
    struct rd_message_key key;
    struct rd_message_condition condition; /* where it does not hold nothing is changed */
    bool value_wanted;                     /* and goes into the response's items */
    bool key_only;                         /* of that, all but the value's bytes */
};

/* Owned by whoever holds it; every slice inside points into memory that the request owns and that goes with
 * rd_request_destroy, or is constant. */
struct rd_request {
    enum rd_opcode opcode;
    enum rd_status status; /* anything but RD_OK: malformed; answer with this status and `message` */
    const char *message;   /* static text or `detail`, for the above; NULL otherwise */
    char detail[128];      /* text that was made up for it: a message that names a place, a store's name */
    bool close_after;      /* the connection ends once this one is answered */
    bool head_only;        /* HTTP's HEAD: the answer leaves without its body */
    uint64_t id;           /* the binary protocol's request id; 0 elsewhere */

    enum rd_message_token_use token_use;
    struct rd_slice token; /* with SHOWN and ALONE */
    bool needs_token;      /* of RD_CLASS_CONNECTION: is answered to known tokens only, as others are */

    struct rd_slice store;         /* a store's name, not yet checked; len 0: the store `default` */
    struct rd_message_key key;     /* write, delete, read, exists, metadata */
    struct rd_slice value;         /* write */
    struct rd_message_item *items; /* batch_*; owned */
    size_t item_count;
    bool allow_null_bytes;                        /* batch_write */
    bool with_stores;                             /* server: about all stores, too */
    enum rd_message_durability durability;        /* writes */
    struct rd_message_condition condition;        /* write, write_stream, delete, read; rename: on the source */
    struct rd_message_condition target_condition; /* rename, copy, transfer: on the target */
    struct rd_message_key target_key;            /* rename: the new key; copy: likewise, unless NULL with hash 0 */
    struct rd_slice target_store;                /* copy, transfer: a store's name, not yet checked */
    struct rd_message_range range;               /* read, read_stream */
    struct rd_message_condition range_condition; /* HTTP's If-Range: where it does not hold, all of the value */
    struct rd_slice not_versions; /* HTTP reads: tags that encode holds against the version; len 0: none */
    bool streamed;                /* write_stream: parts follow, from RD_DECODE_PART */
    uint64_t stream_len;          /* write_stream: bytes announced; UINT64_MAX: not known */
    uint64_t stream_credit;       /* read_stream: bytes that may be sent at first */
    uint64_t after_offset;        /* iterate: go on below this payload offset; 0: from the newest */
    uint32_t limit;               /* iterate: entries at most; 0: the server's default */
    struct rd_slice confirm;      /* drop: must equal the store's name */
    struct rd_slice settings;     /* create: JSON text; len 0: defaults */
    uint64_t backup_from;         /* backup: without the bytes below this offset */
    uint64_t backup_generation;   /* backup: only of the file with this generation; 0: whichever there is */
    uint64_t range_generation;    /* HTTP backup's If-Range: of another file, all of it; 0: none was named */
    uint64_t verify_from;         /* verify: go on below this; 0: from the newest */
    uint64_t verify_bytes_max;    /* verify: bytes of one step; 0: the server's default */
    bool in_background;           /* compact: answered as soon as it has begun */
    bool verify_whole;            /* HTTP verify: steps to the file's beginning, in one answer */
    bool creates_store; /* writes: where there is no such store (copy, transfer: no such target) it is made */

    struct rd_message_change *changes; /* transaction: one for each item; owned */
    struct rd_message_look *looks;     /* transaction; owned */
    size_t look_count;
    struct rd_guards *guards; /* a reference. transaction, batch_read: what must still hold; watch: of what it has,
                               * guard_count from guard_first on are to be filled in; NULL: none */
    size_t guard_first;
    size_t guard_count;
    struct rd_request *parts; /* owned, linked by `next`; requests that were put together into this one, whose
                               * slices point into their memory, in the order sent */
    struct rd_request *next;

    struct rd_json_deferred *deferred; /* owned (malloc); what a long body of JSON says is not known yet: json.h */

    char *trace; /* owned; what the client calls it, to be repeated in the answer and in logs; NULL: nothing */
    bool trace_wanted; /* it called it something that is not fit for that: a name is to be made up */

    uint32_t codec_flags; /* the codec's own notes for its encode */
    uint8_t *body;        /* owned; what the slices point into */
    size_t body_len;      /* bytes; what the request costs in memory, its parts included */
};

/* Zeroed, with body_len bytes of body (uninitialised; NULL where body_len is 0), all in one piece of memory. NULL:
 * no memory. */
struct rd_request *rd_request_create(size_t body_len);

/* Takes another body, which was allocated by itself, in place of the one that is there. */
void rd_request_set_body(struct rd_request *request, uint8_t *body, size_t body_len);

void rd_request_destroy(struct rd_request *request);

struct rd_response_item {
    enum rd_status status; /* batch_read: RD_OK, RD_KEY_NOT_FOUND or RD_CORRUPT */
    uint64_t key_hash;
    uint64_t offset;
    uint64_t len; /* of the payload, bytes */
    uint32_t crc32;
    struct rd_slice value; /* batch_read; borrows */
};

/* Same numbers on the wire. */
enum rd_message_problem_kind {
    RD_MESSAGE_PROBLEM_PAYLOAD = 1, /* a value's bytes do not match their checksum */
    RD_MESSAGE_PROBLEM_PAD = 2,     /* bytes between entries are not zeros; no value is lost by it */
    RD_MESSAGE_PROBLEM_BATCH = 3,   /* a batch's marker counts entries that are not there */
    RD_MESSAGE_PROBLEM_CHAIN = 4    /* these bytes cannot be told apart into entries */
};

/* "payload", "pad", "batch", "chain"; "unknown" for a newer server's. */
const char *rd_message_problem_name(enum rd_message_problem_kind kind);

struct rd_response_problem {
    enum rd_message_problem_kind kind;
    bool live;         /* a key's value */
    uint64_t offset;   /* where the damaged bytes begin */
    uint64_t len;      /* bytes */
    uint64_t key_hash; /* 0: none can be told */
};

struct rd_response_verification {
    uint64_t from;                        /* the end of the newest entry that was looked at */
    uint64_t next;                        /* where to go on; 0: the file's beginning was reached */
    uint64_t entries;                     /* looked at */
    uint64_t bytes;                       /* of the file that was looked at */
    uint64_t problem_count;               /* of which the first are listed */
    struct rd_response_problem *problems; /* borrows */
    size_t listed_count;
};

/* What became of an item of a transaction. */
struct rd_response_change {
    bool found;   /* its key had a value before it */
    bool applied; /* its condition held, and there was something to delete */
};

/* What RD_OPCODE_SERVER tells beside the stores. */
struct rd_response_server {
    uint64_t now_us;        /* since 1970 */
    uint64_t started_s;     /* since 1970 */
    uint64_t saved_s;       /* since 1970: the last RD_OPCODE_SYNC that succeeded, or the start */
    uint64_t connection_id; /* of the one that asks; no other of this process has or had it */
    uint64_t connection_s;  /* for how long it has been there */
    uint32_t connections;   /* that are there */
    uint32_t connections_max;
    uint32_t port; /* where it came in; 0: a Unix socket */
    int64_t process_id;
    char peer[64];  /* its other side's address, HOST:PORT; "" where it has none */
    char local[64]; /* its address on this side */
};

enum rd_message_store_state {
    RD_MESSAGE_STORE_OPEN = 0,
    RD_MESSAGE_STORE_READ_ONLY = 1,
    RD_MESSAGE_STORE_FAILED = 2
};

struct rd_response_store {
    struct rd_slice name; /* borrows */
    uint64_t entries;
    uint64_t tail;
    uint64_t file_size;
    uint64_t dead_bytes;
    enum rd_message_durability durability;
    uint32_t durability_interval_ms;
    enum rd_message_store_state state;
    struct rd_slice reason; /* borrows; len 0 where state is open */
    uint64_t generation;    /* random, of the store's file; 0: not known */
    bool batch_marker;      /* batches take effect as a whole, over a crash too */
    uint64_t quota_bytes;   /* that its file may have, up to its tail; 0: no quota */
    uint64_t quota_entries; /* live keys; 0: no quota */
    bool writes_barred;     /* by its settings: it is read-only */
    bool compacting;        /* a compaction of it is under way */
};

/* What a request that is not whole yet is going to ask, as far as it can be told. */
struct rd_asking {
    enum rd_opcode opcode;        /* NONE: it cannot be told */
    const struct rd_slice *token; /* what it shows; NULL: what the connection has shown goes */
    const struct rd_slice *store; /* its name, not yet checked; NULL: it cannot be told */
    bool values_too;              /* it is answered with values, which its operation alone does not say */
};

/* The limits that a codec enforces and hello states, and what else it has to know of a connection. Zero is never
 * "no limit". */
struct rd_limits {
    uint32_t body_len_max;     /* bytes of one request's body (binary: frame body; HTTP: message body) */
    uint32_t header_len_max;   /* bytes of an HTTP request line and headers */
    uint32_t key_len_max;      /* bytes */
    uint32_t batch_count_max;  /* items */
    uint32_t stream_threshold; /* bytes; an HTTP value longer than this, or of unknown length, is streamed */
    uint32_t stream_window;    /* bytes of one incoming stream that may be on their way; the first credit */
    uint32_t chunk_len_max;    /* bytes of one chunk of a stream */
    uint32_t in_flight_max;    /* requests of one connection that are not answered yet */
    uint32_t json_len_max;     /* bytes of JSON that a decoder parses; longer bodies are deferred (json.h) */
    bool over_tls;             /* HTTP: a target that names a scheme names https */

    /* Asked before a decoder makes room for so many bytes that are still to come, unless these are few: whether
     * there is room, and whether who asks may do that at all; with len 0 only that. Anything but RD_OK
     * (RD_UNAUTHORIZED, RD_FORBIDDEN, RD_OVERLOADED, RD_NO_MEMORY): the request is refused so, with *ret_error's
     * message. NULL: there is always room, for everybody. */
    enum rd_status (*admit)(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error);
    void *admit_context; /* borrows */

    /* HTTP: whether a request that names this host, as its Host header has it (not empty), is for this server.
     * from_browser: it looks like a web page's. Anything but RD_OK: it is refused as misdirected, with
     * *ret_error's message. NULL: whatever it names. */
    enum rd_status (*admit_host)(void *context, struct rd_slice host, bool from_browser,
                                 struct rd_error *ret_error);
};

#define RD_LIMITS_FEW    4096u
#define RD_LIMITS_REFUSE "the server holds as many bytes of requests as it may; try again later"

/* Whether so many bytes are no few, and somebody is asked about them. */
static inline bool rd_limits_ask(const struct rd_limits *limits, size_t len)
{
    return limits->admit != NULL && len > RD_LIMITS_FEW;
}

static inline enum rd_status rd_limits_admit(const struct rd_limits *limits, const struct rd_asking *asking,
                                             size_t len, struct rd_error *ret_error)
{
    return rd_limits_ask(limits, len) ? limits->admit(limits->admit_context, asking, len, ret_error) : RD_OK;
}

#define RD_LIMITS_DEFAULT                                                                                         \
    (struct rd_limits)                                                                                            \
    {                                                                                                             \
        .body_len_max = 80u << 20, .header_len_max = 64u << 10, .key_len_max = 32u << 10,                         \
        .batch_count_max = 100000, .stream_threshold = 1u << 20, .stream_window = 1u << 20,                       \
        .chunk_len_max = 256u << 10, .in_flight_max = 1024, .json_len_max = UINT32_MAX                            \
    }

/* What a compaction has done. */
struct rd_response_compaction {
    uint64_t tail_before; /* of the file that was left */
    uint64_t tail;        /* of the one that took its place */
    uint64_t entries;     /* live keys */
    uint64_t generation;
    uint64_t pause_us; /* the longest time for which writes were held up */
    bool under_way;    /* with RD_OVERLOADED: another one is */
};

/* Everything in it is borrowed until it has been encoded; `value` until its last byte is sent. */
struct rd_response {
    enum rd_status status;
    char message[192]; /* for errors: what, where, what to do; "" otherwise */
    bool body_unmade;  /* to a request that is head_only: nothing below is filled in */

    uint64_t offset;    /* of the payload */
    uint64_t tail;      /* writes: the store's end; backup: that of the file as it is shown */
    uint64_t prev_tail; /* metadata, last */
    uint64_t key_hash;  /* write, read, metadata, last */
    uint64_t value_len; /* read, metadata, last: bytes of the payload */
    uint64_t count;     /* batch_write: written; batch_delete: deleted */
    uint32_t crc32;
    uint64_t target_offset; /* copy, transfer */
    uint64_t target_tail;   /* copy, transfer */
    uint64_t source_tail;   /* transfer */
    bool partial;           /* read, read_stream: value is the part of a value of value_len bytes ... */
    uint64_t range_first;   /* ... that begins here; backup: where value lies in the file */
    bool not_modified;      /* HTTP read: RD_OK without a value */
    uint64_t stream_credit; /* write_stream: bytes that the peer may send at first */
    bool found;             /* exists; delete: it was there */
    bool replaced;          /* write */
    uint64_t generation;    /* backup: of the file; refusals may tell it too, 0: they do not */
    enum rd_message_durability durability; /* writes: what was in force */
    uint32_t durability_interval_ms;

    struct rd_slice value;          /* read: the payload; metrics, page: the text, UTF-8; not copied by encode,
                                       see codec.h */
    struct rd_response_item *items; /* batch_read, iterate; transaction: one for each look */
    size_t item_count;
    bool more;                          /* iterate: further entries lie below the last of items */
    struct rd_response_change *changes; /* transaction: one for each of the request's items */
    struct rd_response_store *stores;   /* stores, server: all; info, create and reopen: one */
    size_t store_count;
    struct rd_response_verification verification; /* verify */
    struct rd_response_compaction compaction;     /* compact */
    const struct rd_response_server *server;      /* server */
    struct rd_limits limits;                      /* hello: what the connection is held to */
    bool open;                                    /* auth: this server asks nobody for a token */
};

#endif

/* SPDX-License-Identifier: MIT
 *
 * log.h - what was done to the files of one folder, in order, with the bytes: from it the disk model (disk.h)
 * makes every state that a crash may leave. An inode has a number of its own for ever, whatever name leads to it.
 *
 * Files without a name (spools) are not in it: no crash leaves them behind.
 */
#ifndef RD_TESTS_CRASH_LOG_H
#define RD_TESTS_CRASH_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#define NAMES_MAX 64u
#define NAME_LEN  64u
#define NO_INODE  UINT32_MAX

enum event_kind {
    EVENT_CREATE,      /* name leads to a new inode */
    EVENT_RENAME,      /* name leads nowhere, to_name leads to inode */
    EVENT_UNLINK,      /* name leads nowhere */
    EVENT_WRITE,       /* len bytes at offset of inode */
    EVENT_RESIZE,      /* inode has offset bytes now: cut, or grown with zeros */
    EVENT_SYNC,        /* all of inode is on the disk */
    EVENT_SYNC_FOLDER, /* all names are on the disk */
    EVENT_NOTE         /* the workload's own: something was submitted, answered, opened or closed */
};

struct event {
    enum event_kind kind;
    uint32_t inode;
    uint32_t name;
    uint32_t to_name;
    uint64_t offset;
    size_t len;
    size_t data_at; /* of a write: where in log->data its bytes are */
};

/* A folder's files, as they are at one moment. */
struct image_file {
    char name[NAME_LEN];
    uint8_t *data; /* owned */
    size_t len;
};

struct image {
    struct image_file *files; /* owned; NAMES_MAX of them at most */
    size_t count;
};

struct log {
    const struct image *base; /* borrows; what was there, durably, before the first event; inodes 0, 1, ... */
    struct event *events;     /* owned */
    size_t count;
    size_t capacity;
    struct rd_buffer data; /* of the writes */
    char names[NAMES_MAX][NAME_LEN];
    uint32_t name_count;
    uint32_t inode_count;
};

/* base: an empty image where the folder is new. */
void log_init(struct log *log, const struct image *base);

/* The first `count` events of another log, to go on behind them. */
void log_init_from(struct log *log, const struct log *from, size_t count);
void log_deinit(struct log *log);

/* The number of a name, new where it has none. */
uint32_t log_name(struct log *log, const char *name);

void log_add(struct log *log, struct event event);
void log_add_write(struct log *log, uint32_t inode, uint64_t offset, struct rd_slice bytes);

/* Where each name leads after the first `count` events. */
void log_names_at(const struct log *log, size_t count, uint32_t ret_leads_to[NAMES_MAX]);

/* "write a.rdr 100..133", for messages. */
void log_describe(const struct log *log, size_t index, char *ret_text, size_t text_len_max);

const struct image_file *image_find(const struct image *image, const char *name); /* NULL: not there */
void image_deinit(struct image *image);

#endif

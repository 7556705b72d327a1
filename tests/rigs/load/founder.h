/* SPDX-License-Identifier: MIT
 *
 * founder.h - a client that makes stores, writes one value into each, and drops them again, one request at a time,
 * until its connection is lost. A store whose making was answered is there after the crash, with the value if that
 * was answered, and one whose dropping was answered is not.
 */
#ifndef RD_TESTS_RIGS_FOUNDER_H
#define RD_TESTS_RIGS_FOUNDER_H

#include "tests/rigs/load/door.h"
#include "tests/support/stamp.h"

struct founded {
    uint32_t number;     /* of its name */
    uint64_t made_ns;    /* when this was answered; UINT64_MAX: it was not */
    uint64_t written_ns; /* likewise */
    uint64_t dropped_ns; /* likewise */
    bool dropping;       /* was asked for */
    bool present;        /* after the crash */
    bool whole;          /* its value is */
};

struct founder {
    struct rdrive_request request; /* the first field */
    struct door *door;             /* NULL: none */
    struct founded *stores;        /* owned; oldest first */
    size_t count;
    size_t capacity;
    size_t looked;     /* at so many, by founder_check */
    uint64_t until_ns; /* what was answered from then on need not hold */
    uint32_t next_number;
    uint64_t made_count; /* answered; the caller's to reset */
    char name[32];
    uint8_t value[200];
    char text[400]; /* what is wrong */
    void (*on_lost)(void *context);
    void *context;
};

/* on_lost and context stay. */
void founder_forget(struct founder *founder);

void founder_start(struct founder *founder, uv_loop_t *loop, const char *address);
void founder_stop(struct founder *founder);

/* In a daemon that has been started again; until_ns: what was answered later need not hold. False: founder->text
 * says what is wrong. */
bool founder_check(struct founder *founder, uv_loop_t *loop, const char *address, uint64_t until_ns);

#endif

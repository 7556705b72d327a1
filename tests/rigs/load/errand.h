/* SPDX-License-Identifier: MIT
 *
 * errand.h - one request of the load, from its choice at random to the judgement of its answer. What the answer
 * must be is known beforehand: nobody else touches the client's keys, and its requests take effect in order.
 */
#ifndef RD_TESTS_RIGS_ERRAND_H
#define RD_TESTS_RIGS_ERRAND_H

#include "clients/c/rdrive_async.h"
#include "tests/support/dice.h"
#include "tests/support/ledger.h"

#define STORE_COUNT 3u
#define KEY_COUNT   16u
#define BATCH_MAX   24u
#define EFFECT_MAX  (BATCH_MAX + 2u)
#define NAME_SIZE   128u
#define NO_DEED     UINT32_MAX

/* In the order of enum ledger_promise: of the store in this place. */
extern const char *const store_names[STORE_COUNT];

/* The value's version, where its write has been answered. */
struct version {
    bool known;
    uint32_t deed; /* the last one on the key; NO_DEED: none since the daemon's start */
    uint64_t offset;
    uint32_t crc32;
};

/* A client as its errands see it. */
struct keeper {
    uint32_t number;
    bool http;
    struct dice dice;
    uint64_t *stamp_number; /* borrows; shared by all, so that every value is another */
    struct ledger ledger;
    struct version versions[STORE_COUNT][KEY_COUNT];
    char names[KEY_COUNT][NAME_SIZE];
    size_t name_lens[KEY_COUNT];
};

struct effect {
    unsigned store;
    unsigned key;
    uint64_t value;
};

struct errand {
    struct rdrive_request request; /* the first field */
    struct keeper *keeper;
    bool busy;

    /* what it is about */
    unsigned store;
    unsigned target_store;
    unsigned keys[BATCH_MAX];
    struct rdrive_entry entries[BATCH_MAX];
    struct rdrive_key key_list[BATCH_MAX];
    uint8_t *value; /* owned; what is sent */
    size_t value_len;
    size_t pushed_len; /* of a stream */
    bool streams;      /* its end has not been sent */

    /* what must come of it */
    enum rdrive_status wanted;
    bool count_is_known;
    uint64_t count;
    bool replaced;
    uint64_t seen[BATCH_MAX]; /* reads: numbers of stamps; 0: absent */
    struct effect effects[EFFECT_MAX];
    unsigned effect_count;
    uint32_t deed;
};

void keeper_init(struct keeper *keeper, uint32_t number, bool http, uint64_t *stamp_number);

/* Chooses and fills in all but on_complete, on_room and data. */
void errand_choose(struct errand *errand, bool large);

/* It has been sent, a stream to its end: what it does is in the ledger from here on. */
void errand_sent(struct errand *errand);

/* The answer, with a status that is an answer. False: it is not what it had to be, and `text` says how. */
bool errand_judge(struct errand *errand, uint64_t now_ns, char *text, size_t size);

/* Whatever the end was. */
void errand_clear(struct errand *errand);

#endif

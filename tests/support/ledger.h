/* SPDX-License-Identifier: MIT
 *
 * ledger.h - what one client did to its keys, and whether what is found after a crash can have come of it.
 *
 * A client works on keys that nobody else touches, in a few stores, over one connection. Its operations on a store
 * take effect in the order sent, each whole or not at all, so after a crash the store holds what the first n of
 * them made of it, for some n (rules 2 and 3 of docs/ARCHITECTURE.md). n has a lower bound: all that was
 * acknowledged under a promise that covers this crash lies below it (rule 1). And what is done alone (copy,
 * transfer) ties the stores together.
 *
 * The caller says what each operation does if all before it took effect, which is known when it is sent, then what
 * was answered, then what was found; ledger_settle judges, and what was found becomes what is known.
 *
 * A value is a number that occurs once; 0 is none. Pure, and of one thread.
 */
#ifndef RD_TESTS_SUPPORT_LEDGER_H
#define RD_TESTS_SUPPORT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_STORE_COUNT_MAX 4u
#define LEDGER_KEY_COUNT_MAX   32u

/* What the answer promised. A process that is killed loses none of the three. */
enum ledger_promise {
    LEDGER_SYNCED,  /* is on the disk */
    LEDGER_TIMED,   /* will be there soon */
    LEDGER_UNSYNCED /* some time */
};

struct ledger_cut {
    bool power;          /* false: the process was killed */
    uint64_t at_ns;      /* power: when it began; what was answered later need not hold */
    uint64_t allowed_ns; /* power: what was answered under LEDGER_TIMED earlier than this before it must hold */
};

/* What one operation did to one store. */
struct ledger_part {
    uint32_t deed;
    uint32_t first_effect;
    uint32_t effect_count;
    bool answered;
    enum ledger_promise promise;
    uint64_t tail; /* the store's end, as answered */
    uint64_t answered_ns;
};

struct ledger_effect {
    uint32_t key;
    uint64_t value; /* 0: none any more */
};

struct ledger_deed {
    const char *what; /* borrows */
    bool alone;       /* all before it is done when it begins, and it when the next one does */
    bool moves;       /* what the store `from` loses the store `to` has before */
    uint8_t from;
    uint8_t to;
};

struct ledger_store {
    uint64_t base[LEDGER_KEY_COUNT_MAX]; /* at the last settlement */
    uint64_t now[LEDGER_KEY_COUNT_MAX];  /* if all that was sent takes effect */
    uint64_t seen[LEDGER_KEY_COUNT_MAX]; /* found after the crash */
    struct ledger_part *parts;           /* owned; in the order sent */
    size_t part_count;
    size_t part_capacity;
    struct ledger_effect *effects; /* owned */
    size_t effect_count;
    size_t effect_capacity;
};

struct ledger {
    unsigned store_count;
    unsigned key_count;
    struct ledger_store stores[LEDGER_STORE_COUNT_MAX];
    struct ledger_deed *deeds; /* owned */
    size_t deed_count;
    size_t deed_capacity;
    bool tails_shift; /* stores are compacted meanwhile: tails do not tell what came before what. Whoever keeps it
                       */
};

/* Of one store, by ledger_settle. Where the same state came about more than once, what was kept at least and what
 * was lost at least. */
struct ledger_outcome {
    uint64_t kept_tail_max; /* of what was answered and kept; 0: nothing */
    uint64_t lost_tail_min; /* of what was answered and lost; UINT64_MAX: nothing */
    uint64_t lost_first_ns; /* of what was answered under LEDGER_TIMED and lost; UINT64_MAX: nothing */
    uint64_t lost_last_ns;
    uint32_t open_kept; /* parts without an answer */
    uint32_t open_lost;
    uint32_t answered_lost;
};

/* All keys are absent. */
void ledger_init(struct ledger *ledger, unsigned store_count, unsigned key_count);
void ledger_deinit(struct ledger *ledger);

/* Notes one operation, and then what it does: parts by store, effects on the part begun last. An operation that
 * will change nothing is not noted. */
uint32_t ledger_deed(struct ledger *ledger, const char *what);
uint32_t ledger_copy(struct ledger *ledger, const char *what);
uint32_t ledger_transfer(struct ledger *ledger, const char *what, unsigned from, unsigned to);
void ledger_effect(struct ledger *ledger, uint32_t deed, unsigned store, unsigned key, uint64_t value);

/* The part of that deed in that store was acknowledged. */
void ledger_answered(struct ledger *ledger, uint32_t deed, unsigned store, enum ledger_promise promise,
                     uint64_t tail, uint64_t now_ns);

static inline uint64_t ledger_now(const struct ledger *ledger, unsigned store, unsigned key)
{
    return ledger->stores[store].now[key];
}

static inline void ledger_saw(struct ledger *ledger, unsigned store, unsigned key, uint64_t value)
{
    ledger->stores[store].seen[key] = value;
}

/* False: what was seen cannot be; `text` says why. True: it is what is known from now on, no operation is open,
 * and outcomes[store] tell what became of them. */
bool ledger_settle(struct ledger *ledger, const struct ledger_cut *cut,
                   struct ledger_outcome outcomes[LEDGER_STORE_COUNT_MAX], char *text, size_t text_size);

#endif

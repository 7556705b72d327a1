/* SPDX-License-Identifier: MIT
 *
 * linear.c - see linear.h. What is possible is a set of pairs (state of the register, which of the steps under way
 * have taken effect). A step that begins takes a place in that second half, a bit; at its end the bit is given
 * back:
 *
 *   begin   no pair changes
 *   end     a pair in which the step has taken effect stays, without the bit
 *           one in which it has not is replaced by all pairs that steps under way, in any order, and then this one
 *           lead to; if the step is optional it stays as well
 *
 * A step that sets nothing takes effect as soon as its need is met: that bars nothing, and spares the search all
 * orders of reads.
 */
#include "tests/support/linear.h"

#include <stdlib.h>
#include <string.h>

#define PAIR_COUNT_MAX (1u << 20) /* some 40 MiB */

struct pair {
    uint64_t state;
    uint64_t done; /* a bit for each step under way */
};

/* A list without doubles. */
struct pairs {
    struct pair *items; /* owned */
    size_t count;
    size_t capacity;
    uint32_t *table; /* owned; places in items plus one, 0: free */
    size_t table_len;
    bool failed; /* no memory, or too many */
};

struct event {
    uint64_t at_ns;
    uint32_t step;
    bool is_end;
};

struct search {
    const struct linear_step *steps;
    const struct linear_step *under_way[LINEAR_OVERLAP_MAX];
    uint64_t taken;       /* places in under_way */
    uint8_t *place;       /* owned; of each step */
    struct pairs now;     /* what is possible */
    struct pairs next;    /* what will be, while an end is looked at */
    struct pairs visited; /* between the two */
};

/* ---- sets of pairs ---------------------------------------------------------------------------------------- */

static size_t hash_of(struct pair pair)
{
    uint64_t mixed = pair.state * UINT64_C(0x9e3779b97f4a7c15) ^ pair.done * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(mixed ^ mixed >> 32);
}

static uint32_t *find(const struct pairs *pairs, struct pair pair)
{
    size_t at = hash_of(pair) & (pairs->table_len - 1);
    while (pairs->table[at] != 0) {
        const struct pair *held = &pairs->items[pairs->table[at] - 1];
        if (held->state == pair.state && held->done == pair.done)
            break;
        at = (at + 1) & (pairs->table_len - 1);
    }
    return &pairs->table[at];
}

static bool grow(struct pairs *pairs)
{
    size_t capacity = pairs->capacity == 0 ? 64 : 2 * pairs->capacity;
    struct pair *items = realloc(pairs->items, capacity * sizeof *items);
    if (items != NULL)
        pairs->items = items;
    uint32_t *table = calloc(4 * capacity, sizeof *table);
    if (items == NULL || table == NULL) {
        free(table);
        return false;
    }
    free(pairs->table);
    pairs->table = table;
    pairs->table_len = 4 * capacity;
    pairs->capacity = capacity;
    for (size_t i = 0; i < pairs->count; i++)
        *find(pairs, pairs->items[i]) = (uint32_t)i + 1;
    return true;
}

static void add(struct pairs *pairs, struct pair pair)
{
    if (pairs->failed || pairs->count == PAIR_COUNT_MAX || (pairs->count == pairs->capacity && !grow(pairs))) {
        pairs->failed = true;
        return;
    }
    uint32_t *at = find(pairs, pair);
    if (*at != 0)
        return;
    pairs->items[pairs->count++] = pair;
    *at = (uint32_t)pairs->count;
}

/* Takes them out one by one: a table may be much larger than what was in it. */
static void clear(struct pairs *pairs)
{
    for (size_t i = pairs->count; i > 0; i--) {
        *find(pairs, pairs->items[i - 1]) = 0;
        pairs->count--;
    }
}

static void discard(struct pairs *pairs)
{
    free(pairs->items);
    free(pairs->table);
}

/* ---- the search ------------------------------------------------------------------------------------------- */

static bool is_met(const struct linear_step *step, uint64_t state)
{
    switch (step->need) {
    case LINEAR_EQUAL:
        return state == step->operand;
    case LINEAR_UNEQUAL:
        return state != step->operand;
    default:
        return true;
    }
}

/* With the bits of the steps that set nothing and whose need is met. */
static struct pair settled(const struct search *search, struct pair pair)
{
    for (uint64_t left = search->taken & ~pair.done; left != 0; left &= left - 1) {
        unsigned place = (unsigned)__builtin_ctzll(left);
        const struct linear_step *step = search->under_way[place];
        if (!step->sets && is_met(step, pair.state))
            pair.done |= UINT64_C(1) << place;
    }
    return pair;
}

/* From each pair in `visited`, which lack the bit of that place: every way to its step's end. Ways that meet are
 * gone once. */
static void explore(struct search *search, uint64_t bit)
{
    struct pairs *visited = &search->visited;
    for (size_t i = 0; i < visited->count; i++) {
        struct pair pair = visited->items[i];
        for (uint64_t left = search->taken & ~pair.done; left != 0; left &= left - 1) {
            unsigned chosen = (unsigned)__builtin_ctzll(left);
            const struct linear_step *step = search->under_way[chosen];
            if (!step->sets || !is_met(step, pair.state))
                continue;
            struct pair then = settled(search, (struct pair){step->value, pair.done | UINT64_C(1) << chosen});
            if ((then.done & bit) != 0)
                add(&search->next, (struct pair){then.state, then.done & ~bit});
            else
                add(visited, then);
        }
    }
}

static void swap_in_next(struct search *search)
{
    struct pairs spent = search->now;
    search->now = search->next;
    search->next = spent;
    clear(&search->next);
}

static void end_step(struct search *search, uint32_t number)
{
    uint64_t bit = UINT64_C(1) << search->place[number];
    for (size_t i = 0; i < search->now.count; i++) {
        struct pair pair = search->now.items[i];
        bool done = (pair.done & bit) != 0;
        if (done || search->steps[number].optional)
            add(&search->next, (struct pair){pair.state, pair.done & ~bit});
        if (!done)
            add(&search->visited, pair);
    }
    explore(search, bit);
    clear(&search->visited);
    swap_in_next(search);
    search->taken &= ~bit;
}

static bool begin_step(struct search *search, uint32_t number)
{
    if (search->taken == UINT64_MAX)
        return false;
    unsigned place = (unsigned)__builtin_ctzll(~search->taken);
    search->taken |= UINT64_C(1) << place;
    search->under_way[place] = &search->steps[number];
    search->place[number] = (uint8_t)place;
    if (search->steps[number].sets)
        return true;
    for (size_t i = 0; i < search->now.count; i++)
        add(&search->next, settled(search, search->now.items[i]));
    swap_in_next(search);
    return true;
}

/* What happens at one time overlaps: beginnings first. */
static int compare_events(const void *left, const void *right)
{
    const struct event *a = left;
    const struct event *b = right;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a->is_end != b->is_end)
        return a->is_end ? 1 : -1;
    return a->step < b->step ? -1 : a->step > b->step;
}

static struct event *events_of(const struct linear_step *steps, size_t count)
{
    struct event *events = calloc(2 * count + 1, sizeof *events);
    if (events == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        events[2 * i] = (struct event){steps[i].begin_ns, (uint32_t)i, false};
        events[2 * i + 1] = (struct event){steps[i].end_ns, (uint32_t)i, true};
    }
    qsort(events, 2 * count, sizeof *events, compare_events);
    return events;
}

static enum linear_verdict walk(struct search *search, const struct event *events, size_t count, size_t *ret_step)
{
    add(&search->now, (struct pair){0, 0});
    for (size_t i = 0; i < count; i++) {
        if (!events[i].is_end && !begin_step(search, events[i].step))
            return LINEAR_TOO_WIDE;
        if (events[i].is_end)
            end_step(search, events[i].step);
        if (search->now.failed || search->next.failed || search->visited.failed)
            return LINEAR_TOO_WIDE;
        if (search->now.count == 0) {
            *ret_step = events[i].step;
            return LINEAR_NO;
        }
    }
    return LINEAR_YES;
}

enum linear_verdict linear_check(const struct linear_step *steps, size_t count, size_t *ret_step)
{
    struct search search = {.steps = steps, .place = calloc(count + 1, 1)};
    struct event *events = events_of(steps, count);
    enum linear_verdict verdict = LINEAR_TOO_WIDE;
    if (search.place != NULL && events != NULL)
        verdict = walk(&search, events, 2 * count, ret_step);
    free(events);
    free(search.place);
    discard(&search.now);
    discard(&search.next);
    discard(&search.visited);
    return verdict;
}

/* SPDX-License-Identifier: MIT */
#include "tests/support/ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many of a store's parts took effect. */
struct choice {
    size_t *places; /* owned; possible ones, ascending */
    size_t count;
    size_t least;   /* of those that go together with the other stores' */
    size_t most;    /* likewise */
    size_t current; /* of places; while combinations are tried */
};

/* ---- noting ----------------------------------------------------------------------------------------------- */

void ledger_init(struct ledger *ledger, unsigned store_count, unsigned key_count)
{
    assert(store_count <= LEDGER_STORE_COUNT_MAX && key_count <= LEDGER_KEY_COUNT_MAX);
    *ledger = (struct ledger){.store_count = store_count, .key_count = key_count};
}

void ledger_deinit(struct ledger *ledger)
{
    for (unsigned i = 0; i < ledger->store_count; i++) {
        free(ledger->stores[i].parts);
        free(ledger->stores[i].effects);
    }
    free(ledger->deeds);
    *ledger = (struct ledger){0};
}

/* Test code: where memory ends, so does the test. */
static void *room_for_one(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity == 0 ? 256 : 2 * *capacity;
    void *grown = realloc(items, *capacity * size);
    if (grown == NULL)
        abort();
    return grown;
}

static uint32_t add_deed(struct ledger *ledger, struct ledger_deed deed)
{
    ledger->deeds = room_for_one(ledger->deeds, ledger->deed_count, &ledger->deed_capacity, sizeof *ledger->deeds);
    ledger->deeds[ledger->deed_count] = deed;
    return (uint32_t)ledger->deed_count++;
}

uint32_t ledger_deed(struct ledger *ledger, const char *what)
{
    return add_deed(ledger, (struct ledger_deed){.what = what});
}

uint32_t ledger_copy(struct ledger *ledger, const char *what)
{
    return add_deed(ledger, (struct ledger_deed){.what = what, .alone = true});
}

uint32_t ledger_transfer(struct ledger *ledger, const char *what, unsigned from, unsigned to)
{
    struct ledger_deed deed = {
        .what = what, .alone = true, .moves = true, .from = (uint8_t)from, .to = (uint8_t)to};
    return add_deed(ledger, deed);
}

void ledger_effect(struct ledger *ledger, uint32_t deed, unsigned store_number, unsigned key, uint64_t value)
{
    struct ledger_store *store = &ledger->stores[store_number];
    if (store->part_count == 0 || store->parts[store->part_count - 1].deed != deed) {
        store->parts = room_for_one(store->parts, store->part_count, &store->part_capacity, sizeof *store->parts);
        store->parts[store->part_count++] =
            (struct ledger_part){.deed = deed, .first_effect = (uint32_t)store->effect_count};
    }
    store->effects =
        room_for_one(store->effects, store->effect_count, &store->effect_capacity, sizeof *store->effects);
    store->effects[store->effect_count++] = (struct ledger_effect){key, value};
    store->parts[store->part_count - 1].effect_count++;
    store->now[key] = value;
}

static struct ledger_part *part_of(struct ledger_store *store, uint32_t deed)
{
    size_t low = 0;
    size_t high = store->part_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->parts[middle].deed < deed)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < store->part_count && store->parts[low].deed == deed);
    return &store->parts[low];
}

void ledger_answered(struct ledger *ledger, uint32_t deed, unsigned store, enum ledger_promise promise,
                     uint64_t tail, uint64_t now_ns)
{
    struct ledger_part *part = part_of(&ledger->stores[store], deed);
    part->answered = true;
    part->promise = promise;
    part->tail = tail;
    part->answered_ns = now_ns;
}

/* ---- one store -------------------------------------------------------------------------------------------- */

static bool must_hold(const struct ledger_part *part, const struct ledger_cut *cut)
{
    if (!part->answered)
        return false;
    if (!cut->power)
        return true;
    uint64_t allowed_ns = part->promise == LEDGER_TIMED ? cut->allowed_ns : 0;
    return part->promise != LEDGER_UNSYNCED && part->answered_ns + allowed_ns < cut->at_ns;
}

/* Below this many parts at least one that must hold is missing. */
static size_t least_place(const struct ledger_store *store, const struct ledger_cut *cut)
{
    size_t place = store->part_count;
    while (place > 0 && !must_hold(&store->parts[place - 1], cut))
        place--;
    return place;
}

static void apply(const struct ledger_store *store, const struct ledger_part *part, uint64_t *values)
{
    for (uint32_t i = 0; i < part->effect_count; i++) {
        const struct ledger_effect *effect = &store->effects[part->first_effect + i];
        values[effect->key] = effect->value;
    }
}

static unsigned difference(const struct ledger_store *store, unsigned key_count, const uint64_t *values)
{
    unsigned different = 0;
    for (unsigned key = 0; key < key_count; key++)
        different += values[key] != store->seen[key];
    return different;
}

/* All numbers of parts that lead to what was seen, from `least` on; returns the one that comes nearest. */
static size_t find_places(const struct ledger_store *store, unsigned key_count, size_t least,
                          struct choice *choice)
{
    uint64_t values[LEDGER_KEY_COUNT_MAX];
    size_t nearest = least;
    unsigned nearest_difference = key_count + 1;
    memcpy(values, store->base, sizeof values);
    for (size_t place = 0; place <= store->part_count; place++) {
        if (place > 0)
            apply(store, &store->parts[place - 1], values);
        if (place < least)
            continue;
        unsigned different = difference(store, key_count, values);
        if (different == 0)
            choice->places[choice->count++] = place;
        if (different < nearest_difference) {
            nearest_difference = different;
            nearest = place;
        }
    }
    return nearest;
}

/* The deed that wrote this value, as it may have come from one that was overwritten long ago. */
static int describe_value(const struct ledger *ledger, const struct ledger_store *store, uint64_t value, char *to,
                          size_t size)
{
    for (size_t i = store->part_count; value != 0 && i > 0; i--) {
        const struct ledger_part *part = &store->parts[i - 1];
        for (uint32_t j = 0; j < part->effect_count; j++)
            if (store->effects[part->first_effect + j].value == value)
                return snprintf(to, size, "%llu (of %s %u%s)", (unsigned long long)value,
                                ledger->deeds[part->deed].what, part->deed,
                                part->answered ? "" : ", not answered");
    }
    return snprintf(to, size, value == 0 ? "nothing" : "%llu", (unsigned long long)value);
}

/* Up to four keys that are not as they should be after so many parts. */
static void describe(const struct ledger *ledger, unsigned store_number, size_t place, size_t least,
                     const struct ledger_cut *cut, char *text, size_t size)
{
    const struct ledger_store *store = &ledger->stores[store_number];
    uint64_t values[LEDGER_KEY_COUNT_MAX];
    memcpy(values, store->base, sizeof values);
    for (size_t i = 0; i < place; i++)
        apply(store, &store->parts[i], values);
    size_t at = (size_t)snprintf(text, size,
                                 "store %u: of %zu operations %zu at least must have taken effect; nearest is %zu",
                                 store_number, store->part_count, least, place);
    if (place > 0 && at < size)
        at += (size_t)snprintf(text + at, size - at, ", up to %s %u",
                               ledger->deeds[store->parts[place - 1].deed].what, store->parts[place - 1].deed);
    if (cut->power && least > 0 && at < size)
        at += (size_t)snprintf(text + at, size - at, "; the last of those was answered %lld us before the cut",
                               (long long)(cut->at_ns - store->parts[least - 1].answered_ns) / 1000);
    unsigned told = 0;
    for (unsigned key = 0; key < ledger->key_count && told < 4; key++) {
        char wanted[80];
        char found[80];
        if (values[key] == store->seen[key])
            continue;
        (void)describe_value(ledger, store, values[key], wanted, sizeof wanted);
        (void)describe_value(ledger, store, store->seen[key], found, sizeof found);
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "; key %u has %s in place of %s", key, found, wanted);
        told++;
    }
}

/* ---- the stores together ---------------------------------------------------------------------------------- */

/* Of the parts in a store that took effect, the last deed; of the others, the first. */
static int64_t last_kept(const struct ledger_store *store, size_t place)
{
    return place > 0 ? (int64_t)store->parts[place - 1].deed : -1;
}

static int64_t first_lost(const struct ledger_store *store, size_t place)
{
    return place < store->part_count ? (int64_t)store->parts[place].deed : INT64_MAX;
}

static bool go_together(const struct ledger *ledger, const struct choice *choices, bool power)
{
    int64_t lost[LEDGER_STORE_COUNT_MAX];
    int64_t kept_last = -1;
    int64_t lost_first = INT64_MAX;
    for (unsigned i = 0; i < ledger->store_count; i++) {
        size_t place = choices[i].places[choices[i].current];
        int64_t kept = last_kept(&ledger->stores[i], place);
        kept_last = kept > kept_last ? kept : kept_last;
        lost[i] = first_lost(&ledger->stores[i], place);
        lost_first = lost[i] < lost_first ? lost[i] : lost_first;
    }
    for (size_t i = 0; i < ledger->deed_count; i++) {
        const struct ledger_deed *deed = &ledger->deeds[i];
        int64_t number = (int64_t)i;
        if (deed->moves && number < lost[deed->from] && number >= lost[deed->to])
            return false; /* the value is in neither store */
        bool lacks = lost_first < number || (lost_first == number && number < kept_last);
        if (!power && deed->alone && lacks && number <= kept_last)
            return false; /* it is there, or something sent behind it, and what comes before that is not */
    }
    return true;
}

static bool next_combination(struct choice *choices, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (++choices[i].current < choices[i].count)
            return true;
        choices[i].current = 0;
    }
    return false;
}

static bool combine(const struct ledger *ledger, struct choice *choices, bool power)
{
    bool any = false;
    do {
        if (!go_together(ledger, choices, power))
            continue;
        for (unsigned i = 0; i < ledger->store_count; i++) {
            size_t place = choices[i].places[choices[i].current];
            choices[i].least = !any || place < choices[i].least ? place : choices[i].least;
            choices[i].most = !any || place > choices[i].most ? place : choices[i].most;
        }
        any = true;
    } while (next_combination(choices, ledger->store_count));
    return any;
}

/* ---- settling --------------------------------------------------------------------------------------------- */

static void account(const struct ledger_store *store, const struct choice *choice, struct ledger_outcome *outcome)
{
    *outcome = (struct ledger_outcome){.lost_tail_min = UINT64_MAX, .lost_first_ns = UINT64_MAX};
    for (size_t i = 0; i < store->part_count; i++) {
        const struct ledger_part *part = &store->parts[i];
        bool lost = i >= choice->most;
        outcome->open_kept += !part->answered && !lost;
        outcome->open_lost += !part->answered && lost;
        outcome->answered_lost += part->answered && lost;
        if (part->answered && i < choice->least && part->tail > outcome->kept_tail_max)
            outcome->kept_tail_max = part->tail;
        if (!part->answered || !lost)
            continue;
        if (part->tail < outcome->lost_tail_min)
            outcome->lost_tail_min = part->tail;
        if (part->promise != LEDGER_TIMED)
            continue;
        if (part->answered_ns < outcome->lost_first_ns)
            outcome->lost_first_ns = part->answered_ns;
        if (part->answered_ns > outcome->lost_last_ns)
            outcome->lost_last_ns = part->answered_ns;
    }
}

/* Tails grow in the order of a store's operations. */
static bool tails_grow(const struct ledger *ledger, unsigned number, char *text, size_t size)
{
    const struct ledger_store *store = &ledger->stores[number];
    uint64_t tail = 0;
    if (ledger->tails_shift)
        return true;
    for (size_t i = 0; i < store->part_count; i++) {
        const struct ledger_part *part = &store->parts[i];
        if (!part->answered)
            continue;
        if (part->tail <= tail) {
            snprintf(text, size, "store %u: %s %u ends at %llu, and one sent before it at %llu", number,
                     ledger->deeds[part->deed].what, part->deed, (unsigned long long)part->tail,
                     (unsigned long long)tail);
            return false;
        }
        tail = part->tail;
    }
    return true;
}

static bool choose(const struct ledger *ledger, unsigned number, const struct ledger_cut *cut,
                   struct choice *choice, char *text, size_t size)
{
    const struct ledger_store *store = &ledger->stores[number];
    choice->places = calloc(store->part_count + 1, sizeof *choice->places);
    if (choice->places == NULL)
        abort();
    if (!tails_grow(ledger, number, text, size))
        return false;
    size_t least = least_place(store, cut);
    size_t nearest = find_places(store, ledger->key_count, least, choice);
    if (choice->count != 0)
        return true;
    describe(ledger, number, nearest, least, cut, text, size);
    return false;
}

static void start_anew(struct ledger *ledger)
{
    for (unsigned i = 0; i < ledger->store_count; i++) {
        struct ledger_store *store = &ledger->stores[i];
        memcpy(store->base, store->seen, sizeof store->base);
        memcpy(store->now, store->seen, sizeof store->now);
        store->part_count = 0;
        store->effect_count = 0;
    }
    ledger->deed_count = 0;
}

bool ledger_settle(struct ledger *ledger, const struct ledger_cut *cut,
                   struct ledger_outcome outcomes[LEDGER_STORE_COUNT_MAX], char *text, size_t text_size)
{
    struct choice choices[LEDGER_STORE_COUNT_MAX] = {{.places = NULL}};
    bool good = true;
    for (unsigned i = 0; good && i < ledger->store_count; i++)
        good = choose(ledger, i, cut, &choices[i], text, text_size);
    if (good && !combine(ledger, choices, cut->power)) {
        snprintf(text, text_size,
                 "a copy or transfer: what was done behind it is there and what it did is not, "
                 "or a value that moved is in neither store");
        good = false;
    }
    for (unsigned i = 0; good && i < ledger->store_count; i++)
        account(&ledger->stores[i], &choices[i], &outcomes[i]);
    for (unsigned i = 0; good && ledger->tails_shift && i < ledger->store_count; i++) {
        outcomes[i].kept_tail_max = 0;
        outcomes[i].lost_tail_min = UINT64_MAX;
    }
    if (good)
        start_anew(ledger);
    for (unsigned i = 0; i < ledger->store_count; i++)
        free(choices[i].places);
    return good;
}

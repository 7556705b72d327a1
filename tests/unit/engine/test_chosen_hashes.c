/* SPDX-License-Identifier: MIT
 *
 * Key hashes that callers have chosen (rd_key_of_hash), in rows that a fixed way to spread them would put into one
 * place: a batch of these takes as long as a batch of any.
 */
#include "tests/unit/engine/fixture.h"

#define COUNT     (SLOW ? 20000u : 50000u)
#define TIMES_MAX 20u /* one that looks at all of its keys for each takes some hundred times as long */

/* What undoes a multiplication by the golden ratio, modulo 2^64: so that products have all of it in the low bits,
 * none in the high ones. Newton's iteration doubles the bits that are right. */
static uint64_t undone(uint64_t number)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t inverse = golden; /* right in three bits */
    for (int i = 0; i < 5; i++)
        inverse *= 2 - golden * inverse;
    assert_int_equal(golden * inverse, 1);
    return number * inverse;
}

/* As hashes are, one for each number. */
static uint64_t spread(uint64_t number)
{
    uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static uint64_t in_low_bits(uint64_t number)
{
    return number;
}

static uint64_t in_high_bits(uint64_t number)
{
    return number << 48 | number >> 16;
}

static uint64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Twice in one group: as new keys, and on top of what the group has planned for them. */
static uint64_t write_all(uint64_t (*hash_of)(uint64_t number))
{
    static struct rd_entry entries[2 * 50000u];
    static uint8_t value[8] = "a value";
    struct place place = place_create();
    struct rd_store *store = store_open(place.path);
    for (uint64_t i = 0; i < 2 * COUNT; i++)
        entries[i] = (struct rd_entry){.key = rd_key_of_hash(hash_of(i % COUNT + 1)),
                                       .payload = rd_slice(value, sizeof value)};
    uint64_t begun_ns = processor_ns();
    assert_int_equal(rd_store_batch_write(store, entries, 2 * COUNT, false, NULL), RD_OK);
    uint64_t took_ns = processor_ns() - begun_ns;
    assert_int_equal(rd_store_len(store), COUNT);
    for (uint64_t i = 0; i < COUNT; i += 101)
        expect_bytes(store, entries[i].key, value, sizeof value);
    rd_store_close(store);
    place_remove(&place);
    return took_ns;
}

static void rows_of_hashes_take_no_longer_than_any(void **state)
{
    (void)state;
    uint64_t (*const rows[])(uint64_t) = {undone, in_high_bits, in_low_bits};
    uint64_t any_ns = write_all(spread);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t took_ns = write_all(rows[i]);
        print_message("    %.1f times\n", (double)took_ns / (double)any_ns);
        assert_in_range(took_ns, 1, TIMES_MAX * any_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_hashes_take_no_longer_than_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

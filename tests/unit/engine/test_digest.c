/* SPDX-License-Identifier: MIT
 *
 * The digests against the vectors of docs/FORMAT.md.
 */
#include "engine/digest.h"
#include "tests/unit/engine/fixture.h"

static void xxh3_vectors(void **state)
{
    (void)state;
    uint8_t counted[300];
    uint8_t letters[300];
    for (size_t i = 0; i < sizeof counted; i++)
        counted[i] = (uint8_t)i;
    memset(letters, 'a', sizeof letters);
    assert_int_equal(key_named("").hash, UINT64_C(0x2d06800538d394c2));
    assert_int_equal(key_named("a").hash, UINT64_C(0xe6c632b61e964e1f));
    assert_int_equal(key_named("hello").hash, UINT64_C(0x9555e8555c62dcfd));
    assert_int_equal(key_named("alpha").hash, UINT64_C(0xbe6903b5f625ab5a));
    assert_int_equal(key_named("beta").hash, UINT64_C(0x28faff7f97dff641));
    assert_int_equal(rd_key_of_bytes(rd_slice(counted, sizeof counted)).hash, UINT64_C(0xd44052f5a3485425));
    assert_int_equal(rd_key_of_bytes(rd_slice(letters, sizeof letters)).hash, UINT64_C(0xc1d17581d8eb7e21));
}

static void crc32_vectors(void **state)
{
    (void)state;
    static const uint8_t zeros[2];
    assert_int_equal(rd_crc32(0, rd_slice_of_string("")), 0);
    assert_int_equal(rd_crc32(0, rd_slice_of_string("a")), 0xe8b7be43);
    assert_int_equal(rd_crc32(0, rd_slice_of_string("hello")), 0x3610a686);
    assert_int_equal(rd_crc32(0, rd_slice_of_string("123456789")), 0xcbf43926);
    assert_int_equal(rd_crc32(0, rd_slice(zeros, 1)), 0xd202ef8d);
    assert_int_equal(rd_crc32(0, rd_slice(zeros, 2)), 0x41d912ff);
}

/* As RFC 1952 defines it, bit by bit. */
static uint32_t crc32_by_definition(const uint8_t *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

/* Other code takes it from some lengths on, and other code yet on other processors. */
static void crc32_is_what_it_is_defined_to_be(void **state)
{
    (void)state;
    random_begin();
    static uint8_t bytes[70000];
    random_fill(bytes, sizeof bytes);
    for (size_t len = 0; len <= 1100; len++) {
        size_t from = len % 67;
        assert_int_equal(rd_crc32(0, rd_slice(bytes + from, len)), crc32_by_definition(bytes + from, len));
    }
    for (size_t len = sizeof bytes - 300; len <= sizeof bytes; len++)
        assert_int_equal(rd_crc32(0, rd_slice(bytes, len)), crc32_by_definition(bytes, len));
}

static void crc32_in_parts_is_crc32_of_the_whole(void **state)
{
    (void)state;
    random_begin();
    uint8_t bytes[1000];
    random_fill(bytes, sizeof bytes);
    uint32_t whole = rd_crc32(0, rd_slice(bytes, sizeof bytes));
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        uint32_t first = rd_crc32(0, rd_slice(bytes, cut));
        assert_int_equal(rd_crc32(first, rd_slice(bytes + cut, sizeof bytes - cut)), whole);
    }
}

static void crc32_of_few_is_crc32(void **state)
{
    (void)state;
    random_begin();
    uint8_t bytes[64];
    rd_crc32_prepare();
    for (int round = 0; round < 100; round++) {
        random_fill(bytes, sizeof bytes);
        for (size_t len = 0; len <= sizeof bytes; len++)
            assert_int_equal(rd_crc32_of_few(rd_slice(bytes, len)), rd_crc32(0, rd_slice(bytes, len)));
    }
}

static void an_empty_key_is_not_a_missing_one(void **state)
{
    (void)state;
    struct rd_key empty = rd_key_of_bytes(rd_slice(NULL, 0));
    assert_non_null(empty.bytes.data);
    assert_int_equal(empty.hash, UINT64_C(0x2d06800538d394c2));
    assert_null(rd_key_of_hash(7).bytes.data);
    assert_int_equal(rd_key_of_hash(7).hash, 7);
}

static void namespaced_key(void **state)
{
    (void)state;
    uint8_t key[16];
    rd_key_namespaced(rd_slice_of_string("ns"), rd_slice_of_string("key"), key);
    struct rd_buffer expected = rd_bytes_of_hex("603055797d2726e6e36551a0630deabb");
    assert_memory_equal(key, expected.data, sizeof key);
    rd_buffer_deinit(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xxh3_vectors),
        cmocka_unit_test(crc32_vectors),
        cmocka_unit_test(crc32_is_what_it_is_defined_to_be),
        cmocka_unit_test(crc32_of_few_is_crc32),
        cmocka_unit_test(crc32_in_parts_is_crc32_of_the_whole),
        cmocka_unit_test(an_empty_key_is_not_a_missing_one),
        cmocka_unit_test(namespaced_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A long text in an outbox: it leaves from where it lies, a piece at a time, between what was encoded around it.
 * A value that is replaced meanwhile, and one whose memory is just being given back: holding it is a function of
 * this test, which counts, and fails where it is told to.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/outbox.h"
#include "tests/support/golden.h"

#define TEXT_LEN  ((size_t)(5u << 20) + 123)
#define PIECE_MAX ((size_t)(1u << 20)) /* that is let go at a time */

static void encode(struct rd_outbox *outbox, const char *bytes)
{
    rd_buffer_append_string(rd_outbox_begin(outbox, 64), bytes);
    rd_outbox_commit(outbox);
}

static uint8_t *make_text(void)
{
    uint8_t *text = malloc(TEXT_LEN);
    assert_non_null(text);
    for (size_t i = 0; i < TEXT_LEN; i++)
        text[i] = (uint8_t)(i * 2654435761u >> 13);
    return text;
}

/* What a socket took of `buffers`: at most len_max bytes. */
static size_t take(const uv_buf_t *buffers, unsigned count, size_t len_max, uint8_t *to)
{
    size_t len = 0;
    for (unsigned i = 0; i < count && len < len_max; i++) {
        size_t some = buffers[i].len < len_max - len ? buffers[i].len : len_max - len;
        memcpy(to + len, buffers[i].base, some);
        len += some;
    }
    return len;
}

static void a_text_leaves_from_where_it_lies_a_piece_at_a_time(void **state)
{
    (void)state;
    struct rd_outbox outbox;
    rd_outbox_init(&outbox, NULL);
    uint8_t *text = make_text();
    uint8_t *expected = malloc(TEXT_LEN + 8);
    uint8_t *got = malloc(TEXT_LEN + 8);
    assert_true(expected != NULL && got != NULL);
    memcpy(expected, "head", 4);
    memcpy(expected + 4, text, TEXT_LEN);
    memcpy(expected + 4 + TEXT_LEN, "next", 4);
    encode(&outbox, "head");
    atomic_uint held = 7;
    assert_true(rd_outbox_append_text(&outbox, rd_slice(text, TEXT_LEN), text, &held));
    encode(&outbox, "next");
    assert_int_equal(outbox.unsent, TEXT_LEN + 8);
    assert_true(outbox.filling.bytes.capacity < 4096); /* it was not copied */

    size_t len = 0;
    while (outbox.unsent != 0) {
        uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
        unsigned count;
        size_t peeked;
        assert_int_equal(rd_outbox_peek(&outbox, SIZE_MAX, buffers, &count, &peeked), RD_OK);
        assert_in_range(peeked, 1, PIECE_MAX + 8);
        size_t text_sent = len == 0 ? 0 : len - 4;
        for (unsigned i = 0; i < count; i++)
            if (buffers[i].len > 4)
                assert_ptr_equal(buffers[i].base, text + text_sent);
        size_t sent = take(buffers, count, 300001, got + len);
        rd_outbox_sent(&outbox, sent);
        len += sent;
        bool whole = len >= 4 + TEXT_LEN;
        assert_int_equal(held, whole ? 6 : 7);
        assert_int_equal(rd_outbox_memory(&outbox), whole ? 0 : TEXT_LEN);
    }
    assert_int_equal(len, TEXT_LEN + 8);
    assert_memory_equal(got, expected, TEXT_LEN + 8);
    free(expected);
    free(got);
    rd_outbox_deinit(&outbox);
}

/* Its memory is freed then: AddressSanitizer tells where it is not, or is twice. */
static void a_connection_that_ends_leaves_nothing_of_it(void **state)
{
    (void)state;
    struct rd_outbox outbox;
    rd_outbox_init(&outbox, NULL);
    atomic_uint held = 3;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *text = make_text();
        encode(&outbox, "head");
        assert_true(rd_outbox_append_text(&outbox, rd_slice(text, TEXT_LEN), text, &held));
    }
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    assert_int_equal(rd_outbox_peek(&outbox, SIZE_MAX, buffers, &count, &peeked), RD_OK);
    rd_outbox_sent(&outbox, peeked);
    assert_false(rd_outbox_is_overdue(&outbox, UINT64_MAX, 0)); /* no store waits for it */
    assert_int_equal(rd_outbox_faults(&outbox), 0);
    assert_int_equal(held, 3);
    assert_int_equal(rd_outbox_memory(&outbox), 3 * TEXT_LEN);
    rd_outbox_deinit(&outbox);
    assert_int_equal(held, 0);
    assert_int_equal(outbox.unsent, 0);
}

static void a_constant_text_is_nobodys(void **state)
{
    (void)state;
    static const char page[] = "<!doctype html>";
    struct rd_outbox outbox;
    rd_outbox_init(&outbox, NULL);
    assert_true(rd_outbox_append_text(&outbox, rd_slice_of_string(page), NULL, NULL));
    assert_int_equal(rd_outbox_memory(&outbox), 0);
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    assert_int_equal(rd_outbox_peek(&outbox, SIZE_MAX, buffers, &count, &peeked), RD_OK);
    assert_int_equal(count, 1);
    assert_ptr_equal(buffers[0].base, page);
    rd_outbox_sent(&outbox, peeked);
    assert_int_equal(outbox.unsent, 0);
    rd_outbox_deinit(&outbox);
}

/* ---- values ---- */

bool __real_rd_value_hold(const struct rd_value *value, uint64_t first, uint64_t len);
void __real_rd_value_let_go(const struct rd_value *value, uint64_t first, uint64_t len);
bool __real_rd_value_is_in_memory(const struct rd_value *value, uint64_t first, uint64_t len);
bool __wrap_rd_value_hold(const struct rd_value *value, uint64_t first, uint64_t len);
bool __wrap_rd_value_is_in_memory(const struct rd_value *value, uint64_t first, uint64_t len);
void __wrap_rd_value_let_go(const struct rd_value *value, uint64_t first, uint64_t len);

static uint64_t held_len;      /* bytes of values that are held */
static bool away;              /* nothing is in memory */
static unsigned leaving_count; /* so many times they will be found to be leaving memory */

bool __wrap_rd_value_hold(const struct rd_value *value, uint64_t first, uint64_t len)
{
    bool stays = __real_rd_value_hold(value, first, len);
    held_len += len;
    if (leaving_count == 0)
        return stays;
    leaving_count--;
    return false;
}

bool __wrap_rd_value_is_in_memory(const struct rd_value *value, uint64_t first, uint64_t len)
{
    return !away && __real_rd_value_is_in_memory(value, first, len);
}

void __wrap_rd_value_let_go(const struct rd_value *value, uint64_t first, uint64_t len)
{
    assert_true(held_len >= len);
    held_len -= len;
    __real_rd_value_let_go(value, first, len);
}

enum { VALUES = 40, PATIENCE_S = 20 };

struct place {
    char *folder;
    char *path;
    struct rd_store *store;
};

static struct place open_place(void)
{
    struct place place = {.folder = rd_scratch_create()};
    struct rd_store_options options = {.create = true};
    place.path = rd_path(place.folder, "store.rdr");
    assert_int_equal(rd_store_open(place.path, &options, &place.store, NULL), RD_OK);
    return place;
}

static void close_place(struct place *place)
{
    rd_store_close(place->store);
    free(place->path);
    rd_scratch_remove(place->folder);
}

static struct rd_key key_number(int number)
{
    char name[16];
    snprintf(name, sizeof name, "key %d", number);
    return rd_key_of_bytes(rd_slice_of_string(name));
}

static void put_all(struct rd_store *store, uint8_t filling)
{
    uint8_t *bytes = malloc(PIECE_MAX);
    assert_non_null(bytes);
    memset(bytes, filling, PIECE_MAX);
    for (int i = 0; i < VALUES; i++)
        assert_int_equal(rd_store_write(store, key_number(i), rd_slice(bytes, PIECE_MAX), NULL), RD_OK);
    free(bytes);
}

/* Of a value that was replaced memory is given back, and that does not come at the expense of a loop that has it
 * waiting for its socket. */
static void what_may_be_sent_stays_in_memory(void **state)
{
    (void)state;
    struct place place = open_place();
    struct rd_store *store = place.store;
    put_all(store, 'a');
    struct rd_value sent;
    struct rd_value other;
    assert_int_equal(rd_store_read(store, key_number(0), &sent), RD_OK);
    assert_int_equal(rd_store_read(store, key_number(VALUES / 2), &other), RD_OK);
    struct rd_value same = rd_value_share(&sent);
    struct rd_outbox outbox;
    rd_outbox_init(&outbox, NULL);
    assert_true(rd_outbox_append_value(&outbox, &sent, NULL, RD_CLEARED, NULL));
    time_t begun = time(NULL);
    for (uint8_t filling = 'b'; rd_value_is_in_memory(&other, 0, PIECE_MAX); filling++) {
        assert_true(time(NULL) - begun < PATIENCE_S);
        put_all(store, filling);
    }
    assert_true(rd_value_is_in_memory(&same, 0, PIECE_MAX));

    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    assert_int_equal(rd_outbox_peek(&outbox, SIZE_MAX, buffers, &count, &peeked), RD_OK);
    assert_int_equal(peeked, PIECE_MAX);
    rd_outbox_sent(&outbox, peeked);
    for (uint8_t filling = 'B'; rd_value_is_in_memory(&same, 0, PIECE_MAX); filling++) {
        assert_true(time(NULL) - begun < 2 * PATIENCE_S);
        put_all(store, filling);
    }
    rd_outbox_deinit(&outbox);
    rd_value_release(&same);
    rd_value_release(&other);
    close_place(&place);
}

static void expect_peek(struct rd_outbox *outbox, size_t len)
{
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    assert_int_equal(rd_outbox_peek(outbox, SIZE_MAX, buffers, &count, &peeked), RD_OK);
    assert_int_equal(peeked, len);
}

/* Whatever is found in memory then: it could be gone when the socket takes it. So it is fetched, and is not held
 * for that. */
static void what_is_leaving_memory_is_not_sent(enum rd_clearance clearance, struct rd_store *store)
{
    struct rd_value value;
    struct rd_outbox outbox;
    rd_outbox_init(&outbox, NULL);
    assert_int_equal(rd_store_read(store, key_number(0), &value), RD_OK);
    size_t len = value.payload.len;
    assert_true(rd_value_is_in_memory(&value, 0, len));
    assert_true(rd_outbox_append_value(&outbox, &value, NULL, clearance, NULL));
    encode(&outbox, "next");

    leaving_count = 2;
    expect_peek(&outbox, 0);
    assert_int_equal(held_len, 0);
    struct rd_hosted *hosted;
    uint64_t first;
    assert_int_equal(rd_outbox_waiting(&outbox, &hosted, &first)->payload.len, len);
    assert_int_equal(first, 0);
    rd_outbox_fetched(&outbox, PIECE_MAX, NULL); /* it came back, and may be leaving again */
    expect_peek(&outbox, 0);
    assert_int_equal(held_len, 0);

    expect_peek(&outbox, PIECE_MAX);
    assert_int_equal(held_len, PIECE_MAX);
    rd_outbox_sent(&outbox, PIECE_MAX - 1);
    leaving_count = 1;
    expect_peek(&outbox, 1); /* the next piece is not asked for before */
    assert_int_equal(leaving_count, 1);
    rd_outbox_sent(&outbox, 1);
    expect_peek(&outbox, 0);
    (void)rd_outbox_waiting(&outbox, &hosted, &first);
    assert_int_equal(first, PIECE_MAX);
    assert_int_equal(held_len, PIECE_MAX);
    expect_peek(&outbox, len - PIECE_MAX + 4);
    assert_int_equal(held_len, len - PIECE_MAX);
    rd_outbox_sent(&outbox, len - PIECE_MAX + 4);
    assert_int_equal(held_len, 0);
    assert_int_equal(outbox.unsent, 0);
    rd_outbox_deinit(&outbox);
}

static void what_is_just_leaving_memory_waits(void **state)
{
    (void)state;
    struct place place = open_place();
    struct rd_store *store = place.store;
    uint8_t *bytes = make_text();
    assert_int_equal(rd_store_write(store, key_number(0), rd_slice(bytes, PIECE_MAX + 1234), NULL), RD_OK);
    what_is_leaving_memory_is_not_sent(RD_CLEARED_IN_MEMORY, store);
    what_is_leaving_memory_is_not_sent(RD_CLEARED_VERIFIED, store);
    close_place(&place);
    free(bytes);
}

/* One byte of the store's file, which another program writes over. */
static void damage(const char *path, uint64_t offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

/* No more is looked at than is about to leave, or all others would wait for that: so what is damaged behind it, in
 * a piece of which a part has left, is still found. */
static void what_leaves_is_what_is_looked_at(void **state)
{
    (void)state;
    enum { SHARE = 1 << 16 };
    struct place place = open_place();
    struct rd_store *store = place.store;
    struct rd_value value;
    struct rd_outbox outbox;
    uint8_t *text = make_text();
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    assert_int_equal(rd_store_write(store, key_number(0), rd_slice(text, TEXT_LEN), NULL), RD_OK);
    assert_int_equal(rd_store_read(store, key_number(0), &value), RD_OK);
    uint64_t offset = value.offset;
    rd_outbox_init(&outbox, NULL);
    assert_true(rd_outbox_append_value(&outbox, &value, NULL, RD_CLEARED_VERIFIED, NULL));

    assert_int_equal(rd_outbox_peek(&outbox, SHARE, buffers, &count, &peeked), RD_OK);
    damage(place.path, offset + SHARE);
    size_t sent = 0;
    do {
        assert_in_range(peeked, 1, SHARE);
        rd_outbox_sent(&outbox, peeked);
        sent += peeked;
    } while (rd_outbox_peek(&outbox, SHARE, buffers, &count, &peeked) == RD_OK);
    assert_in_range(sent, TEXT_LEN - SHARE, TEXT_LEN - 1);
    assert_int_equal(rd_outbox_peek(&outbox, SHARE, buffers, &count, &peeked), RD_CORRUPT); /* once more */
    rd_outbox_deinit(&outbox);
    assert_int_equal(held_len, 0);
    close_place(&place);
    free(text);
}

/* ---- portions ---- */

/* As of rd_value_read_portion, but of bytes that are the caller's. */
static struct rd_portion *portion_of(const uint8_t *bytes, size_t len)
{
    struct rd_portion *portion = malloc(sizeof *portion);
    assert_non_null(portion);
    *portion = (struct rd_portion){.bytes = rd_slice(bytes, len), .uses = 1};
    return portion;
}

/* A whole value in an outbox, of which nothing can be held: so it waits. */
static struct rd_outbox outbox_that_waits(struct rd_store *store, const uint8_t *text)
{
    struct rd_value value;
    struct rd_outbox outbox;
    assert_int_equal(rd_store_write(store, key_number(0), rd_slice(text, TEXT_LEN), NULL), RD_OK);
    assert_int_equal(rd_store_read(store, key_number(0), &value), RD_OK);
    rd_outbox_init(&outbox, NULL);
    assert_true(rd_outbox_append_value(&outbox, &value, NULL, RD_CLEARED_VERIFIED, NULL));
    leaving_count = 1;
    expect_peek(&outbox, 0);
    return outbox;
}

/* It is not the map's, so that nothing is held, and no page is lent; and it is given back when it has left. */
static void a_portion_leaves_in_the_maps_place(void **state)
{
    (void)state;
    enum { SHARE = 1 << 16 };
    static const size_t lens[] = {PIECE_MAX - 64, PIECE_MAX, PIECE_MAX / 2 + 1}; /* the rest is in memory */
    struct place place = open_place();
    uint8_t *text = make_text();
    uint8_t *copy = make_text();
    struct rd_outbox outbox = outbox_that_waits(place.store, text);
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    size_t sent = 0;
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct rd_portion *portion = portion_of(copy + sent, lens[i]);
        rd_outbox_fetched(&outbox, sent + lens[i], portion);
        assert_int_equal(portion->uses, 2);
        for (size_t end = sent + lens[i]; sent < end; sent += peeked) {
            assert_int_equal(portion->uses, 2);
            assert_int_equal(rd_outbox_peek(&outbox, SHARE, buffers, &count, &peeked), RD_OK);
            assert_int_equal(count, 1);
            assert_ptr_equal(buffers[0].base, copy + sent);
            assert_in_range(peeked, 1, end - sent < SHARE ? end - sent : SHARE);
            assert_int_equal(outbox.lent, RD_OUTBOX_IOV_MAX);
            assert_int_equal(held_len, 0);
            rd_outbox_sent(&outbox, peeked);
        }
        assert_int_equal(portion->uses, 1);
        rd_portion_release(portion);
        leaving_count = i + 1 < sizeof lens / sizeof *lens;
        if (leaving_count != 0)
            expect_peek(&outbox, 0);
    }
    for (; sent < TEXT_LEN; sent += peeked) {
        assert_int_equal(rd_outbox_peek(&outbox, SHARE, buffers, &count, &peeked), RD_OK);
        assert_memory_equal(buffers[0].base, text + sent, peeked);
        assert_true(held_len != 0);
        rd_outbox_sent(&outbox, peeked);
    }
    assert_int_equal(held_len, 0);
    assert_int_equal(outbox.unsent, 0);
    rd_outbox_deinit(&outbox);
    close_place(&place);
    free(copy);
    free(text);
}

static void a_damaged_portion_is_found(void **state)
{
    (void)state;
    struct place place = open_place();
    uint8_t *text = make_text();
    uint8_t *copy = make_text();
    struct rd_outbox outbox = outbox_that_waits(place.store, text);
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    copy[TEXT_LEN - 5] ^= 1;
    struct rd_portion *portion = portion_of(copy, TEXT_LEN);
    rd_outbox_fetched(&outbox, TEXT_LEN, portion);
    size_t sent = 0;
    for (; rd_outbox_peek(&outbox, PIECE_MAX, buffers, &count, &peeked) == RD_OK; sent += peeked)
        rd_outbox_sent(&outbox, peeked);
    assert_in_range(sent, 1, TEXT_LEN - 5);
    rd_outbox_deinit(&outbox);
    assert_int_equal(portion->uses, 1);
    rd_portion_release(portion);
    close_place(&place);
    free(copy);
    free(text);
}

static size_t send_to(struct rd_outbox *outbox, size_t sent, size_t end, const uint8_t *copy)
{
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    for (; sent < end; sent += peeked) {
        assert_int_equal(rd_outbox_peek(outbox, end - sent, buffers, &count, &peeked), RD_OK);
        assert_int_equal(count, 1);
        assert_ptr_equal(buffers[0].base, copy + sent);
        rd_outbox_sent(outbox, peeked);
    }
    return sent;
}

/* It is asked for once a quarter has left, and the value goes on in it without a wait. */
static void the_next_portion_comes_while_one_leaves(void **state)
{
    (void)state;
    enum { FIRST_LEN = (1 << 20) - 7 };
    struct place place = open_place();
    uint8_t *text = make_text();
    uint8_t *copy = make_text();
    struct rd_outbox outbox = outbox_that_waits(place.store, text);
    struct rd_portion *portion = portion_of(copy, FIRST_LEN);
    struct rd_portion *next = portion_of(copy + FIRST_LEN, PIECE_MAX);
    struct rd_portion *third = portion_of(copy + FIRST_LEN + PIECE_MAX, PIECE_MAX);
    struct rd_portion *fourth = portion_of(copy + FIRST_LEN + 2 * PIECE_MAX, PIECE_MAX);
    struct rd_hosted *hosted;
    uint64_t first;
    away = true;
    assert_null(rd_outbox_ahead(&outbox, &hosted, &first));
    rd_outbox_fetched(&outbox, FIRST_LEN, portion);
    size_t sent = send_to(&outbox, 0, FIRST_LEN / 4 - 1, copy);
    assert_null(rd_outbox_ahead(&outbox, &hosted, &first));
    sent = send_to(&outbox, sent, FIRST_LEN / 4, copy);
    away = false;
    assert_null(rd_outbox_ahead(&outbox, &hosted, &first)); /* it is in memory */
    away = true;
    const struct rd_value *value = rd_outbox_ahead(&outbox, &hosted, &first);
    assert_non_null(value);
    assert_int_equal(first, FIRST_LEN);

    struct rd_value other = *value;
    other.payload.data++;
    rd_outbox_fetched_ahead(&outbox, &other, FIRST_LEN, next);
    other = *value; /* a range that begins likewise */
    other.payload.len--;
    rd_outbox_fetched_ahead(&outbox, &other, FIRST_LEN, next);
    rd_outbox_fetched_ahead(&outbox, value, FIRST_LEN + 1, next);
    rd_outbox_fetched_ahead(&outbox, value, 0, next);
    assert_int_equal(next->uses, 1);
    rd_outbox_fetched_ahead(&outbox, value, FIRST_LEN, next);
    assert_int_equal(next->uses, 2);
    rd_outbox_fetched_ahead(&outbox, value, FIRST_LEN, third);
    assert_int_equal(third->uses, 1);
    assert_null(rd_outbox_ahead(&outbox, &hosted, &first));
    sent = send_to(&outbox, sent, FIRST_LEN, copy);
    assert_int_equal(portion->uses, 1);
    sent = send_to(&outbox, sent, FIRST_LEN + PIECE_MAX, copy);
    assert_int_equal(next->uses, 1);

    expect_peek(&outbox, 0); /* the third one is late */
    rd_outbox_fetched_ahead(&outbox, value, FIRST_LEN, next);
    assert_int_equal(next->uses, 1);
    rd_outbox_fetched_ahead(&outbox, value, FIRST_LEN + PIECE_MAX, third);
    sent = send_to(&outbox, sent, sent + PIECE_MAX / 2, copy);
    rd_outbox_fetched_ahead(&outbox, value, FIRST_LEN + 2 * PIECE_MAX, fourth);
    assert_true(third->uses == 2 && fourth->uses == 2);
    rd_outbox_deinit(&outbox); /* the connection ends */
    assert_true(third->uses == 1 && fourth->uses == 1);
    assert_int_equal(held_len, 0);
    away = false;
    rd_portion_release(portion);
    rd_portion_release(next);
    rd_portion_release(third);
    rd_portion_release(fourth);
    close_place(&place);
    free(copy);
    free(text);
}

/* What a slice of the map is to be followed by is not taken before that has left. */
static void a_late_portion_waits_for_what_is_before_it(void **state)
{
    (void)state;
    struct place place = open_place();
    uint8_t *text = make_text();
    struct rd_value value;
    struct rd_outbox outbox;
    assert_int_equal(rd_store_write(place.store, key_number(0), rd_slice(text, TEXT_LEN), NULL), RD_OK);
    assert_int_equal(rd_store_read(place.store, key_number(0), &value), RD_OK);
    struct rd_value of = value;
    rd_outbox_init(&outbox, NULL);
    assert_true(rd_outbox_append_value(&outbox, &value, NULL, RD_CLEARED_VERIFIED, NULL));
    expect_peek(&outbox, PIECE_MAX);
    rd_outbox_sent(&outbox, PIECE_MAX / 2);
    struct rd_portion *portion = portion_of(text + PIECE_MAX, PIECE_MAX);
    rd_outbox_fetched_ahead(&outbox, &of, PIECE_MAX, portion);
    assert_int_equal(portion->uses, 1);
    assert_int_equal(held_len, PIECE_MAX);
    expect_peek(&outbox, PIECE_MAX / 2);
    rd_outbox_sent(&outbox, PIECE_MAX / 2);
    rd_outbox_fetched_ahead(&outbox, &of, PIECE_MAX, portion);
    assert_int_equal(portion->uses, 2);
    rd_outbox_deinit(&outbox);
    assert_int_equal(held_len, 0);
    rd_portion_release(portion);
    close_place(&place);
    free(text);
}

/* Parts of one, as of a stream: each is its own answer, and the last one to leave gives it back. */
static void parts_of_a_portion_share_it(void **state)
{
    (void)state;
    struct rd_outbox outbox;
    uint8_t *text = make_text();
    struct rd_portion *portion = portion_of(text, 3000);
    rd_outbox_init(&outbox, NULL);
    for (size_t first = 0; first < 3000; first += 1000) {
        encode(&outbox, "part");
        assert_true(rd_outbox_append_portion(&outbox, portion, first, 1000, NULL));
    }
    assert_int_equal(portion->uses, 4);
    uint8_t got[3 * 1004];
    uv_buf_t buffers[RD_OUTBOX_IOV_MAX];
    unsigned count;
    size_t peeked;
    assert_int_equal(rd_outbox_peek(&outbox, SIZE_MAX, buffers, &count, &peeked), RD_OK);
    assert_int_equal(take(buffers, count, sizeof got, got), sizeof got);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(got + 1004 * i + 4, text + 1000 * i, 1000);
    rd_outbox_sent(&outbox, 1003);
    assert_int_equal(portion->uses, 4);
    rd_outbox_sent(&outbox, 1);
    assert_int_equal(portion->uses, 3);
    expect_peek(&outbox, 2 * 1004);
    rd_outbox_deinit(&outbox); /* the connection ends */
    assert_int_equal(portion->uses, 1);
    rd_portion_release(portion);
    free(text);
}

/* What has been verified as a whole goes at once, and what is given up on the way is let go of. */
static void what_has_been_looked_at_goes_all_the_same(void **state)
{
    (void)state;
    struct place place = open_place();
    struct rd_store *store = place.store;
    struct rd_value value;
    struct rd_outbox outbox;
    assert_int_equal(rd_store_write(store, key_number(0), rd_slice_of_string("value"), NULL), RD_OK);
    rd_outbox_init(&outbox, NULL);
    for (unsigned sent = 0; sent <= 5; sent += 5) {
        assert_int_equal(rd_store_read(store, key_number(0), &value), RD_OK);
        leaving_count = 1;
        assert_true(rd_outbox_append_value(&outbox, &value, NULL, RD_CLEARED, NULL));
        assert_int_equal(held_len, 5);
        expect_peek(&outbox, 5);
        rd_outbox_sent(&outbox, sent);
        if (sent == 0) { /* the connection ends */
            rd_outbox_deinit(&outbox);
            rd_outbox_init(&outbox, NULL);
        }
        assert_int_equal(held_len, 0);
    }
    rd_outbox_deinit(&outbox);
    close_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_leaves_from_where_it_lies_a_piece_at_a_time),
        cmocka_unit_test(a_connection_that_ends_leaves_nothing_of_it),
        cmocka_unit_test(a_constant_text_is_nobodys),
        cmocka_unit_test(what_may_be_sent_stays_in_memory),
        cmocka_unit_test(what_is_just_leaving_memory_waits),
        cmocka_unit_test(what_leaves_is_what_is_looked_at),
        cmocka_unit_test(a_portion_leaves_in_the_maps_place),
        cmocka_unit_test(a_damaged_portion_is_found),
        cmocka_unit_test(the_next_portion_comes_while_one_leaves),
        cmocka_unit_test(a_late_portion_waits_for_what_is_before_it),
        cmocka_unit_test(parts_of_a_portion_share_it),
        cmocka_unit_test(what_has_been_looked_at_goes_all_the_same),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}

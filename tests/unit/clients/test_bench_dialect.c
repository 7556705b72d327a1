/* SPDX-License-Identifier: MIT
 *
 * What the load generator reads out of answers, however they are cut, and that it believes none that is malformed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "clients/bench/dialect.h"

struct expected {
    enum rd_dialect_parse parsed;
    uint32_t done_count;
    uint32_t miss_count;
    uint32_t error_count;
    uint64_t value_bytes;
};

static struct rd_plan plan_of(enum rd_plan_op op, uint32_t batch_count)
{
    return (struct rd_plan){
        .op = op, .store = "default", .depth = 4, .value_len = 3, .key_count = 1000, .batch_count = batch_count};
}

/* Gives the bytes in two parts, as the generator does: what was left of the first comes again with the second. */
static enum rd_dialect_parse parse_cut(const struct rd_dialect *dialect, struct rd_dialect_parser *parser,
                                       struct rd_slice bytes, size_t cut, struct rd_dialect_answer *ret_answer)
{
    uint8_t *copy = malloc(bytes.len + 1); /* so that a look beyond the end is one beyond the allocation */
    assert_non_null(copy);
    memcpy(copy, bytes.data, cut);
    struct rd_slice input = rd_slice(copy, cut);
    enum rd_dialect_parse parsed = dialect->parse(parser, &input, ret_answer);
    size_t taken = cut - input.len;
    free(copy);
    if (parsed != RD_DIALECT_MORE)
        return parsed;
    copy = malloc(bytes.len - taken + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data + taken, bytes.len - taken);
    input = rd_slice(copy, bytes.len - taken);
    parsed = dialect->parse(parser, &input, ret_answer);
    if (parsed == RD_DIALECT_DONE)
        assert_int_equal(input.len, 0);
    free(copy);
    return parsed;
}

static void check(const struct rd_dialect *dialect, const struct rd_plan *plan, bool writes, struct rd_slice bytes,
                  struct expected expected)
{
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        struct rd_dialect_parser parser = {.plan = plan, .writes = writes};
        struct rd_dialect_answer answer = {.id = 0};
        assert_int_equal(parse_cut(dialect, &parser, bytes, cut, &answer), expected.parsed);
        if (expected.parsed == RD_DIALECT_BROKEN || expected.error_count != 0)
            assert_true(parser.message[0] != '\0');
        if (expected.parsed != RD_DIALECT_DONE)
            continue;
        assert_int_equal(answer.done_count, expected.done_count);
        assert_int_equal(answer.miss_count, expected.miss_count);
        assert_int_equal(answer.error_count, expected.error_count);
        assert_int_equal(answer.value_bytes, expected.value_bytes);
    }
}

static void check_hex(const struct rd_plan *plan, const char *hex, struct expected expected)
{
    uint8_t bytes[1024];
    char packed[2048];
    size_t len = 0;
    for (; *hex != '\0'; hex++)
        if (*hex != ' ')
            packed[len++] = *hex;
    assert_true(len <= sizeof packed);
    assert_true(rd_text_hex_decode(rd_slice(packed, len), bytes));
    check(&rd_dialect_binary, plan, false, rd_slice(bytes, len / 2), expected);
}

#define ID           "0300000000000000"
#define ZEROS_28     "00000000000000000000000000000000000000000000000000000000"
#define WRITE_ANSWER ZEROS_28 "000000000000"

static void binary_answers(void **state)
{
    (void)state;
    const struct expected broken = {.parsed = RD_DIALECT_BROKEN};
    const struct expected one = {.parsed = RD_DIALECT_DONE, .done_count = 1};
    struct rd_plan put = plan_of(RD_PLAN_PUT, 1);
    struct rd_plan get = plan_of(RD_PLAN_GET, 1);
    struct rd_plan strict = get;
    strict.value_len_given = true;
    struct expected value = {.parsed = RD_DIALECT_DONE, .done_count = 1, .value_bytes = 2};
    struct expected wrong_len = {.parsed = RD_DIALECT_DONE, .error_count = 1};
    struct expected missed = {.parsed = RD_DIALECT_DONE, .done_count = 1, .miss_count = 1};
    struct expected error = {.parsed = RD_DIALECT_DONE, .error_count = 1};
    check_hex(&put, "22000000 10 00 0000" ID WRITE_ANSWER, one);
    check_hex(&put, "24000000 10 00 0000" ID WRITE_ANSWER "ffff", one); /* a newer server's */
    check_hex(&put, "21000000 10 00 0000" ID WRITE_ANSWER, broken);
    check_hex(&put, "22000000 20 00 0000" ID WRITE_ANSWER, broken);
    check_hex(&put, "22000000 10 01 0000" ID WRITE_ANSWER, broken);
    check_hex(&put, "06000000 10 00 1300" ID "0400 66756c6c", error);
    check_hex(&put, "02000000 10 00 0400" ID "0000", error); /* no key to miss */
    check_hex(&put, "ffffff00 10 00 1300" ID, broken);
    check_hex(&get, "1e000000 20 00 0000" ID ZEROS_28 "4142", value);
    check_hex(&strict, "1e000000 20 00 0000" ID ZEROS_28 "4142", wrong_len);
    check_hex(&get, "02000000 20 00 0400" ID "0000", missed);
    check_hex(&get, "02000000 20 00 0500" ID "0000", error); /* store_not_found */
    check_hex(&get, "1b000000 20 00 0000" ID ZEROS_28, broken);
}

#define FOUND_AB "0000 0000000000000000 00000000 02000000 4142"

static void binary_batches(void **state)
{
    (void)state;
    const struct expected broken = {.parsed = RD_DIALECT_BROKEN};
    struct rd_plan put = plan_of(RD_PLAN_BATCH_PUT, 5);
    struct rd_plan get = plan_of(RD_PLAN_BATCH_GET, 3);
    struct expected five = {.parsed = RD_DIALECT_DONE, .done_count = 5};
    struct expected refused = {.parsed = RD_DIALECT_DONE, .error_count = 5};
    struct expected three = {.parsed = RD_DIALECT_DONE, .done_count = 3, .miss_count = 1, .value_bytes = 4};
    struct expected corrupt = {
        .parsed = RD_DIALECT_DONE, .done_count = 2, .miss_count = 1, .error_count = 1, .value_bytes = 2};
    check_hex(&put, "1d000000 12 00 0000" ID "0000000000000000 0000000000000000 0500000000000000 01 00000000",
              five);
    check_hex(&put, "1d000000 12 00 0000" ID "0000000000000000 0000000000000000 0400000000000000 01 00000000",
              broken);
    check_hex(&put, "1c000000 12 00 0000" ID "0000000000000000 0000000000000000 0500000000000000 01 000000",
              broken);
    check_hex(&put, "02000000 12 00 1300" ID "0000", refused);
    check_hex(&get, "2e000000 21 00 0000" ID "03000000" FOUND_AB "0400" FOUND_AB, three);
    check_hex(&get, "1c000000 21 00 0000" ID "03000000" FOUND_AB "0400 1100", corrupt);
    check_hex(&get, "1c000000 21 00 0000" ID "02000000" FOUND_AB "0400 1100", broken);
    check_hex(&get, "1b000000 21 00 0000" ID "03000000" FOUND_AB "0400 11", broken);
    check_hex(&get, "17000000 21 00 0000" ID "03000000" FOUND_AB, broken); /* its value ends beyond the frame */
}

/* A status line's end, and a body whose length the head tells. */
static void check_http(const struct rd_plan *plan, bool writes, const char *status, const char *body,
                       struct expected expected)
{
    char text[1024];
    int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nX-Other: y\r\ncontent-LENGTH:%zu \r\n\r\n%s", status,
                       strlen(body), body);
    check(&rd_dialect_http, plan, writes, rd_slice(text, (size_t)len), expected);
}

static void http_answers(void **state)
{
    (void)state;
    const struct expected one = {.parsed = RD_DIALECT_DONE, .done_count = 1};
    struct rd_plan mixed = plan_of(RD_PLAN_MIXED, 1);
    struct rd_plan strict = mixed;
    strict.value_len_given = true;
    struct expected value = {.parsed = RD_DIALECT_DONE, .done_count = 1, .value_bytes = 5};
    struct expected missed = {.parsed = RD_DIALECT_DONE, .done_count = 1, .miss_count = 1};
    struct expected error = {.parsed = RD_DIALECT_DONE, .error_count = 1};
    check_http(&mixed, true, "201 Created", "hello", one);
    check_http(&mixed, true, "200 OK", "", one);
    check_http(&mixed, false, "200 OK", "hello", value);
    check_http(&strict, false, "200 OK", "hello", error);
    check_http(&mixed, false, "201 Created", "{}", error);
    check_http(&mixed, false, "404 Not Found", "{\"error\":{\"code\":\"key_not_found\"}}", missed);
    check_http(&mixed, false, "404 Not Found", "{\"error\":{\"code\":\"store_not_found\"}}", error);
    check_http(&mixed, true, "507 Full", "{\"message\":\"full\"}", error);
}

static void http_malformed(void **state)
{
    (void)state;
    struct rd_plan put = plan_of(RD_PLAN_PUT, 1);
    static const char *const answers[] = {
        "HTTP/1.1 500 Oops\r\nContent-Length: 99999\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        check(&rd_dialect_http, &put, true, rd_slice_of_string(answers[i]),
              (struct expected){.parsed = RD_DIALECT_BROKEN});
}

#define FOUND_ABC "{\"found\":true,\"value_base64\":\"QUJD\",\"offset\":1}"

static void http_batches(void **state)
{
    (void)state;
    struct rd_plan put = plan_of(RD_PLAN_BATCH_PUT, 5);
    struct rd_plan get = plan_of(RD_PLAN_BATCH_GET, 3);
    struct expected five = {.parsed = RD_DIALECT_DONE, .done_count = 5};
    struct expected three = {.parsed = RD_DIALECT_DONE, .done_count = 3, .miss_count = 1, .value_bytes = 6};
    struct expected corrupt = {.parsed = RD_DIALECT_DONE, .done_count = 2, .error_count = 1, .value_bytes = 6};
    check_http(&put, true, "200 OK", "{\"written\":5,\"tail\":99}", five);
    check_http(&get, false, "200 OK", "{\"values\":[" FOUND_ABC ",{\"found\":false}," FOUND_ABC "]}\n", three);
    check_http(&get, false, "200 OK",
               "{\"values\":[" FOUND_ABC ",{\"found\":true,\"error\":\"corrupt\"}," FOUND_ABC "]}", corrupt);
    check_http(&get, false, "200 OK", "{\"values\":[{\"found\":false},1]}",
               (struct expected){.parsed = RD_DIALECT_BROKEN});
}

/* An answer that says that it is the connection's last. */
static void http_close(void **state)
{
    (void)state;
    struct rd_plan put = plan_of(RD_PLAN_PUT, 1);
    struct rd_dialect_parser parser = {.plan = &put, .writes = true};
    struct rd_dialect_answer answer = {.last = false};
    struct rd_slice input =
        rd_slice_of_string("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(rd_dialect_http.parse(&parser, &input, &answer), RD_DIALECT_DONE);
    assert_true(answer.last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_answers), cmocka_unit_test(binary_batches), cmocka_unit_test(http_answers),
        cmocka_unit_test(http_malformed), cmocka_unit_test(http_batches),   cmocka_unit_test(http_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

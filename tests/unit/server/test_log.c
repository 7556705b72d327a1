/* SPDX-License-Identifier: MIT
 *
 * Lines of the log as they leave: one line whatever is in them, and one object of JSON whatever is in them. */
#include "server/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static char line[8192];

/* What the calls between begin and end have written to standard error. */
static int begin(int pipe_fds[2])
{
    fflush(stderr);
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    return saved;
}

static void end(int pipe_fds[2], int saved)
{
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    ssize_t len = read(pipe_fds[0], line, sizeof line - 1);
    line[len < 0 ? 0 : len] = '\0';
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

#define CAPTURE(call)                                                                                             \
    do {                                                                                                          \
        int fds[2];                                                                                               \
        int saved = begin(fds);                                                                                   \
        call;                                                                                                     \
        end(fds, saved);                                                                                          \
    } while (0)

static void expect_one_line(void)
{
    size_t len = strlen(line);
    assert_true(len > 1 && line[len - 1] == '\n');
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static json_t *parse_line(void)
{
    expect_one_line();
    json_error_t error;
    json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s: %s", error.text, line);
    return root;
}

static const char *text_of(const json_t *root, const char *name)
{
    const char *text = json_string_value(json_object_get(root, name));
    assert_non_null(text);
    return text;
}

static void test_text(void **state)
{
    (void)state;
    struct rd_log_field fields[] = {{.name = "peer", .text = "1.2.3.4:5\n<3>forged"},
                                    {.name = "count", .number = UINT64_MAX}};
    CAPTURE(rd_log_fields(RD_LOG_INFO, fields, 2, "of\tnew\nlines"));
    expect_one_line();
    assert_non_null(strstr(line, "Z info  of?new?lines peer=1.2.3.4:5?<3>forged count=18446744073709551615\n"));
    CAPTURE(rd_log_store(RD_LOG_ERROR, "a", "%s %d", "is", 7));
    assert_non_null(strstr(line, "Z error store a: is 7\n"));
    rd_log_set_priorities(true);
    CAPTURE(rd_log(RD_LOG_WARN, "x"));
    assert_memory_equal(line, "<4>2", 4);
    rd_log_set_priorities(false);
}

static void test_levels(void **state)
{
    (void)state;
    CAPTURE(rd_log(RD_LOG_DEBUG, "x"));
    assert_string_equal(line, "");
    rd_log_set_level(RD_LOG_DEBUG);
    CAPTURE(rd_log(RD_LOG_DEBUG, "x"));
    expect_one_line();
    rd_log_set_level(RD_LOG_ERROR);
    CAPTURE(rd_log(RD_LOG_WARN, "x"));
    assert_string_equal(line, "");
    rd_log_set_level(RD_LOG_INFO);
}

static void test_json(void **state)
{
    (void)state;
    rd_log_set_format(RD_LOG_JSON);
    struct rd_log_field fields[] = {{.name = "peer", .text = "a\"b\\c\x01\x7f\xc3\xa9\xff\xe2\x82"},
                                    {.name = "count", .number = 5}};
    CAPTURE(rd_log_fields(RD_LOG_INFO, fields, 2, "it's \"%s\"\n", "\xf0\x9f\x98\x80\xed\xa0\x80"));
    json_t *root = parse_line();
    assert_string_equal(text_of(root, "peer"), "a\"b\\c\x01\x7f\xc3\xa9???");
    assert_string_equal(text_of(root, "message"), "it's \"\xf0\x9f\x98\x80???\"\n");
    assert_string_equal(text_of(root, "level"), "info");
    assert_int_equal(json_integer_value(json_object_get(root, "count")), 5);
    json_decref(root);
    CAPTURE(rd_log_store(RD_LOG_WARN, "a", "created"));
    root = parse_line();
    assert_string_equal(text_of(root, "store"), "a");
    assert_string_equal(text_of(root, "message"), "created");
    json_decref(root);
    rd_log_set_format(RD_LOG_TEXT);
}

/* Of any length, of the worst bytes. */
static void test_json_stays_an_object(void **state)
{
    (void)state;
    static const char *const worst[] = {"\x01", "\"", "\xff", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "x"};
    static char text[8000];
    rd_log_set_format(RD_LOG_JSON);
    for (size_t i = 0; i < sizeof worst / sizeof worst[0]; i++) {
        for (size_t len = 0; len < sizeof text - 8; len += 97) {
            size_t unit = strlen(worst[i]);
            text[0] = '\0';
            for (size_t at = 0; at + unit <= len; at += unit)
                memcpy(text + at, worst[i], unit + 1);
            struct rd_log_field fields[] = {
                {.name = "first", .text = text}, {.name = "second", .text = text}, {.name = "third", .number = 1}};
            CAPTURE(rd_log_fields(RD_LOG_INFO, fields, 3, "%s", text));
            json_decref(parse_line());
            CAPTURE(rd_log_store(RD_LOG_INFO, text, "%s", text));
            json_decref(parse_line());
        }
    }
    rd_log_set_format(RD_LOG_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_stays_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

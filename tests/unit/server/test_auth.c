/* SPDX-License-Identifier: MIT
 *
 * Tokens: what a file of them says and what is wrong with it, who may do what, and an exchange while they are in
 * use. */
#include "server/auth.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "server/log.h"

/* SHA-256 of "alpha", "beta", "gamma" and "", as sha256sum says. */
#define ALPHA "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"
#define BETA  "f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"
#define GAMMA "be9d587defa1f0c09ef49eb17e206983a5f8f8289e4281860bd0ee5a19592c67"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define ROW(digest, stores, verbs) "{\"sha256\":\"" digest "\",\"stores\":" stores ",\"verbs\":" verbs "}"
#define ALL                        "[\"read\",\"write\",\"admin\"]"

static struct rd_tokens *parse(const char *text)
{
    struct rd_tokens *tokens = NULL;
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_tokens_parse("tokens.json", rd_slice_of_string(text), &tokens, &error);
    if (status != RD_OK)
        fail_msg("%s", error.message);
    return tokens;
}

static const struct rd_token *find(const struct rd_tokens *tokens, const char *hex)
{
    uint8_t digest[RD_TOKENS_DIGEST_LEN];
    assert_true(rd_text_hex_decode(rd_slice_of_string(hex), digest));
    return rd_tokens_find(tokens, digest);
}

static unsigned verbs_in(const struct rd_token *token, const char *store)
{
    return rd_token_verbs(token, rd_slice_of_string(store));
}

static void test_stores_and_verbs(void **state)
{
    (void)state;
    struct rd_tokens *tokens = parse("[" ROW(ALPHA, "[\"sales\",\"test-*\"]", "[\"read\"]") "," ROW(
        BETA, "[\"*\"]", ALL) "," ROW(ALPHA, "[\"sales\"]", "[\"write\",\"write\"]") "]");
    assert_int_equal(rd_tokens_count(tokens), 2);
    const struct rd_token *alpha = find(tokens, ALPHA);
    const struct rd_token *beta = find(tokens, BETA);
    assert_non_null(alpha);
    assert_int_equal(verbs_in(alpha, "sales"), RD_VERB_READ | RD_VERB_WRITE);
    assert_int_equal(verbs_in(alpha, "test-"), RD_VERB_READ);
    assert_int_equal(verbs_in(alpha, "test-1"), RD_VERB_READ);
    assert_int_equal(verbs_in(alpha, "test"), 0);
    assert_int_equal(verbs_in(alpha, "sales2"), 0);
    assert_int_equal(verbs_in(alpha, "sale"), 0);
    assert_int_equal(verbs_in(alpha, ""), 0);
    assert_int_equal(verbs_in(alpha, "test-*"), RD_VERB_READ);
    assert_int_equal(rd_token_verbs_everywhere(alpha), 0);
    assert_int_equal(verbs_in(beta, "anything"), RD_VERB_READ | RD_VERB_WRITE | RD_VERB_ADMIN);
    assert_int_equal(rd_token_verbs_everywhere(beta), RD_VERB_READ | RD_VERB_WRITE | RD_VERB_ADMIN);
    rd_tokens_unref(tokens);
}

/* One bit more or less in any byte is another token; where a token stands in the file does not matter. */
static void test_finding(void **state)
{
    (void)state;
    struct rd_tokens *none = parse("[]");
    assert_null(find(none, ALPHA));
    rd_tokens_unref(none);
    struct rd_tokens *tokens =
        parse("[" ROW(ALPHA, "[\"a\"]", ALL) "," ROW(BETA, "[\"b\"]", ALL) "," ROW(GAMMA, "[\"c\"]", ALL) "]");
    assert_int_not_equal(verbs_in(find(tokens, ALPHA), "a"), 0);
    assert_int_not_equal(verbs_in(find(tokens, BETA), "b"), 0);
    assert_int_not_equal(verbs_in(find(tokens, GAMMA), "c"), 0);
    for (unsigned bit = 0; bit < RD_TOKENS_DIGEST_LEN * 8; bit++) {
        uint8_t digest[RD_TOKENS_DIGEST_LEN];
        assert_true(rd_text_hex_decode(rd_slice_of_string(BETA), digest));
        digest[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_null(rd_tokens_find(tokens, digest));
    }
    rd_tokens_unref(tokens);
}

static void test_as_many_as_there_may_be(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        struct rd_buffer text;
        rd_buffer_init(&text, 0);
        for (unsigned i = 0; i < RD_TOKENS_COUNT_MAX + more; i++)
            rd_buffer_printf(&text, "%s{\"sha256\":\"%064x\",\"stores\":[\"s%u\"],\"verbs\":[\"read\"]}",
                             i == 0 ? "[" : ",", i, i);
        rd_buffer_append_string(&text, "]");
        struct rd_tokens *tokens = NULL;
        struct rd_error error;
        assert_int_equal(rd_tokens_parse("t", rd_buffer_slice(&text), &tokens, &error),
                         more == 0 ? RD_OK : RD_INVALID_ARGUMENT);
        if (more == 0) {
            uint8_t digest[RD_TOKENS_DIGEST_LEN] = {0};
            digest[RD_TOKENS_DIGEST_LEN - 2] = (RD_TOKENS_COUNT_MAX - 1) >> 8;
            digest[RD_TOKENS_DIGEST_LEN - 1] = (RD_TOKENS_COUNT_MAX - 1) & 0xff;
            assert_int_equal(verbs_in(rd_tokens_find(tokens, digest), "s1023"), RD_VERB_READ);
        }
        rd_tokens_unref(tokens);
        rd_buffer_deinit(&text);
    }
}

static void test_mistakes_have_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"", "tokens.json:1: "},
        {"[\n\n{]", "tokens.json:3: "},
        {"{}", "tokens.json:1: must hold one JSON list"},
        {"[\n" ROW(ALPHA, "[\"*\"]", ALL) ",\n 7]", "tokens.json:3: must be an object"},
        {"[[\"sha256\"]]", "tokens.json:1: must be an object"},
        {"[{\"sha256\":\"" ALPHA "\",\n\"stores\":[\"*\"],\n\"verb\":[]}]", "tokens.json:3: verb: no such field"},
        {"[" ROW(ALPHA, "[\"*\"]", ALL) ",\n{}]", "tokens.json:2: sha256: must be"},
        {"[{\"sha256\":\n7}]", "tokens.json:1: sha256: must be"},
        {"[\n" ROW("", "[\"*\"]", ALL) "]", "tokens.json:2: sha256: must be"},
        {"[" ROW(ALPHA "0", "[\"*\"]", ALL) "]", "tokens.json:1: sha256: must be"},
        {"[" ROW("z" ALPHA, "[\"*\"]", ALL) "]", "tokens.json:1: sha256: must be"},
        {"[" ROW(EMPTY, "[\"*\"]", ALL) "]", "tokens.json:1: sha256: is that of an empty token"},
        {"[" ROW(ALPHA, "\"*\"", ALL) "]", "tokens.json:1: stores: must be"},
        {"[" ROW(ALPHA, "[]", ALL) "]", "tokens.json:1: stores: must be"},
        {"[" ROW(ALPHA, "[\"\"]", ALL) "]", "tokens.json:1: stores: must be"},
        {"[" ROW(ALPHA, "[\"**\"]", ALL) "]", "tokens.json:1: stores: must be"},
        {"[" ROW(ALPHA, "[\"*a\"]", ALL) "]", "tokens.json:1: stores: must be"},
        {"[" ROW(ALPHA, "[\"a\", 1]", ALL) "]", "tokens.json:1: stores: must be"},
        {"[" ROW(ALPHA, "[\"a\\u0000\"]", ALL) "]", "tokens.json:1: "},
        {"[" ROW(ALPHA, "[\"a\"]", "[]") "]", "tokens.json:1: verbs: must be"},
        {"[" ROW(ALPHA, "[\"a\"]", "\"read\"") "]", "tokens.json:1: verbs: must be"},
        {"[" ROW(ALPHA, "[\"a\"]", "[\"Read\"]") "]", "tokens.json:1: verbs: must be"},
        {"[" ROW(ALPHA, "[\"sha256\"]", "[1]") "]", "tokens.json:1: verbs: must be"},
        {"[{\"verbs\":[],\"verbs\":[]}]", "tokens.json:1: "},
        {"[]]", "tokens.json:1: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rd_tokens *tokens = NULL;
        struct rd_error error = {.status = RD_OK};
        assert_int_equal(rd_tokens_parse("tokens.json", rd_slice_of_string(rows[i].text), &tokens, &error),
                         RD_INVALID_ARGUMENT);
        assert_null(tokens);
        if (strstr(error.message, rows[i].message) == NULL)
            fail_msg("%s: %s instead of %s", rows[i].text, error.message, rows[i].message);
    }
}

/* ---- in use ------------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/rdrive-tokens-XXXXXX";

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int make_file(void **state)
{
    (void)state;
    rd_log_set_level(RD_LOG_ERROR);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static unsigned allowed(struct rd_auth_view *view, struct rd_identity *identity)
{
    const struct rd_token *token = rd_auth_token(view, identity);
    return token != NULL ? verbs_in(token, "s") : 0;
}

static void exchange(struct rd_auth *auth)
{
    struct rd_error error;
    assert_int_equal(rd_auth_prepare(auth, path, &error), RD_OK);
    rd_auth_adopt(auth);
}

static void test_an_exchange(void **state)
{
    (void)state;
    struct rd_auth *auth = NULL;
    struct rd_auth_view view;
    struct rd_auth_view other;
    struct rd_error error;
    const struct rd_identity nobody = {.shown = false};
    struct rd_identity alpha = nobody;
    struct rd_identity beta;
    write_file("[" ROW(ALPHA, "[\"*\"]", "[\"read\"]") "]");
    assert_int_equal(rd_auth_create(path, &auth, &error), RD_OK);
    assert_true(rd_auth_is_on(auth));
    assert_int_equal(rd_auth_view_init(&view, auth), RD_OK);
    assert_int_equal(rd_auth_view_init(&other, auth), RD_OK);
    assert_null(rd_auth_token(&view, &alpha)); /* nobody */
    assert_true(rd_auth_identify(&view, rd_slice_of_string("alpha"), &nobody, &alpha));
    assert_true(rd_auth_identify(&view, rd_slice_of_string("beta"), &alpha, &beta));
    assert_int_equal(allowed(&view, &alpha), RD_VERB_READ);
    assert_int_equal(allowed(&view, &beta), 0);

    /* A bad file changes nothing. */
    write_file("[{}]");
    assert_int_equal(rd_auth_prepare(auth, path, &error), RD_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(allowed(&view, &alpha), RD_VERB_READ);

    /* A good one does: what was known is revoked, what was not is known, for those who have shown it before. */
    write_file("[" ROW(BETA, "[\"*\"]", "[\"write\"]") "]");
    exchange(auth);
    assert_int_equal(allowed(&view, &alpha), 0);
    assert_int_equal(allowed(&view, &beta), RD_VERB_WRITE);
    struct rd_identity again;
    assert_true(rd_auth_identify(&other, rd_slice_of_string("beta"), &nobody, &again));
    assert_int_equal(allowed(&other, &again), RD_VERB_WRITE);
    assert_true(rd_auth_identify(&other, rd_slice_of_string("gamma"), &again, &again));
    assert_int_equal(allowed(&other, &again), 0);

    /* The other way around, with a view that has not looked meanwhile. */
    write_file("[" ROW(ALPHA, "[\"*\"]", "[\"admin\"]") "," ROW(GAMMA, "[\"s\"]", "[\"read\"]") "]");
    exchange(auth);
    exchange(auth);
    assert_int_equal(rd_auth_prepare(auth, path, &error), RD_OK);
    rd_auth_discard(auth);
    assert_int_equal(allowed(&view, &alpha), RD_VERB_ADMIN);
    assert_int_equal(allowed(&other, &again), RD_VERB_READ);
    rd_auth_view_deinit(&view);
    rd_auth_view_deinit(&other);
    rd_auth_destroy(auth);
}

/* The token of the request before, one that is as long, longer or shorter, and such as are too long to be kept. */
static void test_the_same_token_again(void **state)
{
    (void)state;
    struct rd_auth *auth = NULL;
    struct rd_auth_view view;
    struct rd_error error;
    struct rd_identity identity = {.shown = false};
    char longest[RD_AUTH_KEPT_LEN_MAX + 2];
    memset(longest, 'x', sizeof longest);
    write_file("[" ROW(ALPHA, "[\"*\"]", "[\"read\"]") "," ROW(BETA, "[\"*\"]", "[\"write\"]") "]");
    assert_int_equal(rd_auth_create(path, &auth, &error), RD_OK);
    assert_int_equal(rd_auth_view_init(&view, auth), RD_OK);
    const struct {
        struct rd_slice token;
        unsigned verbs;
    } rows[] = {
        {rd_slice_of_string("alpha"), RD_VERB_READ},
        {rd_slice_of_string("alpha"), RD_VERB_READ},
        {rd_slice_of_string("alphb"), 0},
        {rd_slice_of_string("alphb"), 0},
        {rd_slice_of_string("alpha"), RD_VERB_READ},
        {rd_slice_of_string("alph"), 0},
        {rd_slice_of_string("alphaa"), 0},
        {rd_slice_of_string("beta"), RD_VERB_WRITE},
        {rd_slice_of_string(""), 0},
        {rd_slice_of_string("beta"), RD_VERB_WRITE},
        {rd_slice(longest, sizeof longest), 0},
        {rd_slice(longest, sizeof longest - 1), 0},
        {rd_slice(longest, sizeof longest - 2), 0},
        {rd_slice(longest, sizeof longest - 2), 0},
        {rd_slice_of_string("beta"), RD_VERB_WRITE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(rd_auth_identify(&view, rows[i].token, &identity, &identity));
        assert_int_equal(allowed(&view, &identity), rows[i].verbs);
    }
    /* Revoked meanwhile: that it is the same does not help. */
    write_file("[" ROW(ALPHA, "[\"*\"]", "[\"read\"]") "]");
    exchange(auth);
    assert_true(rd_auth_identify(&view, rd_slice_of_string("beta"), &identity, &identity));
    assert_int_equal(allowed(&view, &identity), 0);
    rd_auth_view_deinit(&view);
    rd_auth_destroy(auth);
}

static void test_without_a_file(void **state)
{
    (void)state;
    struct rd_auth *auth = NULL;
    struct rd_auth_view view;
    struct rd_error error;
    assert_int_equal(rd_auth_create("", &auth, &error), RD_OK);
    assert_false(rd_auth_is_on(auth));
    assert_int_equal(rd_auth_view_init(&view, auth), RD_OK);
    rd_auth_discard(auth);
    rd_auth_view_deinit(&view);
    rd_auth_destroy(auth);
    assert_int_equal(rd_auth_create("/nonexistent/tokens", &auth, &error), RD_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "/nonexistent/tokens"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_and_verbs),
        cmocka_unit_test(test_finding),
        cmocka_unit_test(test_as_many_as_there_may_be),
        cmocka_unit_test(test_mistakes_have_a_line),
        cmocka_unit_test(test_an_exchange),
        cmocka_unit_test(test_the_same_token_again),
        cmocka_unit_test(test_without_a_file),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}

/* SPDX-License-Identifier: MIT
 *
 * tokens.h - who may do what: the file of --tokens as a set that never changes.
 *
 *     [{"sha256": "9f86d0…", "stores": ["*"],               "verbs": ["read", "write", "admin"]},
 *      {"sha256": "5e8848…", "stores": ["sales", "test-*"], "verbs": ["read"]}]
 *
 * A token is known by its SHA-256 alone, so the file is no secret that opens anything. Several rows of one sha256
 * add up. A store is named exactly, by "*" for all of them, or by its beginning and a star. No verb implies
 * another.
 *
 * Any thread, but for one that loads.
 */
#ifndef RD_SERVER_TOKENS_H
#define RD_SERVER_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define RD_TOKENS_DIGEST_LEN 32u
#define RD_TOKENS_COUNT_MAX  1024u /* each request over HTTP is held against all of them */

enum rd_verb {
    RD_VERB_READ = 1 << 0, /* what operations of RD_CLASS_READ take; and so on */
    RD_VERB_WRITE = 1 << 1,
    RD_VERB_ADMIN = 1 << 2
};

struct rd_token;
struct rd_tokens; /* counted references */

/* The file, with one reference. RD_INVALID_ARGUMENT: *ret_error names file, line and field. A file that everybody
 * may read is taken, with a warning in the log. */
enum rd_status rd_tokens_load(const char *path, struct rd_tokens **ret_tokens,
                              struct rd_error *ret_error) RD_MUST_CHECK;

/* The same from its text; path is for the errors. */
enum rd_status rd_tokens_parse(const char *path, struct rd_slice text, struct rd_tokens **ret_tokens,
                               struct rd_error *ret_error) RD_MUST_CHECK;

struct rd_tokens *rd_tokens_ref(struct rd_tokens *tokens);

/* NULL is fine. */
void rd_tokens_unref(struct rd_tokens *tokens);

size_t rd_tokens_count(const struct rd_tokens *tokens);

/* The token with that SHA-256, borrowed from the set; NULL: it is not in there. Takes the same time whichever it
 * is and however much of a digest matches. */
const struct rd_token *rd_tokens_find(const struct rd_tokens *tokens, const uint8_t digest[RD_TOKENS_DIGEST_LEN]);

/* Bits of enum rd_verb: what the token may do in a store of that name, whether or not there is one. */
unsigned rd_token_verbs(const struct rd_token *token, struct rd_slice store);

/* What it may do in every store. */
unsigned rd_token_verbs_everywhere(const struct rd_token *token);

/* "read", "write", "admin": of one bit. */
const char *rd_verb_name(enum rd_verb verb);

#endif

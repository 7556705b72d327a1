/* SPDX-License-Identifier: MIT
 *
 * answer.h - what a server might answer to a request: every field filled, numbers and texts at their extremes.
 */
#ifndef RD_TESTS_FUZZ_ANSWER_H
#define RD_TESTS_FUZZ_ANSWER_H

#include "protocol/message.h"

#define FUZZ_ANSWER_ITEMS_MAX  5
#define FUZZ_ANSWER_STORES_MAX 3
#define FUZZ_ANSWER_PROBLEMS   4

struct fuzz_answer {
    struct rd_response response; /* its lists are those below */
    struct rd_response_item items[FUZZ_ANSWER_ITEMS_MAX];
    struct rd_response_store stores[FUZZ_ANSWER_STORES_MAX];
    struct rd_response_problem problems[FUZZ_ANSWER_PROBLEMS];
    uint64_t random_state;
};

/* To a request that is malformed: its own status. Else success, or where `fail` some error. The same seed gives
 * the same answer. */
void fuzz_answer_make(const struct rd_request *request, uint64_t seed, bool fail, struct fuzz_answer *ret_answer);

/* A number that the input decides. */
uint64_t fuzz_seed_of(struct rd_slice input);

#endif

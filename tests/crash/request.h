/* SPDX-License-Identifier: MIT
 *
 * request.h - one random operation on one store, and what a model of the store says must come of it. Made from
 * random numbers alone, but for the versions that conditions name and for streams, which ask the store.
 */
#ifndef RD_TESTS_CRASH_REQUEST_H
#define RD_TESTS_CRASH_REQUEST_H

#include "engine/engine.h"
#include "tests/crash/history.h"

#define REQUEST_ENTRIES_MAX 12u

/* What the two stores hold. A key's instance is a new number for every value that it gets: a version. */
struct model {
    int32_t values[STORE_COUNT][KEY_COUNT];
    uint64_t instances[STORE_COUNT][KEY_COUNT];
    uint64_t last_instance;
};

void model_init(struct model *model);

struct request {
    struct rd_op op;
    struct rd_entry entries[REQUEST_ENTRIES_MAX];
    uint32_t keys[REQUEST_ENTRIES_MAX];
    int32_t values[REQUEST_ENTRIES_MAX]; /* ABSENT: of a null byte in a batch */
    uint64_t condition_instance;         /* that the version belonged to; 0: to none */
    uint32_t store;
    size_t submitted_at; /* in the log */
    size_t answered_at;
    uint64_t answered_ms;
};

struct rd_key key_of(uint32_t key);
uint32_t key_with_hash(uint64_t hash); /* KEY_COUNT: none of ours */

/* A random operation. random picks its kind too. stream_len_max: of spools; above 256 KiB they go to a file. */
void request_make(struct request *request, struct random *random, struct history *history,
                  const struct model *model, uint32_t store_number, struct rd_store *store);

/* WRITE of one key: the simplest there is. */
void request_make_write(struct request *request, struct random *random, struct history *history,
                        uint32_t store_number, struct rd_store *store, size_t len);

/* Makes a stream's spool and fills it; nothing to do for others. */
enum rd_status request_begin(struct request *request, struct random *random, const struct history *history,
                             struct rd_store *store) RD_MUST_CHECK;
void request_end(struct request *request);

/* What the store must answer where it is as the model says, and nothing fails. */
enum rd_status request_expect(const struct request *request, const struct model *model);

/* What it changes where it succeeds; up to REQUEST_ENTRIES_MAX. */
size_t request_changes(const struct request *request, const struct model *model,
                       struct change ret_changes[REQUEST_ENTRIES_MAX]);

void model_apply(struct model *model, uint32_t store, const struct change *changes, size_t count);

/* NULL, or what of a successful answer is not true. To be asked before the changes are applied. */
const char *request_lies(const struct request *request, const struct model *model, size_t change_count);

#endif

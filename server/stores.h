/* SPDX-License-Identifier: MIT
 *
 * stores.h - the registry: which stores the daemon hosts, by name; it opens, makes, drops and reopens them. Each
 * of them, and how it is used, is hosted.h.
 *
 * States; the function that makes each move:
 *
 *                  rd_stores_create,             rd_stores_drop_begin
 *                  rd_stores_open                                        rd_stores_drop_finish
 *       CREATING ------------------> SERVING ----------------> DROPPING -----------------------> GONE
 *        |    |                       |   ^                        |
 *        |    |                 begin |   | finish                 | files cannot be unlinked
 *        |    |                       v   |                        v
 *        |    |    rd_stores_reopen_: REOPENING --- finish ----> FAILED <---+
 *        |    |                           ^----------- begin ------+        |
 *        |    +---- rd_stores_open -----------------------------------------+
 *        +--------- rd_stores_create ----------------------------------------------------------> GONE
 *
 * What is under way when a store is withdrawn goes on; streams that take too long are ended
 * (rd_hosted_is_overdue), so that a slow client does not keep a store from being reopened.
 *
 * Threads: any, unless a function says that it blocks; such must not run on a loop.
 */
#ifndef RD_SERVER_STORES_H
#define RD_SERVER_STORES_H

#include "base/slice.h"
#include "base/status.h"
#include "server/config.h"
#include "server/hosted.h"

#define RD_STORE_NAME_DEFAULT "default"

struct rd_process;
struct rd_stores;

/* Opens the folder (made 0700 where missing) and every store in it, and creates `default`. A store that cannot be
 * opened is logged and kept as FAILED. process: borrowed until the stores are closed. Blocks. */
enum rd_status rd_stores_open(const struct rd_config *config, struct rd_process *process,
                              struct rd_stores **ret_stores, struct rd_error *ret_error) RD_MUST_CHECK;

/* What config says of stores is in force from now on, for those that are open too, as far as that is possible;
 * what is not is logged. Does not block. */
enum rd_status rd_stores_configure(struct rd_stores *stores, const struct rd_config *config,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes, and so syncs, every store. Nothing may be in use. Blocks. NULL is fine. */
void rd_stores_close(struct rd_stores *stores);

/* A new reference, or NULL. */
struct rd_hosted *rd_stores_find(struct rd_stores *stores, struct rd_slice name);

/* References to all that are listed, sorted by name, in an array the caller owns; NULL: no memory. */
struct rd_hosted **rd_stores_list(struct rd_stores *stores, size_t *ret_count);

/* The name of a store that does not serve is copied to ret_name; false where all serve. */
bool rd_stores_find_unserved(struct rd_stores *stores, char ret_name[RD_TEXT_STORE_NAME_LEN_MAX + 1]);

/* Makes a store and its file. RD_CONFLICT where there is one. Blocks. */
enum rd_status rd_stores_create(struct rd_stores *stores, struct rd_slice name, const struct rd_settings *settings,
                                struct rd_error *ret_error) RD_MUST_CHECK;

/* Makes a store as the daemon's defaults want it, where there is none, and waits where somebody else is making it.
 * RD_UNAVAILABLE: it is being dropped. Blocks. */
enum rd_status rd_stores_ensure(struct rd_stores *stores, struct rd_slice name,
                                struct rd_error *ret_error) RD_MUST_CHECK;

/* Withdraws a store. From RD_OK on it takes no new use, and `op` is delivered to its sink when the last one ends;
 * the caller holds a reference until the matching finish. now_ms: uv_now. RD_UNAVAILABLE: it is being reopened.
 * RD_CONFLICT: it is being created or dropped. Only a store that serves can be dropped, one that FAILED can be
 * reopened too. */
enum rd_status rd_stores_drop_begin(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                    uint64_t now_ms, struct rd_error *ret_error) RD_MUST_CHECK;
enum rd_status rd_stores_reopen_begin(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                      uint64_t now_ms, struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes, unlinks the file and its companions, syncs the folder. After the op was delivered. Blocks. */
enum rd_status rd_stores_drop_finish(struct rd_hosted *hosted, struct rd_stores *stores,
                                     struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes the store, reads its settings anew, and opens it with all the recovery that a start does: it serves
 * again, or it is FAILED, for the reason that is returned. After the op was delivered. Blocks. */
enum rd_status rd_stores_reopen_finish(struct rd_hosted *hosted, struct rd_stores *stores,
                                       struct rd_error *ret_error) RD_MUST_CHECK;

#endif

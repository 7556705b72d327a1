/* SPDX-License-Identifier: MIT
 *
 * handlers.h - what each operation does with a call whose turn has come. Each ends the call, now or later, by
 * rd_call_finish or rd_call_fail; dispatch.c's table is the only caller.
 *
 * Where the table says so, call->hosted is in use. The loop's thread only.
 */
#ifndef RD_SERVER_HANDLERS_H
#define RD_SERVER_HANDLERS_H

#include "server/call.h"

#define RD_HANDLER_ITERATE_LIMIT_MAX 10000u /* entries of one answer; more are refused on the way there */

/* More keys than these are looked for on a thread of the pool: that takes 100 ns each, and more in a large index.
 */
#define RD_HANDLER_FIND_COUNT_MAX 4096u

/* handlers_metrics.c */
void rd_run_ready(struct rd_call *call);
void rd_run_metrics(struct rd_call *call);
void rd_run_page(struct rd_call *call);

/* handlers_store.c */
void rd_run_hello(struct rd_call *call);
void rd_run_auth(struct rd_call *call);
void rd_run_stores(struct rd_call *call);
void rd_run_server(struct rd_call *call);
void rd_run_info(struct rd_call *call);
void rd_run_create(struct rd_call *call);
void rd_run_drop(struct rd_call *call);
void rd_run_reopen(struct rd_call *call);
void rd_run_compact(struct rd_call *call);

/* handlers_write.c */
void rd_run_write(struct rd_call *call);
void rd_run_delete(struct rd_call *call);
void rd_run_batch_write(struct rd_call *call);
void rd_run_batch_delete(struct rd_call *call);

void rd_run_sync(struct rd_call *call);

/* handlers_transaction.c */
void rd_run_transaction(struct rd_call *call);
void rd_run_watch(struct rd_call *call);

/* handlers_read.c */
void rd_run_read(struct rd_call *call);
void rd_run_look(struct rd_call *call);
/* What these two put off (gather.h). */
void rd_handler_look(struct rd_call *call);
void rd_run_last(struct rd_call *call);
void rd_run_batch_read(struct rd_call *call);
void rd_run_iterate(struct rd_call *call);

/* handlers_move.c */
void rd_run_rename(struct rd_call *call);
void rd_run_copy(struct rd_call *call);
void rd_run_transfer(struct rd_call *call);

/* handlers_backup.c */
void rd_run_backup(struct rd_call *call);

/* verifier.c */
void rd_run_verify(struct rd_call *call);

/* upload.c; a stream that is complete */
void rd_run_write_stream(struct rd_call *call);

/* ---- shared by them ---- */

/* Fills what every operation of the engine has in call->op, the rest being set, and submits it to hosted's store;
 * on_complete runs on the loop when it is done. A refusal fails the call. */
void rd_handler_submit(struct rd_call *call, struct rd_hosted *hosted, void (*on_complete)(struct rd_call *call));

/* The two halves of it: a refusal is returned, and may be told of. */
enum rd_status rd_handler_offer(struct rd_call *call, struct rd_hosted *hosted,
                                void (*on_complete)(struct rd_call *call)) RD_MUST_CHECK;
void rd_handler_refuse(struct rd_call *call, const struct rd_hosted *hosted, enum rd_status status);

/* The usual on_complete of a write: answers with the op's results, or fails. */
void rd_handler_complete_write(struct rd_call *call);

/* Fails the call with what its store's settings have against it. hosted is in use. */
void rd_handler_fail_barred(struct rd_call *call, const struct rd_hosted *hosted, enum rd_bar bar);

/* Fails the call with what the op says. hosted is in use. */
void rd_handler_fail_op(struct rd_call *call, struct rd_hosted *hosted);

/* Looks for the value of the request's key into call->value without waiting for the disk. RD_UNAVAILABLE: it is
 * being fetched, and `again` runs on the loop then. */
enum rd_status rd_handler_find_now(struct rd_call *call, void (*again)(struct rd_call *call)) RD_MUST_CHECK;

/* Fails the call with what the engine said of a read: RD_KEY_NOT_FOUND, RD_CORRUPT (of the value at offset, or
 * RD_OFFSET_UNKNOWN) or RD_IO_ERROR. */
#define RD_OFFSET_UNKNOWN UINT64_MAX
void rd_handler_fail_read(struct rd_call *call, enum rd_status status, uint64_t offset);

/* Whether a value that was found, and of which response->partial tells if it is a part, is what was written.
 * False: the call has been answered. */
bool rd_handler_verify(struct rd_call *call);

/* Runs `check`, which verifies so many bytes of values that are pinned, then `finish` on the loop. What would keep
 * others waiting is checked on a thread. */
void rd_handler_check(struct rd_call *call, uint64_t bytes, void (*check)(struct rd_call *call),
                      void (*finish)(struct rd_call *call));

#endif

/* SPDX-License-Identifier: MIT
 *
 * dispatch.h - where protocol and engine meet: a request becomes what the engine is asked, and what it says
 * becomes the response. One handler for each operation, in one table.
 *
 * The loop's thread only.
 */
#ifndef RD_SERVER_DISPATCH_H
#define RD_SERVER_DISPATCH_H

#include "server/call.h"

/* A NEW call: answers it at once, or sends it through its lane. */
void rd_dispatch_call(struct rd_call *call);

/* Sends a call through its lane, in whose order it then runs. */
void rd_dispatch_enter_lane(struct rd_call *call, enum rd_call_mode mode);

/* A use of the store that the call names, in call->hosted. */
enum rd_status rd_dispatch_use_store(struct rd_call *call, struct rd_error *ret_error) RD_MUST_CHECK;

/* Whether the store that could not be used is one that the request has made where it is missing, or that somebody
 * is making already, or has made since. status: why it could not be used. */
bool rd_dispatch_should_make(const struct rd_call *call, enum rd_status status);

/* Makes it on a pool thread, then on_made on the loop, where call->error says how it went. False: the call has
 * been failed instead. */
bool rd_dispatch_make_store(struct rd_call *call, void (*on_made)(struct rd_call *call));

/* A call whose turn has come. */
void rd_dispatch_run(struct rd_call *call);

/* One that had to stop before it did anything, as it would have waited for the disk. */
void rd_dispatch_run_again(struct rd_call *call);

/* An operation is back from the engine, or a store's last use has ended; op->context is the call. */
void rd_dispatch_complete(struct rd_op *op);

#endif

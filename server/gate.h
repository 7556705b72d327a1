/* SPDX-License-Identifier: MIT
 *
 * gate.h - whether a request may be done at all: the one place where tokens are asked for, on every protocol, by
 * the operation's class and the stores that the request names. It is passed before anything is looked up, so that
 * whoever is refused does not learn which stores there are.
 *
 *   not known who asks                 RD_UNAUTHORIZED
 *   known, and may not do this there   RD_FORBIDDEN
 *
 * What has passed goes on to its end, also where the token is revoked meanwhile.
 *
 * Beyond the class: copy takes reading in the source and writing in the target; transfer writing in the source,
 * too; a transaction that answers with values takes reading as well. A write that would make its store does so
 * only where the token allows administration of it, and finds no store otherwise.
 *
 * The loop's thread only.
 */
#ifndef RD_SERVER_GATE_H
#define RD_SERVER_GATE_H

#include "server/auth.h"
#include "server/call.h"

/* Of a NEW call. False: it has been answered. */
bool rd_gate_admit(struct rd_call *call);

/* Whether a request may be done that is not whole yet, as far as can be told: RD_OK, or how rd_gate_admit is going
 * to refuse it. For room that is asked for before. */
enum rd_status rd_gate_foresee(struct rd_conn *conn, const struct rd_asking *asking,
                               struct rd_error *ret_error) RD_MUST_CHECK;

/* For those that tell of stores, while the request is the last that was taken from its connection: whether whoever
 * asks may do anything in a store of that name. */
bool rd_gate_may_see(struct rd_call *call, struct rd_slice store);

#endif

/* SPDX-License-Identifier: MIT
 *
 * deferred.h - long bodies of JSON, which are parsed on a thread of the pool: 60 MiB take a second and a half.
 *
 * Nothing that was sent behind such a request is decoded meanwhile, so that what it may not overtake cannot
 * overtake it either; what was sent before it goes on. It holds no store, and once it is parsed it goes the way
 * that a short one goes, checks of who asks for it included.
 *
 * The loop's thread only.
 */
#ifndef RD_SERVER_DEFERRED_H
#define RD_SERVER_DEFERRED_H

#include "server/call.h"

#define RD_DEFERRED_LEN_MIN (64u << 10) /* bytes; shorter bodies are parsed as they are decoded */

/* A NEW call whose request->deferred is set: rd_dispatch_call is called once more when it is not. */
void rd_deferred_begin(struct rd_call *call);

#endif

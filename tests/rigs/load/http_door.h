/* SPDX-License-Identifier: MIT
 *
 * http_door.h - the HTTP half of door.h: one connection, requests pipelined, answers in their order.
 */
#ifndef RD_TESTS_RIGS_HTTP_DOOR_H
#define RD_TESTS_RIGS_HTTP_DOOR_H

#include <uv.h>

#include "clients/c/rdrive_async.h"

struct http_door;

struct http_door *http_door_open(uv_loop_t *loop, const char *address, void (*on_lost)(void *context),
                                 void *context);
enum rdrive_status http_door_submit(struct http_door *door, struct rdrive_request *request) RDRIVE_MUST_CHECK;
bool http_door_is_up(const struct http_door *door);
void http_door_close(struct http_door *door, void (*on_closed)(void *context), void *context);

#endif

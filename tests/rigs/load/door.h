/* SPDX-License-Identifier: MIT
 *
 * door.h - one client's connection to the daemon, by the binary protocol (the client library's asynchronous face)
 * or by HTTP with requests pipelined. Both take the same requests and fill in the same results, so that one load
 * goes through either.
 *
 * Over HTTP: write, write_stream (value and value_len are set; chunked), delete, rename, copy, transfer,
 * batch_write, batch_delete, read, batch_read, exists, metadata; no conditions that HTTP has not. `replaced` of a
 * rename is not told there.
 *
 * All on the loop's thread; callbacks come from the loop, never from inside a call.
 */
#ifndef RD_TESTS_RIGS_DOOR_H
#define RD_TESTS_RIGS_DOOR_H

#include <uv.h>

#include "clients/c/rdrive_async.h"

struct door;

/* The connection is gone, and every request has been completed. */
typedef void door_lost_cb(void *context);

struct door_options {
    const char *address; /* HOST:PORT, HOST a number */
    bool http;
    door_lost_cb *on_lost; /* called once, but not after door_close */
    void *context;
};

/* Ends the program where there is no memory. */
struct door *door_open(uv_loop_t *loop, const struct door_options *options);

/* As rdrive_submit. */
enum rdrive_status door_submit(struct door *door, struct rdrive_request *request) RDRIVE_MUST_CHECK;

/* False: what is being completed was not answered by the daemon. */
bool door_is_up(const struct door *door);

/* Once, lost or not; memory goes with the loop's next turns. What is pending is completed as lost. */
void door_close(struct door *door);

#endif

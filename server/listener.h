/* SPDX-License-Identifier: MIT
 *
 * listener.h - listening sockets: binding, accepting, what to do when descriptors run out.
 *
 * rd_socket_* bind and listen before any loop runs, so that errors come out clearly and at once. A listener then
 * watches such a socket on its loop and gives each connection to a loop in turn.
 */
#ifndef RD_SERVER_LISTENER_H
#define RD_SERVER_LISTENER_H

#include "protocol/codec.h"
#include "server/config.h"

#define RD_ADDRESS_TEXT_SIZE 320

struct rd_listener;
struct rd_loop;

/* ---- before the loops run --------------------------------------------------------------------------------- */

/* Binds `count` sockets to one address: one as it is, several with SO_REUSEPORT after a probe without it, so that
 * two daemons never share a port by accident. ret_text is HOST:PORT as bound. */
enum rd_status rd_socket_bind_tcp(const struct rd_address *address, unsigned count, int *ret_fds,
                                  char ret_text[RD_ADDRESS_TEXT_SIZE], struct rd_error *ret_error) RD_MUST_CHECK;

/* Binds a Unix socket (0660). One that is left over and that nobody listens on is replaced. */
enum rd_status rd_socket_bind_unix(const char *path, int *ret_fd, struct rd_error *ret_error) RD_MUST_CHECK;

/* The address that a bound socket has: HOST:PORT, or a path. */
bool rd_socket_name(int fd, char ret_text[RD_ADDRESS_TEXT_SIZE]);

/* Whether only this machine reaches a bound socket: a Unix socket, or a loopback address. */
bool rd_socket_is_local(int fd);

/* Whether others would reach a socket that were bound there; one that cannot be resolved is reached by nobody. */
bool rd_address_is_exposed(const struct rd_address *address);

enum rd_status rd_socket_listen(int fd, const char *text, struct rd_error *ret_error) RD_MUST_CHECK;

/* ---- on a loop -------------------------------------------------------------------------------------------- */

struct rd_listener_options {
    int fd; /* taken, also where adding fails */
    bool is_unix;
    const struct rd_codec *codec; /* NULL: a connection's first byte tells */
    struct rd_loop *targets;      /* connections go to these in turn */
    unsigned target_count;
};

/* Adds to loop->listeners. Before the loop runs, or on its thread. */
enum rd_status rd_listener_add(struct rd_loop *loop, const struct rd_listener_options *options) RD_MUST_CHECK;

/* Loop thread: closes all; they are freed while the loop runs on. */
void rd_listeners_close(struct rd_listener **list);

#endif

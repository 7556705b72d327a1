/* SPDX-License-Identifier: MIT
 *
 * backend.h - what a command works on: a server (online.c) or a store's file (offline.c), behind one call, so that
 * each command is written once.
 *
 * One thread.
 */
#ifndef RD_CLIENTS_CLI_BACKEND_H
#define RD_CLIENTS_CLI_BACKEND_H

#include "clients/cli/options.h"

struct rd_backend;

/* Gives up to len_max bytes of a value: how many, 0 at its end, negative where it failed. */
typedef int64_t rd_source_function(void *context, void *to, size_t len_max);

/* Takes bytes of a value, of which total_len come in all. False: no more is wanted. */
typedef bool rd_sink_function(void *context, const void *bytes, size_t len, uint64_t total_len);

struct rd_backend_calls {
    /* *ret_response borrows from the backend, until its next call. On failure *ret_error says why. */
    enum rd_status (*execute)(struct rd_backend *backend, const struct rd_request *request,
                              struct rd_response *ret_response, struct rd_error *ret_error);

    /* RD_OPCODE_WRITE_STREAM: a value of any size, request->stream_len bytes or, with UINT64_MAX, until the source
     * ends. Memory stays flat. */
    enum rd_status (*write_stream)(struct rd_backend *backend, const struct rd_request *request,
                                   rd_source_function *source, void *context, struct rd_response *ret_response,
                                   struct rd_error *ret_error);

    /* RD_OPCODE_READ_STREAM: a value of any size or a range of it. What the sink got is good where the result is
     * RD_OK. */
    enum rd_status (*read_stream)(struct rd_backend *backend, const struct rd_request *request,
                                  rd_sink_function *sink, void *context, struct rd_response *ret_response,
                                  struct rd_error *ret_error);

    /* RD_OPCODE_BACKUP: the store's file from request->backup_from on; total_len is of what comes. What the sink
     * got is good as far as it goes, whatever the result. *ret_response is filled before the sink is called. */
    enum rd_status (*backup)(struct rd_backend *backend, const struct rd_request *request, rd_sink_function *sink,
                             void *context, struct rd_response *ret_response, struct rd_error *ret_error);

    void (*destroy)(struct rd_backend *backend); /* not NULL */
};

struct rd_backend {
    const struct rd_backend_calls *calls;
};

/* What a command does to a store's file. */
enum rd_backend_access {
    RD_BACKEND_NONE,    /* it does that by itself, and needs no backend */
    RD_BACKEND_READ,    /* nothing: the file stays as it is, byte for byte */
    RD_BACKEND_CHANGE,  /* writes to a file that must be there */
    RD_BACKEND_MAKE,    /* writes to a file that is made where there is none */
    RD_BACKEND_MAKE_NEW /* makes a file where there must be none */
};

/* Connects with the first request. */
enum rd_status rd_online_create(const struct rd_options *options, struct rd_backend **ret_backend,
                                struct rd_error *ret_error) RD_MUST_CHECK;

/* Opens the file. *ret_made, also where that fails: the file is new, to be taken back (newfile.h) by a command
 * that fails; never with RD_BACKEND_MAKE_NEW, where what is new is the command's whole purpose. */
enum rd_status rd_offline_create(const struct rd_options *options, enum rd_backend_access access, bool *ret_made,
                                 struct rd_backend **ret_backend, struct rd_error *ret_error) RD_MUST_CHECK;

#endif

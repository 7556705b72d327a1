/* SPDX-License-Identifier: MIT
 *
 * exchange.h - one connection of the blocking client: a request out, its answer back. What rdrive.h's functions
 * (client.c, read.c, store.c) are made of. One thread at a time.
 */
#ifndef RD_CLIENTS_C_EXCHANGE_H
#define RD_CLIENTS_C_EXCHANGE_H

#include "clients/c/rdrive.h"
#include "protocol/binary_client.h"

#define RD_EXCHANGE_IN_LEN         (64u << 10)
#define RD_EXCHANGE_ITEM_COUNT_MAX (1u << 20) /* items of one request, rows of one answer */

struct rdrive_client {
    char *server;    /* owned; NULL with unix_path */
    char *unix_path; /* owned; NULL: TCP */
    char store[65];  /* "": the store `default` */
    uint32_t connect_timeout_ms;
    uint32_t request_timeout_ms;
    uint32_t answer_len_max; /* bytes */

    int fd;                  /* -1: not connected */
    struct rd_limits limits; /* what the server's hello stated */
    uint64_t last_id;        /* of the request sent last */
    struct rd_binary_reader reader;
    struct rd_buffer out;    /* the frame that is being sent, without a write's value */
    uint8_t *in;             /* owned; RD_EXCHANGE_IN_LEN bytes that recv fills */
    struct rd_slice in_left; /* the part of it that has not been read */
    struct rd_error error;   /* of the last call */
};

/* A request on the client's store. */
struct rd_request rd_exchange_request(const struct rdrive_client *client, enum rd_opcode opcode);
struct rd_message_key rd_exchange_key(struct rdrive_key key);

/* Fills request->items, which is the caller's to free. False: no memory. */
bool rd_exchange_set_keys(struct rd_request *request, const struct rdrive_key *keys, size_t count) RD_MUST_CHECK;

/* Connects where that is needed. */
enum rd_status rd_exchange_connect(struct rdrive_client *client) RD_MUST_CHECK;
void rd_exchange_disconnect(struct rdrive_client *client);

/* Sends the request, whose id it sets, and waits for the answer. *ret_response is valid until the client's next
 * call and has status RD_OK: any other comes back as the result, with client->error filled. */
enum rdrive_status rd_exchange(struct rdrive_client *client, struct rd_request *request,
                               struct rd_response *ret_response) RD_MUST_CHECK;

/* The same for an operation whose failure is the caller's own; sets client->error. */
enum rdrive_status rd_exchange_fail(struct rdrive_client *client, enum rd_status status, const char *message);

#endif

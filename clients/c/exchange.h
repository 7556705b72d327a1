/* SPDX-License-Identifier: MIT
 *
 * exchange.h - one connection of the blocking client: a request out, its answer back. What rdrive.h's functions
 * (client.c, read.c, store.c) are made of. One thread at a time.
 */
#ifndef RD_CLIENTS_C_EXCHANGE_H
#define RD_CLIENTS_C_EXCHANGE_H

#include "clients/c/rdrive.h"
#include "protocol/binary_client.h"

struct rd_secure;
struct rd_tls_trust;

#define RD_EXCHANGE_IN_LEN         (64u << 10)
#define RD_EXCHANGE_ITEM_COUNT_MAX (1u << 20) /* items of one request, rows of one answer */

struct rdrive_client {
    char *server;    /* owned; NULL with unix_path */
    char *unix_path; /* owned; NULL: TCP */
    char *token;     /* owned; NULL: none */
    char store[65];  /* "": the store `default` */
    uint32_t connect_timeout_ms;
    uint32_t request_timeout_ms;
    uint32_t answer_len_max; /* bytes */

    bool tls;
    char *tls_ca;               /* owned; NULL: the system's authorities */
    struct rd_tls_trust *trust; /* owned; NULL until it is needed first */

    int fd;                   /* -1: not connected */
    struct rd_secure *secure; /* owned; NULL: bytes go over the socket as they are */
    struct rd_limits limits;  /* what the server's hello stated */
    uint64_t last_id;         /* of the request sent last */
    struct rd_binary_reader reader;
    struct rd_buffer out;    /* the frame that is being sent, without a write's value */
    uint8_t *in;             /* owned; RD_EXCHANGE_IN_LEN bytes that recv fills */
    struct rd_slice in_left; /* the part of it that has not been read */
    struct rd_error error;   /* of the last call */
};

/* A request on the client's store. */
struct rd_request rd_exchange_request(const struct rdrive_client *client, enum rd_opcode opcode);

/* Durability and conditions; options may be NULL. */
void rd_exchange_set_options(struct rd_request *request, const struct rdrive_write_options *options);

/* Connects where that is needed. */
enum rd_status rd_exchange_connect(struct rdrive_client *client) RD_MUST_CHECK;
void rd_exchange_disconnect(struct rdrive_client *client);

/* Sends the request, whose id it sets, and waits for the answer. *ret_response is valid until the client's
 * next call and has status RD_OK: any other comes back as the result, with client->error filled. */
enum rdrive_status rd_exchange(struct rdrive_client *client, struct rd_request *request,
                               struct rd_response *ret_response) RD_MUST_CHECK;

/* The parts of it, for streams. begin clears the error, connects and sends the request; its deadline is the
 * client's request_timeout_ms from now on and is renewed by each of these calls. Where one fails with anything but
 * an answer from the server, the connection is to be closed (rd_exchange_disconnect).
 *
 * receive waits for what comes next for this request: *ret_answer, or where it stays untouched (*ret_is_part) the
 * part that rd_binary_reader_part tells of. Parts of earlier streams are skipped. An answer that says no is
 * returned like any other. */
enum rd_status rd_exchange_begin(struct rdrive_client *client, struct rd_request *request) RD_MUST_CHECK;
enum rd_status rd_exchange_send_part(struct rdrive_client *client,
                                     const struct rd_stream_part *part) RD_MUST_CHECK;
enum rd_status rd_exchange_receive(struct rdrive_client *client, const struct rd_request *request,
                                   struct rd_binary_answer *ret_answer, bool *ret_is_part) RD_MUST_CHECK;

/* Whether rd_exchange_receive has something to look at without waiting. */
bool rd_exchange_has_input(const struct rdrive_client *client);

/* Where an answer says no: fills client->error and returns its status. */
enum rd_status rd_exchange_refused(struct rdrive_client *client, const struct rd_response *response);

/* The same for an operation whose failure is the caller's own; sets client->error. */
enum rdrive_status rd_exchange_fail(struct rdrive_client *client, enum rd_status status, const char *message);

#endif

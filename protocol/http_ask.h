/* SPDX-License-Identifier: MIT
 *
 * http_ask.h - what the head of a request asks for, as a whole: whether it may be asked, and the request that
 * comes of it. Pure; slices borrow from the head.
 */
#ifndef RD_PROTOCOL_HTTP_ASK_H
#define RD_PROTOCOL_HTTP_ASK_H

#include "protocol/http_condition.h"
#include "protocol/http_route.h"

/* Bytes of a streamed body: no store has room for more. */
#define RD_HTTP_STREAM_LEN_MAX (((uint64_t)1 << 48) - 1)

struct rd_http_ask {
    struct rd_http_route route;
    struct rd_http_conditions conditions;
    struct rd_slice token; /* len 0: none that is understood */
    bool streamed;         /* a value that is handed out in parts */
    size_t names_len;      /* bytes of names, which lie in front of the content of the request's body */
};

/* False: *problem says why not. */
bool rd_http_ask_find(const struct rd_http_head *head, const struct rd_limits *limits, struct rd_http_ask *ret_ask,
                      struct rd_http_problem *problem);

/* Operations that are told by a JSON body; create has one or none. */
bool rd_http_needs_json(enum rd_opcode opcode);

/* Whether a body may be sent at all, however short it is, and whether there is room for so many bytes of it
 * (rd_limits.admit). False: *problem says why not. */
bool rd_http_ask_admit(const struct rd_http_ask *ask, const struct rd_limits *limits, size_t len,
                       struct rd_http_problem *problem);

/* Writes ask->names_len bytes. */
void rd_http_ask_write_names(const struct rd_http_ask *ask, uint8_t *to);

/* Fills the request but for where its slices point: that is done by rd_http_bind_names once its body, with the
 * names in front, lies where it stays. */
void rd_http_ask_note(const struct rd_http_ask *ask, struct rd_request *request);
void rd_http_bind_names(struct rd_request *request, bool by_hash);

#endif

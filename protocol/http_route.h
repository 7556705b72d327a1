/* SPDX-License-Identifier: MIT
 *
 * http_route.h - which operation a method and a target ask for, and what the target says about it.
 *
 * The path is split before it is decoded, so %2F never makes a segment and dots mean nothing. docs/HTTP.md lists
 * the paths; http_route.c has them as one table.
 */
#ifndef RD_PROTOCOL_HTTP_ROUTE_H
#define RD_PROTOCOL_HTTP_ROUTE_H

#include "protocol/http_head.h"
#include "protocol/message.h"

/* Percent-encoded text that has been checked; borrows from the head. */
struct rd_http_text {
    struct rd_slice raw; /* as it stands in the target */
    size_t len;          /* bytes once it is decoded */
};

struct rd_http_route {
    enum rd_opcode opcode;
    struct rd_http_text store; /* len 0: the path names none */
    struct rd_http_text key;
    bool by_hash; /* `hash` instead of `key` */
    uint64_t hash;
    struct rd_http_text confirm;
    enum rd_message_durability durability;
    uint64_t after_offset;
    uint32_t limit;
    bool in_steps; /* verify: one step of it */
    uint64_t verify_from;
    uint64_t verify_bytes_max;
    uint64_t backup_from;
    uint64_t generation; /* backup; 0: none is named */
};

/* False: *problem says why: unknown path, wrong method, bad escape, unknown parameter. */
bool rd_http_route_find(enum rd_http_method method, struct rd_slice path, struct rd_slice query,
                        struct rd_http_route *ret_route, struct rd_http_problem *problem);

/* Writes text.len bytes to `to` and returns the place behind them. */
uint8_t *rd_http_text_decode(struct rd_http_text text, uint8_t *to);

#endif

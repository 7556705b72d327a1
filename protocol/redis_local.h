/* SPDX-License-Identifier: MIT
 *
 * redis_local.h - commands about the connection and the server, as requests: what needs no store. redis_client.c
 * has CLIENT's, redis_catalog.c COMMAND's and CONFIG's.
 *
 * Pure; on the decoder's thread.
 */
#ifndef RD_PROTOCOL_REDIS_LOCAL_H
#define RD_PROTOCOL_REDIS_LOCAL_H

#include "protocol/redis_ask.h"

void rd_redis_parse_ping(struct rd_redis_ask *ask);
void rd_redis_parse_echo(struct rd_redis_ask *ask);
void rd_redis_parse_quit(struct rd_redis_ask *ask);
void rd_redis_parse_reset(struct rd_redis_ask *ask);
void rd_redis_parse_hello(struct rd_redis_ask *ask);
void rd_redis_parse_auth(struct rd_redis_ask *ask);
void rd_redis_parse_select(struct rd_redis_ask *ask);
void rd_redis_parse_info(struct rd_redis_ask *ask);
void rd_redis_parse_save(struct rd_redis_ask *ask);
void rd_redis_parse_bgrewriteaof(struct rd_redis_ask *ask);
void rd_redis_parse_wait(struct rd_redis_ask *ask);

/* A command whose second word says more: finds the row of that and goes on with it. */
void rd_redis_parse_container(struct rd_redis_ask *ask);
void rd_redis_parse_help(struct rd_redis_ask *ask);

/* ---- redis_client.c ---- */
void rd_redis_parse_client_setname(struct rd_redis_ask *ask);
void rd_redis_parse_client_getname(struct rd_redis_ask *ask);
void rd_redis_parse_client_setinfo(struct rd_redis_ask *ask);
void rd_redis_parse_client_list(struct rd_redis_ask *ask);
void rd_redis_parse_client_no_evict(struct rd_redis_ask *ask);

/* The name of the client becomes argument i. False: the command has been refused. */
bool rd_redis_client_set_name(struct rd_redis_ask *ask, size_t i);

/* ---- redis_catalog.c ---- */
void rd_redis_parse_command(struct rd_redis_ask *ask);
void rd_redis_parse_command_count(struct rd_redis_ask *ask);
void rd_redis_parse_command_docs(struct rd_redis_ask *ask);
void rd_redis_parse_command_info(struct rd_redis_ask *ask);
void rd_redis_parse_command_list(struct rd_redis_ask *ask);
void rd_redis_parse_config_get(struct rd_redis_ask *ask);

#endif

/* SPDX-License-Identifier: MIT
 *
 * redis_ask.h - one command on its way to a request: its arguments, the connection's state that it is judged by
 * and may change, and the request that it becomes. The parse functions of redis_command's table work on it.
 *
 * Whatever a connection says takes effect on its state when it is decoded: what is selected, which version of the
 * protocol is spoken, what is queued. That depends on nothing that a store answers; where the server refuses the
 * command for want of a token it is taken back.
 *
 * Pure; belongs to a decoder, on its thread.
 */
#ifndef RD_PROTOCOL_REDIS_ASK_H
#define RD_PROTOCOL_REDIS_ASK_H

#include "protocol/message.h"
#include "protocol/redis_answer.h"
#include "protocol/resp_scan.h"

#define RD_REDIS_NAME_LEN_MAX 128u /* of a client's name, and of its library's name and version */

struct rd_redis_command;

/* Commands between MULTI and EXEC (redis_multi.c). */
struct rd_redis_multi {
    bool open;
    bool broken;              /* something could not be queued: EXEC will refuse */
    struct rd_request *first; /* owned, in the order sent */
    struct rd_request *last;
    size_t change_count; /* of all of them */
    size_t look_count;
    size_t len; /* bytes of memory that they take */
};

/* What SELECT and HELLO change, as it was before the last command: that may be refused when it is decoded already.
 */
struct rd_redis_before {
    bool shows; /* the last command showed a token */
    bool kept;  /* it was one of the two */
    bool resp3;
    char store[64];
    size_t store_len;
};

struct rd_redis_state {
    struct rd_limits limits;
    struct rd_redis_before before;
    bool resp3;
    char store[64];   /* that is selected */
    size_t store_len; /* 0: the store `default` */
    char name[RD_REDIS_NAME_LEN_MAX + 1];
    char library[RD_REDIS_NAME_LEN_MAX + 1];
    char library_version[RD_REDIS_NAME_LEN_MAX + 1];
    struct rd_redis_multi multi;
    struct rd_guards *watched; /* a reference, or NULL */
};

struct rd_redis_ask {
    struct rd_redis_state *state;           /* borrows */
    const struct rd_redis_command *command; /* borrows; NULL: not known yet */
    struct rd_request *request;             /* its body holds the arguments */
    const struct rd_resp_arg *args;         /* borrows; where in the body */
    size_t arg_count;
};

static inline struct rd_slice rd_redis_ask_arg(const struct rd_redis_ask *ask, size_t i)
{
    return rd_slice(ask->request->body + ask->args[i].offset, ask->args[i].len);
}

/* Whether an argument is that word, in either case. */
bool rd_redis_ask_is(const struct rd_redis_ask *ask, size_t i, const char *word);

/* What is answered without any store. The text is a whole answer and stays where it is. */
void rd_redis_ask_reply(struct rd_redis_ask *ask, const char *text);

/* The same with what is in *buffer, whose memory is taken. */
void rd_redis_ask_reply_buffer(struct rd_redis_ask *ask, struct rd_buffer *buffer);

/* The command is refused; the format begins with the error's code: "ERR ...". */
void rd_redis_ask_refuse(struct rd_redis_ask *ask, const char *format, ...) RD_PRINTF(2, 3);

/* False, so that it can be handed on. */
bool rd_redis_ask_refuse_for_memory(struct rd_redis_ask *ask);

/* Room for so many bytes that are kept when the command has been answered. Where it is the token that is wanting
 * whoever serves the command says so. False: the command has been refused. */
bool rd_redis_ask_keep(struct rd_redis_ask *ask, size_t len);

/* A key that is not too long. False: the command has been refused. */
bool rd_redis_ask_key(struct rd_redis_ask *ask, size_t i, struct rd_message_key *ret_key);

/* A value that can be stored. False: the command has been refused. */
bool rd_redis_ask_value(struct rd_redis_ask *ask, size_t i, struct rd_slice *ret_value);

bool rd_redis_ask_integer(struct rd_redis_ask *ask, size_t i, int64_t *ret_value);

/* What a database's number or a store's name stands for. False: the command has been refused. */
bool rd_redis_ask_database(struct rd_redis_ask *ask, size_t i, char ret_store[64], size_t *ret_len);

/* Goes over what the command's row says: which operation is asked for, and how it is answered. */
void rd_redis_ask_operation(struct rd_redis_ask *ask, enum rd_opcode opcode, enum rd_redis_answer answer);

/* Room for count items; or for a transaction of count changes that looks at look_count keys. False: the command
 * has been refused. */
bool rd_redis_ask_items(struct rd_redis_ask *ask, size_t count);
bool rd_redis_ask_transaction(struct rd_redis_ask *ask, size_t count, size_t look_count);

#endif

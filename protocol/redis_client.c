/* SPDX-License-Identifier: MIT
 *
 * redis_client.c - CLIENT: what a connection says about itself.
 */
#include "protocol/redis_local.h"

#include "protocol/redis_info.h"
#include "protocol/resp_put.h"

/* Copies what may stand in a line of CLIENT LIST: printable and no spaces. */
static bool copy_word(struct rd_slice word, char to[RD_REDIS_NAME_LEN_MAX + 1])
{
    if (word.len > RD_REDIS_NAME_LEN_MAX)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.data[i] < '!' || word.data[i] > '~')
            return false;
    if (word.len != 0)
        memcpy(to, word.data, word.len);
    to[word.len] = '\0';
    return true;
}

bool rd_redis_client_set_name(struct rd_redis_ask *ask, size_t i)
{
    struct rd_slice name = rd_redis_ask_arg(ask, i);
    if (name.len > RD_REDIS_NAME_LEN_MAX) {
        rd_redis_ask_refuse(ask, "ERR Client names are at most %u bytes long", RD_REDIS_NAME_LEN_MAX);
        return false;
    }
    if (copy_word(name, ask->state->name))
        return true;
    rd_redis_ask_refuse(ask, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

void rd_redis_parse_client_setname(struct rd_redis_ask *ask)
{
    if (rd_redis_client_set_name(ask, 2))
        rd_redis_ask_reply(ask, "+OK\r\n");
}

void rd_redis_parse_client_getname(struct rd_redis_ask *ask)
{
    struct rd_buffer answer;
    rd_buffer_init(&answer, 0);
    if (ask->state->name[0] == '\0')
        rd_resp_put_null(&answer, ask->state->resp3);
    else
        rd_resp_put_text(&answer, ask->state->name);
    rd_redis_ask_reply_buffer(ask, &answer);
}

void rd_redis_parse_client_setinfo(struct rd_redis_ask *ask)
{
    bool name = rd_redis_ask_is(ask, 2, "lib-name");
    struct rd_slice option = rd_redis_ask_arg(ask, 2);
    if (!name && !rd_redis_ask_is(ask, 2, "lib-ver"))
        rd_redis_ask_refuse(ask, "ERR Unrecognized option '%.*s'", (int)(option.len < 128 ? option.len : 128),
                            (const char *)option.data);
    else if (!copy_word(rd_redis_ask_arg(ask, 3), name ? ask->state->library : ask->state->library_version))
        rd_redis_ask_refuse(ask, "ERR %s cannot contain spaces, newlines or special characters.",
                            name ? "lib-name" : "lib-ver");
    else
        rd_redis_ask_reply(ask, "+OK\r\n");
}

/* What the server knows of the connection is put in front when it is answered. */
void rd_redis_parse_client_list(struct rd_redis_ask *ask)
{
    const struct rd_redis_state *state = ask->state;
    struct rd_slice store = rd_slice(state->store, state->store_len);
    bool all = ask->arg_count == 4 && rd_redis_ask_is(ask, 2, "type") && rd_redis_ask_is(ask, 3, "normal");
    if (ask->arg_count > 2 && !all) {
        rd_redis_ask_refuse(ask,
                            "ERR CLIENT LIST tells about its own connection, and takes no more than TYPE normal");
        return;
    }
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_buffer_printf(&text, "name=%s flags=N db=", state->name);
    int64_t database = rd_redis_info_database(store);
    if (database >= 0)
        rd_buffer_printf(&text, "%lld", (long long)database);
    else
        rd_buffer_append_slice(&text, store);
    rd_buffer_printf(&text, " multi=-1 cmd=client|list user=default resp=%d lib-name=%s lib-ver=%s",
                     state->resp3 ? 3 : 2, state->library, state->library_version);
    rd_redis_ask_reply_buffer(ask, &text);
    if (ask->request->status == RD_OK)
        rd_redis_ask_operation(ask, RD_OPCODE_SERVER, RD_REDIS_CLIENT_LIST);
}

/* Connections are never given up for want of memory, so there is nothing to switch. */
void rd_redis_parse_client_no_evict(struct rd_redis_ask *ask)
{
    if (rd_redis_ask_is(ask, 2, "on") || rd_redis_ask_is(ask, 2, "off"))
        rd_redis_ask_reply(ask, "+OK\r\n");
    else
        rd_redis_ask_refuse(ask, "ERR syntax error");
}

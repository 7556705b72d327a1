/* SPDX-License-Identifier: MIT */
#include "protocol/redis_info.h"

#include "protocol/resp_scan.h"

#define SECONDS_OF_DAY 86400u

typedef void append_function(const struct rd_response *response, struct rd_buffer *out);

static void append_server(const struct rd_response *response, struct rd_buffer *out)
{
    const struct rd_response_server *server = response->server;
    uint64_t now_s = server->now_us / 1000000;
    uint64_t uptime_s = now_s > server->started_s ? now_s - server->started_s : 0;
    rd_buffer_printf(out,
                     "redis_version:%s\r\nrdrive_version:%s\r\nredis_mode:standalone\r\narch_bits:%u\r\n"
                     "multiplexing_api:libuv\r\nprocess_id:%lld\r\ntcp_port:%u\r\nserver_time_usec:%llu\r\n",
                     RD_REDIS_VERSION, RD_VERSION, (unsigned)(8 * sizeof(void *)), (long long)server->process_id,
                     (unsigned)server->port, (unsigned long long)server->now_us);
    rd_buffer_printf(out, "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n", (unsigned long long)uptime_s,
                     (unsigned long long)(uptime_s / SECONDS_OF_DAY));
}

static void append_clients(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_printf(out, "connected_clients:%u\r\nmaxclients:%u\r\nblocked_clients:0\r\n",
                     (unsigned)response->server->connections, (unsigned)response->server->connections_max);
}

static void append_memory(const struct rd_response *response, struct rd_buffer *out)
{
    (void)response;
    rd_buffer_append_string(out, "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n");
}

/* Nothing is ever loaded while clients are served, and nothing is saved behind their backs. What is rewritten is a
 * store that is being compacted. */
static void append_persistence(const struct rd_response *response, struct rd_buffer *out)
{
    int rewriting = 0;
    for (size_t i = 0; i < response->store_count; i++)
        rewriting |= response->stores[i].compacting;
    rd_buffer_printf(out,
                     "loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_save_time:%llu\r\n"
                     "rdb_last_bgsave_status:ok\r\naof_enabled:1\r\naof_rewrite_in_progress:%d\r\n"
                     "aof_last_write_status:ok\r\n",
                     (unsigned long long)response->server->saved_s, rewriting);
}

static void append_replication(const struct rd_response *response, struct rd_buffer *out)
{
    (void)response;
    rd_buffer_append_string(out, "role:master\r\nconnected_slaves:0\r\n");
}

static void append_cluster(const struct rd_response *response, struct rd_buffer *out)
{
    (void)response;
    rd_buffer_append_string(out, "cluster_enabled:0\r\n");
}

static void append_database(const struct rd_response_store *store, int64_t database, struct rd_buffer *out)
{
    if (store->entries != 0)
        rd_buffer_printf(out, "db%lld:keys=%llu,expires=0,avg_ttl=0\r\n", (long long)database,
                         (unsigned long long)store->entries);
}

/* Stores come sorted by name, so `default` is not where number 0 belongs. */
static void append_keyspace(const struct rd_response *response, struct rd_buffer *out)
{
    for (size_t i = 0; i < response->store_count; i++)
        if (rd_redis_info_database(response->stores[i].name) == 0)
            append_database(&response->stores[i], 0, out);
    for (size_t i = 0; i < response->store_count; i++) {
        int64_t database = rd_redis_info_database(response->stores[i].name);
        if (database > 0)
            append_database(&response->stores[i], database, out);
    }
}

static void append_stores(const struct rd_response *response, struct rd_buffer *out)
{
    static const char *const states[] = {"open", "read_only", "failed"};
    for (size_t i = 0; i < response->store_count; i++) {
        const struct rd_response_store *store = &response->stores[i];
        rd_buffer_printf(out, "store_%.*s:keys=%llu,tail=%llu,file_size=%llu,dead_bytes=%llu,state=%s\r\n",
                         (int)store->name.len, (const char *)store->name.data, (unsigned long long)store->entries,
                         (unsigned long long)store->tail, (unsigned long long)store->file_size,
                         (unsigned long long)store->dead_bytes, states[store->state]);
    }
}

static const struct {
    const char *name;
    const char *title;
    append_function *append;
} sections[] = {
    {"server", "Server", append_server},
    {"clients", "Clients", append_clients},
    {"memory", "Memory", append_memory},
    {"persistence", "Persistence", append_persistence},
    {"replication", "Replication", append_replication},
    {"cluster", "Cluster", append_cluster},
    {"keyspace", "Keyspace", append_keyspace},
    {"stores", "Stores", append_stores},
};

static bool is_wanted(struct rd_slice names, const char *section)
{
    static const char *const all[] = {"default", "all", "everything"};
    if (names.len == 0)
        return true;
    while (names.len != 0) {
        const uint8_t *end = memchr(names.data, '\n', names.len);
        struct rd_slice name = rd_slice_take(&names, end == NULL ? names.len : (size_t)(end - names.data));
        (void)rd_slice_take(&names, 1);
        if (rd_slice_equal(name, rd_slice_of_string(section)))
            return true;
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            if (rd_slice_equal(name, rd_slice_of_string(all[i])))
                return true;
    }
    return false;
}

void rd_redis_info_append(struct rd_slice names, const struct rd_response *response, struct rd_buffer *out)
{
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!is_wanted(names, sections[i].name))
            continue;
        rd_buffer_printf(out, "%s# %s\r\n", out->len != 0 ? "\r\n" : "", sections[i].title);
        sections[i].append(response, out);
    }
}

void rd_redis_info_append_client(const struct rd_request *request, const struct rd_response_server *server,
                                 struct rd_buffer *out)
{
    rd_buffer_printf(out, "id=%llu addr=%s laddr=%s age=%llu ", (unsigned long long)server->connection_id,
                     server->peer, server->local, (unsigned long long)server->connection_s);
    rd_buffer_append_slice(out, request->value);
    rd_buffer_append_string(out, "\n");
}

int64_t rd_redis_info_database(struct rd_slice store)
{
    static const char prefix[] = "db";
    int64_t number;
    if (store.len == 0 || rd_slice_equal(store, rd_slice_of_string("default")))
        return 0;
    if (store.len <= sizeof prefix - 1 || memcmp(store.data, prefix, sizeof prefix - 1) != 0)
        return -1;
    struct rd_slice digits = rd_slice(store.data + sizeof prefix - 1, store.len - (sizeof prefix - 1));
    return rd_resp_parse_integer(digits, &number) && number > 0 ? number : -1;
}

/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "protocol/binary.h"
#include "protocol/http.h"
#include "protocol/json.h"
#include "protocol/redis.h"
#include "server/auth.h"
#include "server/check.h"
#include "server/compactor.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/memory.h"
#include "server/pool.h"
#include "server/port_file.h"
#include "server/reload.h"
#include "server/stores.h"
#include "server/systemd.h"
#include "server/tls.h"

#define PARSES_MAX    4u /* long bodies at a time, of eight threads that the pool has */
#define ENCODINGS_MAX 2u /* long answers */
#define DISPOSALS_MAX 1u /* so that one thread is left for reads, whatever the others do */

/* One protocol's sockets: one for each loop, or one whose loop hands connections on to all. */
struct endpoint {
    int *fds; /* owned; room for one a loop; -1 where a listener has taken it */
    unsigned count;
    bool shared;
    char text[RD_ADDRESS_TEXT_SIZE]; /* HOST:PORT as bound */
};

struct server {
    struct rd_config *config;       /* borrows */
    struct rd_auth *auth;           /* owned */
    bool misconfigured;             /* what was told cannot be done as it is: the exit code is 2 */
    struct rd_reload reload;        /* loop 0 */
    struct rd_stores *stores;       /* owned */
    struct rd_pool *pool;           /* owned */
    struct rd_pool_queue parses;    /* the pool's */
    struct rd_pool_queue encodings; /* the pool's */
    struct rd_pool_queue disposals; /* the pool's */
    struct rd_compactor *compactor; /* owned */
    struct rd_tls *tls;             /* owned; NULL: TCP is plain */
    struct rd_loop *loops;          /* owned; config->loops of them, loop 0 on the main thread */
    unsigned loops_ready;           /* how many are initialised */
    uv_thread_t *threads;           /* owned; of loops 1 and above, by index */
    unsigned threads_started;       /* loops that run on a thread of their own */
    atomic_uint connection_count;   /* any loop */
    struct rd_process process;      /* any loop */
    struct endpoint binary;
    struct endpoint http;
    struct endpoint redis; /* count 0: not served */
    struct endpoint unix_socket;
    struct rd_systemd_sockets handed_over; /* owned, until they are claimed */
    struct stat unix_stat;                 /* of the socket's file, to unlink no other */
    bool port_file_written;
    unsigned signal_count; /* loop 0 */
};

static struct server *running; /* for the signal callback, which has no argument for it */

/* ---- process ---------------------------------------------------------------------------------------------- */

static void prepare_process(void)
{
    signal(SIGPIPE, SIG_IGN); /* a vanished client is an error code of write */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit likewise */
    signal(SIGHUP, SIG_IGN);  /* until the loops run: what it would read again has just been read */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            rd_log(RD_LOG_WARN, "the limit of open files cannot be raised: %s", strerror(errno));
    }
}

static void on_signal(int number)
{
    if (number == SIGHUP) {
        if (running->signal_count == 0)
            rd_reload_run(&running->reload);
        return;
    }
    if (running->signal_count++ != 0) {
        rd_log(RD_LOG_WARN, "second signal: stopping at once");
        _exit(1);
    }
    rd_log(RD_LOG_INFO, "%s: stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
    rd_systemd_notify("STOPPING=1");
    rd_compactor_stop(running->compactor);
    for (unsigned i = 0; i < running->loops_ready; i++)
        rd_loop_request_stop(&running->loops[i]);
}

/* ---- sockets ---------------------------------------------------------------------------------------------- */

static bool endpoint_init(struct endpoint *endpoint, unsigned count_max)
{
    endpoint->fds = malloc(count_max * sizeof *endpoint->fds);
    return endpoint->fds != NULL;
}

static void endpoint_deinit(struct endpoint *endpoint)
{
    for (unsigned i = 0; i < endpoint->count; i++)
        if (endpoint->fds[i] >= 0)
            close(endpoint->fds[i]);
    free(endpoint->fds);
    *endpoint = (struct endpoint){.count = 0};
}

/* A socket that the service manager holds is one for all loops. False: it has none for this endpoint. */
static bool use_handed_over(struct endpoint *endpoint, int fd)
{
    if (fd < 0)
        return false;
    endpoint->fds[0] = fd;
    endpoint->count = 1;
    endpoint->shared = true;
    if (!rd_socket_name(fd, endpoint->text))
        snprintf(endpoint->text, sizeof endpoint->text, "a socket of the service manager");
    return true;
}

static enum rd_status bind_tcp(struct server *server, struct endpoint *endpoint, const char *name,
                               const struct rd_address *address, struct rd_error *ret_error)
{
    unsigned port = (unsigned)strtoul(address->port, NULL, 10);
    if (use_handed_over(endpoint, rd_systemd_claim(&server->handed_over, name, port)) || address->host[0] == '\0')
        return RD_OK;
    unsigned count = (unsigned)server->config->loops;
    enum rd_status status = rd_socket_bind_tcp(address, count, endpoint->fds, endpoint->text, ret_error);
    if (status == RD_OK)
        endpoint->count = count; /* a failed call has closed what it opened */
    return status;
}

static enum rd_status bind_unix(struct server *server, struct rd_error *ret_error)
{
    const char *path = server->config->unix_path;
    struct endpoint *endpoint = &server->unix_socket;
    if (use_handed_over(endpoint, rd_systemd_claim_unix(&server->handed_over)) || path[0] == '\0')
        return RD_OK;
    enum rd_status status = rd_socket_bind_unix(path, &endpoint->fds[0], ret_error);
    if (status != RD_OK)
        return status;
    endpoint->count = 1;
    endpoint->shared = true;
    snprintf(endpoint->text, sizeof endpoint->text, "%s", path);
    if (stat(path, &server->unix_stat) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s", path);
    return RD_OK;
}

static enum rd_status listen_on(const struct endpoint *endpoint, struct rd_error *ret_error)
{
    for (unsigned i = 0; i < endpoint->count; i++) {
        enum rd_status status = rd_socket_listen(endpoint->fds[i], endpoint->text, ret_error);
        if (status != RD_OK)
            return status;
    }
    return RD_OK;
}

static void unlink_unix_socket(const struct server *server)
{
    struct stat now;
    const char *path = server->config->unix_path;
    if (server->unix_stat.st_ino != 0 && lstat(path, &now) == 0 && now.st_ino == server->unix_stat.st_ino &&
        now.st_dev == server->unix_stat.st_dev)
        unlink(path);
}

/* ---- loops ------------------------------------------------------------------------------------------------ */

static enum rd_status init_loops(struct server *server, struct rd_error *ret_error)
{
    unsigned count = (unsigned)server->config->loops;
    struct rd_loop_tuning tuning = rd_reload_loop_tuning(server->config);
    server->loops = calloc(count, sizeof *server->loops);
    server->threads = calloc(count, sizeof *server->threads);
    if (server->loops == NULL || server->threads == NULL || rd_pool_create(&server->pool) != RD_OK)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the event loops");
    server->parses.running_max = PARSES_MAX;
    server->encodings.running_max = ENCODINGS_MAX;
    server->disposals.running_max = DISPOSALS_MAX;
    server->process.loops = server->loops;
    server->process.loop_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct rd_loop *loop = &server->loops[i];
        loop->index = i;
        loop->stores = server->stores;
        loop->pool = server->pool;
        loop->parses = &server->parses;
        loop->encodings = &server->encodings;
        loop->disposals = &server->disposals;
        loop->compactor = server->compactor;
        loop->tuning = tuning;
        atomic_store(&server->process.connections_max, tuning.connections_max);
        loop->connection_count = &server->connection_count;
        loop->process = &server->process;
        loop->tls = server->tls;
        if (rd_auth_view_init(&loop->auth, server->auth) != RD_OK)
            return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the tokens");
        loop->http_is_local = server->http.count != 0 && rd_socket_is_local(server->http.fds[0]);
        loop->on_signal = i == 0 ? on_signal : NULL;
        loop->held = server->config->cpu_affinity && count == 1;
        loop->alive_ms = i == 0 ? rd_systemd_watchdog_ms() : 0;
        if (rd_loop_init(loop) != RD_OK)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "event loop %u cannot be made", i);
        server->loops_ready++;
    }
    return RD_OK;
}

/* Hands an endpoint's sockets to the loops; where there is one socket for several loops, its loop hands on. */
static enum rd_status add_listeners(struct server *server, struct endpoint *endpoint, const struct rd_codec *codec,
                                    bool is_unix, struct rd_error *ret_error)
{
    for (unsigned i = 0; i < endpoint->count; i++) {
        struct rd_listener_options options = {
            .fd = endpoint->fds[i],
            .is_unix = is_unix,
            .codec = codec,
            .targets = endpoint->shared ? server->loops : &server->loops[i],
            .target_count = endpoint->shared ? (unsigned)server->config->loops : 1,
        };
        endpoint->fds[i] = -1;
        if (rd_listener_add(&server->loops[i], &options) != RD_OK)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "cannot watch %s", endpoint->text);
    }
    return RD_OK;
}

static void run_thread(void *loop)
{
    rd_loop_run(loop);
}

static enum rd_status start_threads(struct server *server, struct rd_error *ret_error)
{
    for (unsigned i = 1; i < server->config->loops; i++) {
        if (uv_thread_create(&server->threads[i], run_thread, &server->loops[i]) != 0)
            return rd_error_set(ret_error, RD_IO_ERROR, 0, "the thread of event loop %u cannot be made", i);
        server->threads_started++;
    }
    return RD_OK;
}

/* ---- start and stop --------------------------------------------------------------------------------------- */

static enum rd_status write_port_file(struct server *server, struct rd_error *ret_error)
{
    const char *path = server->config->port_file;
    if (path[0] == '\0')
        return RD_OK;
    struct rd_port_file contents = {.binary = server->binary.text,
                                    .http = server->http.text,
                                    .redis = server->redis.text,
                                    .unix_path = server->unix_socket.text};
    enum rd_status status = rd_port_file_write(path, &contents, ret_error);
    server->port_file_written = status == RD_OK;
    return status;
}

/* ---- who may do what -------------------------------------------------------------------------------------- */

static enum rd_status load_tokens(struct server *server, struct rd_error *ret_error)
{
    enum rd_status status = rd_auth_create(server->config->tokens, &server->auth, ret_error);
    server->misconfigured = status == RD_INVALID_ARGUMENT;
    return status;
}

/* The address of a socket that others than this machine reach; NULL: there is none. */
static const char *exposed_address(const struct server *server)
{
    const struct endpoint *endpoints[] = {&server->binary, &server->http, &server->redis, &server->unix_socket};
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++)
        for (unsigned j = 0; j < endpoints[i]->count; j++)
            if (!rd_socket_is_local(endpoints[i]->fds[j]))
                return endpoints[i]->text;
    return NULL;
}

/* Judged by what is bound: a name may resolve to anything, and a socket may be the service manager's. */
static enum rd_status check_exposure(struct server *server, struct rd_error *ret_error)
{
    const char *address = rd_auth_is_on(server->auth) ? NULL : exposed_address(server);
    if (address == NULL)
        return RD_OK;
    if (server->config->insecure) {
        rd_log(RD_LOG_WARN, "insecure: whoever reaches %s may read, write and drop everything", address);
        return RD_OK;
    }
    server->misconfigured = true;
    return rd_check_refuse_exposed(address, ret_error);
}

/* ---- starting --------------------------------------------------------------------------------------------- */

static enum rd_status init_endpoints(struct server *server, struct rd_error *ret_error)
{
    unsigned loops = (unsigned)server->config->loops;
    if (!endpoint_init(&server->binary, loops) || !endpoint_init(&server->http, loops) ||
        !endpoint_init(&server->redis, loops) || !endpoint_init(&server->unix_socket, 1))
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the sockets");
    return rd_systemd_take_sockets(&server->handed_over, ret_error);
}

static enum rd_status start_compactor(struct server *server, struct rd_error *ret_error)
{
    enum rd_status status =
        rd_compactor_create(server->stores, rd_reload_compactor_tuning(server->config), &server->compactor);
    return status == RD_OK ? RD_OK : rd_error_set(ret_error, status, 0, "the compactor's thread cannot be made");
}

/* Addresses first: one that is in use should not cost a recovery. Nobody can connect before listen. */
static enum rd_status open_all(struct server *server, struct rd_error *ret_error)
{
    const struct rd_config *config = server->config;
    enum rd_status status = load_tokens(server, ret_error);
    if (status == RD_OK)
        status = init_endpoints(server, ret_error);
    if (status == RD_OK)
        status = bind_tcp(server, &server->binary, "binary", &config->listen, ret_error);
    if (status == RD_OK)
        status = bind_tcp(server, &server->http, "http", &config->http, ret_error);
    if (status == RD_OK)
        status = bind_tcp(server, &server->redis, "redis", &config->redis, ret_error);
    if (status == RD_OK)
        status = bind_unix(server, ret_error);
    if (status == RD_OK)
        status = check_exposure(server, ret_error);
    unsigned unclaimed = rd_systemd_close_unclaimed(&server->handed_over);
    if (unclaimed != 0)
        rd_log(RD_LOG_WARN,
               "%u sockets of the service manager are not used: neither their FileDescriptorName (binary, http, "
               "redis) nor "
               "their port is one of ours",
               unclaimed);
    if (status == RD_OK)
        status = rd_stores_open(config, &server->process, &server->stores, ret_error);
    if (status == RD_OK)
        status = start_compactor(server, ret_error);
    if (status == RD_OK)
        status = init_loops(server, ret_error);
    return status;
}

static enum rd_status start_serving(struct server *server, struct rd_error *ret_error)
{
    enum rd_status status = listen_on(&server->binary, ret_error);
    if (status == RD_OK)
        status = listen_on(&server->http, ret_error);
    if (status == RD_OK)
        status = listen_on(&server->redis, ret_error);
    if (status == RD_OK)
        status = listen_on(&server->unix_socket, ret_error);
    if (status == RD_OK)
        status = add_listeners(server, &server->binary, &rd_binary_codec, false, ret_error);
    if (status == RD_OK)
        status = add_listeners(server, &server->http, &rd_http_codec, false, ret_error);
    if (status == RD_OK)
        status = add_listeners(server, &server->redis, &rd_redis_codec, false, ret_error);
    if (status == RD_OK)
        status = add_listeners(server, &server->unix_socket, NULL, true, ret_error);
    if (status == RD_OK)
        status = write_port_file(server, ret_error);
    if (status == RD_OK)
        status = start_threads(server, ret_error);
    return status;
}

static void on_late_signal(int number)
{
    (void)number;
    _exit(1);
}

/* The loop that watched them has ended, and with it libuv's handlers: without others a reload that comes now would
 * end the process, while other loops still answer or stores are being closed. */
static void watch_late_signals(void)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, on_late_signal);
    signal(SIGINT, on_late_signal);
}

/* Also after a start that failed: the loops that are initialised are told to stop and run to their end. */
static void run_loops(struct server *server)
{
    for (unsigned i = 0; i < server->loops_ready; i++) {
        if (i == 0 || i > server->threads_started)
            rd_loop_run(&server->loops[i]);
        if (i == 0)
            watch_late_signals();
    }
    for (unsigned i = 1; i <= server->threads_started; i++)
        uv_thread_join(&server->threads[i]);
}

static void close_all(struct server *server)
{
    if (server->port_file_written)
        unlink(server->config->port_file);
    unlink_unix_socket(server);
    rd_compactor_destroy(server->compactor);
    rd_pool_destroy(server->pool);
    rd_stores_close(server->stores);
    for (unsigned i = 0; i < server->loops_ready; i++)
        rd_loop_deinit(&server->loops[i]);
    rd_tls_destroy(server->tls);
    for (unsigned i = 0; server->loops != NULL && i < server->config->loops; i++)
        rd_auth_view_deinit(&server->loops[i].auth);
    rd_auth_destroy(server->auth);
    endpoint_deinit(&server->binary);
    endpoint_deinit(&server->http);
    endpoint_deinit(&server->redis);
    endpoint_deinit(&server->unix_socket);
    free(server->threads);
    free(server->loops);
}

int rd_server_run(struct rd_config *config, const struct rd_config_sources *sources)
{
    struct server server = {.config = config, .process.started_s = (uint64_t)time(NULL)};
    server.process.memory_bytes = rd_memory_limit();
    atomic_init(&server.process.saved_s, server.process.started_s);
    rd_reload_budgets(&server.process, config);
    struct rd_error error = {.status = RD_OK};
    running = &server;
    prepare_process();
    rd_json_init();
    enum rd_status status = config->tls_cert[0] == '\0'
                                ? RD_OK
                                : rd_tls_create(config->tls_cert, config->tls_key, &server.tls, &error);
    if (status != RD_OK) {
        rd_log(RD_LOG_ERROR, "%s", error.message);
        return 2;
    }
    status = open_all(&server, &error);
    if (status == RD_OK)
        status = start_serving(&server, &error);
    if (status == RD_OK) {
        server.reload = (struct rd_reload){.config = config,
                                           .sources = sources,
                                           .stores = server.stores,
                                           .compactor = server.compactor,
                                           .tls = server.tls,
                                           .auth = server.auth,
                                           .loops = server.loops,
                                           .loop_count = server.loops_ready,
                                           .process = &server.process};
        rd_systemd_notify("READY=1");
        rd_log(RD_LOG_INFO, "rdrived %s serves %s: binary %s, http %s%s%s%s%s", RD_VERSION, config->data_dir,
               server.binary.text, server.http.text, server.redis.text[0] != '\0' ? ", redis " : "",
               server.redis.text, server.unix_socket.text[0] != '\0' ? ", unix " : "", server.unix_socket.text);
    } else {
        rd_log(RD_LOG_ERROR, "%s", error.message);
        for (unsigned i = 0; i < server.loops_ready; i++)
            rd_loop_request_stop(&server.loops[i]);
    }
    run_loops(&server);
    close_all(&server);
    if (status == RD_OK)
        rd_log(RD_LOG_INFO, "stopped");
    if (status == RD_OK)
        return 0;
    return server.misconfigured ? 2 : 1;
}

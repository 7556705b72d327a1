/* SPDX-License-Identifier: MIT */
#include "server/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/auth.h"
#include "server/compactor.h"
#include "server/deferred.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/systemd.h"
#include "server/tls.h"

struct rd_loop_tuning rd_reload_loop_tuning(const struct rd_config *config)
{
    struct rd_loop_tuning tuning = {
        .limits = RD_LIMITS_DEFAULT,
        .connections_max = (unsigned)config->connections_max,
        .connection_bytes_max = config->connection_bytes_max,
        .value_len_max = config->value_len_max,
        .stall_ms = config->stall_ms,
        .idle_ms = config->idle_ms,
        .header_ms = config->header_ms,
        .rate_min = config->rate_min,
        .rate_window_ms = config->rate_window_ms,
        .slow_ns = config->slow_log_ms * 1000000,
    };
    tuning.http_hosts = config->http_hosts;
    rd_hosts_learn_own(&tuning.http_hosts);
    struct rd_limits *limits = &tuning.limits;
    limits->body_len_max = (uint32_t)config->frame_len_max;
    limits->header_len_max = (uint32_t)config->header_len_max;
    limits->key_len_max = (uint32_t)config->key_len_max;
    limits->batch_count_max = (uint32_t)config->batch_count_max;
    limits->in_flight_max = (uint32_t)config->requests_max;
    limits->json_len_max = RD_DEFERRED_LEN_MIN;
    return tuning;
}

struct rd_compactor_tuning rd_reload_compactor_tuning(const struct rd_config *config)
{
    return (struct rd_compactor_tuning){.rate = config->compact_rate << 20,
                                        .dead_percent = config->compact_dead_percent};
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* One part of the server that heeds the configuration at run time. */
struct step {
    /* NULL: there is nothing that could fail. RD_OK: what was prepared is kept until apply or discard. */
    enum rd_status (*prepare)(struct rd_reload *reload, const struct rd_config *fresh, struct rd_error *ret_error);
    void (*apply)(struct rd_reload *reload, const struct rd_config *fresh);
    void (*discard)(struct rd_reload *reload); /* NULL with prepare */
};

void rd_reload_budgets(struct rd_process *process, const struct rd_config *config)
{
    atomic_store_explicit(&process->memory.max, config->request_bytes_max, memory_order_relaxed);
    atomic_store_explicit(&process->spools.max, config->spool_bytes_max, memory_order_relaxed);
}

static void apply_log(struct rd_reload *reload, const struct rd_config *fresh)
{
    (void)reload;
    rd_log_set_level(fresh->log_level);
    rd_log_set_format(fresh->log_format);
}

static void apply_loops(struct rd_reload *reload, const struct rd_config *fresh)
{
    struct rd_loop_tuning tuning = rd_reload_loop_tuning(fresh);
    for (unsigned i = 0; i < reload->loop_count; i++)
        rd_loop_tune(&reload->loops[i], &tuning);
    rd_reload_budgets(reload->process, fresh);
}

static void apply_compactor(struct rd_reload *reload, const struct rd_config *fresh)
{
    rd_compactor_tune(reload->compactor, rd_reload_compactor_tuning(fresh));
}

/* Whether TCP speaks TLS at all is decided at the start. */
static bool switches_tls(const struct rd_reload *reload, const struct rd_config *fresh)
{
    return (reload->tls != NULL) != (fresh->tls_cert[0] != '\0');
}

static bool replaces_certificate(const struct rd_reload *reload, const struct rd_config *fresh)
{
    return reload->tls != NULL && fresh->tls_cert[0] != '\0';
}

static enum rd_status prepare_tls(struct rd_reload *reload, const struct rd_config *fresh,
                                  struct rd_error *ret_error)
{
    if (replaces_certificate(reload, fresh))
        return rd_tls_prepare(reload->tls, fresh->tls_cert, fresh->tls_key, ret_error);
    if (switches_tls(reload, fresh))
        rd_log(RD_LOG_WARN, "reload: to begin or to end with TLS needs a restart");
    return RD_OK;
}

static void adopt_tls(struct rd_reload *reload, const struct rd_config *fresh)
{
    if (!replaces_certificate(reload, fresh))
        return;
    rd_tls_adopt(reload->tls);
    rd_log(RD_LOG_INFO, "reload: new connections get the certificate that is in %s now", fresh->tls_cert);
}

static void discard_tls(struct rd_reload *reload)
{
    if (reload->tls != NULL)
        rd_tls_discard(reload->tls);
}

/* Whether tokens are asked for at all is decided at the start, too. */
static bool switches_tokens(const struct rd_reload *reload, const struct rd_config *fresh)
{
    return rd_auth_is_on(reload->auth) != (fresh->tokens[0] != '\0');
}

static bool replaces_tokens(const struct rd_reload *reload, const struct rd_config *fresh)
{
    return rd_auth_is_on(reload->auth) && fresh->tokens[0] != '\0';
}

static enum rd_status prepare_tokens(struct rd_reload *reload, const struct rd_config *fresh,
                                     struct rd_error *ret_error)
{
    if (replaces_tokens(reload, fresh))
        return rd_auth_prepare(reload->auth, fresh->tokens, ret_error);
    if (switches_tokens(reload, fresh))
        rd_log(RD_LOG_WARN, "reload: to begin or to end with tokens needs a restart");
    return RD_OK;
}

static void adopt_tokens(struct rd_reload *reload, const struct rd_config *fresh)
{
    if (!replaces_tokens(reload, fresh))
        return;
    rd_auth_adopt(reload->auth);
    rd_log(RD_LOG_INFO, "reload: the tokens are those that are in %s now", fresh->tokens);
}

static void discard_tokens(struct rd_reload *reload)
{
    rd_auth_discard(reload->auth);
}

/* Takes memory, and that may fail; then nothing has changed either. */
static enum rd_status configure_stores(struct rd_reload *reload, const struct rd_config *fresh,
                                       struct rd_error *ret_error)
{
    return rd_stores_configure(reload->stores, fresh, ret_error);
}

/* In this order; the last one's prepare may apply at once, as nothing behind it can fail. */
static const struct step steps[] = {
    {NULL, apply_log, NULL},
    {prepare_tls, adopt_tls, discard_tls},
    {prepare_tokens, adopt_tokens, discard_tokens},
    {NULL, apply_loops, NULL},
    {NULL, apply_compactor, NULL},
    {configure_stores, NULL, NULL},
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static enum rd_status prepare_all(struct rd_reload *reload, const struct rd_config *fresh,
                                  struct rd_error *ret_error)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        enum rd_status status = steps[i].prepare != NULL ? steps[i].prepare(reload, fresh, ret_error) : RD_OK;
        if (status == RD_OK)
            continue;
        while (i-- != 0)
            if (steps[i].discard != NULL)
                steps[i].discard(reload);
        return status;
    }
    return RD_OK;
}

/* ---- what is said about it -------------------------------------------------------------------------------- */

struct summary {
    unsigned applied;
    unsigned refused;
    bool tls;    /* is begun or ended: was told and counted as one */
    bool tokens; /* likewise */
};

static bool is_counted(const struct summary *summary, const char *name)
{
    return (summary->tls && (strcmp(name, "tls_cert") == 0 || strcmp(name, "tls_key") == 0)) ||
           (summary->tokens && strcmp(name, "tokens") == 0);
}

static void note_change(void *context, const char *name, bool at_run_time)
{
    struct summary *summary = context;
    if (is_counted(summary, name))
        return;
    summary->applied += at_run_time;
    summary->refused += !at_run_time;
    if (at_run_time)
        rd_log(RD_LOG_INFO, "reload: %s has changed", name);
    else
        rd_log(RD_LOG_WARN, "reload: %s has changed and needs a restart", name);
}

/* What a restart is needed for stays as it was, so that the next reload says it again. */
static void adopt(struct rd_reload *reload, struct rd_config *fresh)
{
    struct summary summary = {.tls = switches_tls(reload, fresh), .tokens = switches_tokens(reload, fresh)};
    summary.refused = (unsigned)summary.tls + (unsigned)summary.tokens;
    rd_config_compare(reload->config, fresh, note_change, &summary);
    rd_config_adopt(reload->config, fresh);
    rd_log(RD_LOG_INFO, "reloaded: %u settings changed, %u need a restart", summary.applied, summary.refused);
}

static void tell_begin(void)
{
    struct timespec now;
    char state[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    rd_systemd_notify(state);
}

/* ---- the way ---------------------------------------------------------------------------------------------- */

static enum rd_status run(struct rd_reload *reload, struct rd_error *ret_error)
{
    struct rd_config fresh;
    if (rd_config_load(reload->sources, &fresh, ret_error) != RD_CONFIG_RUN)
        return ret_error->status;
    enum rd_status status = prepare_all(reload, &fresh, ret_error);
    for (size_t i = 0; status == RD_OK && i < STEP_COUNT; i++)
        if (steps[i].apply != NULL)
            steps[i].apply(reload, &fresh);
    if (status == RD_OK)
        adopt(reload, &fresh);
    rd_config_deinit(&fresh);
    return status;
}

void rd_reload_run(struct rd_reload *reload)
{
    struct rd_error error = {.status = RD_OK};
    tell_begin();
    if (run(reload, &error) != RD_OK)
        rd_log(RD_LOG_ERROR, "reload: nothing has changed: %s", error.message);
    rd_systemd_notify("READY=1");
}

/* SPDX-License-Identifier: MIT */
#include "clients/bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "clients/bench/channel.h"

#define NS_PER_S       UINT64_C(1000000000)
#define NS_PER_MS      UINT64_C(1000000)
#define EVENTS_MAX     256
#define TICK_MS        200
#define SILENCE_NS_MAX (60 * NS_PER_S) /* without any answer; then the run is given up */

struct load {
    const struct rd_plan *plan;
    struct rd_load_result *result;
    struct rd_channel_traffic traffic;
    struct rd_channel *channels; /* owned; as many as the plan's clients */
    uint32_t opened_count;       /* of these */
    uint32_t live_count;
    int epoll_fd;
    int timer_fd;           /* fixed rate; else -1 */
    uint64_t begin_ns;      /* monotonic clock, as all of these */
    uint64_t stop_ns;       /* no request is started, or due, from then on */
    uint64_t progress_ns;   /* the last answer */
    uint64_t started_count; /* requests */
    uint64_t in_flight;     /* requests */
    uint64_t free_count;    /* slots of live channels */
    uint32_t turn;          /* fixed rate: the channel that is asked first for a free slot */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- what is to be started -------------------------------------------------------------------------------- */

/* When the next request of a fixed rate is due. */
static uint64_t due_ns(const struct load *load)
{
    return load->begin_ns + (uint64_t)((double)load->started_count * (double)NS_PER_S / load->plan->rate);
}

static bool is_over(const struct load *load, uint64_t now)
{
    return now >= load->stop_ns || load->started_count >= load->plan->request_max;
}

/* Whether there is, or will be, one more to start. */
static bool has_more(const struct load *load, uint64_t now)
{
    return !is_over(load, now) && (load->plan->rate == 0 || due_ns(load) < load->stop_ns);
}

static void start(struct load *load, struct rd_channel *channel, uint64_t begin_ns)
{
    rd_channel_start(channel, &load->traffic, begin_ns);
    load->started_count++;
    load->in_flight++;
    load->free_count--;
}

/* ---- the end of a connection ------------------------------------------------------------------------------ */

static void note(struct load *load, const char *message)
{
    if (load->result->error[0] == '\0')
        snprintf(load->result->error, sizeof load->result->error, "%s", message);
}

/* What was under way on it will never be answered. */
static void lose(struct load *load, struct rd_channel *channel)
{
    uint64_t under_way = load->plan->depth - channel->free_count;
    note(load, channel->parser.message[0] != '\0' ? channel->parser.message : "connection lost");
    load->result->error_count += under_way * load->plan->batch_count;
    load->result->lost_count++;
    load->in_flight -= under_way;
    load->free_count -= channel->free_count;
    channel->free_count = 0;
    channel->dirty = false;
    rd_pipe_close(&channel->pipe);
    load->live_count--;
}

static void watch_for(struct load *load, struct rd_channel *channel, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = channel};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, channel->pipe.fd, &event) != 0) {
        rd_dialect_note(&channel->parser, "epoll: %s", strerror(errno));
        lose(load, channel);
    }
}

static void flush(struct load *load, struct rd_channel *channel)
{
    channel->dirty = false;
    bool was_blocked = channel->blocked;
    if (!rd_channel_send(channel, &load->traffic))
        lose(load, channel);
    else if (channel->blocked != was_blocked)
        watch_for(load, channel, channel->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static void take_answer(struct load *load, struct rd_channel *channel, const struct rd_dialect_answer *answer,
                        const struct rd_channel_slot *slot, uint64_t now)
{
    struct rd_load_result *result = load->result;
    result->op_count += answer->done_count;
    result->miss_count += answer->miss_count;
    result->error_count += answer->error_count;
    result->value_bytes += answer->value_bytes;
    if (slot->writes)
        result->value_bytes += (uint64_t)answer->done_count * load->plan->value_len;
    if (answer->error_count != 0)
        note(load, channel->parser.message);
    rd_histogram_record(&result->latency_ns, now - slot->begin_ns);
    load->progress_ns = now;
    load->in_flight--;
    load->free_count++;
    if (load->plan->rate == 0 && !answer->last && has_more(load, now))
        start(load, channel, now);
}

static void on_input(struct load *load, struct rd_channel *channel)
{
    struct rd_slice input;
    if (!rd_channel_receive(channel, &load->traffic, &input)) {
        lose(load, channel);
        return;
    }
    uint64_t now = now_ns();
    struct rd_dialect_answer answer = {.last = false};
    const struct rd_channel_slot *slot;
    enum rd_dialect_parse parsed = RD_DIALECT_DONE;
    while (!answer.last &&
           (parsed = rd_channel_next(channel, &load->traffic, &input, &answer, &slot)) == RD_DIALECT_DONE)
        take_answer(load, channel, &answer, slot, now);
    if (parsed == RD_DIALECT_MORE) {
        flush(load, channel);
        return;
    }
    if (answer.last && channel->parser.message[0] == '\0')
        rd_dialect_note(&channel->parser, "the server closes the connection");
    lose(load, channel);
}

/* ---- a fixed rate ----------------------------------------------------------------------------------------- */

/* There is one. */
static struct rd_channel *next_with_room(struct load *load)
{
    for (;;) {
        struct rd_channel *channel = &load->channels[load->turn];
        load->turn = load->turn + 1 < load->plan->client_count ? load->turn + 1 : 0;
        if (channel->free_count != 0)
            return channel;
    }
}

/* Starts what is due, and sees to it that the timer wakes us for what will be. */
static void start_due(struct load *load)
{
    uint64_t now = now_ns();
    bool any = false;
    while (load->free_count != 0 && has_more(load, now) && due_ns(load) <= now) {
        struct rd_channel *channel = next_with_room(load);
        start(load, channel, due_ns(load));
        channel->dirty = true;
        any = true;
    }
    for (uint32_t i = 0; any && i < load->opened_count; i++)
        if (load->channels[i].dirty)
            flush(load, &load->channels[i]);
    struct itimerspec when = {.it_value.tv_sec = 0};
    if (load->free_count != 0 && has_more(load, now)) {
        uint64_t due = due_ns(load);
        when.it_value.tv_sec = (time_t)(due / NS_PER_S);
        when.it_value.tv_nsec = (long)(due % NS_PER_S);
    }
    (void)timerfd_settime(load->timer_fd, TFD_TIMER_ABSTIME, &when, NULL); /* a new time also unsets readiness */
}

/* What was due and had no chance to be sent has waited at least until now. */
static void count_late(struct load *load)
{
    uint64_t now = now_ns();
    uint64_t end_ns = now < load->stop_ns ? now : load->stop_ns;
    while (load->plan->rate != 0 && load->started_count < load->plan->request_max && due_ns(load) < end_ns) {
        rd_histogram_record(&load->result->latency_ns, now - due_ns(load));
        load->result->late_count++;
        load->started_count++;
    }
}

/* ---- a run ------------------------------------------------------------------------------------------------ */

/* Every connection is a descriptor. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* where it is not enough, socket() will say so */
}

static enum rd_status open_timer(struct load *load, struct rd_error *ret_error)
{
    struct epoll_event event = {.events = EPOLLIN};
    load->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load->timer_fd < 0 || epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, load->timer_fd, &event) != 0)
        return rd_error_set(ret_error, RD_UNAVAILABLE, errno, "cannot make a timer");
    return RD_OK;
}

static enum rd_status open_all(struct load *load, const struct rd_endpoint *endpoint, struct rd_error *ret_error)
{
    uint32_t count = load->plan->client_count;
    raise_file_limit();
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->channels = calloc(count, sizeof load->channels[0]);
    if (load->epoll_fd < 0 || load->channels == NULL)
        return rd_error_set(ret_error, RD_UNAVAILABLE, errno, "cannot begin");
    if (load->plan->rate != 0) {
        enum rd_status status = open_timer(load, ret_error);
        if (status != RD_OK)
            return status;
    }
    while (load->opened_count < count) {
        struct rd_channel *channel = &load->channels[load->opened_count++];
        enum rd_status status = rd_channel_open(channel, &load->traffic, endpoint, ret_error);
        if (status != RD_OK)
            return status;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = channel};
        if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, channel->pipe.fd, &event) != 0)
            return rd_error_set(ret_error, RD_UNAVAILABLE, errno, "epoll");
        load->free_count += channel->free_count;
    }
    load->live_count = count;
    return RD_OK;
}

static void begin(struct load *load)
{
    const struct rd_plan *plan = load->plan;
    load->begin_ns = now_ns();
    load->progress_ns = load->begin_ns;
    load->stop_ns =
        plan->seconds != 0 ? load->begin_ns + (uint64_t)(plan->seconds * (double)NS_PER_S) : UINT64_MAX;
    if (plan->rate != 0)
        return;
    for (uint32_t i = 0; i < plan->client_count; i++) {
        struct rd_channel *channel = &load->channels[i];
        uint64_t now = now_ns();
        while (channel->free_count != 0 && has_more(load, now))
            start(load, channel, now);
        flush(load, channel);
    }
}

/* The server has said nothing for too long. */
static void give_up(struct load *load)
{
    for (uint32_t i = 0; i < load->opened_count; i++) {
        struct rd_channel *channel = &load->channels[i];
        if (channel->pipe.fd < 0)
            continue;
        rd_dialect_note(&channel->parser, "no answer within %u s", (unsigned)(SILENCE_NS_MAX / NS_PER_S));
        lose(load, channel);
    }
}

/* At most until the next look at how far we are, or until the run's end. */
static int wait_ms(const struct load *load, uint64_t now)
{
    if (now >= load->stop_ns || load->stop_ns - now >= TICK_MS * NS_PER_MS)
        return TICK_MS;
    return (int)((load->stop_ns - now) / NS_PER_MS) + 1;
}

static void turn(struct load *load, uint64_t now)
{
    struct epoll_event events[EVENTS_MAX];
    if (load->plan->rate != 0)
        start_due(load);
    int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, wait_ms(load, now));
    for (int i = 0; i < count; i++) {
        struct rd_channel *channel = events[i].data.ptr;
        if (channel == NULL) /* the timer: what is due is started next */
            continue;
        if (channel->pipe.fd >= 0 && (events[i].events & EPOLLOUT) != 0)
            flush(load, channel);
        if (channel->pipe.fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            on_input(load, channel);
    }
}

static void run(struct load *load, rd_load_watch *watch)
{
    uint64_t watched_ns = 0;
    begin(load);
    for (;;) {
        uint64_t now = now_ns();
        if (load->live_count == 0)
            break;
        if (load->in_flight == 0)
            load->progress_ns = now; /* a slow rate: there is nothing to wait for */
        if (load->in_flight == 0 && is_over(load, now))
            break;
        if (now - load->progress_ns > SILENCE_NS_MAX)
            give_up(load);
        if (watch != NULL && now - watched_ns >= TICK_MS * NS_PER_MS) {
            load->result->seconds = (double)(now - load->begin_ns) / (double)NS_PER_S;
            watch(load->plan, load->result);
            watched_ns = now;
        }
        turn(load, now);
    }
    count_late(load);
    load->result->seconds = (double)(load->progress_ns - load->begin_ns) / (double)NS_PER_S;
}

enum rd_status rd_load_run(const struct rd_plan *plan, const struct rd_dialect *dialect,
                           const struct rd_endpoint *endpoint, rd_load_watch *watch,
                           struct rd_load_result *ret_result, struct rd_error *ret_error)
{
    struct load load = {.plan = plan, .result = ret_result, .epoll_fd = -1, .timer_fd = -1};
    const char *host = endpoint->unix_path != NULL ? "localhost" : endpoint->server;
    memset(ret_result, 0, sizeof *ret_result);
    enum rd_status status = rd_channel_traffic_init(&load.traffic, plan, dialect, host, ret_error);
    if (status == RD_OK)
        status = open_all(&load, endpoint, ret_error);
    if (status == RD_OK)
        run(&load, watch);
    for (uint32_t i = 0; i < load.opened_count; i++)
        rd_channel_close(&load.channels[i]);
    free(load.channels);
    if (load.timer_fd >= 0)
        close(load.timer_fd);
    if (load.epoll_fd >= 0)
        close(load.epoll_fd);
    rd_channel_traffic_deinit(&load.traffic);
    return status;
}

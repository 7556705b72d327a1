/* SPDX-License-Identifier: MIT
 *
 * top.c - rdrive top: asks the server for its metrics again and again, and shows what has changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clients/cli/readings.h"
#include "clients/cli/run.h"
#include "clients/cli/terminal.h"
#include "clients/cli/top_show.h"

#define INTERVAL_MS      2000u
#define INTERVAL_ONCE_MS 1000u

struct top {
    struct rd_run *run;         /* borrows */
    struct rd_backend *backend; /* borrows */
    struct rd_readings now;
    struct rd_readings before;
    double now_s; /* monotonic, when each was read */
    double before_s;
    struct rd_buffer text; /* what was shown last */
    bool away;             /* the last question had no answer; run->error says why */
};

static double clock_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum rd_status read_metrics(struct top *top)
{
    struct rd_response response;
    struct rd_readings readings;
    enum rd_status status =
        top->backend->calls->execute(top->backend, top->run->request, &response, &top->run->error);
    if (status == RD_OK)
        status = rd_readings_parse(response.value, &readings);
    top->away = status != RD_OK;
    if (status != RD_OK)
        return status;
    rd_readings_deinit(&top->before);
    top->before = top->now;
    top->before_s = top->now_s;
    top->now = readings;
    top->now_s = clock_s(CLOCK_MONOTONIC);
    return RD_OK;
}

static void make_text(struct top *top, unsigned rows)
{
    struct rd_top_view view = {
        .now = &top->now,
        .before = &top->before,
        .seconds = top->now_s - top->before_s,
        .clock_s = clock_s(CLOCK_REALTIME),
        .rows = rows,
    };
    rd_buffer_clear(&top->text);
    if (top->run->options->json)
        rd_top_show_json(&view, &top->text);
    else
        rd_top_show_table(&view, &top->text);
}

/* On a screen, or as the next lines of an output that goes elsewhere. */
static void show(struct top *top)
{
    unsigned rows = 0;
    unsigned columns;
    bool screen = rd_terminal_size(&rows, &columns);
    if (top->before_s != 0) {
        make_text(top, screen ? rows - 1 : 0);
        if (!screen)
            fwrite(top->text.data, 1, top->text.len, stdout);
        if (!screen && !top->run->options->json && !top->run->options->once)
            fputc('\n', stdout);
    }
    if (!screen) {
        fflush(stdout);
        return;
    }
    if (top->before_s == 0)
        rd_buffer_append_string(&top->text, "Rates come with the second look ...\n");
    if (top->away)
        rd_buffer_printf(&top->text, "The server does not answer: %s\n", top->run->error.message);
    rd_terminal_draw(rd_buffer_slice(&top->text));
    rd_buffer_clear(&top->text);
}

/* Looks, and goes on looking where a server that has answered once does not: it may be being restarted. */
static enum rd_status watch(struct top *top, uint64_t interval_ms)
{
    enum rd_status status = read_metrics(top);
    if (status != RD_OK)
        return status;
    show(top);
    for (;;) {
        enum rd_terminal_event event = rd_terminal_wait(interval_ms);
        if (event == RD_TERMINAL_QUIT || ferror(stdout))
            return RD_OK;
        if (event == RD_TERMINAL_TIME) {
            unsigned rows;
            status = read_metrics(top);
            if (status != RD_OK && !rd_terminal_size(&rows, &rows))
                return status;
        }
        show(top);
    }
}

static enum rd_status look_twice(struct top *top, uint64_t interval_ms)
{
    enum rd_status status = read_metrics(top);
    if (status != RD_OK || rd_terminal_wait(interval_ms) == RD_TERMINAL_QUIT)
        return status;
    status = read_metrics(top);
    if (status == RD_OK)
        show(top);
    return status;
}

int rd_run_top(struct rd_run *run, struct rd_backend *backend)
{
    const struct rd_options *options = run->options;
    struct top top = {.run = run, .backend = backend};
    uint64_t interval_ms = options->interval_ms;
    if (interval_ms == 0)
        interval_ms = options->once ? INTERVAL_ONCE_MS : INTERVAL_MS;
    rd_buffer_init(&top.text, 0);
    rd_terminal_begin(!options->once && !options->json);
    enum rd_status status = options->once ? look_twice(&top, interval_ms) : watch(&top, interval_ms);
    rd_terminal_end();
    rd_readings_deinit(&top.now);
    rd_readings_deinit(&top.before);
    rd_buffer_deinit(&top.text);
    if (status == RD_OK)
        return RD_EXIT_DONE;
    if (run->error.status == RD_OK)
        rd_error_set(&run->error, status, 0, "no memory for the metrics");
    return rd_run_fail(run);
}

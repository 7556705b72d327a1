/* SPDX-License-Identifier: MIT
 *
 * storm.c - the load of the rigs that cut a daemon off, and the judge of what is left. It starts and stops
 * nothing: who does tells it, a line at a time on standard input, and gets a line back.
 *
 *   new SEED                                   all stores are new and empty
 *   load BINARY HTTP [large|compacted]         "loading" at once, then work until every connection is lost, then
 *                                              "lost SENT ANSWERED STORES_MADE"; large: one of the clients uploads
 * 17 MiB check BINARY kill                          "ok ..." or "fail WHY" check BINARY power AT_NS INTERVAL_MS
 * SLACK_MS the same after a power cut at that time (CLOCK_MONOTONIC)
 *
 * 16 clients, of which four speak HTTP, in three stores: synced, timed (interval) and unsynced (none). One more
 * makes stores and drops them.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rigs/load/founder.h"
#include "tests/rigs/load/inspect.h"

#define CLIENT_COUNT      16u
#define HTTP_CLIENT_COUNT 4u
#define BINARY_DEPTH      12u
#define HTTP_DEPTH        6u
#define MS_NS             UINT64_C(1000000)

struct storm {
    uv_loop_t loop;
    struct client clients[CLIENT_COUNT];
    struct founder founder;
    unsigned connected; /* clients with a connection that is not lost */
    uint64_t stamp_number;
    struct dice dice;
};

static struct storm storm;

static void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static void start_anew(uint64_t seed)
{
    storm.dice.state = seed;
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        struct client *client = &storm.clients[i];
        bool http = i < HTTP_CLIENT_COUNT;
        ledger_deinit(&client->keeper.ledger);
        *client = (struct client){.depth = http ? HTTP_DEPTH : BINARY_DEPTH};
        keeper_init(&client->keeper, i, http, &storm.stamp_number);
        client->keeper.dice.state = dice_next(&storm.dice);
    }
    founder_forget(&storm.founder);
    say("ok");
}

/* ---- load ------------------------------------------------------------------------------------------------- */

static void on_lost(void *context)
{
    (void)context;
    if (--storm.connected != 0)
        return;
    for (unsigned i = 0; i < CLIENT_COUNT; i++)
        client_stop(&storm.clients[i]);
    founder_stop(&storm.founder);
}

static void load(const char *binary, const char *http, bool large, bool compacted)
{
    uint64_t sent = 0;
    uint64_t answered = 0;
    unsigned chosen = (unsigned)dice_below(&storm.dice, CLIENT_COUNT);
    say("loading");
    storm.connected = CLIENT_COUNT + 1;
    storm.founder.on_lost = on_lost;
    founder_start(&storm.founder, &storm.loop, binary);
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        struct client *client = &storm.clients[i];
        client->on_lost = on_lost;
        client->keeper.ledger.tails_shift = compacted;
        client_start(client, &storm.loop, client->keeper.http ? http : binary, large && i == chosen);
    }
    uv_run(&storm.loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        sent += storm.clients[i].sent;
        answered += storm.clients[i].answered;
    }
    char line[80];
    snprintf(line, sizeof line, "lost %" PRIu64 " %" PRIu64 " %" PRIu64, sent, answered, storm.founder.made_count);
    storm.founder.made_count = 0;
    say(line);
}

/* ---- check ------------------------------------------------------------------------------------------------ */

static void check(const char *binary, const struct ledger_cut *cut)
{
    struct findings findings;
    char line[1200];
    bool good = inspect(&storm.loop, binary, storm.clients, CLIENT_COUNT, cut, &findings);
    if (!founder_check(&storm.founder, &storm.loop, binary, cut->power ? cut->at_ns : UINT64_MAX))
        snprintf(line, sizeof line, "fail %s", storm.founder.text);
    else if (good)
        snprintf(line, sizeof line, "ok %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, findings.kept,
                 findings.gone, findings.answered_gone, findings.entries);
    else
        snprintf(line, sizeof line, "fail %s", findings.text);
    say(line);
}

/* ---- commands --------------------------------------------------------------------------------------------- */

static bool obey(char *line)
{
    char first[80];
    char second[80];
    char third[16] = "";
    uint64_t at_ns;
    uint64_t interval_ms;
    uint64_t slack_ms;
    if (sscanf(line, "new %" SCNu64, &at_ns) == 1) {
        start_anew(at_ns);
    } else if (sscanf(line, "load %79s %79s %15s", first, second, third) >= 2) {
        load(first, second, strcmp(third, "large") == 0, strcmp(third, "compacted") == 0);
    } else if (sscanf(line, "check %79s power %" SCNu64 " %" SCNu64 " %" SCNu64, first, &at_ns, &interval_ms,
                      &slack_ms) == 4) {
        struct ledger_cut cut = {true, at_ns, (interval_ms + slack_ms) * MS_NS};
        check(first, &cut);
    } else if (sscanf(line, "check %79s %15s", first, third) == 2 && strcmp(third, "kill") == 0) {
        struct ledger_cut cut = {.power = false};
        check(first, &cut);
    } else {
        return false;
    }
    return true;
}

int main(void)
{
    char line[512];
    signal(SIGPIPE, SIG_IGN); /* sockets of daemons that are no more */
    if (uv_loop_init(&storm.loop) != 0)
        return 2;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!obey(line)) {
            fprintf(stderr, "what is: %s", line);
            return 2;
        }
    }
    for (unsigned i = 0; i < CLIENT_COUNT; i++)
        ledger_deinit(&storm.clients[i].keeper.ledger);
    founder_forget(&storm.founder);
    return uv_loop_close(&storm.loop) != 0;
}

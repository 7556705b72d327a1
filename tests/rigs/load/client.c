/* SPDX-License-Identifier: MIT */
#include "tests/rigs/load/client.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t client_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void send_next(struct client *client, struct errand *errand);

static void complain(struct client *client, const char *what, const struct rdrive_request *request)
{
    client->complaint_ns = client_now_ns();
    if (client->complaint[0] == '\0')
        snprintf(client->complaint, sizeof client->complaint, "client %u, %s: %s: %s, %s", client->keeper.number,
                 rdrive_operation_name(request->operation), what, rdrive_status_name(request->status),
                 request->message);
}

/* What a disk that has gone away makes of requests; whether it had, is seen to later. */
static bool is_trouble(enum rdrive_status status)
{
    return status == RDRIVE_IO_ERROR || status == RDRIVE_CORRUPT || status == RDRIVE_UNAVAILABLE ||
           status == RDRIVE_NO_SPACE;
}

static void note_trouble(struct client *client, const struct rdrive_request *request)
{
    client->over = true;
    if (client->trouble_ns != 0)
        return;
    client->trouble_ns = client_now_ns();
    snprintf(client->trouble, sizeof client->trouble, "client %u, %s: %s, %s", client->keeper.number,
             rdrive_operation_name(request->operation), rdrive_status_name(request->status), request->message);
}

static void on_complete(struct rdrive_request *request)
{
    struct errand *errand = (struct errand *)request;
    struct client *client = request->data;
    if (!door_is_up(client->door)) {
        client->over = true;
    } else if (is_trouble(request->status)) {
        note_trouble(client, request);
    } else if (client->complaint[0] == '\0') {
        client->answered++;
        client->complaint_ns = client_now_ns();
        if (!errand_judge(errand, client->complaint_ns, client->complaint, sizeof client->complaint))
            client->over = true;
    }
    errand_clear(errand);
    if (!client->over)
        send_next(client, errand);
}

/* The end goes with the last bytes; what is sent after it comes after it. */
static void on_room(struct rdrive_request *request)
{
    struct errand *errand = (struct errand *)request;
    errand->pushed_len +=
        rdrive_stream_push(request, errand->value + errand->pushed_len, errand->value_len - errand->pushed_len);
    if (!errand->streams || errand->pushed_len < errand->value_len)
        return;
    errand->streams = false;
    rdrive_stream_end(request);
    errand_sent(errand);
}

static void send_next(struct client *client, struct errand *errand)
{
    errand->keeper = &client->keeper;
    errand_choose(errand, client->large);
    client->large = false;
    errand->request.on_complete = on_complete;
    errand->request.on_room = on_room;
    errand->request.data = client;
    errand->request.status = door_submit(client->door, &errand->request);
    if (errand->request.status != RDRIVE_OK) {
        client->over = true;
        if (errand->request.status != RDRIVE_UNAVAILABLE)
            complain(client, "not taken", &errand->request);
        errand_clear(errand);
        return;
    }
    client->sent++;
    if (!errand->streams)
        errand_sent(errand);
}

static void on_lost(void *context)
{
    struct client *client = context;
    client->over = true;
    client->on_lost(client->context);
}

void client_start(struct client *client, uv_loop_t *loop, const char *address, bool large)
{
    struct door_options options = {
        .address = address, .http = client->keeper.http, .on_lost = on_lost, .context = client};
    client->door = door_open(loop, &options);
    client->over = false;
    client->large = large;
    client->sent = 0;
    client->answered = 0;
    for (unsigned i = 0; i < client->depth && !client->over; i++)
        send_next(client, &client->errands[i]);
}

void client_stop(struct client *client)
{
    door_close(client->door);
    client->door = NULL;
}

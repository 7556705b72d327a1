/* SPDX-License-Identifier: MIT */
#include "tests/rigs/load/door.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/rigs/load/http_door.h"

struct door {
    struct door_options options;
    struct http_door *http; /* one of the two */
    struct rdrive_connection *binary;
    bool closing;
};

static void tell_lost(void *context)
{
    struct door *door = context;
    if (!door->closing)
        door->options.on_lost(door->options.context);
}

static void on_state(struct rdrive_connection *connection, enum rdrive_connection_state state)
{
    if (state == RDRIVE_CONNECTION_CLOSED)
        tell_lost(rdrive_connection_data(connection));
}

struct door *door_open(uv_loop_t *loop, const struct door_options *options)
{
    struct door *door = calloc(1, sizeof *door);
    if (door == NULL)
        abort();
    door->options = *options;
    if (options->http) {
        door->http = http_door_open(loop, options->address, tell_lost, door);
        return door;
    }
    struct rdrive_connection_options binary = {.server = options->address, .on_state = on_state, .data = door};
    if (rdrive_connection_create(loop, &binary, &door->binary) != RDRIVE_OK) {
        fprintf(stderr, "no connection to %s\n", options->address);
        exit(2);
    }
    return door;
}

enum rdrive_status door_submit(struct door *door, struct rdrive_request *request)
{
    return door->http != NULL ? http_door_submit(door->http, request) : rdrive_submit(door->binary, request);
}

bool door_is_up(const struct door *door)
{
    return door->http != NULL ? http_door_is_up(door->http)
                              : rdrive_connection_state(door->binary) == RDRIVE_CONNECTION_OPEN;
}

void door_close(struct door *door)
{
    door->closing = true;
    if (door->http != NULL)
        http_door_close(door->http, free, door);
    else
        rdrive_connection_close(door->binary, free);
}

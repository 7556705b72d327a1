/* SPDX-License-Identifier: MIT */
#include "tests/rigs/load/founder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rigs/load/client.h"

#define ALIVE_MAX 3u /* older stores are dropped */

static void ask(struct founder *founder, enum rdrive_operation operation, uint32_t number,
                rdrive_request_cb *on_complete)
{
    snprintf(founder->name, sizeof founder->name, "made-%" PRIu32, number);
    founder->request = (struct rdrive_request){
        .operation = operation,
        .on_complete = on_complete,
        .store = founder->name,
        .key = rdrive_key_of_string("only"),
        .value = founder->value,
        .value_len = sizeof founder->value,
        .durability = operation == RDRIVE_OP_WRITE ? RDRIVE_DURABILITY_SYNC : RDRIVE_DURABILITY_DEFAULT,
        .settings = operation == RDRIVE_OP_CREATE && number % 2 == 0 ? "{\"durability\":\"none\"}" : NULL,
    };
    founder->request.status = door_submit(founder->door, &founder->request);
}

static struct founded *newest(struct founder *founder)
{
    return &founder->stores[founder->count - 1];
}

/* ---- making and dropping ---------------------------------------------------------------------------------- */

/* The oldest that lives, if there are more than may; NULL: none. */
static struct founded *next_to_drop(struct founder *founder)
{
    struct founded *oldest = NULL;
    unsigned alive = 0;
    for (size_t i = 0; i < founder->count; i++) {
        if (founder->stores[i].dropping)
            continue;
        alive++;
        if (oldest == NULL)
            oldest = &founder->stores[i];
    }
    return alive > ALIVE_MAX ? oldest : NULL;
}

/* A failure ends the load of this client: the disk is gone, which the other clients judge. */
static bool is_done(const struct founder *founder)
{
    return founder->door != NULL && door_is_up(founder->door) && founder->request.status == RDRIVE_OK;
}

static void make_next(struct founder *founder);

static void on_dropped(struct rdrive_request *request)
{
    struct founder *founder = (struct founder *)request;
    if (!is_done(founder))
        return;
    for (size_t i = 0; i < founder->count; i++)
        if (founder->stores[i].dropping && founder->stores[i].dropped_ns == UINT64_MAX)
            founder->stores[i].dropped_ns = client_now_ns();
    make_next(founder);
}

static void on_written(struct rdrive_request *request)
{
    struct founder *founder = (struct founder *)request;
    if (!is_done(founder))
        return;
    newest(founder)->written_ns = client_now_ns();
    struct founded *old = next_to_drop(founder);
    if (old == NULL) {
        make_next(founder);
        return;
    }
    old->dropping = true;
    ask(founder, RDRIVE_OP_DROP, old->number, on_dropped);
}

static void on_made(struct rdrive_request *request)
{
    struct founder *founder = (struct founder *)request;
    if (!is_done(founder))
        return;
    struct stamp stamp = {.number = newest(founder)->number};
    newest(founder)->made_ns = client_now_ns();
    founder->made_count++;
    stamp_fill(&stamp, founder->value, sizeof founder->value);
    ask(founder, RDRIVE_OP_WRITE, newest(founder)->number, on_written);
}

static void make_next(struct founder *founder)
{
    if (founder->count == founder->capacity) {
        founder->capacity = founder->capacity == 0 ? 64 : 2 * founder->capacity;
        founder->stores = realloc(founder->stores, founder->capacity * sizeof *founder->stores);
        if (founder->stores == NULL)
            abort();
    }
    founder->stores[founder->count++] = (struct founded){.number = ++founder->next_number,
                                                         .made_ns = UINT64_MAX,
                                                         .written_ns = UINT64_MAX,
                                                         .dropped_ns = UINT64_MAX};
    ask(founder, RDRIVE_OP_CREATE, newest(founder)->number, on_made);
}

static void on_lost(void *context)
{
    struct founder *founder = context;
    founder->on_lost(founder->context);
}

void founder_start(struct founder *founder, uv_loop_t *loop, const char *address)
{
    struct door_options options = {.address = address, .on_lost = on_lost, .context = founder};
    founder->door = door_open(loop, &options);
    make_next(founder);
}

void founder_stop(struct founder *founder)
{
    door_close(founder->door);
    founder->door = NULL;
}

void founder_forget(struct founder *founder)
{
    free(founder->stores);
    *founder = (struct founder){.on_lost = founder->on_lost, .context = founder->context};
}

/* ---- looking ---------------------------------------------------------------------------------------------- */

static void on_read(struct rdrive_request *request);

static void read_next(struct founder *founder)
{
    while (founder->looked < founder->count && !founder->stores[founder->looked].present)
        founder->looked++;
    if (founder->looked == founder->count)
        founder_stop(founder);
    else
        ask(founder, RDRIVE_OP_READ, founder->stores[founder->looked].number, on_read);
}

static void on_read(struct rdrive_request *request)
{
    struct founder *founder = (struct founder *)request;
    struct founded *store = &founder->stores[founder->looked++];
    struct stamp stamp = {.number = 0};
    store->whole = request->status == RDRIVE_OK &&
                   stamp_read(request->result.value.data, request->result.value.len, &stamp) &&
                   stamp.number == store->number;
    bool absent = request->status == RDRIVE_KEY_NOT_FOUND;
    if (!store->whole && !(absent && store->written_ns >= founder->until_ns))
        snprintf(founder->text, sizeof founder->text, "made-%" PRIu32 ": %s %s", store->number,
                 rdrive_status_name(request->status), request->message);
    rdrive_request_free_results(request);
    read_next(founder);
}

static void note_present(struct founder *founder, const struct rdrive_store_info *info)
{
    uint32_t number;
    if (sscanf(info->name, "made-%" SCNu32, &number) != 1)
        return;
    if (info->state != RDRIVE_STORE_OPEN)
        snprintf(founder->text, sizeof founder->text, "%s is not open: %s", info->name, info->reason);
    for (size_t i = 0; i < founder->count; i++)
        if (founder->stores[i].number == number)
            founder->stores[i].present = true;
}

static void on_listed(struct rdrive_request *request)
{
    struct founder *founder = (struct founder *)request;
    if (request->status != RDRIVE_OK)
        snprintf(founder->text, sizeof founder->text, "stores: %s", request->message);
    for (size_t i = 0; request->status == RDRIVE_OK && i < request->result.stores.count; i++)
        note_present(founder, &request->result.stores.items[i]);
    rdrive_request_free_results(request);
    founder->looked = 0;
    read_next(founder);
}

static void judge(struct founder *founder, const struct founded *store)
{
    if (store->made_ns < founder->until_ns && !store->dropping && !store->present)
        snprintf(founder->text, sizeof founder->text, "made-%" PRIu32 " was made and is not there", store->number);
    if (store->dropped_ns < founder->until_ns && store->present)
        snprintf(founder->text, sizeof founder->text, "made-%" PRIu32 " was dropped and is there", store->number);
}

/* What is there is what is known from now on. */
static void keep_present(struct founder *founder)
{
    size_t kept = 0;
    for (size_t i = 0; i < founder->count; i++) {
        const struct founded *store = &founder->stores[i];
        judge(founder, store);
        if (store->present)
            founder->stores[kept++] =
                (struct founded){store->number, 0, store->whole ? 0 : UINT64_MAX, UINT64_MAX, false, false, false};
    }
    founder->count = kept;
}

static void on_lost_while_looking(void *context)
{
    struct founder *founder = context;
    snprintf(founder->text, sizeof founder->text, "the connection was lost while looking");
    founder_stop(founder);
}

bool founder_check(struct founder *founder, uv_loop_t *loop, const char *address, uint64_t until_ns)
{
    struct door_options options = {.address = address, .on_lost = on_lost_while_looking, .context = founder};
    founder->text[0] = '\0';
    founder->until_ns = until_ns;
    founder->door = door_open(loop, &options);
    ask(founder, RDRIVE_OP_STORES, 0, on_listed);
    uv_run(loop, UV_RUN_DEFAULT);
    keep_present(founder);
    return founder->text[0] == '\0';
}

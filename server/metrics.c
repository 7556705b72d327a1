/* SPDX-License-Identifier: MIT */
#include "server/metrics.h"

#include <stdlib.h>

#include "server/conn.h"
#include "server/lane.h"
#include "server/loop.h"
#include "server/stores.h"
#include "server/terms.h"

#define WIRE_ROWS      0x40u
#define FIRST_OFF_WIRE 0x80u

/* Numbers that are no operation's are counted together. */
static size_t row_of(enum rd_opcode opcode)
{
    unsigned number = (unsigned)opcode;
    if (number < WIRE_ROWS)
        return number;
    if (number >= FIRST_OFF_WIRE && number < FIRST_OFF_WIRE + RD_USAGE_ROWS - WIRE_ROWS)
        return number - FIRST_OFF_WIRE + WIRE_ROWS;
    return RD_OPCODE_NONE;
}

enum rd_opcode rd_usage_opcode(size_t row)
{
    return (enum rd_opcode)(row < WIRE_ROWS ? row : row - WIRE_ROWS + FIRST_OFF_WIRE);
}

/* NULL: no memory, and it goes uncounted. */
static __attribute__((noinline)) struct rd_usage_row *add_row(struct rd_usage *usage, size_t index)
{
    struct rd_usage_row *row = calloc(1, sizeof *row);
    atomic_store_explicit(&usage->rows[index], row, memory_order_release);
    return row;
}

/* This loop's part of the store's usages. NULL: no memory. */
static struct rd_usage *get_usage(struct rd_hosted *hosted, const struct rd_loop *loop)
{
    struct rd_usage *first = atomic_load_explicit(&hosted->usages, memory_order_acquire);
    for (struct rd_usage *usage = first; usage != NULL; usage = usage->next)
        if (usage->loop == loop)
            return usage;
    struct rd_usage *usage = calloc(1, sizeof *usage);
    if (usage == NULL)
        return NULL;
    usage->loop = loop;
    usage->next = first;
    while (!atomic_compare_exchange_weak(&hosted->usages, &usage->next, usage))
        continue;
    return usage;
}

/* Once for each lane and store, and for what has no lane. NULL: no memory. */
static __attribute__((noinline)) struct rd_usage *find_usage(const struct rd_call *call, struct rd_loop *loop)
{
    bool of_store = call->mode != RD_CALL_FREE || call->upload != NULL;
    struct rd_lane *lane = NULL;
    struct rd_hosted *hosted = NULL;
    if (of_store && call->response.status != RD_STORE_NOT_FOUND)
        lane = rd_lane_get(rd_conn_lanes(call->conn), rd_terms_store_name(call->request->store));
    if (lane != NULL)
        hosted = rd_lane_hosted(lane, rd_call_stores(call));
    if (hosted == NULL)
        return &loop->counts.usage;
    lane->usage = get_usage(hosted, loop);
    return lane->usage;
}

/* What creates or drops a store may have changed what its lane's name stands for. */
static struct rd_usage *usage_of(const struct rd_call *call, struct rd_loop *loop)
{
    if (call->account != NULL && call->account->usage != NULL && call->mode != RD_CALL_EXCLUSIVE)
        return call->account->usage;
    return find_usage(call, loop);
}

/* Of a batch, or of a transaction that reads. */
static __attribute__((noinline)) size_t items_len(const struct rd_response *response)
{
    size_t len = 0;
    for (size_t i = 0; i < response->item_count; i++)
        len += response->items[i].status == RD_OK ? response->items[i].value.len : 0;
    return len;
}

/* Every request comes by here: what is rare is out of the way. */
void rd_metrics_count_answer(struct rd_loop *loop, const struct rd_call *call, size_t value_len, uint64_t now_ns)
{
    enum rd_opcode opcode = call->request->opcode;
    if (opcode == RD_OPCODE_CONTINUE)
        return; /* half an answer, of the request behind it */
    struct rd_usage *usage = usage_of(call, loop);
    size_t index = row_of(opcode);
    struct rd_usage_row *row = NULL;
    if (usage != NULL)
        row = atomic_load_explicit(&usage->rows[index], memory_order_relaxed);
    if (row == NULL && (usage == NULL || (row = add_row(usage, index)) == NULL))
        return;
    unsigned status = (unsigned)call->response.status;
    rd_counter_add(&row->answers[status < RD_STATUS_COUNT ? status : RD_IO_ERROR], 1);
    rd_distribution_add(&row->duration_ns, RD_DISTRIBUTION_NS, now_ns - call->begun_ns);
    if (call->response.item_count != 0)
        value_len += items_len(&call->response);
    rd_counter_add(&row->value_bytes, value_len);
}

struct rd_counter *rd_metrics_leaving(struct rd_loop *loop, const struct rd_call *call)
{
    return call->request->opcode == RD_OPCODE_BACKUP ? &loop->counts.backups : NULL;
}

void rd_usage_deinit(struct rd_usage *usage)
{
    for (size_t i = 0; i < RD_USAGE_ROWS; i++)
        free(atomic_load(&usage->rows[i]));
}

void rd_usages_destroy(struct rd_usage *first)
{
    while (first != NULL) {
        struct rd_usage *next = first->next;
        rd_usage_deinit(first);
        free(first);
        first = next;
    }
}

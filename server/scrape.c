/* SPDX-License-Identifier: MIT */
#include "server/scrape.h"

#include <stdlib.h>

#include "server/exposition.h"
#include "server/loop.h"
#include "server/pool.h"
#include "server/process_stats.h"
#include "server/stores.h"

/* A store as it was when it was looked at. */
struct seen {
    struct rd_hosted *hosted; /* a reference */
    const char *state;        /* one of `states` */
    bool open;                /* what follows is filled in */
    struct rd_store_info info;
    struct rd_store_stats stats;
};

struct scrape {
    const struct rd_process *process; /* borrows */
    const struct rd_loop *loop;       /* borrows; any */
    struct rd_buffer *out;            /* borrows */
    struct seen *stores;              /* owned */
    size_t store_count;
};

static const char *const states[] = {"open", "read_only", "failed", "reopening"};
#define STATE_COUNT (sizeof states / sizeof states[0])

/* ---- the stores -------------------------------------------------------------------------------------------- */

static void look_at(struct seen *seen, struct rd_hosted *hosted)
{
    *seen = (struct seen){.hosted = hosted, .state = "failed"};
    if (rd_hosted_use(hosted, NULL) == RD_OK) {
        seen->open = true;
        rd_store_info(hosted->store, &seen->info);
        rd_store_stats(hosted->store, &seen->stats);
        rd_hosted_unuse(hosted);
        seen->state = seen->info.state == RD_STORE_OPEN ? "open" : "read_only";
    } else if (atomic_load(&hosted->state) == RD_HOSTED_REOPENING) {
        seen->state = "reopening";
    }
}

static enum rd_status look_at_stores(struct scrape *scrape)
{
    struct rd_hosted **list = rd_stores_list(scrape->loop->stores, &scrape->store_count);
    if (list == NULL)
        return RD_NO_MEMORY;
    scrape->stores = calloc(scrape->store_count + 1, sizeof *scrape->stores);
    for (size_t i = 0; i < scrape->store_count; i++) {
        if (scrape->stores != NULL)
            look_at(&scrape->stores[i], list[i]);
        else
            rd_hosted_unref(list[i]);
    }
    free(list);
    return scrape->stores != NULL ? RD_OK : RD_NO_MEMORY;
}

/* What is one number for each store that is open. */
static const struct {
    struct rd_family family;
    size_t offset; /* of an uint64_t in struct seen */
} store_numbers[] = {
    {{"rdrive_store_entries", RD_FAMILY_GAUGE, "Keys that have a value."}, offsetof(struct seen, info.entries)},
    {{"rdrive_store_tail_bytes", RD_FAMILY_GAUGE, "Bytes up to the end of the newest entry."},
     offsetof(struct seen, info.tail)},
    {{"rdrive_store_file_bytes", RD_FAMILY_GAUGE, "Bytes that the store's file takes."},
     offsetof(struct seen, info.file_size)},
    {{"rdrive_store_dead_bytes", RD_FAMILY_GAUGE,
      "Bytes below the tail that no live entry uses, padding included."},
     offsetof(struct seen, info.dead_bytes)},
    {{"rdrive_store_appended_bytes_total", RD_FAMILY_COUNTER,
      "Bytes that groups have appended since the store was opened."},
     offsetof(struct seen, stats.appended_bytes)},
    {{"rdrive_store_sync_failures_total", RD_FAMILY_COUNTER, "Syncs that failed since the store was opened."},
     offsetof(struct seen, stats.sync_failures)},
    {{"rdrive_store_queue_operations", RD_FAMILY_GAUGE, "Operations handed to the store's writer and not done."},
     offsetof(struct seen, stats.queue_operations)},
    {{"rdrive_store_queue_bytes", RD_FAMILY_GAUGE, "Payload bytes of these operations."},
     offsetof(struct seen, stats.queue_bytes)},
    {{"rdrive_store_index_bytes", RD_FAMILY_GAUGE, "Memory of the store's index."},
     offsetof(struct seen, stats.index_bytes)},
    {{"rdrive_store_mapped_bytes", RD_FAMILY_GAUGE, "Address space that the store's file is mapped to."},
     offsetof(struct seen, stats.mapped_bytes)},
    {{"rdrive_store_opening_checkpoint_bytes", RD_FAMILY_GAUGE,
      "Bytes of the companion that the last opening took the index from; 0: it was built from the file."},
     offsetof(struct seen, stats.checkpoint_bytes)},
    {{"rdrive_store_compaction_saved_bytes_total", RD_FAMILY_COUNTER,
      "Bytes by which compactions have made the store's file shorter since it was opened."},
     offsetof(struct seen, stats.compaction_saved_bytes)},
};

/* Likewise, but 0 stands for none, and is left out. */
static const struct {
    struct rd_family family;
    size_t offset;   /* of an uint64_t in struct seen */
    double per_unit; /* so many of them make one of the family's unit */
} store_extras[] = {
    {{"rdrive_store_quota_bytes", RD_FAMILY_GAUGE,
      "What the store's tail may come to, where it has such a quota."},
     offsetof(struct seen, info.quota_bytes),
     1},
    {{"rdrive_store_quota_entries", RD_FAMILY_GAUGE, "Keys that may have a value, where it has such a quota."},
     offsetof(struct seen, info.quota_entries),
     1},
    {{"rdrive_store_opening_seconds", RD_FAMILY_GAUGE, "How long the store's last opening took."},
     offsetof(struct seen, stats.opening_ns),
     1e9},
    {{"rdrive_store_last_compaction_seconds", RD_FAMILY_GAUGE, "How long the last compaction that was done took."},
     offsetof(struct seen, stats.last_compaction_ns),
     1e9},
    {{"rdrive_store_last_compaction_pause_seconds", RD_FAMILY_GAUGE,
      "The longest time for which it held writes up."},
     offsetof(struct seen, stats.last_compaction_pause_us),
     1e6},
};

static uint64_t number_of(const struct seen *seen, size_t offset)
{
    return *(const uint64_t *)(const void *)((const char *)seen + offset);
}

static void put_store_numbers(struct scrape *scrape)
{
    for (size_t i = 0; i < sizeof store_numbers / sizeof store_numbers[0]; i++) {
        const struct rd_family *family = &store_numbers[i].family;
        rd_exposition_begin(scrape->out, family);
        for (size_t at = 0; at < scrape->store_count; at++) {
            const struct seen *seen = &scrape->stores[at];
            struct rd_labels labels = {{{"store", seen->hosted->name}}};
            if (seen->open)
                rd_exposition_u64(scrape->out, family, &labels, number_of(seen, store_numbers[i].offset));
        }
    }
}

static void put_store_extras(struct scrape *scrape)
{
    for (size_t i = 0; i < sizeof store_extras / sizeof store_extras[0]; i++) {
        const struct rd_family *family = &store_extras[i].family;
        double per_unit = store_extras[i].per_unit;
        rd_exposition_begin(scrape->out, family);
        for (size_t at = 0; at < scrape->store_count; at++) {
            const struct seen *seen = &scrape->stores[at];
            struct rd_labels labels = {{{"store", seen->hosted->name}}};
            uint64_t number = seen->open ? number_of(seen, store_extras[i].offset) : 0;
            if (number != 0 && per_unit > 1)
                rd_exposition_double(scrape->out, family, &labels, (double)number / per_unit);
            else if (number != 0)
                rd_exposition_u64(scrape->out, family, &labels, number);
        }
    }
}

static void put_compactions(struct scrape *scrape)
{
    static const struct rd_family under_way = {"rdrive_store_compacting", RD_FAMILY_GAUGE,
                                               "1 while the store is being compacted."};
    static const struct rd_family ended = {"rdrive_store_compactions_total", RD_FAMILY_COUNTER,
                                           "Compactions that have ended since the store was opened, by result."};
    rd_exposition_begin(scrape->out, &under_way);
    for (size_t i = 0; i < scrape->store_count; i++) {
        const struct seen *seen = &scrape->stores[i];
        struct rd_labels labels = {{{"store", seen->hosted->name}}};
        if (seen->open)
            rd_exposition_u64(scrape->out, &under_way, &labels, seen->info.compacting);
    }
    rd_exposition_begin(scrape->out, &ended);
    for (size_t i = 0; i < scrape->store_count; i++) {
        const struct seen *seen = &scrape->stores[i];
        struct rd_labels labels = {{{"store", seen->hosted->name}, {"result", "done"}}};
        if (!seen->open)
            continue;
        rd_exposition_u64(scrape->out, &ended, &labels, seen->stats.compactions_done);
        labels.pairs[1].value = "failed";
        rd_exposition_u64(scrape->out, &ended, &labels, seen->stats.compactions_failed);
    }
}

static void put_live_bytes(struct scrape *scrape)
{
    static const struct rd_family family = {"rdrive_store_live_bytes", RD_FAMILY_GAUGE,
                                            "Bytes of live payloads and their trailers."};
    rd_exposition_begin(scrape->out, &family);
    for (size_t i = 0; i < scrape->store_count; i++) {
        const struct seen *seen = &scrape->stores[i];
        struct rd_labels labels = {{{"store", seen->hosted->name}}};
        if (seen->open)
            rd_exposition_u64(scrape->out, &family, &labels, seen->info.tail - seen->info.dead_bytes);
    }
}

static void put_states(struct scrape *scrape)
{
    static const struct rd_family family = {"rdrive_store_state", RD_FAMILY_GAUGE,
                                            "1 for the state that the store is in, 0 for the others."};
    rd_exposition_begin(scrape->out, &family);
    for (size_t i = 0; i < scrape->store_count; i++)
        for (size_t state = 0; state < STATE_COUNT; state++) {
            struct rd_labels labels = {{{"store", scrape->stores[i].hosted->name}, {"state", states[state]}}};
            bool is_in = strcmp(scrape->stores[i].state, states[state]) == 0;
            rd_exposition_u64(scrape->out, &family, &labels, is_in);
        }
}

static void put_groups_and_syncs(struct scrape *scrape)
{
    static const struct rd_family groups = {"rdrive_store_group_operations", RD_FAMILY_HISTOGRAM,
                                            "Operations of each group that the store's writer has appended."};
    static const struct rd_family syncs = {"rdrive_store_sync_duration_seconds", RD_FAMILY_HISTOGRAM,
                                           "How long each fdatasync of the store's writer took."};
    rd_exposition_begin(scrape->out, &groups);
    for (size_t i = 0; i < scrape->store_count; i++) {
        const struct seen *seen = &scrape->stores[i];
        struct rd_labels labels = {{{"store", seen->hosted->name}}};
        if (seen->open)
            rd_exposition_histogram(scrape->out, &groups, &labels, &seen->stats.group_operations,
                                    RD_DISTRIBUTION_COUNT, 1);
    }
    rd_exposition_begin(scrape->out, &syncs);
    for (size_t i = 0; i < scrape->store_count; i++) {
        const struct seen *seen = &scrape->stores[i];
        struct rd_labels labels = {{{"store", seen->hosted->name}}};
        if (seen->open)
            rd_exposition_histogram(scrape->out, &syncs, &labels, &seen->stats.sync_ns, RD_DISTRIBUTION_NS, 1e9);
    }
}

/* ---- requests ---------------------------------------------------------------------------------------------- */

/* Of one operation, by all loops. */
struct sum {
    uint64_t answers[RD_STATUS_COUNT];
    struct rd_distribution_copy duration_ns;
    bool occurred;
};

static void add_row(const struct rd_usage *usage, size_t index, struct sum *sum)
{
    const struct rd_usage_row *row = atomic_load_explicit(&usage->rows[index], memory_order_acquire);
    if (row == NULL)
        return;
    sum->occurred = true;
    for (size_t i = 0; i < RD_STATUS_COUNT; i++)
        sum->answers[i] += rd_counter_get(&row->answers[i]);
    rd_distribution_read(&row->duration_ns, &sum->duration_ns);
}

/* store NULL: of what had none. False: it has not occurred. */
static bool sum_up(const struct scrape *scrape, const struct seen *store, size_t index, struct sum *ret_sum)
{
    struct sum sum = {.occurred = false};
    if (store == NULL) {
        for (unsigned i = 0; i < scrape->process->loop_count; i++)
            add_row(&scrape->process->loops[i].counts.usage, index, &sum);
    } else {
        const struct rd_usage *usage = atomic_load_explicit(&store->hosted->usages, memory_order_acquire);
        for (; usage != NULL; usage = usage->next)
            add_row(usage, index, &sum);
    }
    *ret_sum = sum;
    return sum.occurred;
}

static void put_answers(struct rd_buffer *out, const struct rd_family *family, const char *store,
                        const char *operation, const struct sum *sum)
{
    for (size_t status = 0; status < RD_STATUS_COUNT; status++) {
        if (sum->answers[status] == 0)
            continue;
        struct rd_labels labels = {
            {{"store", store}, {"operation", operation}, {"code", rd_status_name((enum rd_status)status)}}};
        rd_exposition_u64(out, family, &labels, sum->answers[status]);
    }
}

/* Of all loops. A backup's bytes are the file's, and no values. */
static uint64_t read_bytes(const struct rd_hosted *hosted)
{
    uint64_t bytes = 0;
    const struct rd_usage *usage = atomic_load_explicit(&hosted->usages, memory_order_acquire);
    for (; usage != NULL; usage = usage->next)
        for (size_t index = 0; index < RD_USAGE_ROWS; index++) {
            const struct rd_usage_row *row = atomic_load_explicit(&usage->rows[index], memory_order_acquire);
            if (row != NULL && rd_usage_opcode(index) != RD_OPCODE_BACKUP)
                bytes += rd_counter_get(&row->value_bytes);
        }
    return bytes;
}

static void put_read_bytes(struct scrape *scrape)
{
    static const struct rd_family family = {"rdrive_store_read_bytes_total", RD_FAMILY_COUNTER,
                                            "Bytes of the store's values that were read to be answered with."};
    rd_exposition_begin(scrape->out, &family);
    for (size_t at = 0; at < scrape->store_count; at++) {
        const struct rd_hosted *hosted = scrape->stores[at].hosted;
        struct rd_labels labels = {{{"store", hosted->name}}};
        rd_exposition_u64(scrape->out, &family, &labels, read_bytes(hosted));
    }
}

/* `with_durations`: the one family, or the other. */
static void put_usage(struct scrape *scrape, const struct rd_family *family, const struct seen *store,
                      bool with_durations)
{
    const char *name = store == NULL ? "" : store->hosted->name;
    struct sum sum;
    for (size_t index = 0; index < RD_USAGE_ROWS; index++) {
        if (!sum_up(scrape, store, index, &sum))
            continue;
        const struct rd_operation *operation = rd_operation_find(rd_usage_opcode(index));
        const char *text = operation == NULL ? "unknown" : operation->name;
        struct rd_labels labels = {{{"store", name}, {"operation", text}}};
        if (with_durations)
            rd_exposition_histogram(scrape->out, family, &labels, &sum.duration_ns, RD_DISTRIBUTION_NS, 1e9);
        else
            put_answers(scrape->out, family, name, text, &sum);
    }
}

static void put_requests(struct scrape *scrape)
{
    static const struct rd_family families[] = {
        {"rdrive_requests_total", RD_FAMILY_COUNTER,
         "Requests answered, by store (empty: none), operation and code."},
        {"rdrive_request_duration_seconds", RD_FAMILY_HISTOGRAM,
         "From the turn of the event loop in which a request's last byte came in to the encoding of its answer."},
    };
    for (size_t i = 0; i < 2; i++) {
        rd_exposition_begin(scrape->out, &families[i]);
        put_usage(scrape, &families[i], NULL, i == 1);
        for (size_t at = 0; at < scrape->store_count; at++)
            put_usage(scrape, &families[i], &scrape->stores[at], i == 1);
    }
}

/* ---- loops and the process --------------------------------------------------------------------------------- */

/* What is one number for each loop, and shown as their sum. */
static const struct {
    struct rd_family family;
    size_t offset; /* of a struct rd_counter in struct rd_loop_counts */
} loop_numbers[] = {
    {{"rdrive_received_bytes_total", RD_FAMILY_COUNTER, "Bytes read from connections."},
     offsetof(struct rd_loop_counts, received_bytes)},
    {{"rdrive_sent_bytes_total", RD_FAMILY_COUNTER, "Bytes written to connections."},
     offsetof(struct rd_loop_counts, sent_bytes)},
    {{"rdrive_connections_accepted_total", RD_FAMILY_COUNTER, "Connections taken."},
     offsetof(struct rd_loop_counts, accepted)},
    {{"rdrive_uploads", RD_FAMILY_GAUGE, "Values that are coming in part by part."},
     offsetof(struct rd_loop_counts, uploads)},
    {{"rdrive_upload_bytes", RD_FAMILY_GAUGE, "Bytes that these have brought so far, spooled or about to be."},
     offsetof(struct rd_loop_counts, upload_bytes)},
    {{"rdrive_backups", RD_FAMILY_GAUGE, "Backups that are being sent."},
     offsetof(struct rd_loop_counts, backups)},
    {{"rdrive_work_jobs", RD_FAMILY_GAUGE,
      "Long work (spooling, opening, verifying, moving) that waits for a thread or runs on one."},
     offsetof(struct rd_loop_counts, jobs)},
};

static uint64_t sum_of_loops(const struct scrape *scrape, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < scrape->process->loop_count; i++) {
        const char *counts = (const char *)&scrape->process->loops[i].counts;
        sum += rd_counter_get((const struct rd_counter *)(const void *)(counts + offset));
    }
    return sum;
}

static void put_loops(struct scrape *scrape)
{
    for (size_t i = 0; i < sizeof loop_numbers / sizeof loop_numbers[0]; i++) {
        rd_exposition_begin(scrape->out, &loop_numbers[i].family);
        rd_exposition_u64(scrape->out, &loop_numbers[i].family, NULL,
                          sum_of_loops(scrape, loop_numbers[i].offset));
    }
}

static void put_gauge(struct scrape *scrape, const char *name, const char *help, uint64_t value)
{
    struct rd_family family = {name, RD_FAMILY_GAUGE, help};
    rd_exposition_begin(scrape->out, &family);
    rd_exposition_u64(scrape->out, &family, NULL, value);
}

static void put_refusals(struct scrape *scrape)
{
    static const struct rd_family family = {
        "rdrive_refusals_total", RD_FAMILY_COUNTER,
        "Requests refused and connections refused or ended because of a limit."};
    rd_exposition_begin(scrape->out, &family);
    for (size_t i = 0; i < RD_REFUSAL_COUNT; i++) {
        struct rd_labels labels = {{{"reason", rd_refusal_name((enum rd_refusal)i)}}};
        rd_exposition_u64(scrape->out, &family, &labels, atomic_load(&scrape->process->refusals[i]));
    }
}

static void put_budgets(struct scrape *scrape)
{
    const struct rd_process *process = scrape->process;
    put_gauge(scrape, "rdrive_request_bytes", "Memory that requests under way stand for.",
              atomic_load(&process->memory.used));
    put_gauge(scrape, "rdrive_request_bytes_max", "Memory at which further requests are refused.",
              atomic_load(&process->memory.max));
    put_gauge(scrape, "rdrive_spool_bytes", "Bytes of uploads that lie beside their stores.",
              atomic_load(&process->spools.used));
    put_gauge(scrape, "rdrive_spool_bytes_max", "Bytes at which further ones are refused.",
              atomic_load(&process->spools.max));
}

static void put_pool(struct scrape *scrape)
{
    static const struct rd_family family = {
        "rdrive_read_jobs", RD_FAMILY_GAUGE,
        "Reads that wait for the disk, or verify more than a MiB, long JSON that is parsed, long answers, and "
        "what takes long to be freed: queued for a thread, running on one."};
    unsigned queued;
    unsigned running;
    rd_pool_depth(scrape->loop->pool, &queued, &running);
    struct rd_labels labels = {{{"state", "queued"}}};
    rd_exposition_begin(scrape->out, &family);
    rd_exposition_u64(scrape->out, &family, &labels, queued);
    labels.pairs[0].value = "running";
    rd_exposition_u64(scrape->out, &family, &labels, running);
}

static void put_daemon(struct scrape *scrape)
{
    static const struct rd_family build = {"rdrive_build_info", RD_FAMILY_GAUGE,
                                           "1, with the version as a label."};
    struct rd_labels labels = {{{"version", RD_VERSION}}};
    rd_exposition_begin(scrape->out, &build);
    rd_exposition_u64(scrape->out, &build, &labels, 1);
    put_gauge(scrape, "rdrive_stores", "Stores that are listed, whatever their state.", scrape->store_count);
    put_gauge(scrape, "rdrive_loops", "Event loop threads.", scrape->process->loop_count);
    put_gauge(scrape, "rdrive_connections", "Connections that are open.",
              atomic_load(scrape->loop->connection_count));
    put_gauge(scrape, "rdrive_connections_max", "Connections at which further ones are refused.",
              atomic_load(&scrape->process->connections_max));
}

/* Names and meanings as other programs' client libraries have them. */
static void put_process(struct scrape *scrape)
{
    static const struct rd_family cpu = {"process_cpu_seconds_total", RD_FAMILY_COUNTER,
                                         "Processor time in user space and in the kernel."};
    struct rd_process_stats stats;
    rd_process_stats_read(&stats);
    rd_exposition_begin(scrape->out, &cpu);
    rd_exposition_double(scrape->out, &cpu, NULL, stats.cpu_seconds);
    put_gauge(scrape, "process_resident_memory_bytes", "Memory in use, pages of store files included.",
              stats.resident_bytes);
    put_gauge(scrape, "process_virtual_memory_bytes", "Address space in use.", stats.virtual_bytes);
    put_gauge(scrape, "process_open_fds", "Open file descriptors.", stats.open_fds);
    put_gauge(scrape, "process_max_fds", "File descriptors that may be open.", stats.fds_max);
    put_gauge(scrape, "process_start_time_seconds", "When the process started, since 1970.",
              scrape->process->started_s);
}

enum rd_status rd_scrape(const struct rd_loop *loop, struct rd_buffer *out)
{
    struct scrape scrape = {.process = loop->process, .loop = loop, .out = out};
    enum rd_status status = look_at_stores(&scrape);
    if (status != RD_OK)
        return status;
    put_daemon(&scrape);
    put_requests(&scrape);
    put_loops(&scrape);
    put_refusals(&scrape);
    put_budgets(&scrape);
    put_pool(&scrape);
    put_states(&scrape);
    put_store_numbers(&scrape);
    put_store_extras(&scrape);
    put_live_bytes(&scrape);
    put_compactions(&scrape);
    put_read_bytes(&scrape);
    put_groups_and_syncs(&scrape);
    put_process(&scrape);
    for (size_t i = 0; i < scrape.store_count; i++)
        rd_hosted_unref(scrape.stores[i].hosted);
    free(scrape.stores);
    return out->failed ? RD_NO_MEMORY : RD_OK;
}

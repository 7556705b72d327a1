/* SPDX-License-Identifier: MIT */
#include "clients/cli/top_show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/json.h"

#define CELL_SIZE 32u

/* ---- what lies between two readings ------------------------------------------------------------------------ */

struct operation_line {
    const struct rd_reading_operation *now;
    double rate;   /* requests a second */
    double failed; /* of these, those that were answered with an error */
    double p50_s;  /* negative: there were none */
    double p99_s;
};

struct store_line {
    const struct rd_reading_store *now;
    double rate;         /* requests a second */
    double bytes;        /* appended a second */
    double groups;       /* a second */
    double group_size;   /* operations, on average; negative: there was no group */
    double sync_p99_s;   /* negative: there was no sync */
    double dead_percent; /* of the tail, as compact_dead_percent means it; negative: the file is empty */
};

struct lines {
    struct operation_line *operations; /* owned */
    size_t operation_count;
    struct store_line *stores; /* owned */
    size_t store_count;
};

static struct operation_line operation_line(const struct rd_top_view *view, const struct rd_reading_operation *now)
{
    const struct rd_reading_operation *before = rd_readings_operation(view->before, now->store, now->operation);
    double answered = rd_readings_growth(now->answered, before != NULL ? before->answered : 0);
    double failed = rd_readings_growth(now->failed, before != NULL ? before->failed : 0);
    struct rd_reading_histogram between =
        rd_readings_between(&now->seconds, before != NULL ? &before->seconds : NULL);
    return (struct operation_line){
        .now = now,
        .rate = (answered + failed) / view->seconds,
        .failed = failed / view->seconds,
        .p50_s = rd_readings_quantile(&between, 0.5),
        .p99_s = rd_readings_quantile(&between, 0.99),
    };
}

static struct store_line store_line(const struct rd_top_view *view, const struct rd_reading_store *now)
{
    static const struct rd_reading_store nothing;
    const struct rd_reading_store *before = rd_readings_store(view->before, now->name);
    before = before != NULL ? before : &nothing;
    struct rd_reading_histogram groups = rd_readings_between(&now->group_operations, &before->group_operations);
    struct rd_reading_histogram syncs = rd_readings_between(&now->sync_seconds, &before->sync_seconds);
    return (struct store_line){
        .now = now,
        .bytes = rd_readings_growth(now->appended_bytes, before->appended_bytes) / view->seconds,
        .groups = groups.count / view->seconds,
        .group_size = groups.count > 0 ? groups.sum / groups.count : -1,
        .sync_p99_s = rd_readings_quantile(&syncs, 0.99),
        .dead_percent = now->tail_bytes > 0 ? 100 * now->dead_bytes / now->tail_bytes : -1,
    };
}

static int by_rate(double a, double b, const char *a_name, const char *b_name)
{
    return a != b ? (a < b ? 1 : -1) : strcmp(a_name, b_name);
}

static int compare_operations(const void *a, const void *b)
{
    const struct operation_line *first = a;
    const struct operation_line *second = b;
    int order = by_rate(first->rate, second->rate, first->now->store, second->now->store);
    return order != 0 ? order : strcmp(first->now->operation, second->now->operation);
}

static int compare_stores(const void *a, const void *b)
{
    const struct store_line *first = a;
    const struct store_line *second = b;
    return by_rate(first->rate, second->rate, first->now->name, second->now->name);
}

/* False: no memory. */
static bool make_lines(const struct rd_top_view *view, struct lines *ret_lines)
{
    const struct rd_readings *now = view->now;
    struct lines lines = {
        .operations = calloc(now->operation_count + 1, sizeof *lines.operations),
        .operation_count = now->operation_count,
        .stores = calloc(now->store_count + 1, sizeof *lines.stores),
        .store_count = now->store_count,
    };
    *ret_lines = lines;
    if (lines.operations == NULL || lines.stores == NULL)
        return false;
    for (size_t i = 0; i < now->store_count; i++)
        lines.stores[i] = store_line(view, &now->stores[i]);
    size_t store = 0;
    for (size_t i = 0; i < now->operation_count; i++) {
        lines.operations[i] = operation_line(view, &now->operations[i]);
        /* Both are sorted by store, as the server lists them; a store that is not there has no line. */
        for (size_t tries = 0; tries < now->store_count; tries++, store = (store + 1) % now->store_count)
            if (strcmp(now->stores[store].name, now->operations[i].store) == 0) {
                lines.stores[store].rate += lines.operations[i].rate;
                break;
            }
    }
    qsort(lines.operations, lines.operation_count, sizeof *lines.operations, compare_operations);
    qsort(lines.stores, lines.store_count, sizeof *lines.stores, compare_stores);
    return true;
}

static void free_lines(struct lines *lines)
{
    free(lines->operations);
    free(lines->stores);
}

/* ---- cells ------------------------------------------------------------------------------------------------- */

static const char *bytes_cell(char cell[CELL_SIZE], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    snprintf(cell, CELL_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return cell;
}

static const char *count_cell(char cell[CELL_SIZE], double count)
{
    if (count >= 10e6)
        snprintf(cell, CELL_SIZE, "%.1fM", count / 1e6);
    else if (count >= 100e3)
        snprintf(cell, CELL_SIZE, "%.0fk", count / 1e3);
    else
        snprintf(cell, CELL_SIZE, count < 10 && count != floor(count) ? "%.1f" : "%.0f", count);
    return cell;
}

static const char *percent_cell(char cell[CELL_SIZE], double percent)
{
    snprintf(cell, CELL_SIZE, percent < 0 ? "-" : "%.0f %%", percent);
    return cell;
}

static const char *time_cell(char cell[CELL_SIZE], double seconds)
{
    if (seconds < 0)
        snprintf(cell, CELL_SIZE, "-");
    else if (seconds < 1e-3)
        snprintf(cell, CELL_SIZE, "%.0f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(cell, CELL_SIZE, seconds < 0.1 ? "%.1f ms" : "%.0f ms", seconds * 1e3);
    else
        snprintf(cell, CELL_SIZE, "%.1f s", seconds);
    return cell;
}

static const char *duration_cell(char cell[CELL_SIZE], double seconds)
{
    unsigned long minutes = seconds > 0 ? (unsigned long)(seconds / 60) : 0;
    if (minutes >= 48 * 60)
        snprintf(cell, CELL_SIZE, "%lu days", minutes / (24 * 60));
    else if (minutes >= 60)
        snprintf(cell, CELL_SIZE, "%lu h %02lu min", minutes / 60, minutes % 60);
    else
        snprintf(cell, CELL_SIZE, "%lu min %02lu s", minutes, seconds > 0 ? (unsigned long)seconds % 60 : 0);
    return cell;
}

/* ---- the table --------------------------------------------------------------------------------------------- */

static void show_process(const struct rd_top_view *view, struct rd_buffer *out)
{
    const struct rd_reading_process *now = &view->now->process;
    const struct rd_reading_process *before = &view->before->process;
    char up[CELL_SIZE];
    char memory[CELL_SIZE];
    char in[CELL_SIZE];
    char sent[CELL_SIZE];
    char spooled[CELL_SIZE];
    rd_buffer_printf(out, "rdrived %s, up %s, cpu %.0f %%, memory %s, descriptors %.0f\n", now->version,
                     duration_cell(up, view->clock_s - now->start_time_s),
                     100 * rd_readings_growth(now->cpu_s, before->cpu_s) / view->seconds,
                     bytes_cell(memory, now->resident_bytes), now->open_fds);
    rd_buffer_printf(
        out,
        "connections %.0f, in %s/s, out %s/s, uploads %.0f (%s), waiting for the disk %.0f, long work %.0f\n\n",
        now->connections,
        bytes_cell(in, rd_readings_growth(now->received_bytes, before->received_bytes) / view->seconds),
        bytes_cell(sent, rd_readings_growth(now->sent_bytes, before->sent_bytes) / view->seconds), now->uploads,
        bytes_cell(spooled, now->upload_bytes), now->read_jobs, now->work_jobs);
}

/* A store serves while it is compacted, so that this is part of no state that the server knows. */
static const char *state_of(const struct rd_reading_store *store)
{
    return store->compacting > 0 ? "compacting" : store->state;
}

static void show_stores(const struct lines *lines, size_t count, struct rd_buffer *out)
{
    rd_buffer_printf(out, "%-20s %-10s %8s %10s %6s %10s %10s %7s %9s %8s %6s %9s\n", "STORE", "STATE", "KEYS",
                     "LIVE", "DEAD", "FILE", "INDEX", "QUEUE", "WRITTEN/s", "GROUPS/s", "OPS/GR", "SYNC p99");
    for (size_t i = 0; i < count; i++) {
        const struct store_line *line = &lines->stores[i];
        const struct rd_reading_store *now = line->now;
        char keys[CELL_SIZE];
        char live[CELL_SIZE];
        char dead[CELL_SIZE];
        char file[CELL_SIZE];
        char index[CELL_SIZE];
        char queue[CELL_SIZE];
        char written[CELL_SIZE];
        char groups[CELL_SIZE];
        char group_size[CELL_SIZE] = "-";
        char sync[CELL_SIZE];
        if (line->group_size >= 0)
            count_cell(group_size, line->group_size);
        rd_buffer_printf(out, "%-20.20s %-10s %8s %10s %6s %10s %10s %7s %9s %8s %6s %9s\n", now->name,
                         state_of(now), count_cell(keys, now->entries), bytes_cell(live, now->live_bytes),
                         percent_cell(dead, line->dead_percent), bytes_cell(file, now->file_bytes),
                         bytes_cell(index, now->index_bytes), count_cell(queue, now->queue_operations),
                         bytes_cell(written, line->bytes), count_cell(groups, line->groups), group_size,
                         time_cell(sync, line->sync_p99_s));
    }
}

static void show_operations(const struct lines *lines, size_t count, struct rd_buffer *out)
{
    rd_buffer_printf(out, "%-20s %-14s %10s %10s %9s %9s\n", "STORE", "OPERATION", "RATE/s", "ERRORS/s", "p50",
                     "p99");
    for (size_t i = 0; i < count; i++) {
        const struct operation_line *line = &lines->operations[i];
        const char *store = line->now->store[0] != '\0' ? line->now->store : "(none)";
        char rate[CELL_SIZE];
        char failed[CELL_SIZE];
        char p50[CELL_SIZE];
        char p99[CELL_SIZE];
        rd_buffer_printf(out, "%-20.20s %-14s %10s %10s %9s %9s\n", store, line->now->operation,
                         count_cell(rate, line->rate), count_cell(failed, line->failed),
                         time_cell(p50, line->p50_s), time_cell(p99, line->p99_s));
    }
}

static void show_left_out(size_t left_out, struct rd_buffer *out)
{
    if (left_out != 0)
        rd_buffer_printf(out, "and %zu more\n", left_out);
}

void rd_top_show_table(const struct rd_top_view *view, struct rd_buffer *out)
{
    struct lines lines;
    if (make_lines(view, &lines)) {
        /* Two lines for the process, and for each table its head, a gap, and maybe what was left out. */
        size_t room = view->rows > 9 ? view->rows - 9 : 2;
        size_t stores = lines.store_count;
        size_t operations = lines.operation_count;
        if (view->rows != 0 && stores + operations > room) {
            stores = stores < room / 2 ? stores : room / 2;
            operations = operations < room - stores ? operations : room - stores;
        }
        show_process(view, out);
        show_stores(&lines, stores, out);
        show_left_out(lines.store_count - stores, out);
        rd_buffer_append_string(out, "\n");
        show_operations(&lines, operations, out);
        show_left_out(lines.operation_count - operations, out);
    } else {
        out->failed = true;
    }
    free_lines(&lines);
}

/* ---- JSON -------------------------------------------------------------------------------------------------- */

/* The name is constant, and the first of an object where `before` is "". */
static void put_number(struct rd_buffer *out, const char *before, const char *name, double value)
{
    if (value < 0 || !isfinite(value))
        rd_buffer_printf(out, "%s\"%s\":null", before, name);
    else
        rd_buffer_printf(out, "%s\"%s\":%.9g", before, name, value);
}

static void put_text(struct rd_buffer *out, const char *before, const char *name, const char *value)
{
    rd_buffer_printf(out, "%s\"%s\":", before, name);
    rd_json_append_string(rd_slice_of_string(value), out);
}

static void put_process(const struct rd_top_view *view, struct rd_buffer *out)
{
    const struct rd_reading_process *now = &view->now->process;
    const struct rd_reading_process *before = &view->before->process;
    put_text(out, "", "version", now->version);
    put_number(out, ",", "seconds", view->seconds);
    put_number(out, ",", "uptime_seconds", view->clock_s - now->start_time_s);
    put_number(out, ",", "cpu", rd_readings_growth(now->cpu_s, before->cpu_s) / view->seconds);
    put_number(out, ",", "resident_bytes", now->resident_bytes);
    put_number(out, ",", "open_fds", now->open_fds);
    put_number(out, ",", "connections", now->connections);
    put_number(out, ",", "received_bytes_per_second",
               rd_readings_growth(now->received_bytes, before->received_bytes) / view->seconds);
    put_number(out, ",", "sent_bytes_per_second",
               rd_readings_growth(now->sent_bytes, before->sent_bytes) / view->seconds);
    put_number(out, ",", "uploads", now->uploads);
    put_number(out, ",", "upload_bytes", now->upload_bytes);
    put_number(out, ",", "read_jobs", now->read_jobs);
    put_number(out, ",", "work_jobs", now->work_jobs);
}

static void put_store(const struct store_line *line, struct rd_buffer *out)
{
    const struct rd_reading_store *now = line->now;
    put_text(out, "", "name", now->name);
    put_text(out, ",", "state", now->state);
    rd_buffer_append_string(out, now->compacting > 0 ? ",\"compacting\":true" : ",\"compacting\":false");
    put_number(out, ",", "entries", now->entries);
    put_number(out, ",", "tail_bytes", now->tail_bytes);
    put_number(out, ",", "file_bytes", now->file_bytes);
    put_number(out, ",", "live_bytes", now->live_bytes);
    put_number(out, ",", "dead_bytes", now->dead_bytes);
    put_number(out, ",", "dead_percent", line->dead_percent);
    put_number(out, ",", "index_bytes", now->index_bytes);
    put_number(out, ",", "queue_operations", now->queue_operations);
    put_number(out, ",", "requests_per_second", line->rate);
    put_number(out, ",", "appended_bytes_per_second", line->bytes);
    put_number(out, ",", "groups_per_second", line->groups);
    put_number(out, ",", "operations_per_group", line->group_size);
    put_number(out, ",", "sync_p99_seconds", line->sync_p99_s);
}

static void put_operation(const struct operation_line *line, struct rd_buffer *out)
{
    put_text(out, "", "store", line->now->store);
    put_text(out, ",", "operation", line->now->operation);
    put_number(out, ",", "requests_per_second", line->rate);
    put_number(out, ",", "errors_per_second", line->failed);
    put_number(out, ",", "p50_seconds", line->p50_s);
    put_number(out, ",", "p99_seconds", line->p99_s);
}

void rd_top_show_json(const struct rd_top_view *view, struct rd_buffer *out)
{
    struct lines lines;
    bool made = make_lines(view, &lines);
    rd_buffer_append_string(out, "{");
    put_process(view, out);
    rd_buffer_append_string(out, ",\"stores\":[");
    for (size_t i = 0; made && i < lines.store_count; i++) {
        rd_buffer_append_string(out, i == 0 ? "{" : ",{");
        put_store(&lines.stores[i], out);
        rd_buffer_append_string(out, "}");
    }
    rd_buffer_append_string(out, "],\"operations\":[");
    for (size_t i = 0; made && i < lines.operation_count; i++) {
        rd_buffer_append_string(out, i == 0 ? "{" : ",{");
        put_operation(&lines.operations[i], out);
        rd_buffer_append_string(out, "}");
    }
    rd_buffer_append_string(out, "]}\n");
    out->failed = out->failed || !made;
    free_lines(&lines);
}

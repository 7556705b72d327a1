/* SPDX-License-Identifier: MIT */
#include "clients/cli/print.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "clients/c/rdrive.h"
#include "protocol/json.h"

static void print_json(const struct rd_response *response,
                       void (*encode)(const struct rd_response *response, struct rd_buffer *out))
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    encode(response, &text);
    if (text.failed)
        fputs("rdrive: no memory for the answer's JSON\n", stderr);
    else
        fwrite(text.data, 1, text.len, stdout);
    rd_buffer_deinit(&text);
}

const char *rd_cli_status_name(enum rd_status status)
{
    return rdrive_status_name((enum rdrive_status)status);
}

void rd_print_tail(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, rd_json_encode_written);
    else
        printf("%" PRIu64 "\n", response->tail);
}

void rd_print_deleted(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, rd_json_encode_deleted);
}

void rd_print_copied(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, rd_json_encode_copied);
    else
        printf("%" PRIu64 "\n", response->target_tail);
}

void rd_print_transferred(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, rd_json_encode_transferred);
    else
        printf("%" PRIu64 "\n", response->target_tail);
}

static void encode_value(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_append_string(out, "{\"value_base64\":\"");
    rd_text_base64_encode(response->value, out);
    rd_buffer_printf(out,
                     "\",\"key_hash\":\"%016" PRIx64 "\",\"offset\":%" PRIu64
                     ",\"length\":%zu,\"crc32\":\"%08" PRIx32 "\"}\n",
                     response->key_hash, response->offset, response->value.len, response->crc32);
}

void rd_print_json_value(const struct rd_response *response)
{
    print_json(response, encode_value);
}

void rd_print_exists(const struct rd_response *response, bool json)
{
    if (json)
        printf("{\"exists\":%s}\n", response->found ? "true" : "false");
}

void rd_print_metadata(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, rd_json_encode_last);
    else
        printf("key_hash %016" PRIx64 "\noffset %" PRIu64 "\nlength %" PRIu64 "\ncrc32 %08" PRIx32 "\n",
               response->key_hash, response->offset, response->value_len, response->crc32);
}

void rd_print_compacted(const struct rd_response *response, bool json)
{
    const struct rd_response_compaction *done = &response->compaction;
    if (json) {
        print_json(response, rd_json_encode_compaction);
        return;
    }
    printf("tail_before %" PRIu64 "\ntail %" PRIu64 "\nentries %" PRIu64 "\nreclaimed_bytes %" PRIu64
           "\npause_us %" PRIu64 "\ngeneration %016" PRIx64 "\n",
           done->tail_before, done->tail, done->entries,
           done->tail < done->tail_before ? done->tail_before - done->tail : 0, done->pause_us, done->generation);
}

void rd_print_len(const struct rd_response *response, bool json)
{
    printf(json ? "{\"entries\":%" PRIu64 "}\n" : "%" PRIu64 "\n", response->stores[0].entries);
}

/* A name or a reason comes from elsewhere: what a terminal could take for a command is left out. */
static void print_text(struct rd_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        putchar(text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : text.data[i]);
}

void rd_print_info(const struct rd_response *response, bool json)
{
    static const char *const states[] = {
        [RD_MESSAGE_STORE_OPEN] = "open",
        [RD_MESSAGE_STORE_READ_ONLY] = "read_only",
        [RD_MESSAGE_STORE_FAILED] = "failed",
    };
    if (json) {
        print_json(response, rd_json_encode_store);
        return;
    }
    const struct rd_response_store *store = &response->stores[0];
    struct rd_buffer durability;
    rd_buffer_init(&durability, 0);
    rd_json_append_durability(store->durability, store->durability_interval_ms, &durability);
    fputs("name ", stdout);
    print_text(store->name);
    printf("\nentries %" PRIu64 "\ntail %" PRIu64 "\nfile_size %" PRIu64 "\ndead_bytes %" PRIu64 "\n",
           store->entries, store->tail, store->file_size, store->dead_bytes);
    printf("quota_bytes %" PRIu64 "\nquota_entries %" PRIu64 "\nread_only %s\n", store->quota_bytes,
           store->quota_entries, store->writes_barred ? "true" : "false");
    printf("compacting %s\n", store->compacting ? "true" : "false");
    printf("durability %.*s\nbatch_marker %s\ngeneration %016" PRIx64 "\nstate %s\n", (int)durability.len,
           (const char *)durability.data, store->batch_marker ? "true" : "false", store->generation,
           states[store->state]);
    if (store->reason.len != 0) {
        fputs("reason ", stdout);
        print_text(store->reason);
        putchar('\n');
    }
    rd_buffer_deinit(&durability);
}

void rd_print_created(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, rd_json_encode_store);
}

void rd_print_pong(const struct rd_response *response, bool json)
{
    (void)response;
    if (json)
        puts("{\"status\":\"ok\"}");
}

void rd_print_dropped(const struct rd_response *response, bool json)
{
    (void)response;
    if (json)
        puts("{\"dropped\":true}");
}

void rd_print_stores(const struct rd_response *response, bool json)
{
    if (json) {
        print_json(response, rd_json_encode_stores);
        return;
    }
    for (size_t i = 0; i < response->store_count; i++) {
        print_text(response->stores[i].name);
        putchar('\n');
    }
}

static void encode_metrics(const struct rd_response *response, struct rd_buffer *out)
{
    rd_buffer_append_string(out, "{\"metrics\":");
    rd_json_append_string(response->value, out);
    rd_buffer_append_string(out, "}\n");
}

void rd_print_metrics(const struct rd_response *response, bool json)
{
    if (json)
        print_json(response, encode_metrics);
    else
        fwrite(response->value.data, 1, response->value.len, stdout); /* it has lines of its own */
}

void rd_print_batch_written(const struct rd_response *response, bool json)
{
    (void)json;
    print_json(response, rd_json_encode_batch_written);
}

void rd_print_batch_deleted(const struct rd_response *response, bool json)
{
    (void)json;
    print_json(response, rd_json_encode_batch_deleted);
}

void rd_print_batch_values(const struct rd_response *response, bool json)
{
    (void)json;
    print_json(response, rd_json_encode_batch_values);
}

void rd_print_entries_begin(bool json)
{
    if (json)
        fputs("{\"entries\":[", stdout);
}

void rd_print_entries(const struct rd_response *response, bool is_first_page, bool json)
{
    for (size_t i = 0; i < response->item_count; i++) {
        const struct rd_response_item *item = &response->items[i];
        if (json)
            printf("%s{\"hash\":\"%016" PRIx64 "\",\"offset\":%" PRIu64 ",\"length\":%" PRIu64
                   ",\"crc32\":\"%08" PRIx32 "\"}",
                   is_first_page && i == 0 ? "" : ",", item->key_hash, item->offset, item->len, item->crc32);
        else
            printf("%016" PRIx64 " %" PRIu64 " %" PRIu64 " %08" PRIx32 "\n", item->key_hash, item->offset,
                   item->len, item->crc32);
    }
}

void rd_print_entries_end(uint64_t next_offset, bool json)
{
    if (!json)
        return;
    if (next_offset == 0)
        fputs("],\"next\":null}\n", stdout);
    else
        printf("],\"next\":%" PRIu64 "}\n", next_offset);
}

/* SPDX-License-Identifier: MIT
 *
 * portion.c - pieces of values that are read past the page cache (direct.h).
 */
#include <stdlib.h>

#include "engine/direct.h"
#include "engine/store.h"

/* Into the buffer, whole blocks around what is wanted. False: not that way. */
static bool read_blocks(struct rd_portion *portion, const struct rd_value *value, const struct rd_store *store,
                        uint64_t first)
{
    struct rd_datafile file = {.io = store->io, .fd = rd_mapping_direct_fd(value->pin, store->file.path)};
    uint64_t offset = (uint64_t)(value->payload.data + first - value->pin->base);
    size_t before = offset % RD_DIRECT_BLOCK_LEN;
    uint64_t left = value->payload.len - first;
    size_t len = left < RD_DIRECT_LEN - before ? (size_t)left : RD_DIRECT_LEN - before;
    size_t blocks_len = (before + len + RD_DIRECT_BLOCK_LEN - 1) / RD_DIRECT_BLOCK_LEN * RD_DIRECT_BLOCK_LEN;
    portion->bytes = rd_slice(portion->buffer + before, len);
    return file.fd >= 0 &&
           rd_datafile_read(&file, offset - before, portion->buffer, blocks_len, before + len) == 0;
}

struct rd_portion *rd_value_read_portion(const struct rd_value *value, struct rd_store *store, uint64_t first)
{
    if (value->pin == NULL || first >= value->payload.len || rd_mapping_is_spent(value->pin))
        return NULL;
    struct rd_portion *portion = malloc(sizeof *portion);
    if (portion == NULL)
        return NULL;
    *portion = (struct rd_portion){.buffer = rd_direct_take(store->memory_bytes), .uses = 1};
    if (portion->buffer != NULL && read_blocks(portion, value, store, first))
        return portion;
    rd_portion_release(portion);
    return NULL;
}

void rd_portion_release(struct rd_portion *portion)
{
    if (portion == NULL || --portion->uses != 0)
        return;
    rd_direct_give(portion->buffer);
    free(portion);
}

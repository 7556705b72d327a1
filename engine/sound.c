/* SPDX-License-Identifier: MIT */
#include "engine/sound.h"

#include "engine/digest.h"
#include "engine/engine.h"

bool rd_record_pad_is_zero(const uint8_t *file, const struct rd_record *record)
{
    for (uint64_t at = record->trailer.prev_tail; at < record->payload_offset; at++)
        if (file[at] != 0)
            return false;
    return true;
}

bool rd_record_is_sound(const uint8_t *file, const struct rd_record *record)
{
    if (record->marker)
        return file[record->payload_offset] == 0 && record->trailer.crc32 >= RD_BATCH_COUNT_MIN;
    if (rd_record_may_be_hole(record) && record->trailer.crc32 == rd_crc32_of_zeros(record->payload_len))
        return true;
    struct rd_slice payload = rd_slice(file + record->payload_offset, record->payload_len);
    return rd_crc32(0, payload) == record->trailer.crc32;
}

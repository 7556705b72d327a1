/* SPDX-License-Identifier: MIT */
#include "engine/trailers.h"

#include <string.h>

#include "engine/datafile.h"

/* Values of one length lie at regular distances: their low bits may be the same. (Fibonacci hashing: D. Knuth,
 * "The Art of Computer Programming", volume 3, section 6.4.) */
static size_t place_of(uint64_t trailer_offset)
{
    return (size_t)(trailer_offset * UINT64_C(0x9e3779b97f4a7c15) >> (64 - RD_TRAILERS_KEPT_LOG2));
}

void rd_trailers_init(struct rd_trailers *trailers, const struct rd_datafile *file)
{
    *trailers = (struct rd_trailers){.file = file};
}

void rd_trailers_forget(struct rd_trailers *trailers)
{
    if (trailers->any)
        memset(trailers->kept, 0, sizeof trailers->kept);
    trailers->any = false;
}

bool rd_trailers_name(struct rd_trailers *trailers, uint64_t trailer_offset, uint64_t key_hash)
{
    uint8_t bytes[RD_TRAILER_LEN];
    if (rd_datafile_read(trailers->file, trailer_offset, bytes, sizeof bytes, sizeof bytes) != 0)
        return false;
    struct rd_trailer trailer = rd_trailer_decode(bytes);
    size_t place = place_of(trailer_offset);
    trailers->any = true;
    trailers->kept[place].offset = trailer_offset;
    trailers->kept[place].prev_tail = trailer.prev_tail;
    return trailer.key_hash == key_hash;
}

uint64_t rd_trailers_entry_bytes(const struct rd_trailers *trailers, uint64_t trailer_offset)
{
    size_t place = place_of(trailer_offset);
    if (!trailers->any || trailers->kept[place].offset != trailer_offset)
        return 0;
    return rd_record_bytes(trailers->kept[place].prev_tail, trailer_offset);
}

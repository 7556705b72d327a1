/* SPDX-License-Identifier: MIT
 *
 * spool.h - the engine's own view of a spool; callers see engine.h's functions.
 *
 * The checksum is taken as the bytes come in, so that the writer neither reads nor waits for the value when it
 * appends it. One thread at a time: the uploader's until the operation is submitted, then the writer's.
 */
#ifndef RD_ENGINE_SPOOL_H
#define RD_ENGINE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct rd_store;

struct rd_spool {
    struct rd_store *store;  /* borrows */
    struct rd_buffer memory; /* all bytes, as long as fd is -1 */
    int fd;                  /* the unlinked file with all bytes, or -1 */
    uint64_t len;
    uint32_t crc32;
    bool one_zero_byte; /* the bytes so far are exactly one zero */
    bool failed;
};

#endif

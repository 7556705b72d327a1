/* SPDX-License-Identifier: MIT
 *
 * sound.h - whether an entry that was parsed is what was written. Pure; shared by recovery and verify.
 */
#ifndef RD_ENGINE_SOUND_H
#define RD_ENGINE_SOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/record.h"

/* Fewer entries are no batch. */
#define RD_BATCH_COUNT_MIN 2u

/* file: readable up to the record's end, in both. */
bool rd_record_pad_is_zero(const uint8_t *file, const struct rd_record *record);

/* The payload matches the checksum; a marker has a count in its place. Zeros that may be a hole are not looked at:
 * their checksum is that of zeros. */
bool rd_record_is_sound(const uint8_t *file, const struct rd_record *record);

#endif

/* SPDX-License-Identifier: MIT
 *
 * stamp.h - values that tell which write made them: number, client, key, length and a checksum over all of it. So
 * a value that is read back is either one that was sent, whole, or it is none at all.
 *
 * What fills a value up differs from number to number: random bytes, zeros, 0xFF, and bytes that look like entries
 * of a store file, which a recovery must not take for real ones.
 */
#ifndef RD_TESTS_SUPPORT_STAMP_H
#define RD_TESTS_SUPPORT_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAMP_LEN_MIN 40u

struct stamp {
    uint64_t number; /* of the write; not 0 */
    uint32_t client;
    uint32_t key;
};

/* Fills len bytes, STAMP_LEN_MIN at least. */
void stamp_fill(const struct stamp *stamp, uint8_t *bytes, size_t len);

/* False: these bytes are not, to the last one, what stamp_fill made. */
bool stamp_read(const uint8_t *bytes, size_t len, struct stamp *ret_stamp);

#endif

/* SPDX-License-Identifier: MIT
 *
 * store_shown.h - all that an open store shows, as text, and checks that what it shows agrees with itself and with
 * its file.
 */
#ifndef RD_TESTS_FUZZ_STORE_SHOWN_H
#define RD_TESTS_FUZZ_STORE_SHOWN_H

#include "base/buffer.h"
#include "engine/engine.h"

/* A line for each live entry, newest first: hash, offset, length, checksum, and whether it reads.
 *
 *  1. Cursor, find, read, exists, len and the last entry agree.
 *  2. A value lies below the tail, on its boundary, and reads exactly where its checksum matches.
 *  3. verify looks at all of the file, and its live damaged payloads are the values that do not read. */
void fuzz_store_show(struct rd_store *store, struct rd_buffer *out);

/* The same lines, read off a file in good order whose last entry ends at its end. */
void fuzz_file_show(struct rd_slice file, struct rd_buffer *out);

#endif

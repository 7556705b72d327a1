/* SPDX-License-Identifier: MIT
 *
 * scratch.h - one folder for all runs, in memory where there is such, with one store and its companions in it.
 * They are named by what stands behind the store's own name: "" is the store's file, ".meta" its companion.
 */
#ifndef RD_TESTS_FUZZ_SCRATCH_H
#define RD_TESTS_FUZZ_SCRATCH_H

#include "base/buffer.h"
#include "engine/io.h"

/* The system's calls, but for waiting for the disk. */
const struct rd_io *fuzz_io(void);

const char *fuzz_store_path(void);

void fuzz_write_file(const char *ending, struct rd_slice bytes);

/* False: there is none. Appends. */
bool fuzz_read_file(const char *ending, struct rd_buffer *out);

/* False: there was none. */
bool fuzz_unlink(const char *ending);

unsigned fuzz_count_files(void);

/* At the end of each run. */
void fuzz_empty_folder(void);

#endif

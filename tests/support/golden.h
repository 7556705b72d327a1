/* SPDX-License-Identifier: MIT
 *
 * golden.h - files and their JSON twins in tests/golden, and scratch folders. Test code: failures end the test.
 */
#ifndef RD_TESTS_GOLDEN_H
#define RD_TESTS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buffer.h"

/* A new empty folder below TMPDIR; removed with all in it by rd_scratch_remove. owned. */
char *rd_scratch_create(void);
void rd_scratch_remove(char *folder);

/* FOLDER/NAME, owned. */
char *rd_path(const char *folder, const char *name);

/* Whole file; data owned by the buffer. */
struct rd_buffer rd_file_read(const char *path);
void rd_file_write(const char *path, struct rd_slice bytes);

/* Names of tests/golden/NAME.json, without the ending, sorted; NULL-terminated, owned with its strings. */
char **rd_golden_names(void);
void rd_golden_names_free(char **names);
json_t *rd_golden_load(const char *name);
struct rd_buffer rd_golden_file(const char *name);

/* "0a1b" to bytes. */
struct rd_buffer rd_bytes_of_hex(const char *hex);

/* The payload of an op or entry row: payload_hex, or splitmix64 {seed,len}; false where the row has neither. */
int rd_golden_payload(const json_t *row, struct rd_buffer *ret_payload);

#endif

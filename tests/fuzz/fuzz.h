/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the fuzz targets share. A target is a file fuzz_NAME.c with one LLVMFuzzerTestOneInput; libFuzzer
 * drives it (`make fuzz`), and so does replay.c, over the files of tests/fuzz/corpus/NAME, in every `make test`.
 *
 * A target makes its choices from the first bytes of the input and takes the rest as what came from outside. What
 * it does depends on the input alone, so that a file is all that a finding needs.
 */
#ifndef RD_TESTS_FUZZ_H
#define RD_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

/* Returns 0. Never fails: what is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* An invariant. Stays on in every build, and names the place that found it broken. */
#define FUZZ_CHECK(condition)                                                                                     \
    do {                                                                                                          \
        if (!(condition))                                                                                         \
            fuzz_fail(__FILE__, __LINE__, #condition);                                                            \
    } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* Ends the process where both are not the same bytes, and shows both. */
void fuzz_check_same(const char *what, const struct rd_buffer *a, const struct rd_buffer *b);

/* Each takes from the front; zeros where the input is at its end. */
uint8_t fuzz_take_u8(struct rd_slice *input);
uint16_t fuzz_take_u16(struct rd_slice *input);
uint32_t fuzz_take_u32(struct rd_slice *input);
uint64_t fuzz_take_u64(struct rd_slice *input);

/* A block of just these bytes, so that a look past them is seen. Never NULL; to be given to free(). */
uint8_t *fuzz_copy(struct rd_slice bytes);

/* True where `inner` lies in `outer` as a whole. */
bool fuzz_is_inside(struct rd_slice inner, struct rd_slice outer);

/* Well-formed UTF-8: written apart from protocol/json.c, which it is held against. */
bool fuzz_is_utf8(struct rd_slice text);

#endif

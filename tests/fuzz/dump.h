/* SPDX-License-Identifier: MIT
 *
 * dump.h - messages as text, every field that means something: two messages are the same where their texts are.
 */
#ifndef RD_TESTS_FUZZ_DUMP_H
#define RD_TESTS_FUZZ_DUMP_H

#include "base/buffer.h"
#include "protocol/message.h"

/* One line, status and message included. */
void fuzz_dump_request(const struct rd_request *request, struct rd_buffer *out);

/* One line: what an answer to this operation says on the binary protocol. */
void fuzz_dump_response(enum rd_opcode opcode, const struct rd_response *response, struct rd_buffer *out);

/* `name` and the bytes: printable ones as they are, others as \xx. */
void fuzz_dump_slice(const char *name, struct rd_slice bytes, struct rd_buffer *out);

#endif

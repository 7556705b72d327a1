/* SPDX-License-Identifier: MIT
 *
 * binary_request.h - the bodies of the binary protocol's requests. binary.c has the frames around them.
 */
#ifndef RD_PROTOCOL_BINARY_REQUEST_H
#define RD_PROTOCOL_BINARY_REQUEST_H

#include "protocol/message.h"

/* What is wrong with a token of another length. */
#define RD_BINARY_TOKEN_LEN "a token has 1 to 4096 bytes"

/* False: no request that travels in a frame has this opcode. */
bool rd_binary_request_exists(uint8_t opcode);

/* RD_WIRE_FLAG_*: which flags a request with this opcode may carry. */
uint8_t rd_binary_request_flags(uint8_t opcode);

/* Fills the request, whose opcode exists and whose body is whole, from its body. What is wrong ends up in its
 * status and message. Any thread. */
void rd_binary_request_parse(const struct rd_limits *limits, uint8_t flags, struct rd_request *request);

#endif

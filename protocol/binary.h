/* SPDX-License-Identifier: MIT
 *
 * binary.h - the binary protocol's server side: the codec that a listener carries. The client's side is
 * binary_client.h, the bytes are drawn in wire.h, docs/PROTOCOL.md is the legal text.
 *
 * The first request of a connection has RD_OPCODE_HELLO. It is to be answered with response->limits filled in, or
 * with its status where that is not RD_OK. After a hello that was refused without close_after, further hellos are
 * taken.
 *
 * Thread: a decoder belongs to its connection's loop. encode keeps no state.
 */
#ifndef RD_PROTOCOL_BINARY_H
#define RD_PROTOCOL_BINARY_H

#include "protocol/codec.h"

extern const struct rd_codec rd_binary_codec;

#endif

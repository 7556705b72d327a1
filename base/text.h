/* SPDX-License-Identifier: MIT
 *
 * text.h - bytes written as text: hexadecimal, base64 (RFC 4648, padded), decimal numbers, store names and
 * addresses. Decoders are strict: anything but the exact form is refused.
 */
#ifndef RD_BASE_TEXT_H
#define RD_BASE_TEXT_H

#include "base/buffer.h"
#include "base/slice.h"

/* Appends two lower-case digits for each byte. */
void rd_text_hex_encode(struct rd_slice bytes, struct rd_buffer *out);

/* The low `digit_count` digits of value, most significant first; digit_count is 1 to 16. */
void rd_text_hex_u64_encode(uint64_t value, unsigned digit_count, struct rd_buffer *out);

/* Decimal digits without leading zeros. */
void rd_text_u64_encode(uint64_t value, struct rd_buffer *out);

/* Two digits of either case for each byte; writes text.len / 2 bytes to `to`. */
bool rd_text_hex_decode(struct rd_slice text, uint8_t *to);

/* Exactly 16 hex digits, most significant first: how key hashes are written. */
bool rd_text_parse_hash(struct rd_slice text, uint64_t *ret_hash);

/* One or more decimal digits, no sign, no spaces, no overflow. */
bool rd_text_parse_u64(struct rd_slice text, uint64_t *ret_value);

void rd_text_base64_encode(struct rd_slice bytes, struct rd_buffer *out);

/* Writes at most text.len / 4 * 3 bytes to `to`; *ret_len tells how many. */
bool rd_text_base64_decode(struct rd_slice text, uint8_t *to, size_t *ret_len);

#define RD_TEXT_STORE_NAME_LEN_MAX 64u

/* [A-Za-z0-9._-]{1,64} without a leading dot: what a store may be called. */
bool rd_text_is_store_name(struct rd_slice name);

#define RD_TEXT_HOST_LEN_MAX 255u
#define RD_TEXT_PORT_LEN_MAX 32u

/* "HOST:PORT" or "[IPV6]:PORT", in two parts of `address`. The host is not empty; the port is a number that ports
 * have to which one can connect, or may be a service's name. */
bool rd_text_split_address(struct rd_slice address, struct rd_slice *ret_host, struct rd_slice *ret_port);

#endif

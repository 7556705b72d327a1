/* SPDX-License-Identifier: MIT */
#include "base/text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void rd_text_hex_encode(struct rd_slice bytes, struct rd_buffer *out)
{
    uint8_t *to = rd_buffer_reserve(out, bytes.len * 2);
    if (to == NULL)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        to[2 * i] = (uint8_t)hex_digits[bytes.data[i] >> 4];
        to[2 * i + 1] = (uint8_t)hex_digits[bytes.data[i] & 15];
    }
    rd_buffer_commit(out, bytes.len * 2);
}

void rd_text_hex_u64_encode(uint64_t value, unsigned digit_count, struct rd_buffer *out)
{
    uint8_t *to = rd_buffer_reserve(out, digit_count);
    if (to == NULL)
        return;
    for (unsigned i = digit_count; i > 0; i--, value >>= 4)
        to[i - 1] = (uint8_t)hex_digits[value & 15];
    rd_buffer_commit(out, digit_count);
}

void rd_text_u64_encode(uint64_t value, struct rd_buffer *out)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    rd_buffer_append(out, digits + at, sizeof digits - at);
}

bool rd_text_hex_decode(struct rd_slice text, uint8_t *to)
{
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len / 2; i++) {
        int high = hex_value(text.data[2 * i]);
        int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool rd_text_parse_hash(struct rd_slice text, uint64_t *ret_hash)
{
    uint8_t bytes[8];
    if (text.len != 2 * sizeof bytes || !rd_text_hex_decode(text, bytes))
        return false;
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        hash = hash << 8 | bytes[i];
    *ret_hash = hash;
    return true;
}

bool rd_text_parse_u64(struct rd_slice text, uint64_t *ret_value)
{
    if (text.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

void rd_text_base64_encode(struct rd_slice bytes, struct rd_buffer *out)
{
    size_t len = (bytes.len + 2) / 3 * 4;
    uint8_t *to = rd_buffer_reserve(out, len);
    if (to == NULL)
        return;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        *to++ = (uint8_t)base64_digits[group >> 18];
        *to++ = (uint8_t)base64_digits[group >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)base64_digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)base64_digits[group & 63] : '=';
    }
    rd_buffer_commit(out, len);
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

bool rd_text_base64_decode(struct rd_slice text, uint8_t *to, size_t *ret_len)
{
    if (text.len % 4 != 0)
        return false;
    size_t digits = text.len;
    while (digits > 0 && text.len - digits < 2 && text.data[digits - 1] == '=')
        digits--;
    uint32_t group = 0;
    unsigned bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            to[len++] = (uint8_t)(group >> bits);
        }
    }
    if ((group & ((1u << bits) - 1)) != 0)
        return false; /* bits that no byte uses must be zero, so that each value has one form */
    *ret_len = len;
    return true;
}

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool rd_text_is_store_name(struct rd_slice name)
{
    if (name.len == 0 || name.len > RD_TEXT_STORE_NAME_LEN_MAX || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* A number or a service's name. Of a number above 65535 the resolver would take what is left of it in 16 bits: the
 * port of somebody else. So it would of one behind a sign or spaces, which no name begins with. */
static bool is_port(struct rd_slice text)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > RD_TEXT_PORT_LEN_MAX || !is_letter_or_digit(text.data[0]))
        return false;
    for (size_t i = 0; i < text.len && number <= UINT16_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return true;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return number != 0 && number <= UINT16_MAX;
}

bool rd_text_split_address(struct rd_slice address, struct rd_slice *ret_host, struct rd_slice *ret_port)
{
    size_t colon = address.len;
    while (colon > 0 && address.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct rd_slice host = rd_slice(address.data, colon - 1);
    struct rd_slice port = rd_slice(address.data + colon, address.len - colon);
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = rd_slice(host.data + 1, host.len - 2);
    else if (memchr(host.data, ':', host.len) != NULL)
        return false; /* an IPv6 address wants its brackets: which colon is the port's cannot be told */
    if (host.len == 0 || host.len > RD_TEXT_HOST_LEN_MAX || !is_port(port))
        return false;
    *ret_host = host;
    *ret_port = port;
    return true;
}

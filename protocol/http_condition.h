/* SPDX-License-Identifier: MIT
 *
 * http_condition.h - the headers that make a request depend on a value's version, or ask for a part of it:
 * If-Match, If-None-Match, If-Range, Range.
 *
 * Our tags are strong and look one way only, "OFFSET-CRC32": the offset in hex without leading zeros, the checksum
 * in 8 digits, lower case. Any other tag is foreign and names no version.
 *
 * A backup's tag is "GENERATION-TAIL": 16 hex digits, and the file's length in hex without leading zeros. Another
 * tail changes the tag, but what is asked for by Range or guarded by If-Match is what it was as long as the
 * generation is. Pure.
 */
#ifndef RD_PROTOCOL_HTTP_CONDITION_H
#define RD_PROTOCOL_HTTP_CONDITION_H

#include "base/buffer.h"
#include "protocol/http_head.h"
#include "protocol/message.h"

struct rd_http_conditions {
    struct rd_message_condition condition;
    struct rd_message_condition target_condition;
    struct rd_message_range range;
    struct rd_message_condition range_condition;
    struct rd_slice not_versions; /* as in rd_request; borrows from the head */
    uint64_t generation;          /* backup, If-Match: of the file that is wanted; 0: any */
    uint64_t range_generation;    /* backup, If-Range; 0: there is none */
};

/* False: *problem says why, RD_PRECONDITION_FAILED where what is asked for can never be. opcode: as the route
 * says. */
bool rd_http_conditions_find(const struct rd_http_head *head, enum rd_opcode opcode,
                             struct rd_http_conditions *ret_conditions, struct rd_http_problem *problem);

/* Whether a list of tags, which has been checked, names this version by weak comparison; "*" names every one. */
bool rd_http_tags_name(struct rd_slice list, uint64_t offset, uint32_t crc32);

/* Appends a version as a tag, quotes included. */
void rd_http_append_tag(uint64_t offset, uint32_t crc32, struct rd_buffer *out);

/* The same of a store's file. */
void rd_http_append_file_tag(uint64_t generation, uint64_t tail, struct rd_buffer *out);

#endif

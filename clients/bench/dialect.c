/* SPDX-License-Identifier: MIT
 *
 * dialect.c - what the dialects share.
 */
#include "clients/bench/dialect.h"

#include <stdarg.h>
#include <stdio.h>

void rd_dialect_note(struct rd_dialect_parser *parser, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(parser->message, sizeof parser->message, format, args);
    va_end(args);
}

enum rd_dialect_parse rd_dialect_broken(struct rd_dialect_parser *parser, const char *message)
{
    rd_dialect_note(parser, "%s", message);
    return RD_DIALECT_BROKEN;
}

void rd_dialect_take_value(struct rd_dialect_parser *parser, uint64_t len)
{
    const struct rd_plan *plan = parser->plan;
    if (plan->value_len_given && len != plan->value_len) {
        rd_dialect_note(parser, "a value of %llu bytes where %zu were expected", (unsigned long long)len,
                        plan->value_len);
        parser->answer.error_count++;
        return;
    }
    parser->answer.done_count++;
    parser->answer.value_bytes += len;
}

bool rd_dialect_skip_body(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    size_t len = input->len < parser->body_left ? input->len : (size_t)parser->body_left;
    parser->body_left -= rd_slice_take(input, len).len;
    return parser->body_left == 0;
}

enum rd_dialect_parse rd_dialect_end(struct rd_dialect_parser *parser, struct rd_dialect_answer *ret_answer)
{
    *ret_answer = parser->answer;
    parser->answer = (struct rd_dialect_answer){.id = 0};
    parser->in_body = false;
    return RD_DIALECT_DONE;
}

/* SPDX-License-Identifier: MIT
 *
 * memcached.c - rdrive-bench's generator with memcached's text protocol in place of ours, so that one generator
 * drives both sides of a comparison. Takes rdrive-bench's command line; --server is memcached's address, --op put
 * or get. Not a tool of its own: memcaslap (libmemcached-tools) is that, and bench/compare runs it too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "clients/bench/load.h"
#include "clients/bench/report.h"

#define STORED "STORED\r\n"
#define MISSED "END\r\n"

static enum rd_status form(const struct rd_plan *plan, bool writes, const char *host,
                           struct rd_frame_form *ret_form)
{
    (void)host;
    struct rd_buffer *bytes = &ret_form->bytes;
    rd_buffer_append_string(bytes, writes ? "set " RD_FRAME_KEY_PREFIX : "get " RD_FRAME_KEY_PREFIX);
    ret_form->entry_count = 1;
    ret_form->digits_first = bytes->len;
    rd_buffer_append_string(bytes, RD_FRAME_DIGITS_ANY);
    if (writes) {
        rd_buffer_printf(bytes, " 0 0 %zu\r\n", plan->value_len);
        ret_form->value_first = bytes->len;
        ret_form->value_len = plan->value_len;
        uint8_t *value = rd_buffer_reserve(bytes, plan->value_len);
        if (value != NULL)
            rd_buffer_commit(bytes, plan->value_len);
    }
    rd_buffer_append_string(bytes, "\r\n");
    return bytes->failed ? RD_NO_MEMORY : RD_OK;
}

/* Takes "VALUE key:000000000000 0 100\r\n"; what then follows of the answer is the value and "\r\nEND\r\n". */
static enum rd_dialect_parse begin_value(struct rd_dialect_parser *parser, struct rd_slice *input)
{
    static const char tail[] = "\r\nEND\r\n";
    const uint8_t *end = memchr(input->data, '\n', input->len);
    if (end == NULL)
        return input->len < 64 ? RD_DIALECT_MORE : rd_dialect_broken(parser, "a line without an end");
    struct rd_slice line = rd_slice_take(input, (size_t)(end - input->data) + 1);
    const size_t before = sizeof "VALUE " - 1 + RD_FRAME_KEY_LEN + sizeof " 0 " - 1;
    uint64_t len;
    if (line.len < before + 3 || memcmp(line.data, "VALUE ", 6) != 0 ||
        !rd_text_parse_u64(rd_slice(line.data + before, line.len - before - 2), &len))
        return rd_dialect_broken(parser, "not an answer of memcached's");
    rd_dialect_take_value(parser, len);
    parser->body_left = len + sizeof tail - 1;
    parser->in_body = true;
    return RD_DIALECT_DONE;
}

/* Whether the input begins with the text; MORE: it may, once there is more of it. */
static enum rd_dialect_parse take_text(struct rd_slice *input, const char *text)
{
    size_t len = strlen(text);
    if (input->len < len)
        return memcmp(input->data, text, input->len) == 0 ? RD_DIALECT_MORE : RD_DIALECT_BROKEN;
    if (memcmp(input->data, text, len) != 0)
        return RD_DIALECT_BROKEN;
    (void)rd_slice_take(input, len);
    return RD_DIALECT_DONE;
}

static enum rd_dialect_parse parse(struct rd_dialect_parser *parser, struct rd_slice *input,
                                   struct rd_dialect_answer *ret_answer)
{
    if (!parser->in_body) {
        enum rd_dialect_parse taken = take_text(input, parser->writes ? STORED : MISSED);
        if (taken == RD_DIALECT_DONE) {
            parser->answer.done_count = 1;
            parser->answer.miss_count = !parser->writes;
            return rd_dialect_end(parser, ret_answer);
        }
        if (taken == RD_DIALECT_BROKEN)
            taken = parser->writes ? rd_dialect_broken(parser, "not stored") : begin_value(parser, input);
        if (taken != RD_DIALECT_DONE)
            return taken;
    }
    return rd_dialect_skip_body(parser, input) ? rd_dialect_end(parser, ret_answer) : RD_DIALECT_MORE;
}

static const struct rd_dialect dialect = {
    .name = "memcached", .answers_in_order = true, .form = form, .parse = parse};

int main(int argc, char **argv)
{
    struct rd_options options;
    if (!rd_options_parse(argc, argv, NULL, &options))
        return 2;
    struct rd_load_result *result = calloc(1, sizeof *result);
    struct rd_error error;
    if (result == NULL)
        return 1;
    if (rd_load_run(&options.plan, &dialect, &options.endpoint, NULL, result, &error) != RD_OK) {
        fprintf(stderr, "bench-memcached: %s\n", error.message);
        return 1;
    }
    rd_report_json(&options, result, stdout);
    if (result->error_count != 0)
        fprintf(stderr, "bench-memcached: %s\n", result->error);
    int code = result->error_count != 0;
    free(result);
    return code;
}

/* SPDX-License-Identifier: MIT */
#include "protocol/http_head.h"

#include <stdarg.h>
#include <stdio.h>

#include <llhttp.h>

#include "base/text.h"

/* RFC 9110 token bytes, four words of 64 bits by character code: ! # $ % & ' * + - . 0-9 A-Z ^ _ ` a-z | ~ */
static const uint64_t token_bits[4] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe, 0, 0};

bool rd_http_is_token_byte(uint8_t c)
{
    return (token_bits[c >> 6] >> (c & 63) & 1) != 0;
}

bool rd_http_equals_ignoring_case(struct rd_slice text, const char *lower)
{
    if (text.len != strlen(lower))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (rd_lower_case(text.data[i]) != (uint8_t)lower[i])
            return false;
    return true;
}

bool rd_http_problem_set(struct rd_http_problem *problem, enum rd_status status, const char *format, ...)
{
    problem->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(problem->message, sizeof problem->message, format, args);
    va_end(args);
    return false;
}

/* ---- the scan ---------------------------------------------------------------------------------------------- */

static bool check_request_line(struct rd_slice line, struct rd_http_problem *problem)
{
    size_t method_len = 0;
    while (method_len < line.len && rd_http_is_token_byte(line.data[method_len]))
        method_len++;
    size_t target_end = method_len + 1;
    while (target_end < line.len && line.data[target_end] > 0x20 && line.data[target_end] != 0x7f)
        target_end++;
    if (method_len == 0 || target_end >= line.len || line.data[method_len] != ' ' ||
        line.data[target_end] != ' ' || target_end == method_len + 1)
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "malformed request line");
    struct rd_slice version = rd_slice(line.data + target_end + 1, line.len - target_end - 1);
    if (!rd_slice_equal(version, rd_slice_of_string("HTTP/1.1")) &&
        !rd_slice_equal(version, rd_slice_of_string("HTTP/1.0")))
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "the version must be HTTP/1.1 or HTTP/1.0");
    return true;
}

static bool check_header_line(struct rd_slice line, struct rd_http_problem *problem)
{
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "a folded header line");
    size_t at = 0;
    while (at < line.len && rd_http_is_token_byte(line.data[at]))
        at++;
    if (at == 0 || at == line.len || line.data[at] != ':')
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "malformed header name");
    for (at++; at < line.len; at++)
        if (!rd_http_is_value_byte(line.data[at]))
            return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "a control byte in a header");
    return true;
}

/* The line that ends in the LF at `lf`. */
static enum rd_http_scanned scan_line(struct rd_http_scan *scan, struct rd_slice bytes, size_t lf, size_t *ret_len,
                                      struct rd_http_problem *problem)
{
    bool first = scan->line_start == 0;
    if (lf == scan->line_start || bytes.data[lf - 1] != '\r') {
        rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "a line must end in CR LF");
        return RD_HTTP_SCANNED_BAD;
    }
    struct rd_slice line = rd_slice(bytes.data + scan->line_start, lf - 1 - scan->line_start);
    if (line.len == 0) {
        *ret_len = lf + 1;
        return first ? RD_HTTP_SCANNED_BLANK : RD_HTTP_SCANNED_HEAD;
    }
    if (!(first ? check_request_line(line, problem) : check_header_line(line, problem)))
        return RD_HTTP_SCANNED_BAD;
    scan->line_start = scan->offset = lf + 1;
    return RD_HTTP_SCANNED_MORE;
}

enum rd_http_scanned rd_http_head_scan(struct rd_http_scan *scan, struct rd_slice bytes, size_t head_len_max,
                                       size_t *ret_len, struct rd_http_problem *problem)
{
    if (bytes.len == 0)
        return RD_HTTP_SCANNED_MORE;
    /* Judged at once, so that whoever speaks another protocol here is not kept waiting for a line's end. */
    if (scan->offset == 0 && !rd_http_is_token_byte(bytes.data[0]) && bytes.data[0] != '\r') {
        rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "this is not an HTTP request");
        return RD_HTTP_SCANNED_BAD;
    }
    size_t end = bytes.len < head_len_max ? bytes.len : head_len_max;
    while (scan->offset < end) {
        const uint8_t *found = memchr(bytes.data + scan->offset, '\n', end - scan->offset);
        if (found == NULL)
            break;
        enum rd_http_scanned scanned = scan_line(scan, bytes, (size_t)(found - bytes.data), ret_len, problem);
        if (scanned != RD_HTTP_SCANNED_MORE)
            return scanned;
    }
    scan->offset = end;
    if (bytes.len >= head_len_max) {
        rd_http_problem_set(problem, RD_HEADER_TOO_LARGE, "request line and headers are longer than %zu bytes",
                            head_len_max);
        return RD_HTTP_SCANNED_BAD;
    }
    return RD_HTTP_SCANNED_MORE;
}

/* ---- the parse --------------------------------------------------------------------------------------------- */

struct parse {
    struct rd_http_head *head;       /* borrows; what is being filled */
    struct rd_http_problem *problem; /* borrows */
    struct rd_slice url;
    struct rd_slice name; /* of the header under way */
    struct rd_slice value;
    struct rd_slice host;
    struct rd_slice origin;
    unsigned host_count;
    unsigned origin_count;
    unsigned length_count;
    unsigned coding_count;
    unsigned type_count;
    bool over_tls;
    bool complete; /* llhttp saw the end of the head */
};

static struct parse *parse_of(llhttp_t *parser)
{
    return parser->data;
}

/* llhttp may report one text in several spans; they follow each other in memory. */
static void extend(struct rd_slice *text, const char *at, size_t len)
{
    const uint8_t *from = (const uint8_t *)at;
    if (text->data == NULL)
        *text = rd_slice(from, len);
    else
        text->len = (size_t)(from + len - text->data);
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    extend(&parse_of(parser)->url, at, len);
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    extend(&parse_of(parser)->name, at, len);
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    extend(&parse_of(parser)->value, at, len);
    return 0;
}

static struct rd_slice trimmed(struct rd_slice text)
{
    while (text.len != 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        rd_slice_take(&text, 1);
    while (text.len != 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Names, IPv4 and bracketed IPv6 addresses, a port. */
static bool is_host_byte(uint8_t c)
{
    return (rd_http_is_token_byte(c) && c != '#') || c == ':' || c == '[' || c == ']';
}

static bool take_host(struct parse *parse, struct rd_slice value)
{
    if (parse->host_count++ != 0)
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "more than one Host header");
    for (size_t i = 0; i < value.len; i++)
        if (!is_host_byte(value.data[i]))
            return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "malformed Host header");
    parse->host = value;
    return true;
}

static bool take_length(struct parse *parse, struct rd_slice value)
{
    if (parse->length_count++ != 0)
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "more than one Content-Length header");
    if (!rd_text_parse_u64(value, &parse->head->content_len))
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "malformed Content-Length header");
    return true;
}

static bool take_coding(struct parse *parse, struct rd_slice value)
{
    if (parse->coding_count++ != 0 || !rd_http_equals_ignoring_case(value, "chunked"))
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT,
                                   "the only transfer coding understood is: chunked");
    parse->head->chunked = true;
    return true;
}

static bool take_type(struct parse *parse, struct rd_slice value)
{
    const uint8_t *end = memchr(value.data, ';', value.len);
    struct rd_slice type = end == NULL ? value : trimmed(rd_slice(value.data, (size_t)(end - value.data)));
    parse->head->type_json = parse->type_count++ == 0 && rd_http_equals_ignoring_case(type, "application/json");
    return true;
}

static bool take_expect(struct parse *parse, struct rd_slice value)
{
    if (rd_http_equals_ignoring_case(value, "100-continue"))
        parse->head->expect_continue = true;
    else
        parse->head->expect_unknown = true;
    return true;
}

static bool take_origin(struct parse *parse, struct rd_slice value)
{
    parse->origin_count++;
    parse->origin = value;
    return true;
}

static bool take_once(struct parse *parse, struct rd_slice value, const char *name, struct rd_slice *ret_value)
{
    if (ret_value->data != NULL)
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "more than one %s header", name);
    *ret_value = value;
    return true;
}

/* Browsers send it with whatever a page asks for: a script may change it, but not leave it out (Fetch standard).
 */
static bool take_language(struct parse *parse, struct rd_slice value)
{
    (void)value;
    parse->head->from_browser = true;
    return true;
}

static bool take_authorization(struct parse *parse, struct rd_slice value)
{
    return take_once(parse, value, "Authorization", &parse->head->authorization);
}

static bool take_if_match(struct parse *parse, struct rd_slice value)
{
    return take_once(parse, value, "If-Match", &parse->head->if_match);
}

static bool take_if_none_match(struct parse *parse, struct rd_slice value)
{
    return take_once(parse, value, "If-None-Match", &parse->head->if_none_match);
}

static bool take_if_range(struct parse *parse, struct rd_slice value)
{
    return take_once(parse, value, "If-Range", &parse->head->if_range);
}

static bool take_range(struct parse *parse, struct rd_slice value)
{
    parse->head->range = value;
    parse->head->range_count++;
    return true;
}

static bool take_request_id(struct parse *parse, struct rd_slice value)
{
    parse->head->request_id = value;
    return true;
}

static const struct {
    const char *name;
    bool (*take)(struct parse *parse, struct rd_slice value);
} headers[] = {
    {"host", take_host},
    {"content-length", take_length},
    {"transfer-encoding", take_coding},
    {"content-type", take_type},
    {"expect", take_expect},
    {"origin", take_origin},
    {"accept-language", take_language},
    {"authorization", take_authorization},
    {"if-match", take_if_match},
    {"if-none-match", take_if_none_match},
    {"if-range", take_if_range},
    {"range", take_range},
    {"x-request-id", take_request_id},
};

static int on_header_value_complete(llhttp_t *parser)
{
    struct parse *parse = parse_of(parser);
    struct rd_slice value = parse->value.data == NULL ? rd_slice("", 0) : trimmed(parse->value);
    bool good = true;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (rd_http_equals_ignoring_case(parse->name, headers[i].name))
            good = headers[i].take(parse, value);
    parse->name = parse->value = (struct rd_slice){0};
    return good ? 0 : HPE_USER;
}

/* The body is not llhttp's: http.c takes a Content-Length body in place, http_chunked.c the other. */
static int on_headers_complete(llhttp_t *parser)
{
    struct parse *parse = parse_of(parser);
    parse->complete = true;
    parse->head->http_1_0 = parser->http_minor == 0;
    parse->head->keep_alive = llhttp_should_keep_alive(parser) && (parser->flags & F_CONNECTION_CLOSE) == 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
};

static enum rd_http_method method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET:
        return RD_HTTP_GET;
    case HTTP_HEAD:
        return RD_HTTP_HEAD;
    case HTTP_PUT:
        return RD_HTTP_PUT;
    case HTTP_POST:
        return RD_HTTP_POST;
    case HTTP_DELETE:
        return RD_HTTP_DELETE;
    case HTTP_OPTIONS:
        return RD_HTTP_OPTIONS;
    default:
        return RD_HTTP_OTHER;
    }
}

/* Takes scheme and host off a target that has them, as a proxy may send it. */
static bool take_origin_off(struct parse *parse, struct rd_slice *target)
{
    const char *scheme = parse->over_tls ? "https://" : "http://";
    struct rd_slice rest = *target;
    if (!rd_http_equals_ignoring_case(rd_slice_take(&rest, strlen(scheme)), scheme))
        return true;
    size_t host_len = 0;
    while (host_len < rest.len && rest.data[host_len] != '/' && rest.data[host_len] != '?')
        host_len++;
    struct rd_slice host = rd_slice_take(&rest, host_len);
    if (host.len == 0 || host.data[0] == ':')
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "the target names no host");
    if (!rd_slice_equal_ignoring_case(host, parse->host))
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "target and Host name different hosts");
    *target = rest;
    return true;
}

static bool settle_target(struct parse *parse)
{
    struct rd_slice target = parse->url;
    if (!take_origin_off(parse, &target))
        return false;
    bool had_origin = target.len != parse->url.len;
    const uint8_t *mark = target.len == 0 ? NULL : memchr(target.data, '?', target.len);
    struct rd_slice path = rd_slice_take(&target, mark == NULL ? target.len : (size_t)(mark - target.data));
    rd_slice_take(&target, 1);
    if (path.len == 0 && had_origin) /* RFC 9110, 4.2.3 */
        path = rd_slice_of_string("/");
    bool asterisk = parse->head->method == RD_HTTP_OPTIONS && rd_slice_equal(parse->url, rd_slice_of_string("*"));
    bool fragment = parse->url.len != 0 && memchr(parse->url.data, '#', parse->url.len) != NULL;
    if (!asterisk && (fragment || path.len == 0 || path.data[0] != '/'))
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "malformed request target");
    parse->head->path = path;
    parse->head->query = target;
    return true;
}

static bool is_foreign(const struct parse *parse)
{
    if (parse->origin_count == 0)
        return false;
    struct rd_slice rest = parse->origin;
    const uint8_t *colon = memchr(rest.data, ':', rest.len);
    if (parse->origin_count != 1 || colon == NULL)
        return true; /* "null" among others */
    rd_slice_take(&rest, (size_t)(colon - rest.data));
    struct rd_slice slashes = rd_slice_take(&rest, 3);
    return !rd_slice_equal(slashes, rd_slice_of_string("://")) || !rd_slice_equal_ignoring_case(rest, parse->host);
}

static bool settle(struct parse *parse)
{
    struct rd_http_head *head = parse->head;
    if (parse->host_count == 0 && !head->http_1_0)
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "the Host header is missing");
    if (head->chunked && parse->length_count != 0)
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT,
                                   "both Content-Length and Transfer-Encoding");
    if (head->chunked && head->http_1_0)
        return rd_http_problem_set(parse->problem, RD_INVALID_ARGUMENT, "HTTP/1.0 has no transfer codings");
    if (head->http_1_0)
        head->expect_continue = head->expect_unknown = false;
    head->host = parse->host;
    head->from_browser = head->from_browser || parse->origin_count != 0;
    head->origin_foreign = is_foreign(parse);
    return settle_target(parse);
}

static bool refused_by_llhttp(llhttp_errno_t code, struct rd_http_problem *problem)
{
    if (problem->status != RD_OK)
        return false; /* a callback has filled *problem */
    switch (code) {
    case HPE_INVALID_METHOD:
        return rd_http_problem_set(problem, RD_UNSUPPORTED, "unknown method");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT,
                                   "two Content-Length headers, or one beside Transfer-Encoding");
    case HPE_INVALID_CONTENT_LENGTH:
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "malformed Content-Length header");
    case HPE_INVALID_URL:
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "malformed request target");
    default:
        return rd_http_problem_set(problem, RD_INVALID_ARGUMENT, "malformed request: %s", llhttp_errno_name(code));
    }
}

bool rd_http_head_parse(struct rd_slice bytes, bool over_tls, struct rd_http_head *ret_head,
                        struct rd_http_problem *problem)
{
    struct rd_http_head head = {0};
    struct parse parse = {.head = &head, .problem = problem, .over_tls = over_tls};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &parse;
    problem->close = true;
    llhttp_errno_t code = llhttp_execute(&parser, (const char *)bytes.data, bytes.len);
    if (code != HPE_PAUSED || !parse.complete)
        return refused_by_llhttp(code, problem);
    head.method = method_of(parser.method);
    if (!settle(&parse))
        return false;
    problem->close = false;
    *ret_head = head;
    return true;
}

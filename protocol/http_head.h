/* SPDX-License-Identifier: MIT
 *
 * http_head.h - the head of an HTTP request: from its first byte to the blank line.
 *
 * Two steps. The scan walks over raw bytes line by line as they arrive, finds where the head ends and refuses what
 * llhttp 8.1.0 lets pass (bare LF, a space before a colon, folded lines, control bytes). The whole head then goes
 * through llhttp at once, so that every header is one contiguous slice and nothing is copied.
 *
 * Pure; used by one decoder on its thread. Every slice borrows the head's bytes.
 */
#ifndef RD_PROTOCOL_HTTP_HEAD_H
#define RD_PROTOCOL_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum rd_http_method {
    RD_HTTP_GET,
    RD_HTTP_HEAD,
    RD_HTTP_PUT,
    RD_HTTP_POST,
    RD_HTTP_DELETE,
    RD_HTTP_METHOD_COUNT, /* what the routes know ends here */
    RD_HTTP_OPTIONS,
    RD_HTTP_OTHER
};

/* HTTP statuses that enum rd_status has no number for. */
enum rd_http_refusal {
    RD_HTTP_REFUSAL_NONE = 0,    /* the request's rd_status says it all */
    RD_HTTP_REFUSAL_PATH,        /* 404 not_found */
    RD_HTTP_REFUSAL_EXPECTATION, /* 417 expectation_failed */
    RD_HTTP_REFUSAL_HOST         /* 421 misdirected */
};

/* Why a request is refused; filled on slow paths only. */
struct rd_http_problem {
    enum rd_status status; /* RD_OK: there is none */
    enum rd_http_refusal refusal;
    uint32_t allow;    /* with RD_METHOD_NOT_ALLOWED: 1 << method for each that would do */
    bool close;        /* the connection cannot go on */
    char message[128]; /* terminated */
};

/* Fills *problem and returns false, so that a failing check reads `return rd_http_problem_set(...)`. */
bool rd_http_problem_set(struct rd_http_problem *problem, enum rd_status status, const char *format, ...)
    RD_PRINTF(3, 4);

/* How far the scan of one head has come; zero it for each head. */
struct rd_http_scan {
    size_t offset;     /* bytes of the head that hold no unseen line feed */
    size_t line_start; /* where the line under way begins */
};

enum rd_http_scanned {
    RD_HTTP_SCANNED_MORE,  /* no blank line yet */
    RD_HTTP_SCANNED_HEAD,  /* *ret_len bytes are the head, blank line included */
    RD_HTTP_SCANNED_BLANK, /* *ret_len bytes in front of the request line are an empty line: skip them */
    RD_HTTP_SCANNED_BAD    /* *problem says why */
};

/* `bytes` is the head from its first byte to all that has arrived; call again with more. */
enum rd_http_scanned rd_http_head_scan(struct rd_http_scan *scan, struct rd_slice bytes, size_t head_len_max,
                                       size_t *ret_len, struct rd_http_problem *problem);

struct rd_http_head {
    enum rd_http_method method;
    struct rd_slice path;  /* of the target, not decoded; "*" with OPTIONS alone */
    struct rd_slice query; /* what follows its first question mark; len 0: nothing */
    bool keep_alive;
    bool http_1_0;
    bool chunked;         /* then content_len is 0 */
    uint64_t content_len; /* bytes; 0 where there is no Content-Length */
    bool expect_continue;
    bool expect_unknown; /* an Expect that is not 100-continue */
    bool type_json;      /* Content-Type is application/json */
    bool origin_foreign; /* an Origin that is not this host */
    bool from_browser;   /* it looks like a web page's: with Accept-Language, or an Origin */
    /* Values as they stand, trimmed; data NULL where there is no such header. */
    struct rd_slice host;
    struct rd_slice authorization;
    struct rd_slice if_match;
    struct rd_slice if_none_match;
    struct rd_slice if_range;
    struct rd_slice range;
    unsigned range_count;       /* of Range headers */
    struct rd_slice request_id; /* the last X-Request-Id */
};

/* over_tls: how the head came, which a target's scheme has to fit. False: *problem says why, and the connection
 * must close because the body's length is not to be trusted. */
bool rd_http_head_parse(struct rd_slice bytes, bool over_tls, struct rd_http_head *ret_head,
                        struct rd_http_problem *problem);

/* Which bytes may be in a header's name, and in its value. */
bool rd_http_is_token_byte(uint8_t c);
static inline bool rd_http_is_value_byte(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* ASCII letters compare without regard to case; `lower` must be lower case. */
bool rd_http_equals_ignoring_case(struct rd_slice text, const char *lower);

#endif

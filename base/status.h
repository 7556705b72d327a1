/* SPDX-License-Identifier: MIT
 *
 * status.h - the one list of outcomes, shared by every layer and sent on the wire.
 *
 * Numbers are part of the binary protocol (docs/PROTOCOL.md) and never change; new ones go to the end.
 * Functions that can fail return enum rd_status and leave their ret_* outputs untouched on failure.
 */
#ifndef RD_BASE_STATUS_H
#define RD_BASE_STATUS_H

#define RD_MUST_CHECK                      __attribute__((warn_unused_result))
#define RD_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

enum rd_status {
    RD_OK = 0,
    RD_INVALID_ARGUMENT = 1, /* the request itself can never succeed */
    RD_UNAUTHORIZED = 2,
    RD_FORBIDDEN = 3,
    RD_KEY_NOT_FOUND = 4,
    RD_STORE_NOT_FOUND = 5,
    RD_METHOD_NOT_ALLOWED = 6, /* HTTP only */
    RD_TIMEOUT = 7,
    RD_CONFLICT = 8, /* rename to itself, same store, store exists, source changed */
    RD_KEY_COLLISION = 9,
    RD_PRECONDITION_FAILED = 10,
    RD_TOO_LARGE = 11,
    RD_UNSUPPORTED_MEDIA_TYPE = 12, /* HTTP only */
    RD_RANGE_NOT_SATISFIABLE = 13,
    RD_OVERLOADED = 14,       /* a limit is reached; try again later */
    RD_HEADER_TOO_LARGE = 15, /* HTTP only */
    RD_IO_ERROR = 16,
    RD_CORRUPT = 17,     /* stored bytes do not match their checksum */
    RD_UNAVAILABLE = 18, /* the store or the daemon does not serve now */
    RD_NO_SPACE = 19,
    RD_UNSUPPORTED = 20, /* unknown operation or protocol version */
    RD_NO_MEMORY = 21,
    RD_NOT_A_STORE = 22, /* the file holds something else; it is left as it is */
    RD_STATUS_COUNT
};

/* The lower-case name used in HTTP errors and by the CLI, such as "key_not_found". Never NULL. */
const char *rd_status_name(enum rd_status status);

/* What went wrong, where, and what to do; filled on slow paths only. message is always terminated. */
struct rd_error {
    enum rd_status status;
    int os_errno; /* 0 where the operating system had no part in it */
    char message[256];
};

/* Fills *error (which may be NULL) and returns status, so that a failing line reads `return rd_error_set(...)`. */
enum rd_status rd_error_set(struct rd_error *error, enum rd_status status, int os_errno, const char *format, ...)
    RD_PRINTF(4, 5);

#endif

/* SPDX-License-Identifier: MIT */
#include "base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const names[RD_STATUS_COUNT] = {
    [RD_OK] = "ok",
    [RD_INVALID_ARGUMENT] = "invalid_argument",
    [RD_UNAUTHORIZED] = "unauthorized",
    [RD_FORBIDDEN] = "forbidden",
    [RD_KEY_NOT_FOUND] = "key_not_found",
    [RD_STORE_NOT_FOUND] = "store_not_found",
    [RD_METHOD_NOT_ALLOWED] = "method_not_allowed",
    [RD_TIMEOUT] = "timeout",
    [RD_CONFLICT] = "conflict",
    [RD_KEY_COLLISION] = "key_collision",
    [RD_PRECONDITION_FAILED] = "precondition_failed",
    [RD_TOO_LARGE] = "too_large",
    [RD_UNSUPPORTED_MEDIA_TYPE] = "unsupported_media_type",
    [RD_RANGE_NOT_SATISFIABLE] = "range_not_satisfiable",
    [RD_OVERLOADED] = "overloaded",
    [RD_HEADER_TOO_LARGE] = "header_too_large",
    [RD_IO_ERROR] = "io_error",
    [RD_CORRUPT] = "corrupt",
    [RD_UNAVAILABLE] = "unavailable",
    [RD_NO_SPACE] = "no_space",
    [RD_UNSUPPORTED] = "unsupported",
    [RD_NO_MEMORY] = "no_memory",
    [RD_NOT_A_STORE] = "not_a_store",
};

const char *rd_status_name(enum rd_status status)
{
    if ((unsigned)status >= RD_STATUS_COUNT)
        return "unknown";
    return names[status];
}

enum rd_status rd_error_set(struct rd_error *error, enum rd_status status, int os_errno, const char *format, ...)
{
    if (error == NULL)
        return status;
    error->status = status;
    error->os_errno = os_errno;
    va_list args;
    va_start(args, format);
    int written = vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    size_t used = written < 0 ? 0 : (size_t)written;
    if (os_errno != 0 && used < sizeof error->message)
        snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(os_errno));
    return status;
}

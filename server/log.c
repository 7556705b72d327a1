/* SPDX-License-Identifier: MIT */
#include "server/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static atomic_int level_max = RD_LOG_INFO; /* enum rd_log_level */

bool rd_log_level_parse(struct rd_slice text, enum rd_log_level *ret_level)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (rd_slice_equal(text, rd_slice_of_string(level_names[i]))) {
            *ret_level = (enum rd_log_level)i;
            return true;
        }
    }
    return false;
}

void rd_log_set_level(enum rd_log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

/* Control characters would let a file name or a peer forge further lines. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void rd_log(enum rd_log_level level, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed))
        return;

    struct timeval now;
    gettimeofday(&now, NULL);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char time_text[32];
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);

    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    make_printable(message);

    char line[1152];
    int len = snprintf(line, sizeof line, "%s.%03dZ %-5s %s\n", time_text, (int)(now.tv_usec / 1000),
                       level_names[level], message);
    /* A log that cannot be written has nowhere to complain. */
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        return;
}

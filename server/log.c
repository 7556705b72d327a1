/* SPDX-License-Identifier: MIT */
#include "server/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_SIZE 1024
#define LINE_SIZE    4096 /* what does not fit is left out, a field or a part of a text at a time */
#define END_LEN      3    /* of a line, which there is always room for: "}\n" or "\n" */

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"}; /* of syslog: err, warning, info, debug */
static atomic_int level_max = RD_LOG_INFO;                            /* enum rd_log_level */
static atomic_int format_now = RD_LOG_TEXT;                           /* enum rd_log_format */
static bool with_priorities;                                          /* written before other threads exist */

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

bool rd_log_format_parse(struct rd_slice text, enum rd_log_format *ret_format)
{
    bool json = rd_slice_equal(text, rd_slice_of_string("json"));
    if (!json && !rd_slice_equal(text, rd_slice_of_string("text")))
        return false;
    *ret_format = json ? RD_LOG_JSON : RD_LOG_TEXT;
    return true;
}

void rd_log_set_level(enum rd_log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

void rd_log_set_format(enum rd_log_format format)
{
    atomic_store_explicit(&format_now, (int)format, memory_order_relaxed);
}

void rd_log_set_priorities(bool on)
{
    with_priorities = on;
}

/* ---- a line ----------------------------------------------------------------------------------------------- */

struct line {
    char bytes[LINE_SIZE];
    size_t len;
};

static bool put(struct line *line, const char *text, size_t len)
{
    if (len > LINE_SIZE - END_LEN - line->len)
        return false;
    memcpy(line->bytes + line->len, text, len);
    line->len += len;
    return true;
}

static bool has_room(const struct line *line, size_t len)
{
    return LINE_SIZE - END_LEN - line->len > len;
}

static bool put_string(struct line *line, const char *text)
{
    return put(line, text, strlen(text));
}

static void put_time(struct line *line)
{
    struct timeval now;
    struct tm utc;
    char text[32];
    char millis[16];
    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(millis, sizeof millis, ".%03dZ", (int)(now.tv_usec / 1000));
    put_string(line, text);
    put_string(line, millis);
}

/* Control characters would let a file name or a peer forge further lines. */
static void put_printable(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        bool printable = (unsigned char)*text >= ' ' && *text != 0x7f;
        if (!put(line, printable ? text : "?", 1))
            return;
    }
}

/* The bytes of one character of UTF-8; 0: these are none. */
static size_t character_len(const unsigned char *text)
{
    size_t len = text[0] < 0x80 ? 1 : text[0] >= 0xf0 && text[0] < 0xf5 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if ((text[0] >= 0x80 && text[0] < 0xc2) || text[0] >= 0xf5)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool beyond = (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf4 && text[1] >= 0x90);
    return overlong || beyond ? 0 : len;
}

/* Within quotes, cut where it does not fit. What is no UTF-8 becomes a question mark. */
static void put_json(struct line *line, const char *text)
{
    char escaped[8];
    put_string(line, "\"");
    while (*text != '\0' && has_room(line, sizeof escaped)) {
        unsigned char c = (unsigned char)*text;
        size_t len = character_len((const unsigned char *)text);
        if (c == '"' || c == '\\') {
            snprintf(escaped, sizeof escaped, "\\%c", c);
            put_string(line, escaped);
        } else if (c < ' ' || c == 0x7f) {
            snprintf(escaped, sizeof escaped, "\\u%04x", c);
            put_string(line, escaped);
        } else if (len == 0) {
            put(line, "?", 1);
        } else {
            put(line, text, len);
        }
        text += len == 0 ? 1 : len;
    }
    put_string(line, "\"");
}

static void put_number(struct line *line, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    put_string(line, digits);
}

/* ---- the two forms ---------------------------------------------------------------------------------------- */

static void build_text(struct line *line, enum rd_log_level level, const char *store, const char *message,
                       const struct rd_log_field *fields, size_t count)
{
    char name[16];
    if (with_priorities)
        put_string(line, priorities[level]);
    put_time(line);
    snprintf(name, sizeof name, " %-5s ", level_names[level]);
    put_string(line, name);
    if (store != NULL) {
        put_string(line, "store ");
        put_printable(line, store);
        put_string(line, ": ");
    }
    put_printable(line, message);
    for (size_t i = 0; i < count; i++) {
        put_string(line, " ");
        put_string(line, fields[i].name);
        put_string(line, "=");
        if (fields[i].text != NULL)
            put_printable(line, fields[i].text);
        else
            put_number(line, fields[i].number);
    }
}

static void put_member(struct line *line, const char *name, const char *text)
{
    put_string(line, ",\"");
    put_string(line, name);
    put_string(line, "\":");
    put_json(line, text);
}

/* One that might not fit as a whole is left out: a line is an object whatever is in it. */
static void put_field(struct line *line, const struct rd_log_field *field)
{
    size_t text_len = field->text != NULL ? strlen(field->text) : 24;
    if (!has_room(line, strlen(field->name) + 6 * text_len + 8 + MESSAGE_SIZE))
        return;
    if (field->text != NULL) {
        put_member(line, field->name, field->text);
        return;
    }
    put_string(line, ",\"");
    put_string(line, field->name);
    put_string(line, "\":");
    put_number(line, field->number);
}

static void build_json(struct line *line, enum rd_log_level level, const char *store, const char *message,
                       const struct rd_log_field *fields, size_t count)
{
    put_string(line, "{\"time\":\"");
    put_time(line);
    put_string(line, "\"");
    put_member(line, "level", level_names[level]);
    if (store != NULL)
        put_field(line, &(struct rd_log_field){.name = "store", .text = store});
    for (size_t i = 0; i < count; i++)
        put_field(line, &fields[i]);
    put_member(line, "message", message);
    memcpy(line->bytes + line->len++, "}", 1); /* for which there is always room, as for the line's end */
}

static void log_line(enum rd_log_level level, const char *store, const struct rd_log_field *fields, size_t count,
                     const char *format, va_list args)
{
    char message[MESSAGE_SIZE];
    struct line line;
    line.len = 0;
    vsnprintf(message, sizeof message, format, args);
    if (atomic_load_explicit(&format_now, memory_order_relaxed) == RD_LOG_JSON)
        build_json(&line, level, store, message, fields, count);
    else
        build_text(&line, level, store, message, fields, count);
    line.bytes[line.len++] = '\n';
    /* A log that cannot be written has nowhere to complain. */
    if (write(STDERR_FILENO, line.bytes, line.len) < 0)
        return;
}

static bool is_wanted(enum rd_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void rd_log(enum rd_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (is_wanted(level))
        log_line(level, NULL, NULL, 0, format, args);
    va_end(args);
}

void rd_log_store(enum rd_log_level level, const char *store, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (is_wanted(level))
        log_line(level, store, NULL, 0, format, args);
    va_end(args);
}

void rd_log_fields(enum rd_log_level level, const struct rd_log_field *fields, size_t count, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    if (is_wanted(level))
        log_line(level, NULL, fields, count, format, args);
    va_end(args);
}

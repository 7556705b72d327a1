/* SPDX-License-Identifier: MIT
 *
 * options.c - one table of options drives parsing and help; what belongs together is checked once all are known.
 */
#include "clients/bench/options.h"

#include <getopt.h>
#include <stdlib.h>

#include "base/text.h"
#include "clients/bench/frame.h"

#define SERVER_DEFAULT   "127.0.0.1:7401"
#define CLIENT_COUNT_MAX 100000u
#define DEPTH_MAX        65536u
#define VALUE_LEN_MAX    (1u << 30)
#define KEY_COUNT_MAX    UINT64_C(1000000000000) /* as many as twelve digits tell apart */
#define BATCH_COUNT_MAX  1000000u
#define SECONDS_MAX      1e6
#define RATE_MIN         0.001 /* so that due times are numbers of nanoseconds */
#define RATE_MAX         1e7
#define SECONDS_DEFAULT  10
#define FRAMES_LEN_MAX   (UINT64_C(4) << 30) /* of all that the run keeps ready */

static const char *const op_names[] = {[RD_PLAN_PUT] = "put",
                                       [RD_PLAN_GET] = "get",
                                       [RD_PLAN_MIXED] = "mixed",
                                       [RD_PLAN_BATCH_PUT] = "batch-put",
                                       [RD_PLAN_BATCH_GET] = "batch-get"};
#define OP_COUNT (sizeof op_names / sizeof op_names[0])

const char *rd_options_op_name(enum rd_plan_op op)
{
    return op_names[op];
}

/* ---- values ----------------------------------------------------------------------------------------------- */

/* What has been given, while the options are read. */
struct given {
    struct rd_options options;
    bool op;
    bool server;
    bool http;
    bool unix_path;
    bool requests;
    bool seconds;
};

static bool take_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;
    if (!rd_text_parse_u64(rd_slice_of_string(text), &value) || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool take_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret_value)
{
    uint64_t value;
    if (!take_u64(text, min, max, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

/* Digits with or without a point in them, and nothing else that strtod would take. */
static bool take_decimal(const char *text, double max, double *ret_value)
{
    size_t len = strlen(text);
    if (len == 0 || strspn(text, "0123456789.") != len)
        return false;
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool set_server(struct given *given, const char *text)
{
    struct rd_slice host;
    struct rd_slice port;
    given->server = true;
    given->options.endpoint.server = text;
    return rd_text_split_address(rd_slice_of_string(text), &host, &port);
}

static bool set_http(struct given *given, const char *text)
{
    given->http = true;
    given->options.http = true;
    bool already = given->server;
    bool good = set_server(given, text);
    given->server = already;
    return good;
}

static bool set_unix(struct given *given, const char *text)
{
    given->unix_path = true;
    given->options.endpoint.unix_path = text;
    return text[0] != '\0';
}

static bool set_tls(struct given *given, const char *text)
{
    (void)text;
    given->options.tls = true;
    return true;
}

static bool set_tls_ca(struct given *given, const char *text)
{
    given->options.tls = true;
    given->options.tls_ca = text;
    return text[0] != '\0';
}

static bool set_token_file(struct given *given, const char *text)
{
    given->options.token_path = text;
    return text[0] != '\0';
}

static bool set_op(struct given *given, const char *text)
{
    given->op = true;
    for (size_t i = 0; i < OP_COUNT; i++)
        if (strcmp(op_names[i], text) == 0) {
            given->options.plan.op = (enum rd_plan_op)i;
            return true;
        }
    return false;
}

static bool set_clients(struct given *given, const char *text)
{
    return take_u32(text, 1, CLIENT_COUNT_MAX, &given->options.plan.client_count);
}

static bool set_depth(struct given *given, const char *text)
{
    return take_u32(text, 1, DEPTH_MAX, &given->options.plan.depth);
}

static bool set_value_size(struct given *given, const char *text)
{
    uint64_t len;
    if (!take_u64(text, 1, VALUE_LEN_MAX, &len))
        return false;
    given->options.plan.value_len = (size_t)len;
    given->options.plan.value_len_given = true;
    return true;
}

static bool set_keys(struct given *given, const char *text)
{
    return take_u64(text, 1, KEY_COUNT_MAX, &given->options.plan.key_count);
}

static bool set_batch(struct given *given, const char *text)
{
    return take_u32(text, 1, BATCH_COUNT_MAX, &given->options.plan.batch_count);
}

static bool set_requests(struct given *given, const char *text)
{
    given->requests = true;
    return take_u64(text, 1, UINT64_MAX - 1, &given->options.plan.request_max);
}

static bool set_seconds(struct given *given, const char *text)
{
    given->seconds = true;
    return take_decimal(text, SECONDS_MAX, &given->options.plan.seconds) && given->options.plan.seconds > 0;
}

static bool set_rate(struct given *given, const char *text)
{
    return take_decimal(text, RATE_MAX, &given->options.plan.rate) && given->options.plan.rate >= RATE_MIN;
}

static bool set_read_ratio(struct given *given, const char *text)
{
    return take_decimal(text, 1, &given->options.plan.read_ratio);
}

static bool set_durability(struct given *given, const char *text)
{
    bool sync = strcmp(text, "sync") == 0;
    given->options.plan.durability = sync ? RD_MESSAGE_DURABILITY_SYNC : RD_MESSAGE_DURABILITY_NONE;
    return sync || strcmp(text, "none") == 0;
}

static bool set_store(struct given *given, const char *text)
{
    given->options.plan.store = text;
    return rd_text_is_store_name(rd_slice_of_string(text));
}

static bool set_seed(struct given *given, const char *text)
{
    return take_u64(text, 0, UINT64_MAX, &given->options.plan.seed);
}

static bool set_json(struct given *given, const char *text)
{
    (void)text;
    given->options.json = true;
    return true;
}

static bool set_help(struct given *given, const char *text)
{
    (void)text;
    given->options.help = true;
    return true;
}

static bool set_version(struct given *given, const char *text)
{
    (void)text;
    given->options.version = true;
    return true;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

struct option_row {
    const char *name;
    const char *form; /* NULL: takes no value */
    const char *help;
    bool (*set)(struct given *given, const char *text);
    const char *bounds; /* of its number; NULL: there are none to tell */
};

static const struct option_row rows[] = {
    {"server", "HOST:PORT", "the server; else RDRIVE_SERVER; else " SERVER_DEFAULT, set_server, NULL},
    {"unix", "PATH", "its Unix socket instead", set_unix, NULL},
    {"http", "HOST:PORT", "HTTP instead of the binary protocol", set_http, NULL},
    {"tls", NULL, "speak TLS with the server, whose certificate the system has to believe", set_tls, NULL},
    {"tls-ca", "FILE", "the same, with the authorities in this file", set_tls_ca, NULL},
    {"token-file", "FILE", "the token that is shown to the server; else RDRIVE_TOKEN", set_token_file, NULL},
    {"op", "put|get|mixed|batch-put|batch-get", "what to do; must be given", set_op, NULL},
    {"clients", "N", "connections (50)", set_clients, "1 to 100000"},
    {"depth", "N", "requests under way on each (1)", set_depth, "1 to 65536"},
    {"value-size", "BYTES", "of values written (100); where given, what is read must be as long", set_value_size,
     "1 to 1073741824"},
    {"keys", "N", "keys are drawn uniformly from so many (1000000)", set_keys, "1 to 1000000000000"},
    {"batch", "N", "entries of a batch (1000)", set_batch, "1 to 1000000"},
    {"requests", "N", "send so many and end; a batch is one", set_requests, "1 to 18446744073709551614"},
    {"seconds", "S", "send for so long and end (10, without --requests)", set_seconds, "above 0 to 1000000"},
    {"rate", "R", "so many requests a second, whatever the server does; latency counts from when each is due",
     set_rate, "0.001 to 10000000"},
    {"durability", "none|sync", "of writes; else as the store is set", set_durability, NULL},
    {"read-ratio", "0..1", "mixed: the part of requests that read (0.9)", set_read_ratio, NULL},
    {"store", "NAME", "the store (default)", set_store, NULL},
    {"seed", "N", "of the sequence of keys (1)", set_seed, "0 to 18446744073709551615"},
    {"json", NULL, "print one JSON object and nothing else", set_json, NULL},
    {"help", NULL, "", set_help, NULL},
    {"version", NULL, "", set_version, NULL},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

void rd_options_help(FILE *to)
{
    fputs("rdrive-bench - puts load on an rdrive server and tells how fast it answers\n\n"
          "usage: rdrive-bench --op OP [OPTIONS]\n\n",
          to);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", rows[i].name, rows[i].form != NULL ? rows[i].form : "");
        fprintf(to, strlen(left) <= 22 ? "  %-22s %s\n" : "  %s\n                         %s\n", left,
                rows[i].help);
    }
    fputs("\nKeys do not depend on the seed or the operation, so that one run reads what another has written. "
          "Reading a\n"
          "key that is not there is a miss and no error. Batches count each entry as one op; latency is a "
          "request's.\n\n"
          "exit codes: 0 done, 1 failed (no connection, one lost, or an answer that is an error), 2 wrong usage\n",
          to);
}

/* ---- what belongs together -------------------------------------------------------------------------------- */

static bool wrong(const char *what)
{
    fprintf(stderr, "rdrive-bench: %s\n", what);
    return false;
}

static bool fits_together(const struct given *given)
{
    const struct rd_plan *plan = &given->options.plan;
    if (!given->op)
        return wrong("--op says what to do: put, get, mixed, batch-put or batch-get");
    if (given->server + given->unix_path + given->http > 1)
        return wrong("give one of --server, --unix and --http");
    if (given->options.tls && given->unix_path)
        return wrong("TLS is spoken over TCP: --tls has no meaning beside --unix");
    if (given->requests && given->seconds)
        return wrong("give one of --requests and --seconds");
    uint64_t entry_len = 64 + (rd_plan_writes(plan) ? plan->value_len : 0);
    uint64_t entry_count = (uint64_t)plan->client_count * plan->depth * plan->batch_count; /* below 2^53 */
    if (entry_count > FRAMES_LEN_MAX / entry_len &&
        (rd_plan_batches(plan) || plan->value_len <= RD_FRAME_VALUE_INSIDE_MAX))
        return wrong("clients, depth, batch and value size are too much together: 4 GiB of requests at once");
    return true;
}

/* Before it is asked what fits together: there a single value counts as a batch of one. */
static void finish(struct given *given)
{
    struct rd_options *options = &given->options;
    if (!given->requests && !given->seconds)
        options->plan.seconds = SECONDS_DEFAULT;
    if (!rd_plan_batches(&options->plan))
        options->plan.batch_count = 1;
}

/* Where the command line names no server. */
static bool take_default_server(struct given *given, const char *server_default)
{
    if (given->server || given->http || given->unix_path)
        return true;
    if (server_default == NULL || server_default[0] == '\0')
        return set_server(given, SERVER_DEFAULT);
    if (set_server(given, server_default))
        return true;
    fprintf(stderr, "rdrive-bench: RDRIVE_SERVER takes HOST:PORT, not \"%s\"\n", server_default);
    return false;
}

/* getopt_long's table out of ours; an option's number is its row's plus 256, above every character. */
static void make_long_options(struct option to[ROW_COUNT + 1])
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        to[i] = (struct option){rows[i].name, rows[i].form != NULL ? required_argument : no_argument, NULL,
                                (int)i + 256};
    to[ROW_COUNT] = (struct option){NULL, 0, NULL, 0};
}

bool rd_options_parse(int argc, char **argv, const char *server_default, struct rd_options *ret_options)
{
    struct given given = {.options.plan = {.store = "default",
                                           .client_count = 50,
                                           .depth = 1,
                                           .value_len = 100,
                                           .key_count = 1000000,
                                           .batch_count = 1000,
                                           .request_max = UINT64_MAX,
                                           .read_ratio = 0.9,
                                           .seed = 1}};
    struct option long_options[ROW_COUNT + 1];
    make_long_options(long_options);
    for (int number; (number = getopt_long(argc, argv, "h", long_options, NULL)) >= 0;) {
        if (number == '?') /* getopt_long has said why */
            return false;
        if (number == 'h') { /* no row's number */
            (void)set_help(&given, NULL);
            continue;
        }
        const struct option_row *row = &rows[number - 256];
        if (!row->set(&given, optarg)) {
            fprintf(stderr, "rdrive-bench: --%s takes %s%s%s, not \"%s\"\n", row->name, row->form,
                    row->bounds != NULL ? ", " : "", row->bounds != NULL ? row->bounds : "", optarg);
            return false;
        }
    }
    bool only_asks = given.options.help || given.options.version;
    if (optind < argc)
        return wrong("there are only options here, no arguments");
    finish(&given);
    if (!only_asks && (!fits_together(&given) || !take_default_server(&given, server_default)))
        return false;
    *ret_options = given.options;
    return true;
}

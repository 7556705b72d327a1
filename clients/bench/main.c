/* SPDX-License-Identifier: MIT
 *
 * main.c - the rdrive-bench program: one run, one report, one exit code.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret_file.h"
#include "base/standard_files.h"
#include "clients/bench/load.h"
#include "clients/bench/options.h"
#include "clients/bench/report.h"
#include "clients/c/tls.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* What was printed may still be in a buffer, and the disk or the pipe behind it full. */
static int flush_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "rdrive-bench: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}

static void report(const struct rd_options *options, const struct rd_load_result *result)
{
    (options->json ? rd_report_json : rd_report_text)(options, result, stdout);
    if (result->late_count != 0)
        fprintf(stderr,
                "rdrive-bench: %" PRIu64 " requests were due and never sent: the server does not keep up\n",
                result->late_count);
    if (result->error_count != 0 || result->lost_count != 0)
        fprintf(stderr, "rdrive-bench: %" PRIu64 " errors, %u connections lost; the first: %s\n",
                result->error_count, (unsigned)result->lost_count, result->error);
}

static int run(const struct rd_options *options)
{
    struct rd_load_result *result = calloc(1, sizeof *result);
    if (result == NULL) {
        fputs("rdrive-bench: no memory\n", stderr);
        return EXIT_FAILED;
    }
    struct rd_endpoint endpoint = options->endpoint;
    bool watched = isatty(STDERR_FILENO) == 1;
    struct rd_error error;
    enum rd_status status = options->tls ? rd_tls_trust_create(options->tls_ca, &endpoint.trust, &error) : RD_OK;
    if (status == RD_OK)
        status = rd_load_run(&options->plan, options->http ? &rd_dialect_http : &rd_dialect_binary, &endpoint,
                             watched ? rd_report_progress : NULL, result, &error);
    int code = EXIT_FAILED;
    if (watched)
        rd_report_progress_end();
    if (status != RD_OK) {
        fprintf(stderr, "rdrive-bench: %s\n", error.message);
    } else {
        report(options, result);
        code = result->error_count == 0 && result->lost_count == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    rd_tls_trust_destroy(endpoint.trust);
    free(result);
    return code;
}

#define TOKEN_SIZE 4099u /* the longest that a server takes, and a line's end */

/* False: what is wrong has been said. */
static bool find_token(struct rd_options *options, char token[TOKEN_SIZE])
{
    struct rd_error error;
    enum rd_status status = rd_secret_find(options->token_path, getenv("RDRIVE_TOKEN"), token, TOKEN_SIZE,
                                           &options->plan.token, &error);
    if (status != RD_OK)
        fprintf(stderr, "rdrive-bench: --token-file: %s\n", error.message);
    return status == RD_OK;
}

int main(int argc, char **argv)
{
    if (!rd_standard_files_hold("rdrive-bench"))
        return EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error to report, not a way to die */
    struct rd_options options;
    if (!rd_options_parse(argc, argv, getenv("RDRIVE_SERVER"), &options))
        return EXIT_USAGE;
    if (options.help || options.version) {
        if (options.help)
            rd_options_help(stdout);
        else
            puts("rdrive-bench " RD_VERSION);
        return flush_output(EXIT_DONE);
    }
    char token[TOKEN_SIZE];
    if (!find_token(&options, token))
        return EXIT_USAGE;
    return flush_output(run(&options));
}

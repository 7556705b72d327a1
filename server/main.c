/* SPDX-License-Identifier: MIT
 *
 * main.c - rdrived: reads arguments and environment, and exits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/standard_files.h"
#include "engine/engine.h"
#include "server/check.h"
#include "server/config.h"
#include "server/server.h"
#include "server/systemd.h"

#define HEAP_END_LEN ((size_t)4 << 20)

static int print(struct rd_buffer *text)
{
    errno = 0;
    size_t written = fwrite(text->data, 1, text->len, stdout);
    bool good = !text->failed && written == text->len && fflush(stdout) == 0;
    if (!good)
        fprintf(stderr, "rdrived: cannot write to standard output: %s\n",
                text->failed ? "no memory" : strerror(errno));
    rd_buffer_deinit(text);
    return good ? 0 : 1;
}

static int print_help(void)
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_config_help(&text);
    return print(&text);
}

static int print_version(void)
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_buffer_append_string(&text, "rdrived " RD_VERSION "\n");
    return print(&text);
}

static int complain(const struct rd_error *error)
{
    fprintf(stderr, "rdrived: %s\n", error->message);
    return 2;
}

static int check(const struct rd_config *config)
{
    struct rd_error error = {.status = RD_OK};
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_config_describe(config, &text);
    int code = print(&text);
    return rd_check_config(config, &error) == RD_OK ? code : complain(&error);
}

/* What a turn of a loop frees the next one allocates again, and where pipelines are deep that is megabytes. glibc
 * gives what is free at its heap's end back to the kernel beyond M_TRIM_THRESHOLD, at first 128 KiB, and gets it
 * page by page again, cleared. That threshold, and the one from which on blocks are mapped by themselves, follow
 * the longest such block that was freed (mallopt(3)): a call that set them would end that, and long requests would
 * be mapped each time. Other allocators know nothing of it. */
static void keep_end_of_heap(void)
{
    void *volatile block = malloc(HEAP_END_LEN / 2);
    free(block);
}

static int serve(struct rd_config *config, const struct rd_config_sources *sources)
{
    keep_end_of_heap();
    rd_log_set_level(config->log_level);
    rd_log_set_format(config->log_format);
    rd_log_set_priorities(rd_systemd_is_journal(STDERR_FILENO));
    if (!rd_guard_install())
        rd_log(RD_LOG_WARN, "cannot handle SIGBUS: a store's file that others cut would end the daemon");
    return rd_server_run(config, sources);
}

int main(int argc, char **argv)
{
    if (!rd_standard_files_hold("rdrived"))
        return 1;
    struct rd_config_sources sources = {.argc = argc, .argv = argv, .getenv_function = getenv};
    struct rd_config config;
    struct rd_error error = {.status = RD_OK};
    int code = 2;
    switch (rd_config_load(&sources, &config, &error)) {
    case RD_CONFIG_HELP:
        return print_help();
    case RD_CONFIG_VERSION:
        return print_version();
    case RD_CONFIG_BAD:
        return complain(&error);
    case RD_CONFIG_CHECK:
        code = check(&config);
        break;
    case RD_CONFIG_RUN:
        code = serve(&config, &sources);
        break;
    }
    rd_config_deinit(&config);
    return code;
}

/* SPDX-License-Identifier: MIT
 *
 * main.c - rdrived: reads arguments and environment, and exits.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "server/config.h"
#include "server/server.h"

static int print_help(void)
{
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    rd_config_help(&text);
    fwrite(text.data, 1, text.len, stdout);
    rd_buffer_deinit(&text);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct rd_config config;
    struct rd_error error = {.status = RD_OK};
    switch (rd_config_load(argc, argv, getenv, &config, &error)) {
    case RD_CONFIG_HELP:
        return print_help();
    case RD_CONFIG_VERSION:
        printf("rdrived %s\n", RD_VERSION);
        return 0;
    case RD_CONFIG_BAD:
        fprintf(stderr, "rdrived: %s\n", error.message);
        return 2;
    case RD_CONFIG_RUN:
        break;
    }
    rd_log_set_level(config.log_level);
    if (!rd_guard_install())
        rd_log(RD_LOG_WARN, "cannot handle SIGBUS: a store's file that others cut would end the daemon");
    return rd_server_run(&config);
}

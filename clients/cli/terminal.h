/* SPDX-License-Identifier: MIT
 *
 * terminal.h - the terminal as rdrive top uses it: a screen of its own that is drawn anew, keys without echo, and
 * everything as it was when that ends, however it ends.
 *
 * One at a time in a process, since signals are.
 */
#ifndef RD_CLIENTS_CLI_TERMINAL_H
#define RD_CLIENTS_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum rd_terminal_event {
    RD_TERMINAL_TIME,   /* the time is over */
    RD_TERMINAL_RESIZE, /* the screen has another size */
    RD_TERMINAL_QUIT    /* q, SIGINT, SIGTERM or SIGHUP */
};

/* Signals are taken from now on; with a screen, where standard input and output are a terminal. */
void rd_terminal_begin(bool with_screen);
void rd_terminal_end(void);

/* Whether there is a screen, and how large it is. */
bool rd_terminal_size(unsigned *ret_rows, unsigned *ret_columns);

/* Lines of text, each cut to the screen's width. */
void rd_terminal_draw(struct rd_slice text);

enum rd_terminal_event rd_terminal_wait(uint64_t timeout_ms);

#endif

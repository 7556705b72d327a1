/* SPDX-License-Identifier: MIT */
#include "clients/cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l" /* the other screen, without a cursor */
#define LEAVE "\033[?25h\033[?1049l"

static bool has_screen;
static struct termios before;         /* what the terminal was set to */
static sigset_t outside;              /* the mask while waiting */
static volatile sig_atomic_t quits;   /* a signal that ends us has come */
static volatile sig_atomic_t resized; /* SIGWINCH */

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        quits = 1;
}

/* Blocked but while waiting, so that none comes between looking and sleeping. A request that hangs is ended by its
 * own timeout. */
static void take_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ours;
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&ours, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &ours, &outside);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigdelset(&outside, numbers[i]);
}

void rd_terminal_begin(bool with_screen)
{
    take_signals();
    has_screen = with_screen && isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1 &&
                 tcgetattr(STDIN_FILENO, &before) == 0;
    if (!has_screen)
        return;
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    fputs(ENTER, stdout);
    fflush(stdout);
}

void rd_terminal_end(void)
{
    if (!has_screen)
        return;
    has_screen = false;
    fputs(LEAVE, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

bool rd_terminal_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size;
    if (!has_screen)
        return false;
    bool told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 && size.ws_col != 0;
    *ret_rows = told ? size.ws_row : 24;
    *ret_columns = told ? size.ws_col : 80;
    return true;
}

/* Each line is cleared behind its end, and what is below the last one too: nothing flickers. */
void rd_terminal_draw(struct rd_slice text)
{
    unsigned rows;
    unsigned columns;
    if (!rd_terminal_size(&rows, &columns))
        return;
    fputs("\033[H", stdout);
    for (unsigned row = 0; row < rows && text.len != 0; row++) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        struct rd_slice line = rd_slice_take(&text, end == NULL ? text.len : (size_t)(end - text.data));
        rd_slice_take(&text, 1);
        fwrite(line.data, 1, line.len < columns ? line.len : columns, stdout);
        fputs(row + 1 < rows ? "\033[K\n" : "\033[K", stdout);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A key was pressed. True: it is q. */
static bool take_key(struct pollfd *input)
{
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) <= 0)
        input->fd = -1; /* nobody is there any more */
    return key == 'q' || key == 'Q';
}

enum rd_terminal_event rd_terminal_wait(uint64_t timeout_ms)
{
    struct pollfd input = {.fd = has_screen ? STDIN_FILENO : -1, .events = POLLIN};
    int64_t end_ms = now_ms() + (int64_t)timeout_ms;
    for (;;) {
        int64_t left_ms = end_ms - now_ms();
        if (left_ms < 0)
            left_ms = 0;
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        int ready = ppoll(&input, 1, &left, &outside);
        if (quits || (ready > 0 && take_key(&input)))
            return RD_TERMINAL_QUIT;
        if (resized) {
            resized = 0;
            return RD_TERMINAL_RESIZE;
        }
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return RD_TERMINAL_TIME;
    }
}

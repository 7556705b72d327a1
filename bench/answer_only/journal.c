/* SPDX-License-Identifier: MIT */
#include "bench/answer_only/journal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING_LEN  (UINT64_C(16) << 20)
#define AHEAD_LEN (UINT64_C(1) << 20)

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

/* Before a sync, so that it costs none of its own. */
static void extend(struct bench_journal *journal, uint64_t end)
{
    static uint8_t ones[AHEAD_LEN];
    if (journal->file_len > end)
        return;
    memset(ones, 0xff, sizeof ones);
    if (pwrite(journal->fd, ones, sizeof ones, (off_t)end) != (ssize_t)sizeof ones)
        die("extending the file");
    journal->file_len = end + sizeof ones;
}

static void append(struct bench_journal *journal, uint64_t first, uint64_t end)
{
    uint64_t at = first % RING_LEN;
    uint64_t before_wrap = min(end - first, RING_LEN - at);
    struct iovec pieces[] = {{journal->ring + at, (size_t)before_wrap},
                             {journal->ring, (size_t)(end - first - before_wrap)}};
    if (pwritev(journal->fd, pieces, 2, (off_t)first) != (ssize_t)(end - first))
        die("writing");
    if (journal->every_ms != 0)
        return;
    extend(journal, end);
    if (fdatasync(journal->fd) != 0)
        die("fdatasync");
}

/* ---- beside the receiver ---------------------------------------------------------------------------------- */

static void *append_beside(void *context)
{
    struct bench_journal *journal = context;
    pthread_mutex_lock(&journal->lock);
    for (;;) {
        while (journal->submitted == journal->kept)
            pthread_cond_wait(&journal->work, &journal->lock);
        uint64_t first = journal->kept;
        uint64_t end = journal->submitted;
        pthread_mutex_unlock(&journal->lock);
        append(journal, first, end);
        pthread_mutex_lock(&journal->lock);
        journal->kept = end;
        pthread_cond_signal(&journal->room);
        if (eventfd_write(journal->done_fd, 1) != 0)
            die("eventfd");
    }
    return NULL;
}

static void *sync_every(void *context)
{
    const struct bench_journal *journal = context;
    for (;;) {
        (void)poll(NULL, 0, (int)journal->every_ms);
        if (fdatasync(journal->fd) != 0)
            die("fdatasync");
    }
    return NULL;
}

/* ---- the receiver's --------------------------------------------------------------------------------------- */

/* Returns once more is kept than was known, if there is more. */
static void wait_for_room(struct bench_journal *journal)
{
    (void)bench_journal_end_turn(journal);
    pthread_mutex_lock(&journal->lock);
    while (journal->beside && journal->kept == journal->known && journal->kept != journal->submitted)
        pthread_cond_wait(&journal->room, &journal->lock);
    journal->known = journal->kept;
    pthread_mutex_unlock(&journal->lock);
}

uint8_t *bench_journal_room(struct bench_journal *journal, size_t *ret_len)
{
    if (journal->received - journal->known == RING_LEN)
        wait_for_room(journal);
    uint64_t at = journal->received % RING_LEN;
    *ret_len = (size_t)min(RING_LEN - at, RING_LEN - (journal->received - journal->known));
    return journal->ring + at;
}

void bench_journal_received(struct bench_journal *journal, size_t len)
{
    journal->received += len;
}

uint64_t bench_journal_end_turn(struct bench_journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    journal->submitted = journal->received;
    if (journal->submitted != journal->kept) {
        if (journal->beside) {
            pthread_cond_signal(&journal->work);
        } else {
            append(journal, journal->kept, journal->submitted);
            journal->kept = journal->submitted;
        }
    }
    journal->known = journal->kept;
    pthread_mutex_unlock(&journal->lock);
    return journal->known;
}

void bench_journal_open(struct bench_journal *journal, const char *path, bool beside, unsigned every_ms)
{
    *journal = (struct bench_journal){.beside = beside, .every_ms = every_ms, .done_fd = -1};
    journal->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    journal->ring = malloc(RING_LEN);
    if (journal->fd < 0 || journal->ring == NULL)
        die(path);
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->work, NULL);
    pthread_cond_init(&journal->room, NULL);
    if (every_ms != 0 && pthread_create(&journal->syncer, NULL, sync_every, journal) != 0)
        die("the thread that syncs");
    if (!beside)
        return;
    journal->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (journal->done_fd < 0 || pthread_create(&journal->appender, NULL, append_beside, journal) != 0)
        die("the thread that appends");
}

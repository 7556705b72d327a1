/* SPDX-License-Identifier: MIT
 *
 * journal.h - a file that gets all that was received, as it came: what a server does at least before it answers a
 * write. What has come since the last time is appended by one pwritev: at the end of the receiver's turn, by the
 * receiver (as redis does), or over and over by a thread beside it (as rdrive does).
 *
 * One fdatasync follows each time, before anything is answered; the file then runs ahead of its end with bytes
 * 0xFF, as rdrive's does (engine/extension.h says why), so that a sync has no metadata to commit. Or there is one
 * every so many milliseconds, by another thread, and nobody waits for it.
 *
 *                       ring: the last RING_LEN bytes of what was received
 *   --------------------|==========================|..................
 *                      kept                     received
 *
 * Whatever fails ends the program.
 */
#ifndef RD_BENCH_ANSWER_ONLY_JOURNAL_H
#define RD_BENCH_ANSWER_ONLY_JOURNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_journal {
    int fd;
    uint8_t *ring;      /* owned, to the end of the program */
    uint64_t received;  /* bytes; the receiver's */
    uint64_t known;     /* the receiver's: so much is kept at least */
    uint64_t file_len;  /* who appends: how long the file is, its 0xFF included */
    unsigned every_ms;  /* constant: between two syncs; 0: what is appended is synced at once */
    bool beside;        /* constant: a thread appends */
    int done_fd;        /* beside: readable once something more is kept; -1: not beside */
    pthread_t appender; /* beside */
    pthread_t syncer;   /* every_ms */
    pthread_mutex_t lock;
    pthread_cond_t work; /* the thread waits here */
    pthread_cond_t room; /* the receiver waits here */
    uint64_t submitted;  /* guarded by lock; written by the receiver */
    uint64_t kept;       /* guarded by lock; written by who appends */
};

void bench_journal_open(struct bench_journal *journal, const char *path, bool beside, unsigned every_ms);

/* Receiver: where the next bytes go. Waits for room. */
uint8_t *bench_journal_room(struct bench_journal *journal, size_t *ret_len);
void bench_journal_received(struct bench_journal *journal, size_t len);

/* Receiver: nothing more comes for now. Returns what is kept. */
uint64_t bench_journal_end_turn(struct bench_journal *journal);

#endif

/* SPDX-License-Identifier: MIT
 *
 * journal.h - a file that gets all that was received, as it came, and is synced: what a server does at least
 * before it answers a synced write. What has come since the last time is appended by one pwritev, and followed by
 * one fdatasync: at the end of the receiver's turn, by the receiver (as redis does), or over and over by a thread
 * beside it (as rdrive does). The file runs ahead of its end with bytes 0xFF, as rdrive's does (engine/extension.h
 * says why), so that a sync has no metadata to commit.
 *
 *                       ring: the last RING_LEN bytes of what was received
 *   --------------------|==========================|..................
 *                     synced                    received
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
    uint8_t *ring;     /* owned, to the end of the program */
    uint64_t received; /* bytes; the receiver's */
    uint64_t known;    /* the receiver's: so much is synced at least */
    uint64_t file_len; /* who syncs: how long the file is, its 0xFF included */
    bool beside;       /* constant: a thread syncs */
    int done_fd;       /* beside: readable once something more has been synced; -1: not beside */
    pthread_t thread;  /* beside */
    pthread_mutex_t lock;
    pthread_cond_t work; /* the thread waits here */
    pthread_cond_t room; /* the receiver waits here */
    uint64_t submitted;  /* guarded by lock; written by the receiver */
    uint64_t synced;     /* guarded by lock; written by who syncs */
};

void bench_journal_open(struct bench_journal *journal, const char *path, bool beside);

/* Receiver: where the next bytes go. Waits for room. */
uint8_t *bench_journal_room(struct bench_journal *journal, size_t *ret_len);
void bench_journal_received(struct bench_journal *journal, size_t len);

/* Receiver: nothing more comes for now. Returns what is synced. */
uint64_t bench_journal_end_turn(struct bench_journal *journal);

#endif

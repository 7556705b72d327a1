/* SPDX-License-Identifier: MIT
 *
 * recorder.h - an io table (engine/io.h) that does what it is asked to on a real folder and writes down, call by
 * call, what was done (log.h). One lock around each call and its line in the log, so that the log's order is the
 * order of things. A sync is written down, not done: nobody will cut this machine's power.
 *
 * It also brings about what a real machine does by chance and a seed must repeat: a disk that is full at a certain
 * length, and a write that takes so long that others queue behind it.
 */
#ifndef RD_TESTS_CRASH_RECORDER_H
#define RD_TESTS_CRASH_RECORDER_H

#include <pthread.h>

#include "engine/io.h"
#include "tests/crash/hold.h"
#include "tests/crash/log.h"

#define FDS_MAX 256u

/* Bugs that a rig must find, or it proves nothing. */
enum planted {
    PLANTED_NOTHING,
    PLANTED_NO_DATA_SYNC,   /* fdatasync says yes and does nothing */
    PLANTED_NO_FILE_SYNC,   /* so does fsync of a file */
    PLANTED_NO_FOLDER_SYNC, /* so does fsync of a folder */
    PLANTED_NO_OPEN_SYNC,   /* so does fdatasync before the first entry is written to a descriptor: what recovery
                               accepts */
    PLANTED_NO_MARKER,      /* the workload's: stores have no batch markers */
    PLANTED_COUNT
};

struct recorder_fd {
    uint32_t inode;  /* NO_INODE: of a file without a name, or of the folder */
    bool second;     /* the inode was open already: a value is being placed */
    bool store_file; /* not a companion */
    bool written;    /* through this descriptor */
};

struct recorder {
    struct rd_io io; /* what a store is opened with */
    enum planted planted;
    struct hold writes;   /* a write waits here, before it is done */
    pthread_mutex_t lock; /* guards all below */
    struct log log;
    uint32_t leads_to[NAMES_MAX];
    struct recorder_fd fds[FDS_MAX];
    uint64_t size_max; /* a store's file finds the disk full above; 0: it is not */
    size_t extended;   /* writes that made a store's file run ahead of its tail (engine/extension.h) */

    /* Called without the lock, on the thread that places a value ahead, behind each of its writes. NULL: nobody.
     */
    void (*while_placing)(void *context);
    void *while_placing_context;
};

/* log: taken over; the folder's files are as its events leave them. */
void recorder_init(struct recorder *recorder, struct log log, enum planted planted);
void recorder_deinit(struct recorder *recorder);

/* Adds a note; returns its index in the log. */
size_t recorder_note(struct recorder *recorder);

void recorder_set_size_max(struct recorder *recorder, uint64_t size_max);

#endif

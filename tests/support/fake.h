/* SPDX-License-Identifier: MIT
 *
 * fake.h - a server for the tests of clients, on a thread of its own, one connection after another: it speaks the
 * protocol through the server's codec, stores nothing, and misbehaves as it is told.
 */
#ifndef RD_TESTS_SUPPORT_FAKE_H
#define RD_TESTS_SUPPORT_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum fake_manner {
    FAKE_GOOD,
    FAKE_DRIBBLE,        /* sends every answer byte by byte */
    FAKE_CLOSE_ON_TENTH, /* answers nine requests, then hangs up; good on the next connection */
    FAKE_HALF_ON_TENTH,  /* the same, but with half an answer before */
    FAKE_GARBAGE,        /* answers the tenth request with bytes that are no frame */
    FAKE_SILENT,         /* answers the hello and nothing else */
    FAKE_MUTE,           /* not even the hello */
    FAKE_FOREIGN_ID,     /* answers what was never asked */
    FAKE_OTHER_OPCODE,
    FAKE_REFUSE_HELLO,
    FAKE_REFUSE_STREAM,  /* answers an upload at its first chunk */
    FAKE_BREAK_DOWNLOAD, /* an abort in place of the end */
    FAKE_CUT_DOWNLOAD,   /* an end before all bytes */
    FAKE_LONG_DOWNLOAD   /* more bytes than it announced */
};

#define FAKE_GENERATION 0x1234u
#define FAKE_VALUE_LEN  (3u << 20)

struct fake_server {
    enum fake_manner manner;
    int listen_fd;
    int port;
    pthread_t thread;
    uint32_t connection_count; /* written by the thread; read after fake_stop() */
    uint32_t request_count;    /* of this connection */
    uint64_t last_id;
    uint64_t uploaded_len; /* bytes of chunks */
    uint64_t upload_id;
    uint64_t download_left;
    uint64_t download_id;
    bool aborted; /* the client gave up a stream */
};

/* Listens on a free port of the loopback; fake->manner is set before. */
void fake_start(struct fake_server *fake);

/* The thread is gone afterwards, and what it noted is the test's. */
void fake_stop(struct fake_server *fake);

#endif

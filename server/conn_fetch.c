/* SPDX-License-Identifier: MIT
 *
 * conn_fetch.c - values that have to be brought into memory before they are sent: a thread of the pool reads some
 * of them and has the disk go on with what comes next, so that it is there, or nearly so, when that is asked for.
 * A value that memory cannot hold is read past the page cache, where it would push out what others read; where
 * that cannot be, it has what was sent forgotten.
 */
#include <stdlib.h>

#include "server/conn_state.h"
#include "server/courtesy.h"
#include "server/loop.h"
#include "server/stores.h"

#define FETCH_LEN    ((uint64_t)1 << 20)
#define AHEAD_LEN    ((uint64_t)4 << 20)
#define PIECE_LEN    ((uint64_t)256 << 10) /* asked for or forgotten at a time: some 80 us of a processor */
#define BRIEF_LEN    ((uint64_t)64 << 10)  /* the same, where others wait for brief answers */
#define UNSENT_LEN   FETCH_LEN             /* before what is fetched, it may not have left yet */
#define MEMORY_SHARE 2u                    /* a value above this share of memory is forgotten */

struct fetch {
    struct rd_job job;
    struct rd_conn *conn;               /* kept */
    struct rd_value value;              /* owned */
    struct rd_hosted *hosted;           /* one use */
    const struct rd_download *download; /* compared only; NULL: for what is unsent */
    uint64_t first;
    bool ahead;                  /* before it is needed: into a portion or not at all */
    struct rd_portion *portion;  /* one use; what was read past the page cache; NULL: it is in the map */
    uint64_t step_len;           /* asked for or forgotten before others are let in */
    struct rd_courtesy courtesy; /* the thread that works on it */
};

static void tell(struct rd_conn *conn, const struct rd_download *download, uint64_t end,
                 struct rd_portion *portion)
{
    if (conn->state == RD_CONN_CLOSING)
        return;
    if (download != NULL) {
        rd_download_fetched(&conn->downloads, download, end, portion);
    } else {
        conn->fetching = false;
        conn->output_ms = uv_now(&conn->loop->uv); /* the peer is not to be blamed */
        rd_outbox_fetched(&conn->out, end, portion);
    }
    rd_conn_mark_dirty(conn);
}

static void ask(struct fetch *fetch)
{
    uint64_t end = fetch->first + FETCH_LEN + AHEAD_LEN;
    if (end > fetch->value.payload.len)
        end = fetch->value.payload.len;
    for (uint64_t at = fetch->first; at < end; at += PIECE_LEN) {
        if (rd_value_is_in_memory(&fetch->value, at, PIECE_LEN))
            continue; /* most of it, which was asked for before */
        for (uint64_t step = 0; step < PIECE_LEN && at + step < end; step += fetch->step_len) {
            rd_value_fetch(&fetch->value, at + step, 0, fetch->step_len);
            rd_courtesy_let_in(&fetch->courtesy);
        }
    }
}

/* All that earlier fetches have brought: this one was not needed before what the last one had asked for was sent.
 */
static void forget_sent(struct fetch *fetch)
{
    uint64_t end = fetch->first > UNSENT_LEN ? fetch->first - UNSENT_LEN : 0;
    uint64_t first = end > FETCH_LEN + AHEAD_LEN ? end - FETCH_LEN - AHEAD_LEN : 0;
    for (uint64_t at = first; at < end; at += fetch->step_len) {
        rd_value_forget(&fetch->value, at, end - at < fetch->step_len ? end - at : fetch->step_len);
        rd_courtesy_let_in(&fetch->courtesy);
    }
}

/* On a thread of the pool. */
static void work(struct rd_job *job)
{
    struct fetch *fetch = (struct fetch *)(void *)job;
    bool forgets = fetch->value.payload.len > fetch->conn->loop->process->memory_bytes / MEMORY_SHARE;
    if (forgets)
        fetch->portion = rd_value_read_portion(&fetch->value, fetch->hosted->store, fetch->first);
    if (fetch->portion != NULL || fetch->ahead)
        return;
    ask(fetch);
    rd_value_fetch(&fetch->value, fetch->first, FETCH_LEN, 0);
    if (forgets)
        forget_sent(fetch);
}

/* What is unsent goes on, or asks for what it did not get. */
static void end_wait(struct rd_conn *conn, const struct fetch *fetch)
{
    if (fetch->portion != NULL)
        rd_outbox_fetched_ahead(&conn->out, &fetch->value, fetch->first, fetch->portion);
    if (conn->fetching)
        conn->output_ms = uv_now(&conn->loop->uv); /* the peer is not to be blamed */
    conn->fetching = false;
}

/* Whoever waits by now goes on, or what it did not get is asked for. */
static void tell_ahead(struct fetch *fetch)
{
    struct rd_conn *conn = fetch->conn;
    conn->fetching_ahead = false;
    conn->ahead_of = NULL;
    if (conn->state == RD_CONN_CLOSING)
        return;
    struct rd_download *waiting = NULL;
    if (fetch->download != NULL)
        waiting = rd_download_fetched_ahead(&conn->downloads, fetch->download, &fetch->value, fetch->first,
                                            fetch->portion);
    else
        end_wait(conn, fetch);
    if (waiting != NULL)
        rd_conn_fetch_download(conn, waiting);
    rd_conn_mark_dirty(conn);
}

static void done(struct rd_job *job)
{
    struct fetch *fetch = (struct fetch *)(void *)job;
    struct rd_conn *conn = fetch->conn;
    uint64_t len = fetch->portion != NULL ? fetch->portion->bytes.len : FETCH_LEN;
    if (fetch->ahead)
        tell_ahead(fetch);
    else
        tell(conn, fetch->download, fetch->first + len, fetch->portion);
    rd_portion_release(fetch->portion);
    rd_value_release(&fetch->value);
    rd_hosted_unuse(fetch->hosted);
    free(fetch);
    rd_conn_let_go(conn);
}

/* False: no memory, or no thread. */
static bool start(struct rd_conn *conn, const struct rd_value *value, struct rd_hosted *hosted, uint64_t first,
                  const struct rd_download *download, bool ahead)
{
    struct fetch *fetch = malloc(sizeof *fetch);
    if (fetch == NULL)
        return false;
    *fetch = (struct fetch){
        .job = {.work = work, .done = done, .port = &conn->loop->port, .queue = &hosted->reads},
        .conn = conn,
        .value = rd_value_share(value),
        .hosted = hosted,
        .download = download,
        .first = first,
        .ahead = ahead,
        .step_len = rd_loop_is_brief(conn->loop) ? BRIEF_LEN : PIECE_LEN,
    };
    if (!rd_pool_submit(conn->loop->pool, &fetch->job)) {
        rd_value_release(&fetch->value);
        free(fetch);
        return false;
    }
    rd_hosted_use_again(hosted);
    rd_conn_keep(conn);
    return true;
}

void rd_conn_fetch_unsent(struct rd_conn *conn)
{
    struct rd_hosted *hosted;
    uint64_t first;
    const struct rd_value *value = rd_outbox_waiting(&conn->out, &hosted, &first);
    conn->fetching = true;
    if (conn->fetching_ahead && conn->ahead_of == NULL) /* that may be it */
        return;
    if (!start(conn, value, hosted, first, NULL, false))
        tell(conn, NULL, first + FETCH_LEN, NULL); /* then it is the loop that waits */
}

/* One at a time. */
void rd_conn_fetch_ahead(struct rd_conn *conn)
{
    struct rd_hosted *hosted;
    uint64_t first;
    if (conn->fetching || conn->fetching_ahead)
        return;
    const struct rd_value *value = rd_outbox_ahead(&conn->out, &hosted, &first);
    const struct rd_download *download = value == NULL ? rd_downloads_ahead(&conn->downloads, &first) : NULL;
    if (download != NULL)
        value = rd_download_value(download, &hosted);
    if (value == NULL)
        return;
    conn->fetching_ahead = start(conn, value, hosted, first, download, true);
    conn->ahead_of = conn->fetching_ahead ? download : NULL;
}

void rd_conn_fetch_download(struct rd_conn *conn, struct rd_download *download)
{
    struct rd_hosted *hosted;
    if (conn->ahead_of == download) /* that may be it */
        return;
    const struct rd_value *value = rd_download_value(download, &hosted);
    uint64_t first = rd_download_sent(download);
    if (!start(conn, value, hosted, first, download, false))
        tell(conn, download, first + FETCH_LEN, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * upload.h - a value that comes in part by part. Parts are gathered on the loop and put into the engine's spool on
 * a pool thread, since the disk may make that wait; the engine's operation is submitted when the last part is in,
 * so the upload takes effect at its end and holds nobody up before.
 *
 *   rd_upload_begin --> rd_upload_take_part (chunk)* --> (end) --> its turn in its lane, alone:
 *          |                     |                                 rd_run_write_stream waits for the pool
 *          v                     v                                 thread, has a long value put ahead, and
 *   answered with       abort, too slow, disk full:                submits
 *   an error            the spool is gone with that
 *
 * So what was sent behind the last part sees the value.
 *
 * Backpressure: at most a window of bytes is gathered. The binary protocol's credit is given back as bytes reach
 * the spool; where there is no credit the connection stops reading (rd_upload_is_full).
 *
 * The loop's thread, but for the spooling itself.
 */
#ifndef RD_SERVER_UPLOAD_H
#define RD_SERVER_UPLOAD_H

#include "protocol/message.h"
#include "server/call.h"

/* A NEW call of a streamed write: UPLOADING from now on, or answered. */
void rd_upload_begin(struct rd_call *call);

/* Answers a call whose body is still to come with an error; where the rest of it cannot be told from requests, the
 * connection takes no more. */
void rd_upload_refuse(struct rd_call *call, enum rd_status status, const struct rd_error *error);

void rd_upload_take_part(struct rd_call *call, const struct rd_stream_part *part);

/* Ends an UPLOADING call with an error; nothing of it stays. One whose last part is in goes on. */
void rd_upload_fail(struct rd_call *call, enum rd_status status, const char *message);

/* Ends an upload whose store somebody waits to close, also one that waits in its lane, and gives the store up.
 * What a pool thread or the writer has goes on. */
void rd_upload_withdraw(struct rd_call *call);

/* Whether the pool holds it: the connection must not destroy the call. */
bool rd_upload_is_working(const struct rd_call *call);

/* Bytes of it that are in memory, at most. */
uint64_t rd_upload_memory(const struct rd_call *call);

/* Whether as much is gathered as may be. */
bool rd_upload_is_full(const struct rd_call *call);

/* uv_now of the last part, or of when what has come was taken, for which the peer may have waited. */
uint64_t rd_upload_progress_ms(const struct rd_call *call);

/* What the upload keeps beside its store is gone then; not while the pool holds it. Both: a call without an upload
 * is fine. */
void rd_upload_leave_store(struct rd_call *call);
void rd_upload_destroy(struct rd_call *call);

#endif

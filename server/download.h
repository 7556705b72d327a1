/* SPDX-License-Identifier: MIT
 *
 * download.h - a value that leaves in parts, as its reader gives credit for them. One chunk of each download at a
 * time, in turn, so that a stream never monopolises the connection. A whole value is verified on the way: where it
 * does not match its checksum the last chunk is replaced by an abort.
 *
 * A slow reader costs a pinned value and this struct, no memory for its bytes. The loop's thread only.
 */
#ifndef RD_SERVER_DOWNLOAD_H
#define RD_SERVER_DOWNLOAD_H

#include "protocol/codec.h"
#include "server/call.h"
#include "server/outbox.h"

struct rd_download;

/* The downloads of one connection, next to be served first. */
struct rd_downloads {
    struct rd_download *first; /* owned */
    struct rd_download *last;
    unsigned count;
};

/* Takes the value and the use of its store from a read_stream or backup call whose answer was encoded. leaving:
 * borrows; one more as long as the download lasts; may be NULL. False: no memory. */
bool rd_download_begin(struct rd_downloads *downloads, struct rd_call *call, struct rd_counter *leaving);

/* A credit or abort of the peer. False: there is no download of that id. */
bool rd_download_take_part(struct rd_downloads *downloads, const struct rd_stream_part *part);

/* Puts one chunk, end or abort of the next download that may send into the outbox. False: none may, or no memory
 * (*ret_failed). *ret_waiting, where not NULL: that one's next chunk is not in memory, and nothing was put; until
 * rd_download_fetched it may not send. */
bool rd_download_send_one(struct rd_downloads *downloads, const struct rd_codec *codec, struct rd_outbox *out,
                          uint32_t chunk_len_max, struct rd_download **ret_waiting, bool *ret_failed);

/* The value of one that waits, and where its next chunk begins; borrowed. */
const struct rd_value *rd_download_waiting(const struct rd_download *download, struct rd_hosted **ret_hosted,
                                           uint64_t *ret_first);

/* The bytes up to `end` of one that waits are in memory: in the portion, of which it takes one use more, or, where
 * that is NULL, in the map. It may be gone by now: it is looked for first. */
void rd_download_fetched(struct rd_downloads *downloads, const struct rd_download *download, uint64_t end,
                         struct rd_portion *portion);

/* No credit will come any more: downloads that have not enough of it for their rest are ended with an abort. */
void rd_downloads_end_credit(struct rd_downloads *downloads, enum rd_status status, const char *message);

/* To be called now and then: ends downloads that have waited for credit for stall_ms. heard_ms: since when the
 * connection has been read all the time; what lay unread before may have been credit. True: one was. */
bool rd_downloads_sweep(struct rd_downloads *downloads, uint64_t now_ms, uint64_t stall_ms, uint64_t heard_ms);

/* Likewise: ends those whose store somebody has waited to reopen for grace_ms. */
bool rd_downloads_withdraw(struct rd_downloads *downloads, uint64_t now_ms, uint64_t grace_ms);

void rd_downloads_destroy(struct rd_downloads *downloads);

#endif

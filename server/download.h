/* SPDX-License-Identifier: MIT
 *
 * download.h - a value that leaves in parts, as its reader gives credit for them. One chunk of each download at a
 * time, in turn, so that a stream never monopolises the connection. A whole value is verified on the way: where it
 * does not match its checksum the last chunk is replaced by an abort.
 *
 * A slow reader costs a pinned value and this struct, no memory for its bytes but for a portion or two of what
 * memory cannot hold, which are few in all. The loop's thread only.
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

/* Borrowed; and where its next chunk begins. */
const struct rd_value *rd_download_value(const struct rd_download *download, struct rd_hosted **ret_hosted);
uint64_t rd_download_sent(const struct rd_download *download);

/* The bytes up to `end` of one that waits are in memory: in the portion, of which it takes one use more, or, where
 * that is NULL, in the map. It may be gone by now: it is looked for first. */
void rd_download_fetched(struct rd_downloads *downloads, const struct rd_download *download, uint64_t end,
                         struct rd_portion *portion);

/* One that leaves from a portion and wants the next one, which begins at *ret_first; NULL: none does. */
const struct rd_download *rd_downloads_ahead(const struct rd_downloads *downloads, uint64_t *ret_first);

/* What was read for it: takes one use more of the portion, where it goes on from there. portion: may be NULL, and
 * the download may be gone, or be another one: `of`, compared only, tells. Returns one that waits all the same. */
struct rd_download *rd_download_fetched_ahead(struct rd_downloads *downloads, const struct rd_download *download,
                                              const struct rd_value *of, uint64_t first,
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

/* SPDX-License-Identifier: MIT
 *
 * successor.h - PATH.compact, the file that is to take a store's place: entries are appended to it in order and
 * indexed as they come, so that readers can be led to it at once when it does.
 *
 * It holds values, and tombstones where a value that it holds has been deleted meanwhile; no markers, fillers or
 * spacers (record.h), since all of it is synced before it is a store.
 *
 * Nobody else's before it is taken over; one thread at a time.
 */
#ifndef RD_ENGINE_SUCCESSOR_H
#define RD_ENGINE_SUCCESSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "engine/datafile.h"
#include "engine/epoch.h"
#include "engine/record.h"
#include "engine/view.h"

struct rd_successor_entry; /* appended, but not indexed yet */

struct rd_successor {
    struct rd_datafile file; /* owned; locked as a store's file is */
    struct rd_epoch epoch;   /* of the index, until the store's own takes over */
    struct rd_view *view;    /* owned; index and map, but no tail yet */
    uint8_t *buffer; /* owned; on a boundary of RD_RECORD_ALIGN; what follows the file's end lies in it as it
                      * will in the file (encoder.h says why) */
    size_t buffer_len;
    struct rd_successor_entry *pending; /* owned */
    uint32_t pending_count;
    uint64_t tail; /* where the last entry ends, buffered ones included */
    uint64_t entry_count;
    uint64_t live_bytes;   /* of what is indexed: payloads and trailers */
    uint64_t unsynced_len; /* bytes written since the last sync */
};

/* Takes away what a compaction left that was cut short. Durable or not: there is no harm in it. */
void rd_successor_remove_leftover(const struct rd_io *io, const char *path);

/* Makes the file beside the store at `path`, whose file is open as fd, with an index for so many keys and a map
 * for so many bytes. Fine to end after a failure. */
enum rd_status rd_successor_begin(struct rd_successor *successor, const struct rd_io *io, const char *path,
                                  int store_fd, uint64_t expected_keys, uint64_t expected_len,
                                  struct rd_error *ret_error) RD_MUST_CHECK;

/* Closes what was not taken over; file and index are gone then. */
void rd_successor_end(struct rd_successor *successor);

/* Appends len bytes, from `first` on, of the payload of the entry that lies in `from` as this record says: the
 * pieces of a payload in a row, nothing between them. The checksum stays as it is. 0 or an errno value, as all
 * that follow. */
int rd_successor_append(struct rd_successor *successor, const uint8_t *from, const struct rd_record *record,
                        uint64_t first, uint64_t len) RD_MUST_CHECK;

/* Whether a value of that key is there. Only of what was flushed. */
bool rd_successor_holds(struct rd_successor *successor, uint64_t key_hash);

/* Whether the path itself, and no link that it is, leads to the store's file: the new one would take the link's
 * place, and the store would be two; or that of a file which somebody has put there. */
enum rd_status rd_successor_check_place(const struct rd_io *io, const char *path, int store_fd,
                                        struct rd_error *ret_error) RD_MUST_CHECK;

/* Writes and indexes all that was appended. */
int rd_successor_flush(struct rd_successor *successor) RD_MUST_CHECK;

/* Flushed before. */
int rd_successor_sync(struct rd_successor *successor) RD_MUST_CHECK;

#endif

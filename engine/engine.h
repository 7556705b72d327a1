/* SPDX-License-Identifier: MIT
 *
 * engine.h - the storage engine's whole public face.
 *
 * A store is one append-only file (docs/FORMAT.md, engine/record.h) and one writer thread. Writes are operations
 * that the caller owns: they are queued, judged in queue order, appended in groups, made durable, published, and
 * completed, each exactly once and in the order of submission. Reads take no lock and copy nothing: what they
 * return points into the file's memory map and pins it.
 *
 * What it does not do: no sockets, no event loop, no logging. It is a library that a program may embed.
 *
 * Caveats first
 *  1. Keys are not stored, only their XXH3-64 hash: two keys with one hash share an entry.
 *  2. An empty payload and the payload of exactly one zero byte cannot be stored: the latter is how the file
 *     marks a deleted key.
 *  3. A slice inside rd_value stays valid until rd_value_release, whatever happens to the key meanwhile.
 *  4. Every value must be released before rd_store_close; close waits for no reader.
 *  5. One store per file in all processes: the file is locked (flock) while it is open.
 *  6. A store is its process's. In a child by fork it is not to be read, writes are RD_UNAVAILABLE and
 *     closing does nothing: the child ends, or has another program take its place.
 *  7. A limit of files' sizes (RLIMIT_FSIZE) is RD_NO_SPACE where the process ignores SIGXFSZ; else that ends it.
 *
 * Threads: every function may be called from any thread unless it says otherwise. A thread that is cancelled in a
 * blocking write, delete, rename, batch or rd_store_execute ends that first; nowhere else may one be, and so not
 * in a stream, a copy or a transfer. The engine's own threads handle no signal of the host's.
 */
#ifndef RD_ENGINE_ENGINE_H
#define RD_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/distribution.h"
#include "base/slice.h"
#include "base/status.h"

struct rd_io;
struct rd_mapping;
struct rd_store;

/* ---- keys --------------------------------------------------------------------------------------------- */

struct rd_key {
    struct rd_slice bytes; /* borrows; data is NULL where only the hash is known (an empty key is not NULL) */
    uint64_t hash;         /* XXH3-64 of bytes, seed 0, or what the caller answers for */
};

struct rd_key rd_key_of_bytes(struct rd_slice bytes);
struct rd_key rd_key_of_hash(uint64_t hash);

/* CRC-32 (zlib polynomial) as stored behind each payload; crc is 0 for the first part. */
uint32_t rd_crc32(uint32_t crc, struct rd_slice bytes);

/* The 16 bytes that name `key` inside `namespace_bytes`: both XXH3-64 hashes, little-endian. */
void rd_key_namespaced(struct rd_slice namespace_bytes, struct rd_slice key, uint8_t ret_key[16]);

/* ---- opening ------------------------------------------------------------------------------------------ */

enum rd_durability {
    RD_DURABILITY_DEFAULT = 0, /* of an operation: whatever the store has; of a store: sync */
    RD_DURABILITY_SYNC,        /* answered after an fdatasync that covers it */
    RD_DURABILITY_INTERVAL, /* nothing is answered while an answered, unsynced write is older than the interval */
    RD_DURABILITY_NONE      /* answered when the kernel has the bytes */
};

struct rd_store_options {
    enum rd_durability durability;
    uint32_t durability_interval_ms; /* with RD_DURABILITY_INTERVAL; 0 means 1000 */
    bool create;                     /* make the file (0600) where there is none */
    bool read_only;                  /* change nothing on disk, take a shared lock; writes get RD_UNAVAILABLE */
    bool verify_reads_off;           /* rd_store_read and rd_store_batch_read do not check checksums */
    bool batch_marker_off;    /* batches and renames get no marker: byte for byte what the reference writes, but
                                 a crash in the middle of one may leave its first entries */
    uint32_t queue_count_max; /* operations waiting or under way; 0 means 65,536 */
    uint64_t queue_bytes_max; /* payload bytes of those; 0 means 256 MiB */
    uint64_t memory_bytes; /* what the process may use: of a long value that is being written a sixteenth of it, or
                              8 MiB, may be in memory alone; 0 means the machine's */
    const struct rd_io *io; /* borrows; NULL means the system's own calls (engine/io.h) */
    /* The store takes no writes from now on, after a failure since it was opened; once, on whichever thread met
     * it. May not call the store. NULL: nobody is told. */
    void (*on_failure)(void *context, const char *reason);
    void *on_failure_context; /* borrows */
    /* Between two steps of copying a value that memory cannot hold, of which the last one took step_ns: may sleep,
     * so that others get the disk. On the thread that copies. May not call the store. NULL: it goes as fast as it
     * can. */
    void (*rest)(void *context, uint64_t step_ns);
    void *rest_context; /* borrows */
};

/* Opens, recovers and locks. Blocks: reads what recovery needs. On failure nothing is left open and *ret_error,
 * which may be NULL, says what, where and what to do. RD_UNAVAILABLE: another process has the file.
 * RD_NOT_A_STORE: the file holds something else and is untouched. options may be NULL. */
enum rd_status rd_store_open(const char *path, const struct rd_store_options *options, struct rd_store **ret_store,
                             struct rd_error *ret_error) RD_MUST_CHECK;

/* Has the process outlive a file that others cut while it is mapped, or a disk that does not give it back: reads
 * that meet it end with RD_IO_ERROR, and the store becomes read-only. Without it such a read is SIGBUS. Takes over
 * that signal for the whole process; what is no store's goes to the handler that was there before. Once, before
 * threads are started. */
bool rd_guard_install(void);

/* Completes what is queued, syncs, stops the thread, closes. NULL is fine. No other call may be under way. A large
 * index is kept in a companion, which makes the next opening quick. */
void rd_store_close(struct rd_store *store);

/* The same, without that companion where deadline_ms on the monotonic clock comes before it is written; 0: without
 * it. */
void rd_store_close_by(struct rd_store *store, uint64_t deadline_ms);

/* What may change while a store is open. */
struct rd_store_tuning {
    enum rd_durability durability; /* these four as in rd_store_options */
    uint32_t durability_interval_ms;
    uint32_t queue_count_max;
    uint64_t queue_bytes_max;
    uint64_t quota_bytes; /* the tail may come up to it, and by tombstones RD_QUOTA_RESERVE beyond; 0: no quota */
    uint64_t quota_entries; /* live keys; replacing and deleting are free; 0: no quota */
    bool writes_barred;     /* every write ends with RD_FORBIDDEN */
    bool timed;             /* operations tell where their time went */
};

#define RD_QUOTA_RESERVE (UINT64_C(1) << 20)

/* Why a write that is well formed was refused, beside its status. Judged by the writer, in queue order. */
enum rd_bar { RD_BAR_NONE, RD_BAR_WRITES, RD_BAR_BYTES, RD_BAR_ENTRIES };

/* The next group of writes is the first that is held to it; what was answered before keeps its promise. */
void rd_store_tune(struct rd_store *store, const struct rd_store_tuning *tuning);

/* What a write of a value of so many bytes would meet by now: for who wants to know before the value is there. */
enum rd_bar rd_store_bars(struct rd_store *store, uint64_t payload_len);

/* What any write would end with by now, whatever it is of: RD_OK; RD_UNAVAILABLE where the store was opened
 * read-only, or by the parent process, RD_IO_ERROR where it has become so, RD_FORBIDDEN where writes are barred.
 */
enum rd_status rd_store_takes_writes(const struct rd_store *store) RD_MUST_CHECK;

/* ---- reading ------------------------------------------------------------------------------------------ */

struct rd_value {
    struct rd_slice payload; /* pins; starts on a 64-byte boundary of the file; data NULL: no value */
    uint64_t key_hash;
    uint64_t offset;        /* of the payload in the file */
    uint64_t prev_tail;     /* where the entry before it (of any key) ends */
    uint32_t crc32;         /* as stored; (offset, crc32) is the value's version */
    struct rd_mapping *pin; /* owned by the value; NULL after release */
};

/* RD_KEY_NOT_FOUND, RD_CORRUPT where the trailer is damaged, or verification is on and the payload fails,
 * RD_IO_ERROR where the file cannot be read (rd_guard_install). The value must be released. */
enum rd_status rd_store_read(struct rd_store *store, struct rd_key key, struct rd_value *ret_value) RD_MUST_CHECK;

/* As rd_store_read, but never touches the payload: for metadata, and for streams that verify as they go. */
enum rd_status rd_store_find(struct rd_store *store, struct rd_key key, struct rd_value *ret_value) RD_MUST_CHECK;

/* One consistent look at many keys: a batch is seen whole or not at all. ret_statuses[i] is what rd_store_read
 * would have answered; ret_values[i] has payload.data NULL unless RD_OK. All count values must be
 * released. */
void rd_store_batch_read(struct rd_store *store, const struct rd_key *keys, size_t count,
                         struct rd_value *ret_values, enum rd_status *ret_statuses);

/* The live entry with the highest offset; RD_KEY_NOT_FOUND where none lives. Does not verify. */
enum rd_status rd_store_read_last_entry(struct rd_store *store, struct rd_value *ret_value) RD_MUST_CHECK;

/* The same, but never touches the payloads: RD_CORRUPT does not occur. */
void rd_store_batch_find(struct rd_store *store, const struct rd_key *keys, size_t count,
                         struct rd_value *ret_values, enum rd_status *ret_statuses);

bool rd_store_exists(struct rd_store *store, struct rd_key key);

/* RD_CORRUPT where the payload does not match its checksum, RD_IO_ERROR where it cannot be read. */
enum rd_status rd_value_verify(const struct rd_value *value) RD_MUST_CHECK;

/* Payloads up to so many bytes are copied when they are written; longer ones are written from where they lie, and
 * the kernel refuses what cannot be read. */
#define RD_VALUE_SHORT_LEN_MAX ((size_t)16 << 10)

/* Copies the payload, and verifies the copy: it stays good whatever others do to the file. */
enum rd_status rd_value_take(const struct rd_value *value, uint8_t *to) RD_MUST_CHECK;

/* RD_IO_ERROR where some of these bytes of the payload cannot be read: for parts of a value, which no checksum
 * covers. Touches each page. */
enum rd_status rd_value_touch(const struct rd_value *value, uint64_t first, uint64_t len) RD_MUST_CHECK;

/* How many pages of its file could not be read and were read as zeros until now: for who reads a payload for
 * itself, where this has become more while it did. */
unsigned rd_value_faults(const struct rd_value *value);

/* One more handle on the same value, to be released like any other. */
struct rd_value rd_value_share(const struct rd_value *value);

/* Safe on a value that is zeroed, not found or released. */
void rd_value_release(struct rd_value *value);
void rd_values_release(struct rd_value *values, size_t count);

/* Live entries, newest first. Entries written after opening are not seen, and one that is replaced or deleted
 * while the walk is under way may be left out. One thread at a time. */
struct rd_cursor;
enum rd_status rd_cursor_open(struct rd_store *store, uint64_t before_offset, struct rd_cursor **ret_cursor)
    RD_MUST_CHECK; /* before_offset: only payloads below it; 0: from the newest */
/* false: no more, or RD_IO_ERROR or RD_CORRUPT (a damaged link) in rd_cursor_status. *ret_value is valid, without
 * a pin of its own, until the cursor is closed. */
bool rd_cursor_next(struct rd_cursor *cursor, struct rd_value *ret_value);
enum rd_status rd_cursor_status(const struct rd_cursor *cursor) RD_MUST_CHECK;
void rd_cursor_close(struct rd_cursor *cursor);

enum rd_store_state {
    RD_STORE_OPEN,
    RD_STORE_READ_ONLY /* asked for, damaged, or after a failed write or sync; reads go on */
};

struct rd_store_info {
    uint64_t generation; /* random; new at creation and with each compaction */
    uint64_t entries;    /* live keys */
    uint64_t tail;       /* bytes up to the end of the last published entry */
    uint64_t file_size;  /* bytes that the file takes; the tail, or more where it runs ahead */
    uint64_t dead_bytes; /* of the tail, those that no live entry or its trailer uses, padding included */
    enum rd_durability durability; /* never DEFAULT */
    uint32_t durability_interval_ms;
    bool compacting;        /* a compaction is under way */
    bool batch_marker;      /* batches and renames are whole or absent, over a crash too */
    uint64_t quota_bytes;   /* 0: none */
    uint64_t quota_entries; /* 0: none */
    bool writes_barred;     /* then the store is shown as read-only */
    enum rd_store_state state;
    char reason[160]; /* why it is read-only; "" otherwise */
};

void rd_store_info(struct rd_store *store, struct rd_store_info *ret_info);
uint64_t rd_store_len(struct rd_store *store); /* live keys */
bool rd_store_is_empty(struct rd_store *store);
uint64_t rd_store_file_size(struct rd_store *store); /* the tail, in bytes */

/* What the store has done since it was opened, and what it holds. Numbers of one moment each, not all of the same
 * one: nobody is held up for them. */
struct rd_store_stats {
    struct rd_distribution_copy group_operations; /* RD_DISTRIBUTION_COUNT: operations of each group appended */
    struct rd_distribution_copy sync_ns;          /* RD_DISTRIBUTION_NS: of each fdatasync */
    uint64_t sync_failures;                       /* of these */
    uint64_t appended_bytes;                      /* by groups: payloads, trailers, padding */
    uint64_t queue_operations;                    /* submitted and not completed */
    uint64_t queue_bytes;                         /* payload bytes of those */
    uint64_t index_bytes;                         /* memory */
    uint64_t mapped_bytes;                        /* address space of the file's newest map */
    uint64_t opening_ns;                          /* how long opening took, recovery included */
    uint64_t checkpoint_bytes;         /* of the companion that opening took the index from; 0: it had none */
    uint64_t compactions_done;         /* this and what follows: since the store was opened */
    uint64_t compactions_failed;       /* or given up; rd_store_info tells whether one is under way */
    uint64_t compaction_saved_bytes;   /* by which files have become shorter */
    uint64_t last_compaction_ns;       /* from the beginning of the last one that was done to its end; 0: none */
    uint64_t last_compaction_pause_us; /* its rd_compacted.pause_us */
};

void rd_store_stats(struct rd_store *store, struct rd_store_stats *ret_stats);

/* ---- reading without waiting for the disk ----------------------------------------------------------------
 *
 * For threads that serve many. Whether a page is in memory is asked of the kernel once, and then remembered. It is
 * a guess: a page may go between the question and its use. */

/* As rd_store_find; RD_UNAVAILABLE: it would wait for the disk. */
enum rd_status rd_store_find_now(struct rd_store *store, struct rd_key key,
                                 struct rd_value *ret_value) RD_MUST_CHECK;

/* Has the processor fetch what rd_store_find_now of each of these keys will touch. Changes nothing but the time
 * that they take; 64 keys at a time are enough. */
void rd_store_approach(struct rd_store *store, const struct rd_key *keys, size_t count);

/* Whether rd_store_batch_find of these keys would not wait; payload_len: nor so many bytes of each value. */
bool rd_store_holds_in_memory(struct rd_store *store, const struct rd_key *keys, size_t count,
                              uint64_t payload_len);

/* Brings into memory what that would wait for. Waits for the disk, for all keys at once. */
void rd_store_fetch(struct rd_store *store, const struct rd_key *keys, size_t count, uint64_t payload_len);

/* Whether these bytes of the payload are in memory. */
bool rd_value_is_in_memory(const struct rd_value *value, uint64_t first, uint64_t len);

/* Brings these bytes of the payload into memory, and has the kernel begin to read ahead_len more; as far as the
 * payload goes. Waits for the disk. Who reads a long payload in a row does so piece by piece, or it is read page
 * by page: the kernel does not read ahead by itself. */
void rd_value_fetch(const struct rd_value *value, uint64_t first, uint64_t len, uint64_t ahead_len);

/* Has memory forget these bytes of the payload, as far as the disk has them: of a value that memory cannot hold,
 * and that is read in a row, what was read would only push out what others need. */
void rd_value_forget(const struct rd_value *value, uint64_t first, uint64_t len);

/* Whether both are of the same bytes of the same file. */
static inline bool rd_value_is_same(const struct rd_value *a, const struct rd_value *b)
{
    return a->pin == b->pin && a->payload.data == b->payload.data && a->payload.len == b->payload.len;
}

/* A piece of a payload in memory of its own. The counting is one thread's at a time. */
struct rd_portion {
    struct rd_slice bytes;
    uint8_t *buffer; /* owned */
    unsigned uses;
};

/* The payload's bytes from `first` on, a MiB at most, read past the page cache: of a value that memory cannot
 * hold, nothing has to be brought in and forgotten again. Waits for the disk. The store is the value's. To be
 * released; NULL: by the map they are to be had, which also tells why they cannot be. */
struct rd_portion *rd_value_read_portion(const struct rd_value *value, struct rd_store *store, uint64_t first);

/* One use less; NULL is fine. */
void rd_portion_release(struct rd_portion *portion);

/* Memory of a value that is replaced is given back soon after. Until they are let go, these bytes of the payload
 * stay as long as they would otherwise: for who then finds them in memory and will read them some time later.
 * False: some may be leaving it at this moment, whatever is found. They are to be let go all the same. */
bool rd_value_hold(const struct rd_value *value, uint64_t first, uint64_t len);
void rd_value_let_go(const struct rd_value *value, uint64_t first, uint64_t len);

/* Whether the very pages that hold the payload may be given to those who keep them for as long as they like, past
 * the store's end: a socket. What was not synced is read anew from the disk after a failed sync or a crash, and a
 * page that is kept would hide what the disk has; so all that may lie in the same pages must have been synced. The
 * store is the value's. */
bool rd_store_may_lend(const struct rd_store *store, const struct rd_value *value);

/* A thread has waited for the disk where it did not expect to (its count of major faults has grown): memory is
 * short, and nothing is remembered for a while. now_ms: of any clock, always the same one. */
void rd_residency_doubt(uint64_t now_ms);

/* To be called now and then, so that this ends. */
void rd_residency_settle(uint64_t now_ms);

/* ---- files -------------------------------------------------------------------------------------------- */

/* Gives the file open as `to`, which is to take the place of the one open as `from`, what that has beside its
 * bytes: owner, group, permissions, ACL, extended attributes, as far as we may; nobody comes to more by it than
 * before (engine/attributes.h). 0 or an errno value. */
int rd_file_take_over(int from, int to) RD_MUST_CHECK;

/* ---- backup ------------------------------------------------------------------------------------------- */

/* The file as it is at one moment, as far as it is synced: what RD_OP_SYNC has answered for is in it. Its bytes
 * stay what they are: a later backup of the same generation begins with them, over a power cut too. */
struct rd_backup {
    struct rd_value value; /* the payload is the file from its beginning; to be released like any other */
    uint64_t generation;   /* of that file */
};

/* Takes no part of the file into memory and holds no writer up. A damaged file is shown with its damage. */
void rd_store_backup(struct rd_store *store, struct rd_backup *ret_backup);

/* Whether some of the file's bytes could not be read, so that zeros may stand for them (rd_guard_install). */
bool rd_value_is_lost(const struct rd_value *value);

/* ---- checking ----------------------------------------------------------------------------------------- */

enum rd_problem_kind {
    RD_PROBLEM_PAYLOAD, /* the bytes do not match their checksum */
    RD_PROBLEM_PAD,     /* not zeros; no value is lost by it */
    RD_PROBLEM_BATCH,   /* a batch's marker counts entries that are not there */
    RD_PROBLEM_CHAIN    /* these bytes cannot be told apart into entries */
};

struct rd_problem {
    enum rd_problem_kind kind;
    bool live;         /* a key's value, or what stands in its place */
    uint64_t offset;   /* where the damaged bytes begin */
    uint64_t len;      /* bytes */
    uint64_t key_hash; /* 0 with RD_PROBLEM_CHAIN */
};

#define RD_PROBLEMS_MAX 64u /* that one step lists */

struct rd_verification {
    uint64_t from;          /* the end of the newest entry that was looked at */
    uint64_t next;          /* where the next step goes on; 0: the file's beginning was reached */
    uint64_t entries;       /* looked at, the engine's own included */
    uint64_t bytes;         /* of the file that was looked at: from - next */
    uint64_t problem_count; /* of all kinds; the first RD_PROBLEMS_MAX are listed */
    struct rd_problem problems[RD_PROBLEMS_MAX];
};

/* One step of a look at every entry, newest first: checksum, pad and link. from: 0 for the newest, else the `next`
 * of the step before. Ends with the entry that makes it bytes_max or more. Blocks for as long as reading takes;
 * nobody else waits. RD_INVALID_ARGUMENT: from lies beyond the tail. RD_CONFLICT: no entry ends at from, as the
 * file has been compacted since that step: to begin anew. RD_IO_ERROR: the disk does not give the file back.
 * Damage is no failure: it is what the result lists. */
enum rd_status rd_store_verify(struct rd_store *store, uint64_t from, uint64_t bytes_max,
                               struct rd_verification *ret_verification) RD_MUST_CHECK;

/* ---- compacting -----------------------------------------------------------------------------------------
 *
 * What lives is copied to a new file beside the store, PATH.compact, while reads and writes go on; then that file
 * takes the old one's place. The entries keep their order, checksums and bytes, those of a damaged value too;
 * their offsets change, and so do versions and the generation. Values that were read before stay valid, cursors go
 * on over the old file, which is given up when the last of them is.
 *
 * Cut short at any moment, by a crash or by rd_compaction_end, it leaves the old file or the new one, whole. */

struct rd_compaction;

struct rd_compacted {
    uint64_t tail_before; /* of the old file when it was left */
    uint64_t tail;        /* of the new one */
    uint64_t entries;     /* live keys */
    uint64_t generation;
    uint64_t pause_us; /* the longest time for which the writer, and so every write, was held up */
};

/* RD_OVERLOADED: one is under way on this store. RD_NO_SPACE: the disk has no room for what lives, and some more.
 * RD_UNAVAILABLE, RD_IO_ERROR: the store is read-only. RD_IO_ERROR also: it was opened by a symbolic link, or its
 * name leads to another file by now. To be ended before the store is closed. An empty file is left as it is. */
enum rd_status rd_compaction_begin(struct rd_store *store, struct rd_compaction **ret_compaction,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

/* Copies about bytes_max bytes. *ret_bytes tells how many it read or wrote, for whoever limits their rate; 0 from
 * the second walk on, which has to catch up with what was written meanwhile. The last step, which hands over to
 * the new file, may take longer. Blocks, one thread at a time. After a failure it is only to be ended, and the
 * store is as it was: RD_NO_SPACE, RD_NO_MEMORY, RD_IO_ERROR; RD_CORRUPT: not every live entry can be reached over
 * the chain. */
enum rd_status rd_compaction_step(struct rd_compaction *compaction, uint64_t bytes_max, uint64_t *ret_bytes,
                                  bool *ret_done, struct rd_error *ret_error) RD_MUST_CHECK;

/* Once it is done. */
void rd_compaction_result(const struct rd_compaction *compaction, struct rd_compacted *ret_result);

/* Gives up what is not done. Blocks. NULL is fine. */
void rd_compaction_end(struct rd_compaction *compaction);

/* All of it at once. ret_result and ret_error may be NULL. */
enum rd_status rd_store_compact(struct rd_store *store, struct rd_compacted *ret_result,
                                struct rd_error *ret_error) RD_MUST_CHECK;

/* ---- writing, async ----------------------------------------------------------------------------------- */

/* What must hold for an operation to take effect; judged by the writer, in queue order. Where it does not hold the
 * operation ends with RD_PRECONDITION_FAILED and nothing is written. */
enum rd_condition_kind {
    RD_IF_ANYTHING = 0,
    RD_IF_ABSENT,
    RD_IF_PRESENT,
    RD_IF_VERSION /* the live value is the one with this offset and checksum */
};

struct rd_condition {
    enum rd_condition_kind kind;
    uint64_t offset; /* with RD_IF_VERSION */
    uint32_t crc32;  /* with RD_IF_VERSION */
};

/* Bytes of a value that come in piece by piece, kept in memory up to 256 KiB and then in a file: an unlinked one
 * in the store's folder, or the store's own, where a long value's length is announced. Neither a slow nor a dead
 * uploader holds anybody up or leaves anything behind. */
struct rd_spool;

/* Cheap: makes no file yet. The store must stay open until the spool is destroyed. */
enum rd_status rd_spool_create(struct rd_store *store, struct rd_spool **ret_spool) RD_MUST_CHECK;

/* Before the first byte: so many are to come, neither more nor fewer. A long value is then written once, where it
 * will lie, if others let it. durability: the operation's. Such a spool has to be placed before its operation. */
void rd_spool_announce(struct rd_spool *spool, uint64_t len, enum rd_durability durability);

/* May wait for the disk. Any thread, but one at a time. RD_NO_SPACE, RD_IO_ERROR, RD_NO_MEMORY, RD_TOO_LARGE, and
 * RD_INVALID_ARGUMENT where more come than were announced: the spool can only be destroyed. */
enum rd_status rd_spool_append(struct rd_spool *spool, struct rd_slice bytes) RD_MUST_CHECK;

/* Whether len more bytes would be kept without the disk. */
bool rd_spool_stays_in_memory(const struct rd_spool *spool, uint64_t len);

uint64_t rd_spool_len(const struct rd_spool *spool); /* bytes */

/* Not while an operation holds it. NULL is fine. */
void rd_spool_destroy(struct rd_spool *spool);

/* A long value that was copied into the store's file ahead of its tail, so that committing it takes a few bytes
 * and holds no other writer up. For the operation that commits it, in op->placement. */
struct rd_placement;

/* Copies; blocks for as long as that takes. NULL is no failure: the value is short, or the place is taken, or the
 * disk will not have it; the operation then appends it in the ordinary way. payload must stay valid until the
 * operation has completed, and is the payload that the operation will name. durability: the operation's; the value
 * is synced here unless that and the store's own are RD_DURABILITY_NONE. Not on a thread that must not wait. */
struct rd_placement *rd_store_place(struct rd_store *store, struct rd_slice payload,
                                    enum rd_durability durability);
struct rd_placement *rd_spool_place(struct rd_spool *spool, enum rd_durability durability);

/* Verifies a value, of this store or another, that is to be written to this one, and places it as rd_store_place
 * does: what lies there is what was verified. RD_OK, and NULL or what is to be destroyed; else rd_value_verify's.
 */
enum rd_status rd_value_place(const struct rd_value *value, struct rd_store *store, enum rd_durability durability,
                              struct rd_placement **ret_placement) RD_MUST_CHECK;

/* After the operation has completed, or where there will be none. Before the store is closed. NULL is fine. */
void rd_placement_destroy(struct rd_placement *placement);

enum rd_op_kind {
    RD_OP_WRITE,        /* one entry */
    RD_OP_BATCH_WRITE,  /* any number, all or nothing, visible at once */
    RD_OP_DELETE,       /* one key; a missing one is no error and writes nothing */
    RD_OP_BATCH_DELETE, /* any number; each existing key gets one tombstone */
    RD_OP_STREAM,       /* one entry whose payload is op->spool */
    RD_OP_RENAME,       /* entries[0].key to entries[1].key, in one atomic append; missing: RD_KEY_NOT_FOUND, same:
                           RD_CONFLICT,        payload damaged: RD_CORRUPT */
    RD_OP_COPY,         /* the same, but the old key keeps its value */
    RD_OP_TRANSACTION,  /* any number of puts and deletes, each with a condition of its own; all or nothing and
                           visible  at once */
    RD_OP_SYNC          /* nothing: completes when everything before it is synced */
};

/* What any operation may look at before it changes anything. */
struct rd_look {
    struct rd_key key;
    struct rd_condition condition; /* where it does not hold, the operation ends with RD_PRECONDITION_FAILED and
                                    * changes nothing */
    bool value_wanted;

    /* set at completion */
    struct rd_value value; /* with value_wanted: what the key held, not verified, to be released; payload.data
                            * NULL: nothing, or the operation failed */
};

/* How a transaction treats the entry beside it, and what became of it. */
struct rd_change {
    bool deletes;                  /* the key, where it lives; else the entry's payload is put */
    struct rd_condition condition; /* judged behind the entries before; where it does not hold, this entry alone is
                                    * left out */

    /* set at completion */
    bool found;   /* the key had a value, behind the entries before */
    bool applied; /* something was put, or there was something to delete */
};

struct rd_entry {
    struct rd_key key;
    struct rd_slice payload; /* borrows; unused by deletes and renames */
    bool crc32_known;        /* the caller has verified that crc32 is the payload's, which a pinned value backs: it
                                does not count in queue_bytes_max, and is verified again as it is written, since
                                others may cut the value's file: RD_IO_ERROR with EFAULT */
    uint32_t crc32;
};

struct rd_op;

/* Where finished operations go. deliver gets a chain first -> next -> ... -> last, in order, on the store's writer
 * thread; it must neither block nor fail. From then on the operations are the caller's again. */
struct rd_sink {
    void (*deliver)(struct rd_sink *sink, struct rd_op *first, struct rd_op *last);
};

/* Owned by the caller, who leaves it and all that it borrows alone from submit to completion. Zero it first. */
struct rd_op {
    /* set before submit */
    enum rd_op_kind kind;
    enum rd_durability durability;  /* DEFAULT, SYNC or NONE */
    bool allow_null_bytes;          /* BATCH_WRITE: a payload of one zero byte is a tombstone, not an error */
    const struct rd_entry *entries; /* borrows until completion */
    size_t entry_count;
    struct rd_spool *spool;               /* STREAM: borrows until completion */
    struct rd_condition condition;        /* WRITE, STREAM, DELETE: on the key; RENAME, COPY: on the source */
    struct rd_condition target_condition; /* RENAME, COPY: on the target */
    struct rd_change *changes;            /* TRANSACTION: one for each entry; the engine's until completion */
    struct rd_look *looks;                /* the engine's until completion */
    size_t look_count;
    bool source_verified;           /* RENAME, COPY with RD_IF_VERSION: the caller has verified that payload */
    struct rd_placement *placement; /* WRITE, STREAM, RENAME, COPY: borrows, of their value; NULL: none */
    struct rd_sink *sink;           /* borrows */
    void *context;                  /* the caller's own */

    /* set at completion */
    enum rd_status status;
    int os_errno;      /* with RD_IO_ERROR and RD_NO_SPACE */
    enum rd_bar bar;   /* with RD_FORBIDDEN and RD_NO_SPACE: whether it was a quota */
    uint64_t begun_ns; /* where the store is timed: when the writer took it up, on the monotonic clock; else 0 */
    uint64_t sync_ns;  /* likewise: how long its group waited for syncs; 0: it did not */
    uint64_t offset;   /* of the last payload written; of deletes: 0 */
    uint64_t tail;     /* the store's end once this operation is done */
    uint32_t crc32;    /* of the last payload written */
    uint64_t count;    /* entries written, or keys that were there to delete; TRANSACTION: changes applied */
    bool replaced;     /* WRITE, STREAM, RENAME, COPY: the (target) key had a value before */
    enum rd_durability durability_applied;
    uint32_t durability_interval_ms;

    /* the engine's from submit to deliver, then the sink's */
    struct rd_op *next;
    uint64_t queued_bytes;  /* that count in queue_bytes_max */
    uint64_t payload_bytes; /* that it appends; more than a store holds where they are too many */
};

/* Queues the operation; the writer may wait with it until rd_store_kick. Never blocks. On any status but RD_OK the
 * operation was not taken and will not complete: RD_OVERLOADED (queue full), RD_INVALID_ARGUMENT. */
enum rd_status rd_store_submit(struct rd_store *store, struct rd_op *op) RD_MUST_CHECK;

/* Wakes the writer. One call serves every operation submitted before it, so a loop submits many and kicks once. */
void rd_store_kick(struct rd_store *store);

/* ---- writing, blocking -------------------------------------------------------------------------------- */

struct rd_written {
    uint64_t offset; /* of the last payload written */
    uint64_t tail;   /* the store's new end */
    uint64_t count;  /* entries written or keys deleted */
    uint32_t crc32;  /* of the last payload written */
    bool replaced;   /* write: the key had a value before */
};

/* Each submits one operation and waits for it. ret_written may be NULL. `_with_key_hash` is the same call with
 * rd_key_of_hash(). Where the queue is full they wait for room. */
enum rd_status rd_store_write(struct rd_store *store, struct rd_key key, struct rd_slice payload,
                              struct rd_written *ret_written) RD_MUST_CHECK;
enum rd_status rd_store_batch_write(struct rd_store *store, const struct rd_entry *entries, size_t count,
                                    bool allow_null_bytes, struct rd_written *ret_written) RD_MUST_CHECK;
enum rd_status rd_store_delete(struct rd_store *store, struct rd_key key,
                               struct rd_written *ret_written) RD_MUST_CHECK;
enum rd_status rd_store_batch_delete(struct rd_store *store, const struct rd_key *keys, size_t count,
                                     struct rd_written *ret_written) RD_MUST_CHECK;

/* The newest value under the old key is under the new one, and the old one is gone, in one atomic append. The same
 * key twice: RD_CONFLICT. */
enum rd_status rd_store_rename(struct rd_store *store, struct rd_key from, struct rd_key to,
                               struct rd_written *ret_written) RD_MUST_CHECK;

/* Any operation that the caller has filled in, but for its sink; results are in *op. */
enum rd_status rd_store_execute(struct rd_store *store, struct rd_op *op) RD_MUST_CHECK;

/* Gives up to len_max bytes of a source: how many it wrote to `to`, 0 at the end, negative where it failed. */
typedef int64_t rd_read_fn(void *context, uint8_t *to, size_t len_max);

/* Reads the source to its end in steps of 64 KiB, then appends it in one go. A source that fails leaves nothing
 * behind: RD_IO_ERROR. */
enum rd_status rd_store_write_stream(struct rd_store *store, struct rd_key key, rd_read_fn *read, void *context,
                                     struct rd_written *ret_written) RD_MUST_CHECK;

struct rd_moved {
    struct rd_written target; /* the copy */
    uint64_t source_tail;     /* transfer: the source's end after its tombstone */
};

/* Appends the value, verified, to another store. The same store: RD_CONFLICT. transfer then deletes what it
 * copied, and only that: where the source has changed meanwhile the answer is RD_CONFLICT, and copy and newer
 * value both stay; where the source takes no writes nothing is copied, and the answer is rd_store_takes_writes'.
 * The target is synced before the source is touched, whatever its durability. ret_moved may be NULL. */
enum rd_status rd_store_copy(struct rd_store *source, struct rd_key key, struct rd_store *target,
                             struct rd_moved *ret_moved) RD_MUST_CHECK;
enum rd_status rd_store_transfer(struct rd_store *source, struct rd_key key, struct rd_store *target,
                                 struct rd_moved *ret_moved) RD_MUST_CHECK;

#endif

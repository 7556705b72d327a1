/* SPDX-License-Identifier: MIT
 *
 * store.h - the inside of a store, shared by the engine's files and by nobody else.
 *
 * Who writes what: the thread that opens the store, until the writer thread starts; from then on the writer alone,
 * but for the queue (its own lock) and `reason` (state_lock). Readers take no lock: they enter the epoch, load the
 * view, ask its index, pin its mapping, and leave.
 */
#ifndef RD_ENGINE_STORE_H
#define RD_ENGINE_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/ahead.h"
#include "engine/checkpoint.h"
#include "engine/compact.h"
#include "engine/datafile.h"
#include "engine/discard.h"
#include "engine/encoder.h"
#include "engine/engine.h"
#include "engine/epoch.h"
#include "engine/extension.h"
#include "engine/forks.h"
#include "engine/index.h"
#include "engine/mapping.h"
#include "engine/meta.h"
#include "engine/plan.h"
#include "engine/queue.h"
#include "engine/record.h"
#include "engine/syncer.h"
#include "engine/view.h"

/* What only the writer touches: the writer thread, or a blocking caller that found nothing queued and commits its
 * own operation, which saves two changes of thread. Whoever it is holds `role`. */
struct rd_writer {
    pthread_mutex_t role; /* held while committing; taken before the queue's lock */
    pthread_t thread;
    bool started;
    struct rd_plan plan;
    struct rd_encoder encoder;
    uint64_t record_every_len; /* bytes between two records of the synced tail; constant, smaller in tests */
    uint64_t group_ns;         /* when the group under way was taken up; 0: it is not timed */
};

/* What the writer counts; any thread reads it. */
struct rd_store_counts {
    struct rd_distribution group_operations;
    struct rd_distribution sync_ns;
    struct rd_counter sync_failures;
    struct rd_counter appended_bytes;
};

/* What compactions count, one after the other: whoever ends one writes. Any thread reads it. */
struct rd_compaction_counts {
    struct rd_counter done;
    struct rd_counter failed;
    struct rd_counter saved_bytes;
    atomic_uint_fast64_t last_ns;
    atomic_uint_fast64_t last_pause_us;
};

struct rd_store {
    const struct rd_io *io; /* borrows */
    struct rd_meta meta;    /* the companion as last written; the opener's, then the writer's, then the closer's */
    struct rd_checkpoint checkpoint; /* the one that the index was loaded from; the opener's, then the closer's */
    struct rd_datafile file;         /* writer */
    struct rd_epoch epoch;
    _Atomic(struct rd_view *) view;  /* owned; what readers look at */
    uint64_t entry_count;            /* writer; of all kinds, up to the view's tail */
    atomic_uint_fast64_t live_bytes; /* payloads and trailers of live entries */
    atomic_uint_fast64_t file_size;
    struct rd_store_counts counts;
    struct rd_compaction_counts compactions;
    uint64_t opening_ns;               /* constant */
    uint64_t checkpoint_bytes;         /* constant; of the one that the index was loaded from; 0: none */
    atomic_uint_fast64_t publications; /* odd while one is under way: a look at several keys is then repeated */
    pthread_mutex_t publish_lock;      /* held while publishing; a look that was repeated too often takes it */
    atomic_int state;                  /* enum rd_store_state */
    pthread_mutex_t state_lock;        /* guards reason */
    char reason[160];
    atomic_bool timed;                  /* by rd_store_tune, any thread */
    atomic_bool writes_barred;          /* these three by rd_store_tune, any thread */
    atomic_uint_fast64_t quota_bytes;   /* 0: none */
    atomic_uint_fast64_t quota_entries; /* 0: none */
    atomic_uint_fast64_t
        durability;              /* any thread; a word: the mode (never DEFAULT) above 32 bits of interval_ms */
    uint64_t memory_bytes;       /* constant; what the process may use */
    bool verify_reads;           /* constant */
    bool batch_marker;           /* constant */
    bool opened_read_only;       /* constant: asked for, not damaged or failed */
    uint32_t forks;              /* constant: rd_forks of the process that opened it */
    uint64_t checkpoint_entries; /* that make a checkpoint worth writing; constant, fewer in tests */
    bool damaged;                /* constant: [damage_begin, damage_end) of the chain cannot be followed */
    uint64_t damage_begin;       /* constant */
    uint64_t damage_end;         /* constant */
    struct rd_ahead ahead;
    atomic_uint long_spools;         /* of which the disk has most; any thread */
    atomic_bool compacting;          /* one at a time */
    bool compaction_holds;           /* writer: no value is placed ahead (compact.h) */
    struct rd_departures departures; /* writer */
    struct rd_extension extension;   /* writer; where nothing is placed ahead, what lies above the tail is it */
    struct rd_discard discard;       /* writer */
    struct rd_queue queue;
    struct rd_syncer syncer; /* writer; its synced_tail is looked at by any thread */
    struct rd_writer writer;
    void (*on_failure)(void *context, const char *reason); /* constant from the writer's start on; NULL before */
    void *on_failure_context;                              /* borrows; likewise */
    void (*rest)(void *context, uint64_t step_ns);         /* constant; or NULL */
    void *rest_context;                                    /* borrows; constant */
};

/* The view as its readers come to it: inside the epoch. */
static inline struct rd_view *rd_reader_view(const struct rd_store *store)
{
    return atomic_load_explicit(&store->view, memory_order_seq_cst);
}

/* The view as the writer sees it, who alone exchanges it; and the opener before it and the closer after it. */
static inline struct rd_view *rd_writer_view(const struct rd_store *store)
{
    return atomic_load_explicit(&store->view, memory_order_relaxed);
}

static inline struct rd_mapping *rd_writer_mapping(const struct rd_store *store)
{
    return atomic_load_explicit(&rd_writer_view(store)->mapping, memory_order_relaxed);
}

static inline struct rd_index *rd_writer_index(const struct rd_store *store)
{
    return &rd_writer_view(store)->index;
}

static inline bool rd_writer_is_writable(const struct rd_store *store)
{
    return atomic_load_explicit(&store->state, memory_order_relaxed) == RD_STORE_OPEN;
}

static inline uint64_t rd_writer_tail(const struct rd_store *store)
{
    return atomic_load_explicit(&rd_writer_view(store)->tail, memory_order_relaxed);
}

/* RD_NO_SPACE for a full disk, quota or size limit; RD_IO_ERROR for anything else. */
enum rd_status rd_status_of_errno(int os_errno);

/* Writes fail from now on, reads go on. Who is to be told of failures is, the first time. */
void rd_store_make_read_only(struct rd_store *store, const char *format, ...) RD_PRINTF(2, 3);

static inline uint64_t rd_store_durability_word(enum rd_durability durability, uint32_t interval_ms)
{
    return (uint64_t)durability << 32 | interval_ms;
}

static inline enum rd_durability rd_store_durability(const struct rd_store *store, uint32_t *ret_interval_ms)
{
    uint64_t word = atomic_load_explicit(&store->durability, memory_order_relaxed);
    *ret_interval_ms = (uint32_t)word;
    return (enum rd_durability)(word >> 32);
}

/* Whether this process is a child of the one that opened it. */
static inline bool rd_store_is_parents(const struct rd_store *store)
{
    return store->forks != rd_forks();
}

/* Whether the file could not be read somewhere; the store is read-only then. Any thread. */
bool rd_store_faulted(struct rd_store *store);

/* The same for the writer, who replaces the mapping and so needs no epoch: stores may be many, seats are few. */
bool rd_store_faulted_for_writer(struct rd_store *store);

/* Takes back what lies ahead of the tail, if anything does (ahead.h). The writer, between two groups. */
void rd_writer_free_region(struct rd_store *store);

/* Whether the file is not what it was: others cut it, or removed it. The store is read-only then. The writer. */
bool rd_writer_file_is_lost(struct rd_store *store);

/* Syncs what is published, where it is not. 0 or an errno value, and the store is read-only then. The writer. */
int rd_writer_settle(struct rd_store *store) RD_MUST_CHECK;

/* Commits the operation on this thread where nothing else is waiting or under way. False: it must be queued. */
bool rd_writer_commit_here(struct rd_store *store, struct rd_op *op);

/* Whether the operation may be queued or committed: RD_OK, or what rd_store_submit answers. Fills queued_bytes. */
enum rd_status rd_store_admit(struct rd_store *store, struct rd_op *op) RD_MUST_CHECK;

/* rd_store_submit, or its blocking kind that waits for room in the queue. */
enum rd_status rd_store_enqueue(struct rd_store *store, struct rd_op *op, bool wait_for_room) RD_MUST_CHECK;

enum rd_status rd_writer_start(struct rd_store *store) RD_MUST_CHECK;
/* Lets it complete what is queued, sync, and end. */
void rd_writer_stop(struct rd_store *store);

/* The writer, and the opener before it and the closer after it: records up to where the file is synced. Where that
 * cannot be written the companion that is there stays, if it says nothing but that less of the file was synced;
 * else it is removed, which costs a longer look at the next opening. */
void rd_store_record(struct rd_store *store, bool clean);

/* The writer, and the opener before it: makes the mapping cover `tail` bytes. */
enum rd_status rd_store_map(struct rd_store *store, uint64_t tail, struct rd_error *ret_error) RD_MUST_CHECK;

/* The value of that key whose trailer begins there, which the current mapping covers. The writer. False where
 * others have changed the file. */
bool rd_store_pin(struct rd_store *store, uint64_t trailer_offset, uint64_t key_hash, struct rd_value *ret_value);

/* Fills the index with the live entries of the chain that ends at `tail`; where the store has a checkpoint, whose
 * index is there already, with those above it. Before the writer starts. */
enum rd_status rd_store_load(struct rd_store *store, uint64_t tail) RD_MUST_CHECK;

/* The payload and trailer of the entry with this trailer, in bytes; 0: these bytes cannot be one. */
static inline uint64_t rd_store_entry_bytes(const uint8_t *file, uint64_t trailer_offset)
{
    return rd_record_bytes(rd_trailer_decode(file + trailer_offset).prev_tail, trailer_offset);
}

/* Where the chain goes on below the entry that starts at prev_tail: over a damaged range, where it is there. */
static inline uint64_t rd_store_chain_next(const struct rd_store *store, uint64_t prev_tail)
{
    return store->damaged && prev_tail == store->damage_end ? store->damage_begin : prev_tail;
}

#endif

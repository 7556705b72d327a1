/* SPDX-License-Identifier: MIT
 *
 * compact.h - what compaction and the writer have to do with each other. The rest is in engine.h.
 *
 *   the compacting thread                                   the writer
 *     copies what lives up to the tail, oldest first          appends, publishes
 *     copies what was added meanwhile; again, until
 *       little is left                                        ...
 *     removes the checkpoint
 *     errand ----------------------------------------->     lets no long value be placed, syncs, brings the
 *                                                           companion forward
 *     copies what was added meanwhile
 *     errand ----------------------------------------->     copies the rest, syncs, renames file and companion,
 *                                                           syncs the folder, exchanges the view
 *
 * Which entries of the old file come into the new one, by a walk over [what was copied, the tail at that moment):
 * values that the index holds there at that time; from the second walk on also tombstones of keys that the new
 * file holds. So after the last walk, during which nothing changes, both files have the same keys with the same
 * values: a value that lives was alive when its walk began, as no entry comes alive again; and of a key that does
 * not live the last entry is a tombstone, before which the new file holds it no longer than it was alive.
 *
 * Both files are whole and on the disk when the names change, and nothing is appended meanwhile. So whichever file
 * a crash leaves, beside whichever companion: one that fits is right, and one that does not is told by that
 * (recovery.h, rules 1 and 7). It must not be one that says "empty as yet", which fits any file. A checkpoint,
 * which the old companion might vouch for beside the new file, is gone by then.
 */
#ifndef RD_ENGINE_COMPACT_H
#define RD_ENGINE_COMPACT_H

#include "engine/engine.h"

/* The operation by which another thread has something done as the writer, between two groups: op->context is the
 * errand, whose status becomes the operation's. */
#define RD_OP_ERRAND ((enum rd_op_kind)(RD_OP_SYNC + 2))

struct rd_errand {
    enum rd_status (*run)(struct rd_store *store, void *context);
    void *context; /* borrows */
};

#endif

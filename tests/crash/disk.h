/* SPDX-License-Identifier: MIT
 *
 * disk.h - what a crash may leave of a folder, made from the log of what was done to it (log.h).
 *
 * Killed: the process is gone, the system goes on. All that was done is there, up to a call's border; or the write
 * that was under way got some of its bytes in (killed midway).
 *
 * Power cut: what was synced is there. Of what was not,
 *   - each page of 4 KiB is as it was after any of its writes or before the first, and one that was on its way may
 *     be torn at 512 bytes: some of its sectors of one age, some of another;
 *   - names and lengths, one of two ways:
 *       ordered  as a journal keeps them (ext4, xfs): all of the changes up to some moment, none behind it. A sync
 *                of a file takes along what was changed of it and of its name before. A page that an undone cut
 *                covers keeps what it had: the new bytes went to other blocks.
 *       any      as POSIX allows where there is no journal: each file's length and each name on its own. A sync of
 *                a file says nothing of its name, a sync of the folder is needed.
 *   - a length that was growing may have stopped at any page between;
 *   - bytes that the length covers and that never landed are zeros.
 */
#ifndef RD_TESTS_CRASH_DISK_H
#define RD_TESTS_CRASH_DISK_H

#include "tests/crash/common.h"
#include "tests/crash/log.h"

enum crash { CRASH_KILLED, CRASH_POWER_ORDERED, CRASH_POWER_ANY, CRASH_COUNT };

extern const char *const crash_names[CRASH_COUNT];

static inline bool crash_is_power_cut(enum crash crash)
{
    return crash == CRASH_POWER_ORDERED || crash == CRASH_POWER_ANY;
}

/* How the pages that were not synced fared; which of them is in the random numbers. */
enum fate {
    FATE_LOST,       /* none landed */
    FATE_LANDED,     /* all did */
    FATE_MIXED,      /* each as it comes, some torn */
    FATE_ONE_LOST,   /* all but one */
    FATE_ONE_LANDED, /* one alone */
    FATE_TORN,       /* all landed, but one is torn */
    FATE_IN_ORDER,   /* those up to some moment */
    FATE_COUNT
};

extern const char *const fate_names[FATE_COUNT];

/* What a killed process leaves behind: the first `point` events; where it was midway and event number `point` is a
 * write, with some of that one's bytes. A process that goes on there goes on with this log. */
void disk_log_after_kill(const struct log *log, size_t point, bool midway, struct random *random,
                         struct log *ret_log);

/* The folder after a crash behind the first `point` events. ret_fate: of the first file that was not synced. */
void disk_crash(const struct log *log, size_t point, enum crash crash, struct random *random,
                struct image *ret_image, enum fate *ret_fate);

/* The image as files of a folder. */
void disk_write_out(const struct image *image, const char *folder);

#endif

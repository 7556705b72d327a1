/* SPDX-License-Identifier: MIT
 *
 * failing.h - one system call of an io table, or one allocation, that fails, chosen by its number.
 *
 * Allocations are the linker's doing: --wrap puts the functions here in the place of malloc, calloc, realloc,
 * aligned_alloc, strdup, free and pthread_create for every object of the program (what libc allocates for itself
 * is not among them). They count and fail only between allocations_arm and allocations_disarm, which the rig puts
 * around the calls that it makes into the engine.
 */
#ifndef RD_TESTS_CRASH_FAILING_H
#define RD_TESTS_CRASH_FAILING_H

#include <pthread.h>

#include "engine/io.h"
#include "tests/crash/hold.h"

#define FAILING_FDS_MAX   256u
#define FAILING_CALLS_MAX 16384u

enum call {
    CALL_OPEN,
    CALL_CLOSE,
    CALL_FSTAT,
    CALL_STAT,
    CALL_FLOCK,
    CALL_SEEK,
    CALL_PREAD,
    CALL_PWRITEV,
    CALL_FTRUNCATE,
    CALL_START_WRITEBACK,
    CALL_AWAIT_WRITEBACK,
    CALL_DROP_CACHE,
    CALL_COPY_RANGE,
    CALL_FREE_LEN,
    CALL_FDATASYNC,
    CALL_FSYNC,
    CALL_FCHOWN,
    CALL_FCHMOD,
    CALL_FLISTXATTR,
    CALL_FGETXATTR,
    CALL_FSETXATTR,
    CALL_FREMOVEXATTR,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_MMAP,
    CALL_MUNMAP,
    CALL_COUNT
};

extern const char *const call_names[CALL_COUNT];

enum failure { FAILURE_NONE, FAILURE_ENOSPC, FAILURE_EIO, FAILURE_EINTR, FAILURE_SHORT, FAILURE_COUNT };

extern const char *const failure_names[FAILURE_COUNT];

/* Whether that call can fail so: only a transfer can be short. */
bool failure_fits(enum failure failure, enum call call);

/* What a descriptor is of. */
enum file_kind {
    FILE_NONE,
    FILE_STORE,     /* NAME.rdr, the writer's descriptor */
    FILE_PLACING,   /* NAME.rdr, the descriptor by which a value is put ahead */
    FILE_COMPANION, /* NAME.rdr.* */
    FILE_UNNAMED,   /* a spool, or the folder */
};

struct failing_io {
    struct rd_io io;
    struct hold writes;
    pthread_mutex_t lock; /* guards all below */
    size_t count;         /* calls so far */
    size_t fail_at;       /* the number of the one that fails */
    enum failure failure; /* how; NONE: none does */
    bool hidden;          /* the engine is told that it went well: a bug that the rig must find */
    bool failed;          /* it has */
    enum call failed_call;
    bool failed_filling; /* a write of bytes 0xff alone (engine/extension.h) */
    enum file_kind failed_file;
    char failed_name[64];
    enum call seen[FAILING_CALLS_MAX];
    enum file_kind fds[FAILING_FDS_MAX];
    char fd_names[FAILING_FDS_MAX][64];
    long open_fds; /* opened and not closed */
    long maps;     /* mapped and not unmapped */
};

void failing_io_init(struct failing_io *failing, size_t fail_at, enum failure failure);
void failing_io_deinit(struct failing_io *failing);

/* ---- allocations ---- */

/* From now on allocations are counted; number fail_at of them fails (SIZE_MAX: none). Counting goes on where it
 * was unless begin. Any thread may allocate; arm and disarm are for one thread, while no other does. */
void allocations_begin(size_t fail_at);
void allocations_arm(void);
void allocations_disarm(void);
size_t allocations_count(void);
bool allocations_failed(void);
long allocations_live(void); /* made and not freed, while armed */

#endif

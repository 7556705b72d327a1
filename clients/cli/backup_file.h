/* SPDX-License-Identifier: MIT
 *
 * backup_file.h - a backup as it lies on a disk: the bytes of a store's file, and beside them PATH.backup, a note
 * of which generation they are and how many of them are good:
 *
 *   rdrive-backup 1
 *   generation 0123456789abcdef
 *   whole 124                         bytes of the last backup that was complete, or "none"
 *   synced 512                        bytes that are on the disk, of one that is under way
 *
 * A whole new one grows in PATH.part, with a note of its own, and takes the place of PATH when it is complete. The
 * note of PATH goes before that and the new one comes behind it, so that no note is ever beside bytes that it does
 * not speak of; rd_backup_file_settle finishes what was interrupted in between.
 *
 * One thread. Who writes to a file holds its lock (flock), which a store that is open has as well.
 */
#ifndef RD_CLIENTS_CLI_BACKUP_FILE_H
#define RD_CLIENTS_CLI_BACKUP_FILE_H

#include <limits.h>
#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

#define RD_BACKUP_NONE UINT64_MAX

struct rd_backup_note {
    uint64_t generation;
    uint64_t whole_len;  /* bytes; RD_BACKUP_NONE: there never was a complete one */
    uint64_t synced_len; /* bytes, at least whole_len */
};

/* False: there is none beside the file at `path`, or none that can be understood. */
bool rd_backup_note_load(const char *path, struct rd_backup_note *ret_note);

struct rd_backup_file {
    char path[PATH_MAX];
    int fd;       /* owned, locked; -1: there is no such file */
    uint64_t len; /* bytes that were written */
    bool noted;   /* there is a note, and the file has the bytes that it speaks of */
    struct rd_backup_note note;
};

/* Opens and locks the file, where it is there, or with `make`. Bytes that no note vouches for are cut off.
 * Anything but RD_OK: nothing is open. RD_UNAVAILABLE: another process has it. */
enum rd_status rd_backup_file_open(struct rd_backup_file *file, const char *path, bool make,
                                   struct rd_error *ret_error) RD_MUST_CHECK;
void rd_backup_file_close(struct rd_backup_file *file);

/* Begins anew: no bytes, and a note of the generation. */
enum rd_status rd_backup_file_begin(struct rd_backup_file *file, uint64_t generation,
                                    struct rd_error *ret_error) RD_MUST_CHECK;

enum rd_status rd_backup_file_append(struct rd_backup_file *file, struct rd_slice bytes,
                                     struct rd_error *ret_error) RD_MUST_CHECK;

/* Whether these are the file's bytes at `offset`. */
bool rd_backup_file_agrees(const struct rd_backup_file *file, uint64_t offset, struct rd_slice bytes);

/* Syncs what was written and notes it; complete: as a backup that is whole. */
enum rd_status rd_backup_file_keep(struct rd_backup_file *file, bool complete,
                                   struct rd_error *ret_error) RD_MUST_CHECK;

/* Puts a complete PATH.part with its note in the place of PATH. */
enum rd_status rd_backup_file_publish(const char *path, struct rd_error *ret_error) RD_MUST_CHECK;

/* Finishes a publishing that was interrupted. */
enum rd_status rd_backup_file_settle(const char *path, struct rd_error *ret_error) RD_MUST_CHECK;

/* Removes PATH.part and its note, where they are. */
void rd_backup_file_discard_part(const char *path);

/* PATH + ending. RD_INVALID_ARGUMENT: too long. */
enum rd_status rd_backup_path(const char *path, const char *ending, char ret_path[PATH_MAX],
                              struct rd_error *ret_error) RD_MUST_CHECK;

/* Has names in the file's folder outlast a power cut. False: errno says why not. */
bool rd_backup_sync_folder(const char *path);

#endif

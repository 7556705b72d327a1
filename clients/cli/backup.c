/* SPDX-License-Identifier: MIT
 *
 * backup.c - backup: a store's file, kept in a file of its own that grows by what is new each time.
 *
 * A run goes on where the last one ended, or broke off, as long as the store's file is of the same generation. The
 * last bytes that are there are asked for once more and compared: somebody may have put an old copy of the store
 * back, generation and all. Where it is another file a whole new backup is taken beside the old one, which stays
 * until that is complete.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "clients/cli/backup_file.h"
#include "clients/cli/progress.h"
#include "clients/cli/run.h"

#define KEEP_EVERY_LEN (UINT64_C(64) << 20) /* bytes that a run which is ended loses at most */
#define OVERLAP_LEN    4096u

struct backup {
    struct rd_run *run;         /* borrows */
    struct rd_backend *backend; /* borrows */
    const char *path;           /* borrows; where it is to be */
    char part_path[PATH_MAX];
    struct rd_backup_file out;  /* at path; locked for all of the run where it is there */
    struct rd_backup_file part; /* at part_path, where a whole new one is made */

    /* of the transfer under way */
    struct rd_backup_file *into; /* out or part */
    struct rd_response response; /* filled before the first bytes come */
    struct rd_progress progress;
    bool anew;        /* from the beginning, of whichever file there is */
    bool begun;       /* the first bytes have come */
    bool differs;     /* what is there is not what the store has */
    bool failed;      /* to be written; run->error says why */
    uint64_t at;      /* where the next bytes belong */
    uint64_t new_len; /* bytes that were written */
};

/* ---- the transfer ----------------------------------------------------------------------------------------- */

static bool begin(struct backup *backup, uint64_t total_len)
{
    if (!backup->begun)
        rd_progress_begin(&backup->progress, total_len, false);
    backup->failed = !backup->begun && backup->anew &&
                     rd_backup_file_begin(backup->into, backup->response.generation, &backup->run->error) != RD_OK;
    backup->begun = true;
    return !backup->failed;
}

/* What comes first is there already, and has to be the same. */
static bool compare(struct backup *backup, struct rd_slice *bytes)
{
    struct rd_slice known = rd_slice_take(bytes, (size_t)(backup->into->len - backup->at));
    backup->differs = !rd_backup_file_agrees(backup->into, backup->at, known);
    backup->at += known.len;
    return !backup->differs;
}

static bool take(void *context, const void *data, size_t len, uint64_t total_len)
{
    struct backup *backup = context;
    struct rd_backup_file *into = backup->into;
    struct rd_slice bytes = rd_slice(data, len);
    if (!begin(backup, total_len) || (backup->at < into->len && !compare(backup, &bytes)))
        return false;
    enum rd_status status = rd_backup_file_append(into, bytes, &backup->run->error);
    if (status == RD_OK && into->len - into->note.synced_len >= KEEP_EVERY_LEN)
        status = rd_backup_file_keep(into, false, &backup->run->error);
    backup->failed = status != RD_OK;
    backup->at += bytes.len;
    backup->new_len += bytes.len;
    rd_progress_add(&backup->progress, len);
    return !backup->failed;
}

static enum rd_status complete(struct backup *backup)
{
    struct rd_backup_file *into = backup->into;
    if (!begin(backup, 0)) /* an empty store */
        return backup->run->error.status;
    backup->differs = backup->response.tail != into->len; /* it has less by now: an old copy was put back */
    return backup->differs ? RD_CONFLICT : rd_backup_file_keep(into, true, &backup->run->error);
}

/* Has `into` grow to the end of the store's file, or with `anew` become it. */
static enum rd_status transfer(struct backup *backup, struct rd_backup_file *into, bool anew)
{
    struct rd_request *request = backup->run->request;
    struct rd_error error;
    uint64_t have = anew ? 0 : into->len;
    backup->into = into;
    backup->anew = anew;
    backup->begun = backup->differs = backup->failed = false;
    backup->new_len = 0;
    backup->at = have > OVERLAP_LEN ? have - OVERLAP_LEN : 0;
    request->backup_from = backup->at;
    request->backup_generation = anew ? 0 : into->note.generation;
    enum rd_status status =
        backup->backend->calls->backup(backup->backend, request, take, backup, &backup->response, &error);
    rd_progress_end(&backup->progress);
    if (status == RD_OK)
        return complete(backup);
    if (backup->failed)
        return backup->run->error.status;
    /* What has come is good, and the next run goes on behind it. */
    if (backup->begun && !backup->differs && into->len != into->note.synced_len)
        (void)!rd_backup_file_keep(into, false, NULL);
    backup->run->error = error;
    return status;
}

/* ---- which file ------------------------------------------------------------------------------------------- */

static bool is_of_another_file(const struct backup *backup, enum rd_status status)
{
    return !backup->failed &&
           (backup->differs || status == RD_PRECONDITION_FAILED || status == RD_RANGE_NOT_SATISFIABLE);
}

/* Goes on with a part of the same file, but for --full. */
static enum rd_status make_whole(struct backup *backup)
{
    struct rd_backup_file *part = &backup->part;
    enum rd_status status = rd_backup_file_open(part, backup->part_path, true, &backup->run->error);
    if (status != RD_OK)
        return status;
    bool anew = backup->run->options->full || !part->noted;
    if (!anew) {
        status = transfer(backup, part, false);
        anew = status != RD_OK && is_of_another_file(backup, status);
    }
    if (anew)
        status = transfer(backup, part, true);
    return status == RD_OK ? rd_backup_file_publish(backup->path, &backup->run->error) : status;
}

static enum rd_status run(struct backup *backup, bool *ret_full)
{
    *ret_full = backup->run->options->full || backup->out.fd < 0;
    if (!*ret_full) {
        enum rd_status status = transfer(backup, &backup->out, false);
        *ret_full = status != RD_OK && is_of_another_file(backup, status);
        if (!*ret_full)
            return status;
        fprintf(stderr,
                "rdrive: backup: %s; all of it is taken anew, and what is there stays until that is complete\n",
                status == RD_PRECONDITION_FAILED ? "the store's file is another one by now"
                                                 : "what is there is not what the store's file holds");
    }
    return make_whole(backup);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static enum rd_status open_out(struct backup *backup)
{
    struct rd_error *error = &backup->run->error;
    enum rd_status status = rd_backup_path(backup->path, ".part", backup->part_path, error);
    if (status == RD_OK)
        status = rd_backup_file_settle(backup->path, error);
    if (status == RD_OK)
        status = rd_backup_file_open(&backup->out, backup->path, false, error);
    if (status == RD_OK && backup->out.fd >= 0 && !backup->out.noted && !backup->run->options->full)
        return rd_error_set(error, RD_CONFLICT, 0,
                            "%s is there, but no note beside it (.backup) tells that it is a backup, or it has "
                            "been cut since; --full replaces it",
                            backup->path);
    return status;
}

static void print_done(const struct backup *backup, bool full)
{
    const struct rd_backup_file *file = backup->into;
    const char *form = backup->run->options->json ? "{\"generation\":\"%016" PRIx64 "\",\"tail\":%" PRIu64
                                                    ",\"new_bytes\":%" PRIu64 ",\"full\":%s}\n"
                                                  : "generation %016" PRIx64 "\ntail %" PRIu64
                                                    "\nnew_bytes %" PRIu64 "\nfull %s\n";
    printf(form, file->note.generation, file->len, backup->new_len, full ? "true" : "false");
}

struct output {
    struct rd_progress progress;
    bool begun;
    int os_errno; /* of a write that failed */
};

static bool pass_on(void *context, const void *bytes, size_t len, uint64_t total_len)
{
    struct output *output = context;
    if (!output->begun)
        rd_progress_begin(&output->progress, total_len, isatty(STDOUT_FILENO) == 1);
    output->begun = true;
    rd_progress_add(&output->progress, len);
    errno = 0;
    bool good = fwrite(bytes, 1, len, stdout) == len;
    output->os_errno = good ? 0 : errno;
    return good;
}

static int write_to_output(struct rd_run *run, struct rd_backend *backend)
{
    struct output output = {.begun = false};
    struct rd_response response;
    if (run->options->json)
        return rd_run_fail_usage(run, "--json does not go with a backup to standard output");
    enum rd_status status =
        backend->calls->backup(backend, run->request, pass_on, &output, &response, &run->error);
    rd_progress_end(&output.progress);
    if (output.os_errno != 0)
        rd_error_set(&run->error, RD_IO_ERROR, output.os_errno, "cannot write to standard output");
    return status == RD_OK ? RD_EXIT_DONE : rd_run_fail(run);
}

int rd_run_backup(struct rd_run *command, struct rd_backend *backend)
{
    struct backup backup = {.run = command,
                            .backend = backend,
                            .path = command->options->args[0],
                            .out = {.fd = -1},
                            .part = {.fd = -1}};
    bool full = false;
    if (strcmp(backup.path, "-") == 0)
        return write_to_output(command, backend);
    enum rd_status status = open_out(&backup);
    if (status == RD_OK)
        status = run(&backup, &full);
    if (status == RD_OK)
        print_done(&backup, full);
    bool useless = status == RD_OK ? !full : backup.part.fd >= 0 && backup.part.len == 0;
    if (useless)
        rd_backup_file_discard_part(backup.path);
    rd_backup_file_close(&backup.part);
    rd_backup_file_close(&backup.out);
    return status == RD_OK ? RD_EXIT_DONE : rd_run_fail(command);
}

/* SPDX-License-Identifier: MIT
 *
 * import.c - import: every regular file below a folder becomes a value under its relative path.
 *
 * It goes on where it was ended: a file whose stored length and checksum are its own is left alone. Short files
 * are gathered into batches, smaller ones where the server takes no such, long ones are streamed. Symbolic links
 * are not followed, neither to files nor to folders. One file that cannot be read does not end it; a server or
 * store that fails does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/progress.h"
#include "clients/cli/run.h"
#include "engine/engine.h"

#define SHORT_LEN       (256u << 10) /* bytes; longer files are streamed */
#define BATCH_LEN_MAX   (8u << 20)   /* bytes */
#define BATCH_COUNT_MAX 1000u
#define STEP_LEN        (64u << 10)
#define PATH_LEN_MAX    4096u

struct import {
    struct rd_run *run;         /* borrows */
    struct rd_backend *backend; /* borrows */
    struct rd_buffer path;      /* of the file under way: the folder given, '/', its key, NUL */
    size_t root_len;            /* bytes of path before the key */
    char **folders;             /* owned: keys of folders still to be walked, "" for the first */
    size_t folder_count;
    size_t folder_capacity;
    struct rd_buffer bytes; /* keys and values of the batch; items point into it by offset */
    struct rd_message_item items[BATCH_COUNT_MAX];
    size_t item_count;
    struct rd_progress progress;
    bool stopped; /* run->error says why */

    uint64_t stored_count;
    uint64_t stored_len; /* bytes */
    uint64_t same_count; /* were there already */
    uint64_t left_out_count;
    uint64_t failed_count;
};

static const char *key_of(const struct import *import)
{
    return (const char *)import->path.data + import->root_len;
}

static void note(struct import *import, const char *what)
{
    rd_progress_end(&import->progress);
    fprintf(stderr, "rdrive: import: %s: %s\n", (const char *)import->path.data, what);
}

static void leave_out(struct import *import, const char *why)
{
    note(import, why);
    import->left_out_count++;
}

static void note_failure(struct import *import, int os_errno)
{
    note(import, os_errno != 0 ? strerror(os_errno) : "it has changed while it was read");
    import->failed_count++;
}

static void stop(struct import *import)
{
    import->stopped = true;
}

/* ---- the batch -------------------------------------------------------------------------------------------- */

/* While the buffer may still move, a slice holds an offset into it in place of its pointer. */
static void point_into(struct rd_slice *slice, const uint8_t *data)
{
    slice->data = data + (uintptr_t)slice->data;
}

static enum rd_status store_items(struct import *import, size_t first, size_t count)
{
    struct rd_request *request = import->run->request;
    struct rd_response response;
    request->opcode = RD_OPCODE_BATCH_WRITE;
    request->items = import->items + first;
    request->item_count = count;
    enum rd_status status =
        import->backend->calls->execute(import->backend, request, &response, &import->run->error);
    request->items = NULL; /* they are not the request's */
    request->item_count = 0;
    return status;
}

static int64_t give_bytes(void *context, void *to, size_t len_max)
{
    struct rd_slice taken = rd_slice_take(context, len_max);
    if (taken.len != 0)
        memcpy(to, taken.data, taken.len);
    return (int64_t)taken.len;
}

/* For one that is longer than the server takes at once. */
static enum rd_status store_item_in_parts(struct import *import, size_t index)
{
    struct rd_slice left = import->items[index].value;
    struct rd_request *request = import->run->request;
    struct rd_response response;
    request->opcode = RD_OPCODE_WRITE_STREAM;
    request->key = import->items[index].key;
    request->stream_len = left.len;
    return import->backend->calls->write_stream(import->backend, request, give_bytes, &left, &response,
                                                &import->run->error);
}

/* All at once, or where the server does not take so much, in batches that it takes. */
static void store_batch(struct import *import)
{
    if (import->stopped)
        return;
    for (size_t i = 0; i < import->item_count; i++) {
        point_into(&import->items[i].key.bytes, import->bytes.data);
        point_into(&import->items[i].value, import->bytes.data);
    }
    size_t count = import->item_count;
    for (size_t done = 0; done < import->item_count && !import->stopped;) {
        count = count < import->item_count - done ? count : import->item_count - done;
        enum rd_status status = store_items(import, done, count);
        if (status == RD_TOO_LARGE && count > 1) {
            count /= 2;
            continue;
        }
        if (status == RD_TOO_LARGE)
            status = store_item_in_parts(import, done);
        if (status != RD_OK) {
            stop(import);
            continue;
        }
        import->stored_count += count;
        for (size_t i = done; i < done + count; i++)
            import->stored_len += import->items[i].value.len;
        done += count;
        count *= 2;
    }
    import->item_count = 0;
    rd_buffer_clear(&import->bytes);
}

static struct rd_slice keep(struct import *import, const void *bytes, size_t len)
{
    struct rd_slice slice = rd_slice((const uint8_t *)(uintptr_t)import->bytes.len, len);
    rd_buffer_append(&import->bytes, bytes, len);
    return slice;
}

static void add_to_batch(struct import *import, const uint8_t *value, size_t len)
{
    if (import->item_count == BATCH_COUNT_MAX || import->bytes.len + len > BATCH_LEN_MAX)
        store_batch(import);
    const char *key = key_of(import);
    struct rd_message_item *item = &import->items[import->item_count++];
    *item = (struct rd_message_item){.key.bytes = keep(import, key, strlen(key))};
    item->value = keep(import, value, len);
    if (import->bytes.failed) {
        rd_error_set(&import->run->error, RD_NO_MEMORY, 0, "no memory for a batch");
        stop(import);
    }
}

/* ---- one file --------------------------------------------------------------------------------------------- */

struct source {
    struct import *import; /* borrows */
    struct rd_input input;
    uint32_t crc32; /* of what was given */
    uint64_t left_len;
};

/* Exactly as many bytes as the file had when it was opened. */
static int64_t give(void *context, void *to, size_t len_max)
{
    struct source *source = context;
    if (source->left_len == 0)
        return 0;
    int64_t got =
        rd_input_take(&source->input, to, source->left_len < len_max ? (size_t)source->left_len : len_max);
    if (got <= 0)
        return -1;
    source->left_len -= (uint64_t)got;
    source->crc32 = rd_crc32(source->crc32, rd_slice(to, (size_t)got));
    rd_progress_add(&source->import->progress, (uint64_t)got);
    return got;
}

static void store_long(struct import *import, struct source *source)
{
    struct rd_request *request = import->run->request;
    struct rd_response response;
    request->opcode = RD_OPCODE_WRITE_STREAM;
    request->key.bytes = rd_slice_of_string(key_of(import));
    request->stream_len = source->left_len;
    uint64_t len = source->left_len;
    enum rd_status status = import->backend->calls->write_stream(import->backend, request, give, source, &response,
                                                                 &import->run->error);
    if (status != RD_OK && source->left_len != 0 && lseek(source->input.fd, 0, SEEK_END) < (off_t)len) {
        note_failure(import, source->input.os_errno); /* the file's fault; the server has nothing of it */
    } else if (status != RD_OK && source->input.os_errno != 0) {
        note_failure(import, source->input.os_errno);
    } else if (status != RD_OK) {
        stop(import);
    } else if (response.crc32 != source->crc32) {
        rd_error_set(&import->run->error, RD_CORRUPT, 0, "%s was stored with another checksum", key_of(import));
        stop(import);
    } else {
        import->stored_count++;
        import->stored_len += len;
    }
}

static void store_short(struct import *import, struct source *source)
{
    static uint8_t value[SHORT_LEN];
    size_t len = (size_t)source->left_len;
    size_t done = 0;
    while (done < len) {
        int64_t got = give(source, value + done, len - done);
        if (got <= 0) {
            note_failure(import, source->input.os_errno);
            return;
        }
        done += (size_t)got;
    }
    if (len == 1 && value[0] == 0)
        leave_out(import, "one zero byte cannot be stored");
    else
        add_to_batch(import, value, len);
}

/* Whether the store has it already; reads the file where the lengths agree. */
static bool is_there(struct import *import, struct source *source)
{
    struct rd_request *request = import->run->request;
    struct rd_response response;
    request->opcode = RD_OPCODE_METADATA;
    request->key.bytes = rd_slice_of_string(key_of(import));
    enum rd_status status =
        import->backend->calls->execute(import->backend, request, &response, &import->run->error);
    if (status != RD_OK && status != RD_KEY_NOT_FOUND)
        stop(import);
    if (status != RD_OK || response.value_len != source->left_len)
        return false;
    static uint8_t step[STEP_LEN];
    uint32_t crc32 = 0;
    uint64_t len = 0;
    int64_t got;
    while ((got = rd_input_take(&source->input, step, sizeof step)) > 0) {
        crc32 = rd_crc32(crc32, rd_slice(step, (size_t)got));
        len += (uint64_t)got;
    }
    return got == 0 && len == response.value_len && crc32 == response.crc32;
}

static void import_file(struct import *import)
{
    const char *path = (const char *)import->path.data;
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &file) != 0) {
        note_failure(import, errno);
        goto done;
    }
    if (!S_ISREG(file.st_mode)) {
        leave_out(import, "no regular file");
        goto done;
    }
    if (file.st_size == 0) {
        leave_out(import, "an empty file cannot be stored");
        goto done;
    }
    struct source source = {
        .import = import, .input = {.fd = fd, .name = path}, .left_len = (uint64_t)file.st_size};
    bool there = is_there(import, &source);
    if (import->stopped)
        goto done;
    if (there) {
        import->same_count++;
    } else if (lseek(fd, 0, SEEK_SET) != 0) {
        note_failure(import, errno);
    } else if (source.left_len <= SHORT_LEN) {
        store_short(import, &source);
    } else {
        store_long(import, &source);
    }
done:
    if (fd >= 0)
        close(fd);
}

/* ---- the walk --------------------------------------------------------------------------------------------- */

/* The path of a key below the folder that was given. False: too long. */
static bool set_path(struct import *import, const char *folder, const char *name)
{
    import->path.len = import->root_len;
    rd_buffer_append_string(&import->path, folder);
    if (folder[0] != '\0' && name[0] != '\0')
        rd_buffer_append_u8(&import->path, '/');
    rd_buffer_append_string(&import->path, name);
    rd_buffer_append_u8(&import->path, '\0');
    return !import->path.failed;
}

static bool push_folder(struct import *import, const char *folder)
{
    if (import->folder_count == import->folder_capacity) {
        size_t capacity = import->folder_capacity * 2 + 16;
        char **folders = realloc(import->folders, capacity * sizeof *folders);
        if (folders == NULL)
            return false;
        import->folders = folders;
        import->folder_capacity = capacity;
    }
    char *copy = strdup(folder);
    if (copy == NULL)
        return false;
    import->folders[import->folder_count++] = copy;
    return true;
}

static void import_entry(struct import *import, const char *folder, const char *name)
{
    struct stat entry;
    if (!set_path(import, folder, name)) {
        import->path.failed = false;
        fprintf(stderr, "rdrive: import: %s/%s: the path is too long\n", folder, name);
        import->failed_count++;
    } else if (lstat((const char *)import->path.data, &entry) != 0) {
        note_failure(import, errno);
    } else if (S_ISLNK(entry.st_mode)) {
        leave_out(import, "a symbolic link");
    } else if (!S_ISDIR(entry.st_mode)) {
        import_file(import);
    } else if (!push_folder(import, key_of(import))) {
        rd_error_set(&import->run->error, RD_NO_MEMORY, 0, "no memory for the list of folders");
        stop(import);
    }
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* In the order of their names, so that two runs do the same. */
static void import_folder(struct import *import, const char *folder)
{
    struct dirent **entries = NULL;
    int count = set_path(import, folder, "")
                    ? scandir((const char *)import->path.data, &entries, is_entry, alphasort)
                    : -1;
    if (count < 0)
        note_failure(import, errno);
    for (int i = 0; i < count; i++) {
        if (!import->stopped)
            import_entry(import, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

static void walk(struct import *import)
{
    while (import->folder_count != 0 && !import->stopped) {
        char *folder = import->folders[--import->folder_count];
        import_folder(import, folder);
        free(folder);
    }
    store_batch(import);
    while (import->folder_count != 0)
        free(import->folders[--import->folder_count]);
    free(import->folders);
}

static void print_summary(const struct import *import, bool json)
{
    printf(json ? "{\"stored\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"unchanged\":%" PRIu64 ",\"left_out\":%" PRIu64
                  ",\"failed\":%" PRIu64 "}\n"
                : "stored %" PRIu64 " files, %" PRIu64 " bytes\nunchanged %" PRIu64 "\nleft out %" PRIu64
                  "\nfailed %" PRIu64 "\n",
           import->stored_count, import->stored_len, import->same_count, import->left_out_count,
           import->failed_count);
}

int rd_run_import(struct rd_run *run, struct rd_backend *backend)
{
    const char *root = run->options->args[0];
    struct stat folder;
    if (stat(root, &folder) != 0 || !S_ISDIR(folder.st_mode)) {
        rd_error_set(&run->error, RD_INVALID_ARGUMENT, 0, "%s is no folder that can be read", root);
        return rd_run_fail(run);
    }
    struct import *import = calloc(1, sizeof *import);
    if (import == NULL) {
        rd_error_set(&run->error, RD_NO_MEMORY, 0, "no memory to start with");
        return rd_run_fail(run);
    }
    import->run = run;
    import->backend = backend;
    rd_buffer_init(&import->path, PATH_LEN_MAX);
    rd_buffer_init(&import->bytes, 0);
    rd_buffer_append_string(&import->path, root);
    rd_buffer_append_u8(&import->path, '/');
    import->root_len = import->path.len;
    rd_progress_begin(&import->progress, UINT64_MAX, false);
    if (import->path.failed || !push_folder(import, ""))
        import->failed_count++;
    walk(import);
    rd_progress_end(&import->progress);
    print_summary(import, run->options->json);
    int code = import->stopped ? rd_run_fail(run) : import->failed_count != 0 ? RD_EXIT_FAILED : RD_EXIT_DONE;
    rd_buffer_deinit(&import->path);
    rd_buffer_deinit(&import->bytes);
    free(import);
    return code;
}

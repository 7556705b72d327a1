/* SPDX-License-Identifier: MIT */
#include "server/stores.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/text.h"
#include "server/courtesy.h"
#include "server/log.h"
#include "server/memory.h"
#include "server/store_files.h"

#define CHECKPOINTS_MS 1000u /* stopping takes no longer for what only makes the next start quicker */

struct rd_stores {
    char data_dir[RD_CONFIG_PATH_SIZE]; /* never changes */
    int folder_fd;                      /* never changes */
    pthread_mutex_t lock;               /* guards what follows, and every hosted->state against other writers */
    struct rd_settings defaults;        /* of stores that have none of their own */
    uint32_t queue_count_max;           /* of each store's writes at a time */
    uint64_t queue_bytes_max;           /* and bytes of these */
    bool timed;                         /* slow requests are logged */
    struct rd_process *process;         /* borrows */
    struct rd_config_store *configured; /* owned; what the config file says of stores */
    size_t configured_count;
    pthread_cond_t changed;  /* a store is no longer CREATING */
    struct rd_hosted **list; /* owned, with one reference for each; sorted by name */
    size_t count;
    size_t capacity;
};

/* ---- the sorted list; the lock is held -------------------------------------------------------------------- */

static size_t position_of(const struct rd_stores *stores, const char *name, bool *ret_found)
{
    size_t low = 0;
    size_t high = stores->count;
    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(stores->list[middle]->name, name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Takes the caller's reference. */
static bool list_insert(struct rd_stores *stores, size_t at, struct rd_hosted *hosted)
{
    if (stores->count == stores->capacity) {
        size_t capacity = stores->capacity == 0 ? 16 : stores->capacity * 2;
        struct rd_hosted **list = realloc(stores->list, capacity * sizeof *list);
        if (list == NULL)
            return false;
        stores->list = list;
        stores->capacity = capacity;
    }
    memmove(stores->list + at + 1, stores->list + at, (stores->count - at) * sizeof *stores->list);
    stores->list[at] = hosted;
    stores->count++;
    return true;
}

/* Takes `hosted` out and gives up the list's reference; the caller has one of its own. */
static void list_remove(struct rd_stores *stores, struct rd_hosted *hosted)
{
    pthread_mutex_lock(&stores->lock);
    atomic_store(&hosted->state, RD_HOSTED_GONE);
    bool found;
    size_t at = position_of(stores, hosted->name, &found);
    if (found && stores->list[at] == hosted) {
        stores->count--;
        memmove(stores->list + at, stores->list + at + 1, (stores->count - at) * sizeof *stores->list);
        rd_hosted_unref(hosted);
    }
    pthread_cond_broadcast(&stores->changed);
    pthread_mutex_unlock(&stores->lock);
}

static void set_state(struct rd_stores *stores, struct rd_hosted *hosted, enum rd_hosted_state state)
{
    pthread_mutex_lock(&stores->lock);
    atomic_store(&hosted->state, (int)state);
    pthread_cond_broadcast(&stores->changed);
    pthread_mutex_unlock(&stores->lock);
}

/* In this order: who sees a use finds the store. */
static void serve(struct rd_stores *stores, struct rd_hosted *hosted)
{
    atomic_store(&hosted->uses, 1);
    set_state(stores, hosted, RD_HOSTED_SERVING);
}

static void set_failed(struct rd_stores *stores, struct rd_hosted *hosted, const struct rd_error *error)
{
    rd_hosted_set_reason(hosted, error);
    set_state(stores, hosted, RD_HOSTED_FAILED);
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

/* What is in force for the store: the config file's word over its companion's over the daemon's. The lock is held.
 */
static struct rd_settings settings_in_force(const struct rd_stores *stores, const struct rd_hosted *hosted)
{
    struct rd_settings settings = hosted->settings;
    const struct rd_settings *configured =
        rd_config_find_store(stores->configured, stores->configured_count, hosted->name);
    if (configured != NULL)
        rd_settings_overlay(&settings, configured);
    if (settings.durability == RD_DURABILITY_DEFAULT) {
        settings.durability = stores->defaults.durability;
        settings.durability_interval_ms = stores->defaults.durability_interval_ms;
    }
    return settings;
}

/* Under the lock to its end: who reads settings that are about to change must not be the last to apply them. The
 * store is in use. */
static void tune(struct rd_stores *stores, struct rd_hosted *hosted)
{
    struct rd_store_info info;
    rd_store_info(hosted->store, &info);
    pthread_mutex_lock(&stores->lock);
    struct rd_settings settings = settings_in_force(stores, hosted);
    struct rd_store_tuning tuning = {.durability = settings.durability,
                                     .durability_interval_ms = settings.durability_interval_ms,
                                     .queue_count_max = stores->queue_count_max,
                                     .queue_bytes_max = stores->queue_bytes_max,
                                     .quota_bytes = settings.quota_bytes,
                                     .quota_entries = settings.quota_entries,
                                     .writes_barred = settings.read_only,
                                     .timed = stores->timed};
    rd_store_tune(hosted->store, &tuning);
    pthread_mutex_unlock(&stores->lock);
    if (settings.batch_marker_off == info.batch_marker)
        rd_log_store(RD_LOG_WARN, hosted->name, "batch_marker needs the store to be reopened");
}

static void log_failure(void *context, const char *reason)
{
    const struct rd_hosted *hosted = context;
    rd_log_store(RD_LOG_ERROR, hosted->name, "has become read-only: %s", reason);
}

static void rest(void *context, uint64_t step_ns)
{
    rd_courtesy_rest(context, step_ns);
}

static enum rd_status open_engine(struct rd_stores *stores, struct rd_hosted *hosted, bool create,
                                  struct rd_error *ret_error)
{
    char path[RD_CONFIG_PATH_SIZE + 80];
    snprintf(path, sizeof path, "%s/%s.rdr", stores->data_dir, hosted->name);
    pthread_mutex_lock(&stores->lock);
    struct rd_settings settings = settings_in_force(stores, hosted);
    pthread_mutex_unlock(&stores->lock);
    struct rd_store_options options = {
        .durability = settings.durability,
        .durability_interval_ms = settings.durability_interval_ms,
        .create = create,
        .batch_marker_off = settings.batch_marker_off,
        .memory_bytes = rd_memory_limit(),
        .on_failure = log_failure,
        .on_failure_context = hosted,
        .rest = rest,
        .rest_context = stores->process,
    };
    return rd_store_open(path, &options, &hosted->store, ret_error);
}

/* Tuned once it serves: what is configured while a store is being opened reaches only those that serve. */
static void begin_service(struct rd_stores *stores, struct rd_hosted *hosted)
{
    serve(stores, hosted);
    if (rd_hosted_use(hosted, NULL) != RD_OK)
        return; /* withdrawn again already */
    tune(stores, hosted);
    rd_hosted_unuse(hosted);
}

static void log_opened(struct rd_hosted *hosted)
{
    struct rd_store_info info;
    rd_store_info(hosted->store, &info);
    bool open = info.state == RD_STORE_OPEN;
    rd_log_store(open ? RD_LOG_DEBUG : RD_LOG_WARN, hosted->name, "open, %llu entries%s%s",
                 (unsigned long long)info.entries, open ? "" : ", read-only: ", info.reason);
    if (info.tail < hosted->closed_tail)
        rd_log_store(RD_LOG_WARN, hosted->name, "has %llu bytes and had %llu before it was reopened",
                     (unsigned long long)info.tail, (unsigned long long)hosted->closed_tail);
}

/* A file that is there (create: is to be made) begins to serve, or its store is FAILED. */
static enum rd_status open_listed(struct rd_stores *stores, struct rd_hosted *hosted, bool create,
                                  struct rd_error *ret_error)
{
    struct rd_error error = {.status = RD_OK};
    hosted->settings = rd_store_files_load_settings(stores->folder_fd, hosted->name);
    enum rd_status status =
        create ? RD_OK : rd_store_files_check(stores->folder_fd, hosted->name, stores->data_dir, &error);
    if (status == RD_OK)
        status = open_engine(stores, hosted, create, &error);
    if (status != RD_OK) {
        error.status = status;
        rd_log_store(RD_LOG_ERROR, hosted->name, "cannot be opened: %s", error.message);
        set_failed(stores, hosted, &error);
        return rd_error_set(ret_error, status, 0, "%s", error.message); /* names the cause already */
    }
    log_opened(hosted);
    begin_service(stores, hosted);
    return RD_OK;
}

static bool add_found(void *context, const char *name)
{
    struct rd_stores *stores = context;
    bool found;
    size_t at = position_of(stores, name, &found);
    if (found)
        return true;
    struct rd_hosted *hosted = rd_hosted_create(name);
    if (hosted == NULL)
        return false;
    if (!list_insert(stores, at, hosted)) {
        rd_hosted_unref(hosted);
        return false;
    }
    return true;
}

static enum rd_status open_all(struct rd_stores *stores, struct rd_error *ret_error)
{
    enum rd_status status = rd_store_files_scan(stores->folder_fd, add_found, stores, ret_error);
    if (status != RD_OK)
        return status;
    /* A symbolic link or folder in its place must not be followed, so it is only created where nothing is. */
    bool create_default = !rd_store_files_exist(stores->folder_fd, RD_STORE_NAME_DEFAULT);
    if (!add_found(stores, RD_STORE_NAME_DEFAULT))
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the store registry");
    bool default_listed;
    size_t default_at = position_of(stores, RD_STORE_NAME_DEFAULT, &default_listed);
    for (size_t i = 0; i < stores->count; i++)
        (void)open_listed(stores, stores->list[i], create_default && i == default_at, NULL); /* FAILED says why */
    return RD_OK;
}

/* The lock is not held. */
static enum rd_status adopt(struct rd_stores *stores, const struct rd_config *config, struct rd_error *ret_error)
{
    size_t len = config->store_count * sizeof *config->stores;
    struct rd_config_store *configured = malloc(len + 1);
    if (configured == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the settings of stores");
    if (len != 0)
        memcpy(configured, config->stores, len);
    pthread_mutex_lock(&stores->lock);
    free(stores->configured);
    stores->configured = configured;
    stores->configured_count = config->store_count;
    stores->defaults = config->settings;
    stores->queue_count_max = (uint32_t)config->store_requests_max;
    stores->queue_bytes_max = config->store_bytes_max;
    stores->timed = config->slow_log_ms != 0;
    pthread_mutex_unlock(&stores->lock);
    return RD_OK;
}

/* A name that is none is more likely a slip than a store to come. */
static void warn_of_strangers(struct rd_stores *stores, const struct rd_config *config)
{
    for (size_t i = 0; i < config->store_count; i++) {
        struct rd_hosted *hosted = rd_stores_find(stores, rd_slice_of_string(config->stores[i].name));
        if (hosted == NULL)
            rd_log(RD_LOG_WARN, "the config file has settings for '%s', and there is no such store",
                   config->stores[i].name);
        rd_hosted_unref(hosted);
    }
}

enum rd_status rd_stores_open(const struct rd_config *config, struct rd_process *process,
                              struct rd_stores **ret_stores, struct rd_error *ret_error)
{
    struct rd_stores *stores = calloc(1, sizeof *stores);
    if (stores == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the store registry");
    stores->folder_fd = -1;
    stores->process = process;
    pthread_mutex_init(&stores->lock, NULL);
    pthread_cond_init(&stores->changed, NULL);
    snprintf(stores->data_dir, sizeof stores->data_dir, "%s", config->data_dir);

    enum rd_status status = adopt(stores, config, ret_error);
    if (status == RD_OK)
        status = rd_store_files_open_folder(config->data_dir, &stores->folder_fd, ret_error);
    if (status == RD_OK)
        status = open_all(stores, ret_error);
    if (status != RD_OK) {
        rd_stores_close(stores);
        return status;
    }
    warn_of_strangers(stores, config);
    *ret_stores = stores;
    return RD_OK;
}

enum rd_status rd_stores_configure(struct rd_stores *stores, const struct rd_config *config,
                                   struct rd_error *ret_error)
{
    size_t count;
    struct rd_hosted **list = rd_stores_list(stores, &count);
    if (list == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "no memory for the list of stores");
    enum rd_status status = adopt(stores, config, ret_error);
    for (size_t i = 0; i < count; i++) {
        bool serves = status == RD_OK && rd_hosted_use(list[i], NULL) == RD_OK;
        if (serves) {
            tune(stores, list[i]);
            rd_hosted_unuse(list[i]);
        }
        rd_hosted_unref(list[i]);
    }
    free(list);
    if (status == RD_OK)
        warn_of_strangers(stores, config);
    return status;
}

void rd_stores_close(struct rd_stores *stores)
{
    if (stores == NULL)
        return;
    uint64_t deadline_ms = uv_hrtime() / 1000000 + CHECKPOINTS_MS;
    for (size_t i = 0; i < stores->count; i++) {
        rd_store_close_by(stores->list[i]->store, deadline_ms);
        rd_hosted_unref(stores->list[i]);
    }
    free(stores->list);
    free(stores->configured);
    if (stores->folder_fd >= 0)
        close(stores->folder_fd);
    pthread_cond_destroy(&stores->changed);
    pthread_mutex_destroy(&stores->lock);
    free(stores);
}

/* ---- looking up ------------------------------------------------------------------------------------------- */

static bool copy_name(struct rd_slice name, char ret_name[RD_TEXT_STORE_NAME_LEN_MAX + 1])
{
    if (name.len > RD_TEXT_STORE_NAME_LEN_MAX || !rd_text_is_store_name(name))
        return false;
    memcpy(ret_name, name.data, name.len);
    ret_name[name.len] = '\0';
    return true;
}

struct rd_hosted *rd_stores_find(struct rd_stores *stores, struct rd_slice name)
{
    char text[RD_TEXT_STORE_NAME_LEN_MAX + 1];
    if (!copy_name(name, text))
        return NULL;
    struct rd_hosted *hosted = NULL;
    pthread_mutex_lock(&stores->lock);
    bool found;
    size_t at = position_of(stores, text, &found);
    if (found) {
        hosted = stores->list[at];
        rd_hosted_ref(hosted);
    }
    pthread_mutex_unlock(&stores->lock);
    return hosted;
}

struct rd_hosted **rd_stores_list(struct rd_stores *stores, size_t *ret_count)
{
    pthread_mutex_lock(&stores->lock);
    struct rd_hosted **list = malloc((stores->count + 1) * sizeof *list);
    size_t count = 0;
    for (size_t i = 0; list != NULL && i < stores->count; i++) {
        if (!rd_hosted_is_listed(stores->list[i]))
            continue;
        rd_hosted_ref(stores->list[i]);
        list[count++] = stores->list[i];
    }
    pthread_mutex_unlock(&stores->lock);
    *ret_count = count;
    return list;
}

bool rd_stores_find_unserved(struct rd_stores *stores, char ret_name[RD_TEXT_STORE_NAME_LEN_MAX + 1])
{
    bool found = false;
    pthread_mutex_lock(&stores->lock);
    for (size_t i = 0; i < stores->count && !found; i++) {
        enum rd_hosted_state state = rd_hosted_state(stores->list[i]);
        found = state == RD_HOSTED_FAILED || state == RD_HOSTED_REOPENING;
        if (found)
            snprintf(ret_name, RD_TEXT_STORE_NAME_LEN_MAX + 1, "%s", stores->list[i]->name);
    }
    pthread_mutex_unlock(&stores->lock);
    return found;
}

/* ---- creating --------------------------------------------------------------------------------------------- */

/* Puts the name into the list, so that nobody else takes it while the file is made. A reference is returned. */
static enum rd_status reserve(struct rd_stores *stores, const char *name, struct rd_hosted **ret_hosted,
                              struct rd_error *ret_error)
{
    struct rd_hosted *hosted = rd_hosted_create(name);
    if (hosted == NULL)
        return rd_error_set(ret_error, RD_NO_MEMORY, 0, "store '%s': no memory", name);

    enum rd_status status = RD_OK;
    pthread_mutex_lock(&stores->lock);
    bool found;
    size_t at = position_of(stores, name, &found);
    rd_hosted_ref(hosted);
    if (found)
        status = rd_error_set(ret_error, RD_CONFLICT, 0, "store '%s' exists", name);
    else if (!list_insert(stores, at, hosted))
        status = rd_error_set(ret_error, RD_NO_MEMORY, 0, "store '%s': no memory", name);
    pthread_mutex_unlock(&stores->lock);
    if (status != RD_OK) {
        rd_hosted_unref(hosted);
        rd_hosted_unref(hosted);
        return status;
    }
    *ret_hosted = hosted;
    return RD_OK;
}

static enum rd_status make_files(struct rd_stores *stores, struct rd_hosted *hosted, struct rd_error *ret_error)
{
    if (rd_store_files_exist(stores->folder_fd, hosted->name))
        return rd_error_set(ret_error, RD_CONFLICT, 0,
                            "store '%s': the data folder holds a file of that name that is not served",
                            hosted->name);
    /* The settings first: a store never exists without them. */
    enum rd_status status =
        rd_store_files_save_settings(stores->folder_fd, hosted->name, &hosted->settings, ret_error);
    if (status != RD_OK)
        return status;
    status = open_engine(stores, hosted, true, ret_error);
    if (status == RD_OK && fsync(stores->folder_fd) != 0)
        status =
            rd_error_set(ret_error, RD_IO_ERROR, 0, "store '%s': the data folder cannot be synced", hosted->name);
    if (status != RD_OK) {
        rd_store_close(hosted->store);
        hosted->store = NULL;
        /* A file that somebody else put there meanwhile is not ours to remove. */
        bool ours = status != RD_UNAVAILABLE && status != RD_NOT_A_STORE;
        if (ours && rd_store_files_remove(stores->folder_fd, hosted->name, NULL) != RD_OK)
            rd_log_store(RD_LOG_WARN, hosted->name, "what its failed creation left cannot be removed");
    }
    return status;
}

enum rd_status rd_stores_create(struct rd_stores *stores, struct rd_slice name, const struct rd_settings *settings,
                                struct rd_error *ret_error)
{
    char text[RD_TEXT_STORE_NAME_LEN_MAX + 1];
    if (!copy_name(name, text))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0,
                            "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
    struct rd_hosted *hosted = NULL;
    enum rd_status status = reserve(stores, text, &hosted, ret_error);
    if (status != RD_OK)
        return status;
    hosted->settings = *settings;
    status = make_files(stores, hosted, ret_error);
    if (status == RD_OK) {
        begin_service(stores, hosted);
        rd_log_store(RD_LOG_INFO, hosted->name, "created");
    } else {
        list_remove(stores, hosted);
    }
    rd_hosted_unref(hosted);
    return status;
}

/* Waits while the store is being made. False: there is none. */
static bool await_created(struct rd_stores *stores, const char *name, enum rd_hosted_state *ret_state)
{
    bool found;
    size_t at;
    pthread_mutex_lock(&stores->lock);
    while (at = position_of(stores, name, &found),
           found && rd_hosted_state(stores->list[at]) == RD_HOSTED_CREATING)
        pthread_cond_wait(&stores->changed, &stores->lock);
    if (found)
        *ret_state = rd_hosted_state(stores->list[at]);
    pthread_mutex_unlock(&stores->lock);
    return found;
}

enum rd_status rd_stores_ensure(struct rd_stores *stores, struct rd_slice name, struct rd_error *ret_error)
{
    static const struct rd_settings as_the_daemon = {.durability = RD_DURABILITY_DEFAULT};
    char text[RD_TEXT_STORE_NAME_LEN_MAX + 1];
    enum rd_hosted_state state;
    if (!copy_name(name, text))
        return rd_error_set(ret_error, RD_INVALID_ARGUMENT, 0,
                            "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
    if (!await_created(stores, text, &state)) {
        enum rd_status status = rd_stores_create(stores, name, &as_the_daemon, ret_error);
        /* A conflict may mean that somebody else was faster. */
        if (status != RD_CONFLICT || !await_created(stores, text, &state))
            return status;
    }
    if (state == RD_HOSTED_DROPPING)
        return rd_error_set(ret_error, RD_UNAVAILABLE, 0, "store '%s' is being dropped; try again later", text);
    return RD_OK;
}

/* ---- dropping and reopening ------------------------------------------------------------------------------- */

static enum rd_status check_withdrawal(struct rd_hosted *hosted, enum rd_hosted_state purpose,
                                       struct rd_error *ret_error)
{
    enum rd_hosted_state state = rd_hosted_state(hosted);
    if (state == RD_HOSTED_SERVING || (state == RD_HOSTED_FAILED && purpose == RD_HOSTED_REOPENING))
        return RD_OK;
    if (state == RD_HOSTED_REOPENING)
        return rd_hosted_refuse(hosted, state, ret_error);
    if (state != RD_HOSTED_FAILED)
        return rd_error_set(ret_error, RD_CONFLICT, 0, "store '%s' is being created or dropped", hosted->name);
    /* Its file may be in use by another process, or be no store at all: not ours to delete. */
    char reason[RD_HOSTED_REASON_SIZE];
    rd_hosted_reason(hosted, reason);
    return rd_error_set(ret_error, RD_UNAVAILABLE, 0,
                        "store '%s' cannot be dropped, as it cannot be opened: %.120s", hosted->name, reason);
}

static enum rd_status withdraw(struct rd_hosted *hosted, struct rd_stores *stores, enum rd_hosted_state purpose,
                               struct rd_op *op, uint64_t now_ms, struct rd_error *ret_error)
{
    pthread_mutex_lock(&stores->lock);
    bool served = rd_hosted_state(hosted) == RD_HOSTED_SERVING;
    enum rd_status status = check_withdrawal(hosted, purpose, ret_error);
    if (status == RD_OK) {
        hosted->wake_op = op;
        atomic_store(&hosted->withdrawn_ms, now_ms);
        atomic_store(&hosted->state, (int)purpose);
    }
    pthread_mutex_unlock(&stores->lock);
    if (status == RD_OK && served)
        rd_hosted_unuse(hosted);
    else if (status == RD_OK)
        rd_hosted_wake(hosted);
    return status;
}

enum rd_status rd_stores_drop_begin(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                    uint64_t now_ms, struct rd_error *ret_error)
{
    if (strcmp(hosted->name, RD_STORE_NAME_DEFAULT) == 0)
        return rd_error_set(ret_error, RD_FORBIDDEN, 0, "the store 'default' cannot be dropped");
    return withdraw(hosted, stores, RD_HOSTED_DROPPING, op, now_ms, ret_error);
}

enum rd_status rd_stores_reopen_begin(struct rd_hosted *hosted, struct rd_stores *stores, struct rd_op *op,
                                      uint64_t now_ms, struct rd_error *ret_error)
{
    return withdraw(hosted, stores, RD_HOSTED_REOPENING, op, now_ms, ret_error);
}

/* deadline_ms: for what makes the next opening quick. */
static void close_engine(struct rd_hosted *hosted, uint64_t deadline_ms)
{
    if (hosted->store != NULL)
        hosted->closed_tail = rd_store_file_size(hosted->store);
    rd_store_close_by(hosted->store, deadline_ms);
    hosted->store = NULL;
}

enum rd_status rd_stores_drop_finish(struct rd_hosted *hosted, struct rd_stores *stores,
                                     struct rd_error *ret_error)
{
    close_engine(hosted, 0);
    struct rd_error error = {.status = RD_OK};
    enum rd_status status = rd_store_files_remove(stores->folder_fd, hosted->name, &error);
    if (status != RD_OK) {
        rd_log_store(RD_LOG_ERROR, hosted->name, "closed, but not dropped: %s", error.message);
        set_failed(stores, hosted, &error);
        return rd_error_set(ret_error, status, 0, "%s", error.message); /* names the cause already */
    }
    rd_log_store(RD_LOG_INFO, hosted->name, "dropped");
    list_remove(stores, hosted);
    return RD_OK;
}

enum rd_status rd_stores_reopen_finish(struct rd_hosted *hosted, struct rd_stores *stores,
                                       struct rd_error *ret_error)
{
    close_engine(hosted, UINT64_MAX);
    enum rd_status status = open_listed(stores, hosted, false, ret_error);
    if (status == RD_OK)
        rd_log_store(RD_LOG_INFO, hosted->name, "reopened");
    return status;
}

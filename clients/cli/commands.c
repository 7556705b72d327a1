/* SPDX-License-Identifier: MIT */
#include "clients/cli/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "clients/cli/newfile.h"
#include "clients/cli/run.h"
#include "protocol/json.h"
#include "protocol/json_settings.h"

#define JSON_LEN_MAX       (256u << 20) /* bytes */
#define ITERATE_PAGE_COUNT 1000u
#define LONG_TIMEOUT_MS    3600000u
#define PATIENT_LEN        (64u << 20) /* bytes; what is not longer is written well within the client's timeout */
#define METRICS_TIMEOUT_MS 5000u       /* who watches is to be told soon that there is nothing to see */
#define LONGEST_TIMEOUT_MS (7u * 86400000u) /* a large store's compaction, at a low rate */

#define KEY_FORM   RD_OPTION_KEY_FORM
#define CONDITION  RD_OPTION_CONDITION
#define DURABILITY RD_OPTION_DURABILITY
#define MARKER     RD_OPTION_NO_BATCH_MARKER

const struct rd_command rd_commands[] = {
    {"read", RD_ARGS_KEY, "print a value's bytes, or a --range of them", RD_OPCODE_READ_STREAM, RD_BACKEND_READ,
     KEY_FORM | RD_OPTION_RANGE, NULL, rd_run_read},
    {"write", RD_ARGS_KEY_VALUE, "store VALUE, else -f FILE, else standard input; print the tail", RD_OPCODE_WRITE,
     RD_BACKEND_MAKE, KEY_FORM | RD_OPTION_INPUT | CONDITION | DURABILITY | MARKER, rd_print_tail, rd_run_write},
    {"delete", RD_ARGS_KEY, "delete; a key that is not there is no error", RD_OPCODE_DELETE, RD_BACKEND_CHANGE,
     KEY_FORM | CONDITION | DURABILITY | MARKER, rd_print_deleted, NULL},
    {"rename", RD_ARGS_TWO_KEYS, "move a value to another key, at once; print the tail", RD_OPCODE_RENAME,
     RD_BACKEND_CHANGE, KEY_FORM | CONDITION | DURABILITY | MARKER, rd_print_tail, NULL},
    {"copy", RD_ARGS_KEY_TARGET, "put a value into another store as well (with --file: --target FILE)",
     RD_OPCODE_COPY, RD_BACKEND_READ, KEY_FORM | RD_OPTION_TARGET, rd_print_copied, NULL},
    {"transfer", RD_ARGS_KEY_TARGET, "put a value into another store instead (with --file: --target FILE)",
     RD_OPCODE_TRANSFER, RD_BACKEND_CHANGE, KEY_FORM | RD_OPTION_TARGET, rd_print_transferred, NULL},
    {"exists", RD_ARGS_KEY, "exit 0 where the key is there, 3 where not", RD_OPCODE_EXISTS, RD_BACKEND_READ,
     KEY_FORM, rd_print_exists, rd_run_exists},
    {"metadata", RD_ARGS_KEY, "print key_hash, offset, length, crc32", RD_OPCODE_METADATA, RD_BACKEND_READ,
     KEY_FORM, rd_print_metadata, NULL},
    {"info", RD_ARGS_NONE, "print what the store is and holds", RD_OPCODE_INFO, RD_BACKEND_READ, 0, rd_print_info,
     NULL},
    {"len", RD_ARGS_NONE, "print the number of keys", RD_OPCODE_INFO, RD_BACKEND_READ, 0, rd_print_len, NULL},
    {"last", RD_ARGS_NONE, "print the newest entry's metadata", RD_OPCODE_LAST, RD_BACKEND_READ, 0,
     rd_print_metadata, NULL},
    {"iterate", RD_ARGS_NONE, "print hash, offset, length, crc32 of each entry, newest first (--after, --limit)",
     RD_OPCODE_ITERATE, RD_BACKEND_READ, RD_OPTION_AFTER | RD_OPTION_LIMIT, NULL, rd_run_iterate},
    {"batch-write", RD_ARGS_NONE, "write the entries of a JSON text, all or none (-f FILE, else standard input)",
     RD_OPCODE_BATCH_WRITE, RD_BACKEND_MAKE, RD_OPTION_INPUT | DURABILITY | MARKER, rd_print_batch_written, NULL},
    {"batch-read", RD_ARGS_NONE, "read the keys of a JSON text", RD_OPCODE_BATCH_READ, RD_BACKEND_READ,
     RD_OPTION_INPUT, rd_print_batch_values, NULL},
    {"batch-delete", RD_ARGS_NONE, "delete the keys of a JSON text", RD_OPCODE_BATCH_DELETE, RD_BACKEND_CHANGE,
     RD_OPTION_INPUT | DURABILITY | MARKER, rd_print_batch_deleted, NULL},
    {"import", RD_ARGS_FOLDER, "store every file below DIR under its relative path; goes on where it was ended",
     RD_OPCODE_NONE, RD_BACKEND_MAKE, DURABILITY | MARKER, NULL, rd_run_import},
    {"verify", RD_ARGS_NONE, "look at every entry; print each problem; exit 1 where there is one",
     RD_OPCODE_VERIFY, RD_BACKEND_READ, 0, NULL, rd_run_verify},
    {"backup", RD_ARGS_FILE,
     "keep the store's file in FILE: all of it at first, then what is new (- for standard output)",
     RD_OPCODE_BACKUP, RD_BACKEND_READ, RD_OPTION_FULL, NULL, rd_run_backup},
    {"restore", RD_ARGS_FILE, "make the store's file, given by --file, out of the backup FILE, verified before",
     RD_OPCODE_NONE, RD_BACKEND_NONE, RD_OPTION_FORCE, NULL, rd_run_restore},
    {"compact", RD_ARGS_NONE, "have the store's file hold what lives alone; print what that has saved",
     RD_OPCODE_COMPACT, RD_BACKEND_CHANGE, 0, rd_print_compacted, NULL},
    {"reopen", RD_ARGS_STORE, "have the server close a store and open it again, with full recovery",
     RD_OPCODE_REOPEN, RD_BACKEND_CHANGE, 0, rd_print_info, NULL},
    {"ping", RD_ARGS_NONE, "ask the server for nothing but an answer, which takes no token", RD_OPCODE_PING,
     RD_BACKEND_READ, 0, rd_print_pong, NULL},
    {"metrics", RD_ARGS_NONE, "print what the server counts and holds, as Prometheus reads it", RD_OPCODE_METRICS,
     RD_BACKEND_READ, 0, rd_print_metrics, NULL},
    {"top", RD_ARGS_NONE, "watch what the server does: rates, latencies, sizes (--interval, --once; q ends it)",
     RD_OPCODE_METRICS, RD_BACKEND_READ, RD_OPTION_WATCH, NULL, rd_run_top},
    {"stores", RD_ARGS_NONE, "print the names of the server's stores", RD_OPCODE_STORES, RD_BACKEND_READ, 0,
     rd_print_stores, NULL},
    {"create", RD_ARGS_STORE,
     "create a store (--settings JSON, or --no-batch-marker, quotas), or with --file an empty file",
     RD_OPCODE_CREATE, RD_BACKEND_MAKE_NEW, RD_OPTION_SETTINGS | MARKER | RD_OPTION_QUOTA, rd_print_created, NULL},
    {"drop", RD_ARGS_STORE, "drop a store and all it holds (--confirm STORE)", RD_OPCODE_DROP, RD_BACKEND_CHANGE,
     RD_OPTION_CONFIRM, rd_print_dropped, NULL},
};
const size_t rd_command_count = sizeof rd_commands / sizeof rd_commands[0];

static const struct {
    const char *text;
    size_t count_min;
    size_t count_max;
    const char *missing;
} arg_forms[] = {
    [RD_ARGS_NONE] = {"", 0, 0, ""},
    [RD_ARGS_KEY] = {"KEY", 1, 1, "it needs a KEY"},
    [RD_ARGS_KEY_VALUE] = {"KEY [VALUE]", 1, 2, "it needs a KEY"},
    [RD_ARGS_TWO_KEYS] = {"KEY NEW_KEY", 2, 2, "it needs a KEY and a NEW_KEY"},
    [RD_ARGS_KEY_TARGET] = {"KEY [TARGET]", 1, 2, "it needs a KEY"},
    [RD_ARGS_STORE] = {"[STORE]", 0, 1, ""},
    [RD_ARGS_FOLDER] = {"DIR", 1, 1, "it needs a DIR"},
    [RD_ARGS_FILE] = {"FILE", 1, 1, "it needs a FILE"},
};

const struct rd_command *rd_command_find(const char *name)
{
    for (size_t i = 0; i < rd_command_count; i++)
        if (strcmp(rd_commands[i].name, name) == 0)
            return &rd_commands[i];
    return NULL;
}

const char *rd_command_args_text(const struct rd_command *command)
{
    return arg_forms[command->args].text;
}

int rd_run_fail_usage(const struct rd_run *run, const char *message)
{
    fprintf(stderr, "rdrive: %s: %s; rdrive --help tells more\n", run->command->name, message);
    return RD_EXIT_USAGE;
}

int rd_run_fail(const struct rd_run *run)
{
    enum rd_status status = run->error.status;
    fprintf(stderr, "rdrive: %s: %s: %s\n", run->command->name, rd_cli_status_name(status), run->error.message);
    return status == RD_KEY_NOT_FOUND || status == RD_STORE_NOT_FOUND ? RD_EXIT_NOT_FOUND : RD_EXIT_FAILED;
}

/* ---- arguments to a request: each returns an exit code ---------------------------------------------------- */

static int take_key(struct rd_run *run, size_t index, struct rd_message_key *ret_key)
{
    struct rd_slice text = rd_slice_of_string(run->options->args[index]);
    if (run->options->key_hash) {
        if (!rd_text_parse_hash(text, &ret_key->hash))
            return rd_run_fail_usage(run, "--hash takes 16 hex digits in place of a key");
        return RD_EXIT_DONE;
    }
    if (!run->options->key_hex) {
        ret_key->bytes = text;
        return RD_EXIT_DONE;
    }
    uint8_t *to = rd_buffer_reserve(&run->keys[index], text.len / 2 + 1); /* never NULL for the empty key */
    if (to == NULL || text.len % 2 != 0 || !rd_text_hex_decode(text, to))
        return rd_run_fail_usage(run, "--key-hex takes keys as pairs of hex digits");
    ret_key->bytes = rd_slice(to, text.len / 2);
    return RD_EXIT_DONE;
}

static int take_keys(struct rd_run *run)
{
    enum rd_command_args args = run->command->args;
    bool takes_key =
        args == RD_ARGS_KEY || args == RD_ARGS_KEY_VALUE || args == RD_ARGS_TWO_KEYS || args == RD_ARGS_KEY_TARGET;
    int code = takes_key ? take_key(run, 0, &run->request->key) : RD_EXIT_DONE;
    if (code == RD_EXIT_DONE && args == RD_ARGS_TWO_KEYS)
        code = take_key(run, 1, &run->request->target_key);
    return code;
}

static int take_value(struct rd_run *run)
{
    const struct rd_options *options = run->options;
    if (options->arg_count == 2 && options->input_path != NULL)
        return rd_run_fail_usage(run, "give a VALUE or -f FILE, not both");
    if (options->arg_count == 2) {
        run->request->value = rd_slice_of_string(options->args[1]);
        return RD_EXIT_DONE;
    }
    return rd_input_open(&run->input, options->input_path, &run->error) == RD_OK ? RD_EXIT_DONE : rd_run_fail(run);
}

static int take_batch(struct rd_run *run)
{
    rd_buffer_init(&run->text, JSON_LEN_MAX);
    if (rd_input_read(run->options->input_path, &run->text, &run->error) != RD_OK)
        return rd_run_fail(run);
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_slice text = rd_buffer_slice(&run->text);
    enum rd_status status;
    if (run->request->opcode == RD_OPCODE_BATCH_WRITE)
        status = rd_json_parse_batch_write(text, &limits, run->request);
    else if (run->request->opcode == RD_OPCODE_BATCH_READ)
        status = rd_json_parse_batch_read(text, &limits, run->request);
    else
        status = rd_json_parse_batch_delete(text, &limits, run->request);
    if (status == RD_OK)
        return RD_EXIT_DONE;
    const char *message = run->request->message;
    rd_error_set(&run->error, status, 0, "%s", message != NULL ? message : "the JSON text cannot be used");
    return rd_run_fail(run);
}

static int take_drop(struct rd_run *run)
{
    if (run->options->confirm == NULL)
        return rd_run_fail_usage(run, "all that the store holds will be gone: say so with --confirm STORE");
    run->request->confirm = rd_slice_of_string(run->options->confirm);
    return RD_EXIT_DONE;
}

/* --if-absent is about the key that is to be written: with rename that is the new one. */
static int take_conditions(struct rd_run *run)
{
    const struct rd_options *options = run->options;
    bool given = options->condition.kind != RD_MESSAGE_IF_ANYTHING;
    bool absent = options->target_condition.kind != RD_MESSAGE_IF_ANYTHING;
    run->request->condition = options->condition;
    if (run->command->opcode == RD_OPCODE_RENAME)
        run->request->target_condition = options->target_condition;
    else if (given && absent)
        return rd_run_fail_usage(run, "give one condition");
    else if (absent)
        run->request->condition = options->target_condition;
    return RD_EXIT_DONE;
}

/* What single options say of a new store. False: no memory. */
static bool make_settings(struct rd_run *run)
{
    struct rd_json_settings settings = {.durability = RD_MESSAGE_DURABILITY_DEFAULT,
                                        .batch_marker_off = run->options->no_batch_marker,
                                        .read_only = run->options->read_only,
                                        .quota_bytes = run->options->quota_bytes,
                                        .quota_entries = run->options->quota_entries};
    rd_json_settings_encode(&settings, &run->text);
    rd_buffer_append_u8(&run->text, '\0'); /* online it is a string */
    if (run->text.failed) {
        rd_error_set(&run->error, RD_NO_MEMORY, 0, "no memory for the settings");
        return false;
    }
    run->request->settings = rd_slice_of_string((const char *)run->text.data);
    return true;
}

static int make_request(struct rd_run *run)
{
    const struct rd_options *options = run->options;
    run->request->durability = options->durability;
    run->request->after_offset = options->after_offset;
    run->request->range = options->range;
    if (options->settings != NULL)
        run->request->settings = rd_slice_of_string(options->settings);
    else if (run->command->opcode == RD_OPCODE_CREATE && (options->given & (MARKER | RD_OPTION_QUOTA)) != 0 &&
             !make_settings(run))
        return rd_run_fail(run);
    if (options->target != NULL)
        run->request->target_store = rd_slice_of_string(options->target);
    int code = take_keys(run);
    if (code == RD_EXIT_DONE)
        code = take_conditions(run);
    if (code != RD_EXIT_DONE)
        return code;
    switch (run->command->opcode) {
    case RD_OPCODE_WRITE:
        return take_value(run);
    case RD_OPCODE_BATCH_WRITE:
    case RD_OPCODE_BATCH_READ:
    case RD_OPCODE_BATCH_DELETE:
        return take_batch(run);
    case RD_OPCODE_DROP:
        return take_drop(run);
    default:
        return RD_EXIT_DONE;
    }
}

/* ---- running ---------------------------------------------------------------------------------------------- */

/* Page after page, until the limit or the end, or until nobody takes them. Nothing lies below offset 0, and asking
 * for it would start anew. */
int rd_run_iterate(struct rd_run *run, struct rd_backend *backend)
{
    bool json = run->options->json;
    uint64_t limit = run->options->limit != 0 ? run->options->limit : UINT64_MAX;
    bool is_first_page = true;
    uint64_t next_offset = 0;
    while (limit != 0 && (is_first_page || next_offset != 0) && !ferror(stdout)) {
        struct rd_response response;
        run->request->limit = limit < ITERATE_PAGE_COUNT ? (uint32_t)limit : ITERATE_PAGE_COUNT;
        if (backend->calls->execute(backend, run->request, &response, &run->error) != RD_OK)
            return rd_run_fail(run);
        if (is_first_page)
            rd_print_entries_begin(json);
        rd_print_entries(&response, is_first_page, json);
        is_first_page = false;
        limit -= response.item_count < limit ? response.item_count : limit;
        next_offset =
            response.item_count < run->request->limit ? 0 : response.items[response.item_count - 1].offset;
        run->request->after_offset = next_offset;
    }
    rd_print_entries_end(next_offset, json);
    return RD_EXIT_DONE;
}

int rd_run_exists(struct rd_run *run, struct rd_backend *backend)
{
    struct rd_response response;
    if (backend->calls->execute(backend, run->request, &response, &run->error) != RD_OK)
        return rd_run_fail(run);
    run->command->print(&response, run->options->json);
    return response.found ? RD_EXIT_DONE : RD_EXIT_NOT_FOUND;
}

static int execute(struct rd_run *run, struct rd_backend *backend)
{
    if (run->command->run != NULL)
        return run->command->run(run, backend);
    struct rd_response response;
    if (backend->calls->execute(backend, run->request, &response, &run->error) != RD_OK)
        return rd_run_fail(run);
    run->command->print(&response, run->options->json);
    return RD_EXIT_DONE;
}

static bool needs_server(enum rd_opcode opcode)
{
    return opcode == RD_OPCODE_STORES || opcode == RD_OPCODE_DROP || opcode == RD_OPCODE_REOPEN ||
           opcode == RD_OPCODE_METRICS || opcode == RD_OPCODE_PING;
}

/* NULL: they fit. Otherwise what is wrong. */
static const char *check_options(const struct rd_command *command, const struct rd_options *options)
{
    static char text[64];
    unsigned strange = options->given & ~command->takes;
    if (strange != 0) {
        snprintf(text, sizeof text, "%s not go with it", rd_options_text(strange));
        return text;
    }
    if ((options->given & RD_OPTION_LIMIT) != 0 && options->limit == 0)
        return "--limit takes a number from 1";
    bool offline = options->file_path != NULL;
    bool moves = command->args == RD_ARGS_KEY_TARGET;
    if (options->arg_count < arg_forms[command->args].count_min)
        return arg_forms[command->args].missing;
    if (options->arg_count > arg_forms[command->args].count_max)
        return "too many arguments (quote what holds spaces)";
    if (offline && needs_server(command->opcode))
        return "it needs a server: --file does not go with it";
    if (!offline && command->access == RD_BACKEND_NONE)
        return "it is done to a file that no server has open: name it with --file";
    if (offline && command->args == RD_ARGS_STORE && options->arg_count != 0)
        return "--file names the store already";
    if (offline && options->settings != NULL)
        return "settings are the server's: --file does not go with --settings";
    bool names =
        command->args == RD_ARGS_STORE || command->args == RD_ARGS_FOLDER || command->args == RD_ARGS_FILE;
    if (names && options->arg_count == 1 && options->args[0][0] == '\0')
        return "its argument must not be empty";
    if (command->args == RD_ARGS_STORE && options->arg_count == 1 && options->store != NULL &&
        strcmp(options->args[0], options->store) != 0)
        return "--store and STORE name different stores";
    if (moves && (options->target != NULL) == (options->arg_count == 2))
        return offline ? "it needs the file to put the value into: --target FILE" : "it needs one TARGET store";
    if (moves && (options->target != NULL ? options->target : options->args[1])[0] == '\0')
        return "TARGET must not be empty";
    if (options->no_batch_marker && !offline && command->opcode != RD_OPCODE_CREATE)
        return "--no-batch-marker goes with create, or with --file";
    if (options->no_batch_marker && options->settings != NULL)
        return "give --no-batch-marker or --settings, which may hold \"batch_marker\":false";
    if ((options->given & RD_OPTION_QUOTA) != 0 && options->settings != NULL)
        return "give quotas and --read-only, or --settings, which may hold them";
    return NULL;
}

static void deinit(struct rd_run *run)
{
    rd_request_destroy(run->request);
    rd_buffer_deinit(&run->keys[0]);
    rd_buffer_deinit(&run->keys[1]);
    rd_buffer_deinit(&run->text);
    rd_input_close(&run->input);
}

/* Whether what is written may be of any length: behind its last byte the server has to copy all of it. */
static bool writes_long_values(const struct rd_run *run)
{
    bool of_input = run->command->opcode == RD_OPCODE_WRITE && run->input.fd >= 0;
    return run->command->args == RD_ARGS_FOLDER || (of_input && run->input.len > PATIENT_LEN);
}

/* Of one request: a recovery, a step of a look or a move takes as long as its file or value is long. */
static uint32_t timeout_ms_of(const struct rd_run *run)
{
    if (writes_long_values(run))
        return LONG_TIMEOUT_MS;
    switch (run->command->opcode) {
    case RD_OPCODE_REOPEN:
    case RD_OPCODE_VERIFY:
    case RD_OPCODE_RENAME:
    case RD_OPCODE_COPY:
    case RD_OPCODE_TRANSFER:
    case RD_OPCODE_BACKUP:
        return LONG_TIMEOUT_MS;
    case RD_OPCODE_METRICS:
        return METRICS_TIMEOUT_MS;
    case RD_OPCODE_COMPACT:
        return LONGEST_TIMEOUT_MS;
    default:
        return 0;
    }
}

/* Of stores on a server, where any are named; what --target names offline is a file. */
static bool are_names(const struct rd_options *options)
{
    const char *names[] = {options->store, options->target};
    for (size_t i = 0; options->file_path == NULL && i < sizeof names / sizeof names[0]; i++)
        if (names[i] != NULL && !rd_text_is_store_name(rd_slice_of_string(names[i])))
            return false;
    return true;
}

int rd_command_run(const struct rd_command *command, const struct rd_options *options)
{
    struct rd_options named = *options;
    struct rd_run run = {.command = command, .options = &named, .input = {.fd = -1}};
    struct rd_backend *backend = NULL;
    bool made_file = false;
    const char *wrong = check_options(command, options);
    if (wrong != NULL)
        return rd_run_fail_usage(&run, wrong);
    if (command->args == RD_ARGS_STORE && options->arg_count == 1)
        named.store = options->args[0];
    if (command->args == RD_ARGS_KEY_TARGET && options->arg_count == 2)
        named.target = options->args[1];
    if (!are_names(&named))
        return rd_run_fail_usage(&run, "a store's name is [A-Za-z0-9._-]{1,64}, no leading dot");
    run.request = rd_request_create(0);
    if (run.request == NULL) {
        rd_error_set(&run.error, RD_NO_MEMORY, 0, "no memory to start with");
        return rd_run_fail(&run);
    }
    run.request->opcode = command->opcode;
    int code = make_request(&run);
    if (code != RD_EXIT_DONE)
        goto done;
    named.timeout_ms = timeout_ms_of(&run);
    enum rd_status status = RD_OK;
    if (named.file_path == NULL)
        status = rd_online_create(&named, &backend, &run.error);
    else if (command->access != RD_BACKEND_NONE)
        status = rd_offline_create(&named, command->access, &made_file, &backend, &run.error);
    if (status == RD_INVALID_ARGUMENT)
        code = rd_run_fail_usage(&run, run.error.message); /* only what the options say can be wrong so early */
    else
        code = status != RD_OK ? rd_run_fail(&run) : execute(&run, backend);
done:
    if (backend != NULL)
        backend->calls->destroy(backend);
    if (made_file && code != RD_EXIT_DONE)
        rd_newfile_take_back(named.file_path);
    deinit(&run);
    return code;
}

/* SPDX-License-Identifier: MIT */
#include "clients/cli/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "clients/cli/input.h"
#include "protocol/json.h"

#define VALUE_LEN_MAX_ONLINE (64u << 20)  /* bytes; what the server takes at once */
#define JSON_LEN_MAX         (256u << 20) /* bytes */
#define ITERATE_PAGE_COUNT   1000u

const struct rd_command rd_commands[] = {
    {"read", "KEY", "print a value's bytes", RD_OPCODE_READ, RD_BACKEND_READ, true, false, 1, 1, rd_print_value},
    {"write", "KEY [VALUE]", "store VALUE, else -f FILE, else standard input; print the tail", RD_OPCODE_WRITE,
     RD_BACKEND_MAKE, true, false, 1, 2, rd_print_tail},
    {"delete", "KEY", "delete; a key that is not there is no error", RD_OPCODE_DELETE, RD_BACKEND_CHANGE, true,
     false, 1, 1, rd_print_deleted},
    {"exists", "KEY", "exit 0 where the key is there, 3 where not", RD_OPCODE_EXISTS, RD_BACKEND_READ, true, false,
     1, 1, rd_print_exists},
    {"metadata", "KEY", "print key_hash, offset, length, crc32", RD_OPCODE_METADATA, RD_BACKEND_READ, true, false,
     1, 1, rd_print_metadata},
    {"info", "", "print what the store is and holds", RD_OPCODE_INFO, RD_BACKEND_READ, false, false, 0, 0,
     rd_print_info},
    {"len", "", "print the number of keys", RD_OPCODE_INFO, RD_BACKEND_READ, false, false, 0, 0, rd_print_len},
    {"last", "", "print the newest entry's metadata", RD_OPCODE_LAST, RD_BACKEND_READ, false, false, 0, 0,
     rd_print_metadata},
    {"iterate", "", "print hash, offset, length, crc32 of each entry, newest first (--after, --limit)",
     RD_OPCODE_ITERATE, RD_BACKEND_READ, false, false, 0, 0, NULL},
    {"batch-write", "", "write the entries of a JSON text, all or none (-f FILE, else standard input)",
     RD_OPCODE_BATCH_WRITE, RD_BACKEND_MAKE, false, false, 0, 0, rd_print_batch_written},
    {"batch-read", "", "read the keys of a JSON text", RD_OPCODE_BATCH_READ, RD_BACKEND_READ, false, false, 0, 0,
     rd_print_batch_values},
    {"batch-delete", "", "delete the keys of a JSON text", RD_OPCODE_BATCH_DELETE, RD_BACKEND_CHANGE, false, false,
     0, 0, rd_print_batch_deleted},
    {"stores", "", "print the names of the server's stores", RD_OPCODE_STORES, RD_BACKEND_READ, false, false, 0, 0,
     rd_print_stores},
    {"create", "[STORE]", "create a store (--settings JSON), or with --file an empty file", RD_OPCODE_CREATE,
     RD_BACKEND_MAKE_NEW, false, true, 0, 1, rd_print_created},
    {"drop", "[STORE]", "drop a store and all it holds (--confirm STORE)", RD_OPCODE_DROP, RD_BACKEND_CHANGE,
     false, true, 0, 1, rd_print_dropped},
};
const size_t rd_command_count = sizeof rd_commands / sizeof rd_commands[0];

const struct rd_command *rd_command_find(const char *name)
{
    for (size_t i = 0; i < rd_command_count; i++)
        if (strcmp(rd_commands[i].name, name) == 0)
            return &rd_commands[i];
    return NULL;
}

/* One run of a command. */
struct run {
    const struct rd_command *command; /* borrows */
    const struct rd_options *options; /* borrows */
    struct rd_request *request;       /* owned */
    struct rd_buffer key;             /* a key given in hex, decoded */
    struct rd_buffer input;           /* what was read from a file or from standard input */
    struct rd_error error;
};

static int fail_usage(const struct run *run, const char *message)
{
    fprintf(stderr, "rdrive: %s: %s; rdrive --help tells more\n", run->command->name, message);
    return RD_EXIT_USAGE;
}

static int fail_run(const struct run *run)
{
    enum rd_status status = run->error.status;
    fprintf(stderr, "rdrive: %s: %s: %s\n", run->command->name, rd_status_name(status), run->error.message);
    return status == RD_KEY_NOT_FOUND || status == RD_STORE_NOT_FOUND ? RD_EXIT_NOT_FOUND : RD_EXIT_FAILED;
}

/* ---- arguments to a request: each returns an exit code ---------------------------------------------------- */

static int take_key(struct run *run)
{
    struct rd_slice text = rd_slice_of_string(run->options->args[0]);
    struct rd_message_key *key = &run->request->key;
    if (run->options->key_hash) {
        if (!rd_text_parse_hash(text, &key->hash))
            return fail_usage(run, "--hash takes 16 hex digits in place of a key");
        return RD_EXIT_DONE;
    }
    if (!run->options->key_hex) {
        key->bytes = text;
        return RD_EXIT_DONE;
    }
    uint8_t *to = rd_buffer_reserve(&run->key, text.len / 2 + 1); /* never NULL for the empty key */
    if (to == NULL || text.len % 2 != 0 || !rd_text_hex_decode(text, to))
        return fail_usage(run, "--key-hex takes keys as pairs of hex digits");
    key->bytes = rd_slice(to, text.len / 2);
    return RD_EXIT_DONE;
}

static int take_value(struct run *run)
{
    const struct rd_options *options = run->options;
    if (options->arg_count == 2) {
        if (options->input_path != NULL)
            return fail_usage(run, "give a VALUE or -f FILE, not both");
        run->request->value = rd_slice_of_string(options->args[1]);
        return RD_EXIT_DONE;
    }
    rd_buffer_init(&run->input, options->file_path == NULL ? VALUE_LEN_MAX_ONLINE : 0);
    if (rd_input_read(options->input_path, &run->input, &run->error) != RD_OK)
        return fail_run(run);
    run->request->value =
        rd_slice(run->input.data != NULL ? run->input.data : (const uint8_t *)"", run->input.len);
    return RD_EXIT_DONE;
}

static int take_batch(struct run *run)
{
    rd_buffer_init(&run->input, JSON_LEN_MAX);
    if (rd_input_read(run->options->input_path, &run->input, &run->error) != RD_OK)
        return fail_run(run);
    struct rd_limits limits = RD_LIMITS_DEFAULT;
    struct rd_slice text = rd_buffer_slice(&run->input);
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
    return fail_run(run);
}

static int take_drop(struct run *run)
{
    if (run->options->confirm == NULL)
        return fail_usage(run, "all that the store holds will be gone: say so with --confirm STORE");
    run->request->confirm = rd_slice_of_string(run->options->confirm);
    return RD_EXIT_DONE;
}

static int make_request(struct run *run)
{
    const struct rd_options *options = run->options;
    run->request->durability = options->durability;
    run->request->after_offset = options->after_offset;
    if (options->settings != NULL)
        run->request->settings = rd_slice_of_string(options->settings);
    if (run->command->takes_key) {
        int code = take_key(run);
        if (code != RD_EXIT_DONE)
            return code;
    }
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

/* Page after page, until the limit or the end. Nothing lies below offset 0, and asking for it would start anew. */
static int iterate(struct run *run, struct rd_backend *backend)
{
    bool json = run->options->json;
    uint64_t limit = run->options->limit != 0 ? run->options->limit : UINT64_MAX;
    bool is_first_page = true;
    uint64_t next_offset = 0;
    while (limit != 0 && (is_first_page || next_offset != 0)) {
        struct rd_response response;
        run->request->limit = limit < ITERATE_PAGE_COUNT ? (uint32_t)limit : ITERATE_PAGE_COUNT;
        if (backend->calls->execute(backend, run->request, &response, &run->error) != RD_OK)
            return fail_run(run);
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

static int execute(struct run *run, struct rd_backend *backend)
{
    if (run->command->opcode == RD_OPCODE_ITERATE)
        return iterate(run, backend);
    struct rd_response response;
    if (backend->calls->execute(backend, run->request, &response, &run->error) != RD_OK)
        return fail_run(run);
    run->command->print(&response, run->options->json);
    return run->command->opcode == RD_OPCODE_EXISTS && !response.found ? RD_EXIT_NOT_FOUND : RD_EXIT_DONE;
}

static int check_arguments(const struct run *run)
{
    const struct rd_command *command = run->command;
    const struct rd_options *options = run->options;
    if (options->arg_count < command->arg_count_min)
        return fail_usage(run, "it needs a KEY");
    if (options->arg_count > command->arg_count_max)
        return fail_usage(run, "too many arguments (quote what holds spaces)");
    if (options->file_path != NULL && (command->opcode == RD_OPCODE_STORES || command->opcode == RD_OPCODE_DROP))
        return fail_usage(run, "it needs a server: --file does not go with it");
    if (options->file_path != NULL && command->takes_store && options->arg_count != 0)
        return fail_usage(run, "--file names the store already");
    if (options->file_path != NULL && options->settings != NULL)
        return fail_usage(run, "settings are the server's: --file does not go with --settings");
    if (command->takes_store && options->arg_count == 1 && options->store != NULL &&
        strcmp(options->args[0], options->store) != 0)
        return fail_usage(run, "--store and STORE name different stores");
    return RD_EXIT_DONE;
}

int rd_command_run(const struct rd_command *command, const struct rd_options *options)
{
    struct run run = {.command = command, .options = options};
    struct rd_backend *backend = NULL;
    int code = check_arguments(&run);
    if (code != RD_EXIT_DONE)
        return code;
    struct rd_options named = *options;
    if (command->takes_store && options->arg_count == 1)
        named.store = options->args[0];
    run.options = &named;
    run.request = rd_request_create(0);
    if (run.request == NULL) {
        rd_error_set(&run.error, RD_NO_MEMORY, 0, "no memory to start with");
        return fail_run(&run);
    }
    run.request->opcode = command->opcode;
    code = make_request(&run);
    if (code != RD_EXIT_DONE)
        goto done;
    enum rd_status status = named.file_path != NULL
                                ? rd_offline_create(&named, command->access, &backend, &run.error)
                                : rd_online_create(&named, &backend, &run.error);
    if (status == RD_INVALID_ARGUMENT)
        code = fail_usage(&run, run.error.message); /* only what the options say can be wrong so early */
    else
        code = status != RD_OK ? fail_run(&run) : execute(&run, backend);
done:
    if (backend != NULL)
        backend->calls->destroy(backend);
    rd_request_destroy(run.request);
    rd_buffer_deinit(&run.key);
    rd_buffer_deinit(&run.input);
    return code;
}

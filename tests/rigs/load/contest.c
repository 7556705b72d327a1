/* SPDX-License-Identifier: MIT
 *
 * contest.c - 16 clients, four of them by HTTP, that all work on the same 21 keys, and the judge of what they saw
 * (history.h). Each has one request under way. Who starts and kills daemons tells it, a line at a time:
 *
 *   load BINARY HTTP COUNT    "loading"; works until every connection is lost; "enough" once so many operations
 * have been answered; "lost" finish BINARY HTTP COUNT  the same, but ends by itself at "enough" judge "ok
 * OPERATIONS UNANSWERED MS" or "fail WHY" plant ROUNDS              "found N": of so many altered answers
 *
 * Usage: contest SEED
 */
#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/rigs/load/door.h"
#include "tests/rigs/load/history.h"
#include "tests/support/stamp.h"

#define CLIENT_COUNT      16u
#define HTTP_CLIENT_COUNT 4u
#define STORE_COUNT       3u
#define BATCH_MAX         4u
#define VALUE_LEN_MAX     400u

static const char *const store_names[STORE_COUNT] = {"synced", "timed", "unsynced"};

static_assert(HISTORY_KEY_COUNT % STORE_COUNT == 0, "the same number of keys in each store");

/* What a client last saw of a key. */
struct version {
    uint64_t number; /* of the value; 0: none is known */
    uint64_t offset;
    uint32_t crc32;
};

struct contestant {
    struct rdrive_request request; /* the first field */
    struct door *door;
    unsigned number;
    bool http;
    bool under_way; /* the request */
    uint64_t begin_ns;
    unsigned keys[BATCH_MAX];
    unsigned key_count;
    uint64_t values[BATCH_MAX]; /* written, in the order of keys; 0: deleted */
    uint64_t expected;          /* of a condition on a version */
    struct version versions[HISTORY_KEY_COUNT];
    char names[BATCH_MAX][16];
    struct rdrive_key key_list[BATCH_MAX];
    struct rdrive_entry entries[BATCH_MAX];
    uint8_t bytes[BATCH_MAX][VALUE_LEN_MAX];
};

struct contest {
    uv_loop_t loop;
    struct dice dice;
    struct contestant contestants[CLIENT_COUNT];
    struct history history;
    uint64_t stamp_number;
    unsigned connected;
    uint64_t answered; /* since the last load */
    uint64_t wanted;
    bool ends_itself;
    uint64_t operations; /* in all */
    uint64_t unanswered; /* that may have changed something */
    char complaint[400];
};

static struct contest contest;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static unsigned roll(unsigned bound)
{
    return (unsigned)dice_below(&contest.dice, bound);
}

/* ---- asking ----------------------------------------------------------------------------------------------- */

static void name_key(struct contestant *client, unsigned place, unsigned key)
{
    int len = snprintf(client->names[place], sizeof client->names[place], "key %u", key);
    client->keys[place] = key;
    client->key_list[place] = rdrive_key_of_bytes(client->names[place], (size_t)len);
}

static void make_value(struct contestant *client, unsigned place)
{
    struct stamp stamp = {++contest.stamp_number, client->number, client->keys[place]};
    size_t len = STAMP_LEN_MIN + roll(VALUE_LEN_MAX - STAMP_LEN_MIN);
    stamp_fill(&stamp, client->bytes[place], len);
    client->values[place] = stamp.number;
    client->entries[place] = (struct rdrive_entry){client->key_list[place], client->bytes[place], len};
}

/* Neighbours in one store. */
static void choose_more_keys(struct contestant *client)
{
    client->key_count = 2 + roll(BATCH_MAX - 1);
    for (unsigned i = 1; i < client->key_count; i++)
        name_key(client, i, (client->keys[i - 1] + STORE_COUNT) % HISTORY_KEY_COUNT);
}

static void choose_condition(struct contestant *client)
{
    const struct version *version = &client->versions[client->keys[0]];
    unsigned kind = roll(10);
    struct rdrive_condition *condition = &client->request.condition;
    if (kind < 2) {
        condition->kind = RDRIVE_IF_ABSENT;
    } else if (kind < 3) {
        condition->kind = RDRIVE_IF_PRESENT;
    } else if (kind < 6 && version->number != 0) {
        *condition = (struct rdrive_condition){RDRIVE_IF_VERSION, version->offset, version->crc32};
        client->expected = version->number;
    }
}

static enum rdrive_operation random_operation(void)
{
    unsigned kind = roll(100);
    return kind < 38   ? RDRIVE_OP_READ
           : kind < 78 ? RDRIVE_OP_WRITE
           : kind < 87 ? RDRIVE_OP_DELETE
           : kind < 91 ? RDRIVE_OP_BATCH_WRITE
           : kind < 93 ? RDRIVE_OP_BATCH_DELETE
           : kind < 97 ? RDRIVE_OP_BATCH_READ
                       : RDRIVE_OP_EXISTS;
}

static void choose(struct contestant *client)
{
    struct rdrive_request *request = &client->request;
    unsigned key = roll(HISTORY_KEY_COUNT);
    *request = (struct rdrive_request){.operation = random_operation(), .store = store_names[key % STORE_COUNT]};
    name_key(client, 0, key);
    client->key_count = 1;
    memset(client->values, 0, sizeof client->values);
    request->key = client->key_list[0];
    if (request->operation == RDRIVE_OP_WRITE || request->operation == RDRIVE_OP_DELETE)
        choose_condition(client);
    else if (request->operation != RDRIVE_OP_READ && request->operation != RDRIVE_OP_EXISTS)
        choose_more_keys(client);
    if (request->operation == RDRIVE_OP_WRITE || request->operation == RDRIVE_OP_BATCH_WRITE)
        for (unsigned i = 0; i < client->key_count; i++)
            make_value(client, i);
    request->value = client->entries[0].value;
    request->value_len = client->entries[0].value_len;
    request->entries = client->entries;
    request->keys = client->key_list;
    request->count = client->key_count;
}

/* ---- what an answer says of a key ------------------------------------------------------------------------- */

static struct linear_step found(uint64_t value)
{
    return (struct linear_step){.need = LINEAR_EQUAL, .operand = value};
}

static struct linear_step did_not_find(uint64_t value)
{
    return (struct linear_step){.need = LINEAR_UNEQUAL, .operand = value};
}

/* What must have been there for the condition to hold. */
static struct linear_step step_of_condition(const struct contestant *client)
{
    switch (client->request.condition.kind) {
    case RDRIVE_IF_ABSENT:
        return found(0);
    case RDRIVE_IF_PRESENT:
        return did_not_find(0);
    case RDRIVE_IF_VERSION:
        return found(client->expected);
    default:
        return (struct linear_step){.need = LINEAR_ANYTHING};
    }
}

static struct linear_step step_of_change(const struct contestant *client)
{
    const struct rdrive_request *request = &client->request;
    struct linear_step step = step_of_condition(client);
    if (request->status == RDRIVE_PRECONDITION_FAILED)
        return step.need == LINEAR_EQUAL ? did_not_find(step.operand) : found(step.operand);
    bool was_there = request->operation == RDRIVE_OP_DELETE ? request->result.written.count != 0
                                                            : request->result.written.replaced;
    if (step.need == LINEAR_ANYTHING)
        step = was_there ? did_not_find(0) : found(0);
    step.sets = true;
    step.value = client->values[0];
    return step;
}

static void complain(const struct contestant *client, const char *what)
{
    const struct rdrive_request *request = &client->request;
    if (contest.complaint[0] == '\0')
        snprintf(contest.complaint, sizeof contest.complaint, "client %u, %s: %s: %s, %s", client->number,
                 rdrive_operation_name(request->operation), what, rdrive_status_name(request->status),
                 request->message);
}

static uint64_t number_of(const struct contestant *client, const struct rdrive_value *value, unsigned key)
{
    struct stamp stamp = {0};
    if (!stamp_read(value->data, value->len, &stamp) || stamp.key != key)
        complain(client, "a value that nobody wrote there");
    return stamp.number;
}

static struct linear_step step_of_value(struct contestant *client, const struct rdrive_value *value, unsigned key)
{
    uint64_t number = number_of(client, value, key);
    if (client->request.operation == RDRIVE_OP_READ)
        client->versions[key] = (struct version){number, value->offset, value->crc32};
    return found(number);
}

static struct linear_step step_of_answer(struct contestant *client, unsigned place)
{
    const struct rdrive_request *request = &client->request;
    struct linear_step set = {.sets = true, .value = client->values[place]};
    switch (request->operation) {
    case RDRIVE_OP_WRITE:
    case RDRIVE_OP_DELETE:
        return step_of_change(client);
    case RDRIVE_OP_READ:
        return request->status == RDRIVE_OK ? step_of_value(client, &request->result.value, client->keys[0])
                                            : found(0);
    case RDRIVE_OP_BATCH_READ:
        return request->result.values.items[place].status == RDRIVE_OK
                   ? step_of_value(client, &request->result.values.items[place], client->keys[place])
                   : found(0);
    case RDRIVE_OP_EXISTS:
        return request->result.exists ? did_not_find(0) : found(0);
    default:
        return set;
    }
}

static bool is_answer(const struct rdrive_request *request)
{
    switch (request->status) {
    case RDRIVE_OK:
        return true;
    case RDRIVE_KEY_NOT_FOUND:
        return request->operation == RDRIVE_OP_READ;
    default:
        return request->status == RDRIVE_PRECONDITION_FAILED && request->condition.kind != RDRIVE_IF_ANYTHING;
    }
}

static void record_answer(struct contestant *client)
{
    uint64_t end_ns = now_ns();
    if (!is_answer(&client->request)) {
        complain(client, "an answer that cannot be");
        return;
    }
    for (unsigned i = 0; i < client->key_count; i++) {
        struct linear_step step = step_of_answer(client, i);
        step.begin_ns = client->begin_ns;
        step.end_ns = end_ns;
        history_add(&contest.history, client->keys[i], step);
    }
    if (client->request.operation == RDRIVE_OP_WRITE && client->request.status == RDRIVE_OK)
        client->versions[client->keys[0]] = (struct version){
            client->values[0], client->request.result.written.offset, client->request.result.written.crc32};
    contest.operations++;
}

/* Once the daemon is no more: it may have been done until now, or never. */
static void record_lost(struct contestant *client)
{
    enum rdrive_operation operation = client->request.operation;
    uint64_t end_ns = now_ns();
    client->under_way = false;
    if (operation == RDRIVE_OP_READ || operation == RDRIVE_OP_BATCH_READ || operation == RDRIVE_OP_EXISTS)
        return;
    for (unsigned i = 0; i < client->key_count; i++) {
        struct linear_step step = step_of_condition(client);
        step.begin_ns = client->begin_ns;
        step.end_ns = end_ns;
        step.optional = true;
        step.sets = true;
        step.value = client->values[i];
        history_add(&contest.history, client->keys[i], step);
    }
    contest.unanswered++;
}

/* ---- clients ---------------------------------------------------------------------------------------------- */

static void ask(struct contestant *client);

static void leave(struct contestant *client)
{
    door_close(client->door);
    client->door = NULL;
    contest.connected--;
}

static void on_complete(struct rdrive_request *request)
{
    struct contestant *client = (struct contestant *)request;
    if (client->door == NULL || !door_is_up(client->door))
        return; /* stays under way, see record_lost */
    client->under_way = false;
    record_answer(client);
    rdrive_request_free_results(request);
    if (++contest.answered == contest.wanted)
        say("enough");
    if (contest.ends_itself && contest.answered >= contest.wanted)
        leave(client);
    else
        ask(client);
}

static void ask(struct contestant *client)
{
    choose(client);
    client->request.on_complete = on_complete;
    client->begin_ns = now_ns();
    client->under_way = true;
    if (door_submit(client->door, &client->request) != RDRIVE_OK)
        client->under_way = false; /* never sent; the connection's end follows */
}

static void on_lost(void *context)
{
    leave(context);
}

static void run(const char *binary, const char *http, uint64_t wanted, bool ends_itself)
{
    say("loading");
    contest.answered = 0;
    contest.wanted = wanted;
    contest.ends_itself = ends_itself;
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        struct contestant *client = &contest.contestants[i];
        if (client->under_way)
            record_lost(client);
        struct door_options options = {
            .address = client->http ? http : binary, .http = client->http, .on_lost = on_lost, .context = client};
        client->door = door_open(&contest.loop, &options);
        contest.connected++;
        ask(client);
    }
    uv_run(&contest.loop, UV_RUN_DEFAULT);
    say("lost");
}

/* ---- commands --------------------------------------------------------------------------------------------- */

static void judge(void)
{
    char text[400] = "";
    char line[500];
    uint64_t began_ns = now_ns();
    bool good = history_judge(&contest.history, text, sizeof text);
    if (contest.complaint[0] != '\0')
        snprintf(line, sizeof line, "fail %s", contest.complaint);
    else if (!good)
        snprintf(line, sizeof line, "fail %s", text);
    else
        snprintf(line, sizeof line, "ok %" PRIu64 " %" PRIu64 " %" PRIu64, contest.operations, contest.unanswered,
                 (now_ns() - began_ns) / 1000000);
    say(line);
}

static bool obey(const char *line)
{
    char binary[80];
    char http[80];
    char answer[40];
    uint64_t count;
    unsigned rounds;
    if (sscanf(line, "load %79s %79s %" SCNu64, binary, http, &count) == 3) {
        run(binary, http, count, false);
    } else if (sscanf(line, "finish %79s %79s %" SCNu64, binary, http, &count) == 3) {
        run(binary, http, count, true);
    } else if (strcmp(line, "judge\n") == 0) {
        judge();
    } else if (sscanf(line, "plant %u", &rounds) == 1) {
        snprintf(answer, sizeof answer, "found %u", history_plant(&contest.history, &contest.dice, rounds));
        say(answer);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    char line[512];
    if (argc != 2 || uv_loop_init(&contest.loop) != 0)
        return 2;
    signal(SIGPIPE, SIG_IGN); /* sockets of daemons that are no more */
    contest.dice.state = strtoull(argv[1], NULL, 10);
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        contest.contestants[i].number = i;
        contest.contestants[i].http = i < HTTP_CLIENT_COUNT;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!obey(line)) {
            fprintf(stderr, "what is: %s", line);
            return 2;
        }
    }
    history_deinit(&contest.history);
    return uv_loop_close(&contest.loop) != 0;
}

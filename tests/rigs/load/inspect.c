/* SPDX-License-Identifier: MIT
 *
 * inspect.c - three looks: at each client's own order (ledger.h); at the order between clients, by the tails that
 * they were told; at each store as a whole: open, and with no entry that is nobody's.
 */
#include "tests/rigs/load/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/stamp.h"

struct look {
    struct rdrive_request request; /* the first field */
    struct inspection *inspection;
    struct client *client; /* NULL: of the store's description */
    unsigned store;
    struct rdrive_key keys[KEY_COUNT];
};

struct inspection {
    struct door *door;  /* NULL: closed */
    struct look *looks; /* owned */
    size_t left;        /* not answered */
    struct rdrive_store_info infos[STORE_COUNT];
    uint64_t present[STORE_COUNT];
    struct findings *findings;
};

/* The first thing that is wrong is what is told. */
static void find(struct findings *findings, const char *what, const char *store, const char *more)
{
    if (findings->text[0] == '\0')
        snprintf(findings->text, sizeof findings->text, "%s%s%s: %s", what, store != NULL ? ", store " : "",
                 store != NULL ? store : "", more);
}

/* ---- looking ---------------------------------------------------------------------------------------------- */

static void see_values(struct look *look)
{
    struct inspection *inspection = look->inspection;
    struct keeper *keeper = &look->client->keeper;
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        const struct rdrive_value *value = &look->request.result.values.items[key];
        struct stamp stamp = {.number = 0};
        char text[120];
        keeper->versions[look->store][key] = (struct version){.deed = NO_DEED};
        if (value->status == RDRIVE_KEY_NOT_FOUND) {
            ledger_saw(&keeper->ledger, look->store, key, 0);
            continue;
        }
        snprintf(text, sizeof text, "client %u, key %u: status %d, %zu bytes", keeper->number, key,
                 (int)value->status, value->len);
        if (value->status != RDRIVE_OK || !stamp_read(value->data, value->len, &stamp) ||
            stamp.client != keeper->number)
            find(inspection->findings, "a value that nobody sent", store_names[look->store], text);
        ledger_saw(&keeper->ledger, look->store, key, stamp.number);
        keeper->versions[look->store][key] = (struct version){true, NO_DEED, value->offset, value->crc32};
        inspection->present[look->store]++;
    }
}

static void leave(struct inspection *inspection)
{
    if (inspection->door != NULL)
        door_close(inspection->door);
    inspection->door = NULL;
}

static void on_look(struct rdrive_request *request)
{
    struct look *look = (struct look *)request;
    struct inspection *inspection = look->inspection;
    if (request->status != RDRIVE_OK)
        find(inspection->findings, rdrive_operation_name(request->operation), store_names[look->store],
             request->message);
    else if (look->client != NULL)
        see_values(look);
    else
        inspection->infos[look->store] = request->result.info;
    rdrive_request_free_results(request);
    if (--inspection->left == 0)
        leave(inspection);
}

static void begin_look(struct look *look, struct inspection *inspection, struct client *client, unsigned store)
{
    *look = (struct look){.inspection = inspection, .client = client, .store = store};
    look->request.operation = client != NULL ? RDRIVE_OP_BATCH_READ : RDRIVE_OP_INFO;
    look->request.on_complete = on_look;
    look->request.store = store_names[store];
    for (unsigned key = 0; client != NULL && key < KEY_COUNT; key++)
        look->keys[key] = rdrive_key_of_bytes(client->keeper.names[key], client->keeper.name_lens[key]);
    look->request.keys = look->keys;
    look->request.count = KEY_COUNT;
    inspection->left++;
    look->request.status = door_submit(inspection->door, &look->request);
    if (look->request.status != RDRIVE_OK)
        on_look(&look->request);
}

static void on_door_lost(void *context)
{
    struct inspection *inspection = context;
    find(inspection->findings, "the connection was lost", NULL, "while looking");
    leave(inspection);
}

static void look_at_all(uv_loop_t *loop, const char *address, struct client *clients, unsigned client_count,
                        struct inspection *inspection)
{
    struct door_options options = {.address = address, .on_lost = on_door_lost, .context = inspection};
    inspection->looks = calloc((client_count + 1) * STORE_COUNT, sizeof *inspection->looks);
    if (inspection->looks == NULL)
        abort();
    inspection->door = door_open(loop, &options);
    struct look *look = inspection->looks;
    for (unsigned store = 0; store < STORE_COUNT; store++) {
        for (unsigned i = 0; i < client_count; i++)
            begin_look(look++, inspection, &clients[i], store);
        begin_look(look++, inspection, NULL, store);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    free(inspection->looks);
}

/* ---- judging ---------------------------------------------------------------------------------------------- */

/* Of one store, over all clients. */
struct edges {
    uint64_t kept_tail_max;
    uint64_t lost_tail_min;
    uint64_t lost_first_ns;
    uint64_t lost_last_ns;
};

static void gather(struct findings *findings, struct edges *edges, const struct ledger_outcome *outcome)
{
    findings->kept += outcome->open_kept;
    findings->gone += outcome->open_lost;
    findings->answered_gone += outcome->answered_lost;
    if (outcome->kept_tail_max > edges->kept_tail_max)
        edges->kept_tail_max = outcome->kept_tail_max;
    if (outcome->lost_tail_min < edges->lost_tail_min)
        edges->lost_tail_min = outcome->lost_tail_min;
    if (outcome->lost_first_ns < edges->lost_first_ns)
        edges->lost_first_ns = outcome->lost_first_ns;
    if (outcome->lost_last_ns > edges->lost_last_ns)
        edges->lost_last_ns = outcome->lost_last_ns;
}

static void settle_all(struct client *clients, unsigned client_count, const struct ledger_cut *cut,
                       struct edges *edges, struct findings *findings)
{
    for (unsigned i = 0; i < client_count && findings->text[0] == '\0'; i++) {
        struct ledger_outcome outcomes[LEDGER_STORE_COUNT_MAX];
        char what[64];
        char text[900];
        snprintf(what, sizeof what, "client %u (%s)", i, clients[i].keeper.http ? "HTTP" : "binary");
        if (!ledger_settle(&clients[i].keeper.ledger, cut, outcomes, text, sizeof text)) {
            find(findings, what, NULL, text);
            return;
        }
        for (unsigned store = 0; store < STORE_COUNT; store++)
            gather(findings, &edges[store], &outcomes[store]);
    }
}

/* What is left is a prefix of the file, whoever wrote it; and what an interval lets go is no longer than that. */
static void judge_edges(const struct edges *edges, unsigned store, const struct ledger_cut *cut,
                        struct findings *findings)
{
    char text[160];
    if (edges->kept_tail_max >= edges->lost_tail_min) {
        snprintf(text, sizeof text, "what ends at %" PRIu64 " is there, and what ends at %" PRIu64 " is not",
                 edges->kept_tail_max, edges->lost_tail_min);
        find(findings, "not a prefix", store_names[store], text);
    }
    if (edges->lost_last_ns > edges->lost_first_ns + cut->allowed_ns) {
        snprintf(text, sizeof text, "%" PRIu64 " ms of answered writes are lost",
                 (edges->lost_last_ns - edges->lost_first_ns) / 1000000);
        find(findings, "the interval", store_names[store], text);
    }
}

static void judge_store(const struct inspection *inspection, unsigned store)
{
    const struct rdrive_store_info *info = &inspection->infos[store];
    struct findings *findings = inspection->findings;
    char text[120];
    if (info->state != RDRIVE_STORE_OPEN)
        find(findings, "not open", store_names[store], info->reason);
    snprintf(text, sizeof text, "%" PRIu64 " live entries, of which %" PRIu64 " are somebody's", info->entries,
             inspection->present[store]);
    if (info->entries != inspection->present[store])
        find(findings, "entries", store_names[store], text);
    findings->entries += info->entries;
}

/* A disk that is gone fails writes, and reads show that they failed, maybe before that is answered. */
static void judge_troubles(struct client *client, const struct ledger_cut *cut, struct findings *findings)
{
    uint64_t allowed_from_ns = cut->power ? cut->at_ns : UINT64_MAX;
    if (client->complaint[0] != '\0' && client->complaint_ns < allowed_from_ns)
        find(findings, "an answer", NULL, client->complaint);
    if (client->trouble_ns != 0 && client->trouble_ns < allowed_from_ns)
        find(findings, "trouble", NULL, client->trouble);
    client->complaint[0] = '\0';
    client->trouble_ns = 0;
}

bool inspect(uv_loop_t *loop, const char *address, struct client *clients, unsigned client_count,
             const struct ledger_cut *cut, struct findings *ret_findings)
{
    struct inspection inspection = {.findings = ret_findings};
    struct edges edges[STORE_COUNT];
    *ret_findings = (struct findings){.kept = 0};
    for (unsigned store = 0; store < STORE_COUNT; store++)
        edges[store] = (struct edges){.lost_tail_min = UINT64_MAX, .lost_first_ns = UINT64_MAX / 2};
    for (unsigned i = 0; i < client_count; i++)
        judge_troubles(&clients[i], cut, ret_findings);
    look_at_all(loop, address, clients, client_count, &inspection);
    settle_all(clients, client_count, cut, edges, ret_findings);
    for (unsigned store = 0; store < STORE_COUNT; store++) {
        judge_edges(&edges[store], store, cut, ret_findings);
        judge_store(&inspection, store);
    }
    return ret_findings->text[0] == '\0';
}

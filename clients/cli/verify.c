/* SPDX-License-Identifier: MIT
 *
 * verify.c - verify: looks at every entry of a store, step by step, and tells of each problem as it is found.
 * Where the store is compacted meanwhile it is another file, and the look begins anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/cli/progress.h"
#include "clients/cli/run.h"
#include "protocol/json.h"

#define LISTED_MAX 1000u /* problems in the JSON, as over HTTP */

/* The steps so far. */
struct look {
    struct rd_response sum; /* its verification's problems: owned */
    struct rd_progress progress;
    bool json;
};

static void add_step(struct look *look, const struct rd_response_verification *step)
{
    struct rd_response_verification *sum = &look->sum.verification;
    if (sum->bytes == 0)
        sum->from = step->from;
    sum->next = step->next;
    sum->entries += step->entries;
    sum->bytes += step->bytes;
    sum->problem_count += step->problem_count;
    for (size_t i = 0; i < step->listed_count && sum->listed_count < LISTED_MAX; i++)
        sum->problems[sum->listed_count++] = step->problems[i];
}

static void show_step(struct look *look, const struct rd_response_verification *step)
{
    if (step->listed_count != 0)
        rd_progress_end(&look->progress); /* the lines are for the same terminal, maybe */
    for (size_t i = 0; i < step->listed_count; i++) {
        const struct rd_response_problem *problem = &step->problems[i];
        printf("%s %s offset %" PRIu64 " length %" PRIu64 " key_hash %016" PRIx64 "\n",
               rd_message_problem_name(problem->kind), problem->live ? "live" : "dead", problem->offset,
               problem->len, problem->key_hash);
    }
    if (step->problem_count > step->listed_count)
        printf("and %" PRIu64 " more in the %" PRIu64 " bytes from %" PRIu64 "\n",
               step->problem_count - step->listed_count, step->bytes, step->next);
}

static void print_summary(const struct look *look)
{
    const struct rd_response_verification *sum = &look->sum.verification;
    struct rd_buffer text;
    rd_buffer_init(&text, 0);
    if (look->json)
        rd_json_encode_verification(&look->sum, &text);
    else
        rd_buffer_printf(&text, "%" PRIu64 " entries, %" PRIu64 " bytes, %" PRIu64 " problem%s\n", sum->entries,
                         sum->bytes, sum->problem_count, sum->problem_count == 1 ? "" : "s");
    if (text.failed)
        fputs("rdrive: no memory for the answer\n", stderr);
    else
        fwrite(text.data, 1, text.len, stdout);
    rd_buffer_deinit(&text);
}

static void begin_anew(struct look *look)
{
    struct rd_response_problem *problems = look->sum.verification.problems;
    rd_progress_end(&look->progress);
    fputs("rdrive: verify: the store has been compacted meanwhile; the look begins anew\n", stderr);
    look->sum = (struct rd_response){.verification.problems = problems};
    rd_progress_begin(&look->progress, UINT64_MAX, false);
}

int rd_run_verify(struct rd_run *run, struct rd_backend *backend)
{
    struct look look = {.json = run->options->json};
    struct rd_response_verification *sum = &look.sum.verification;
    sum->problems = calloc(LISTED_MAX, sizeof *sum->problems);
    enum rd_status status =
        sum->problems != NULL ? RD_OK : rd_error_set(&run->error, RD_NO_MEMORY, 0, "no memory to start with");
    rd_progress_begin(&look.progress, UINT64_MAX, false);
    while (status == RD_OK) {
        struct rd_response step;
        run->request->verify_from = sum->next;
        status = backend->calls->execute(backend, run->request, &step, &run->error);
        if (status == RD_CONFLICT && sum->next != 0) {
            begin_anew(&look);
            status = RD_OK;
            continue;
        }
        if (status != RD_OK)
            break;
        add_step(&look, &step.verification);
        if (!look.json)
            show_step(&look, &step.verification);
        look.progress.total_len = sum->from;
        rd_progress_add(&look.progress, step.verification.bytes);
        if (sum->next == 0)
            break;
    }
    rd_progress_end(&look.progress);
    if (status == RD_OK)
        print_summary(&look);
    free(sum->problems);
    if (status != RD_OK)
        return rd_run_fail(run);
    return sum->problem_count == 0 ? RD_EXIT_DONE : RD_EXIT_FAILED;
}

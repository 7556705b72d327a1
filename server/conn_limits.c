/* SPDX-License-Identifier: MIT
 *
 * conn_limits.c - what a connection is held to beside its own pauses: its share of the daemon's memory, the
 * hosts that HTTP may name, how long a head, a request and a silence may take, and what it is told that came as
 * one too many.
 *
 * A connection's share is what its requests stand for, what its decoder was admitted and what it holds, what its
 * uploads have in memory, and long answers that were not taken yet. It is looked at once a turn; what is large is
 * asked for before there is room for it (rd_limits.admit), an answer before it is given away.
 */
#include <uv.h>

#include "server/conn_state.h"
#include "server/gate.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/upload.h"

#define ANSWER_FREE_LEN (64u << 10) /* bytes of an answer, up to which it is always given */
#define HOST_TOLD_MAX   32u         /* bytes of a host that is not served, in the answer that says so */

/* What a connection may have where memory is short. */
#define EASED_CALLS_MAX 16u           /* requests under way; those that need more input to end are not counted */
#define EASED_ANSWERS   (16u << 10)   /* bytes of answers that were not taken */
#define EASED_INPUT     (16u << 10)   /* bytes read at once, of which a pause keeps the rest */
#define EASED_HEAD      RD_LIMITS_FEW /* bytes of a head that comes in pieces */

/* ---- memory ----------------------------------------------------------------------------------------------- */

/* For what will be refused there is never room. */
static enum rd_status admit(void *context, const struct rd_asking *asking, size_t len, struct rd_error *ret_error)
{
    struct rd_conn *conn = context;
    struct rd_process *process = conn->loop->process;
    enum rd_status status = rd_gate_foresee(conn, asking, ret_error);
    if (status != RD_OK || len == 0)
        return status;
    if (!rd_budget_take(&process->memory, len)) {
        rd_process_note(process, RD_REFUSED_MEMORY);
        return rd_error_set(ret_error, RD_OVERLOADED, 0, RD_LIMITS_REFUSE);
    }
    conn->admitted += len;
    conn->charged += len;
    return RD_OK;
}

/* ---- what HTTP is asked for by ------------------------------------------------------------------------------ */

/* Where no names were given, browsers are kept from what their own machine alone reaches; over TLS a certificate
 * that does not name the page's host does that. */
static enum rd_status admit_host(void *context, struct rd_slice host, bool from_browser,
                                 struct rd_error *ret_error)
{
    const struct rd_conn *conn = context;
    const struct rd_hosts *hosts = &conn->loop->tuning.http_hosts;
    bool asks = hosts->list[0] != '\0' || (from_browser && conn->loop->http_is_local && conn->loop->tls == NULL);
    if (!asks || rd_hosts_have(hosts, host))
        return RD_OK;
    bool whole = host.len <= HOST_TOLD_MAX;
    return rd_error_set(
        ret_error, RD_FORBIDDEN, 0,
        "'%.*s%s' is not a name of this server; --http-hosts (http_hosts, RDRIVE_HTTP_HOSTS) says which are",
        (int)(whole ? host.len : (size_t)HOST_TOLD_MAX), (const char *)host.data, whole ? "" : "...");
}

struct rd_limits rd_conn_limits(struct rd_conn *conn)
{
    struct rd_limits limits = conn->loop->tuning.limits;
    limits.admit = admit;
    limits.admit_context = conn;
    if (conn->uv.handle.type == UV_TCP && !rd_auth_is_on(conn->loop->auth.auth))
        limits.admit_host = admit_host;
    limits.over_tls = conn->loop->tls != NULL && conn->uv.handle.type == UV_TCP;
    return limits;
}

bool rd_conn_memory_is_full(const struct rd_conn *conn)
{
    return rd_budget_is_full(&conn->loop->process->memory);
}

/* A quarter stays for those who have little under way: they are not to be refused because others ask for much at
 * once, or take no answers, which anybody can without a token, too. */
static bool memory_is_short(const struct rd_conn *conn)
{
    const struct rd_budget *memory = &conn->loop->process->memory;
    return rd_budget_leaves_less(memory, atomic_load_explicit(&memory->max, memory_order_relaxed) / 4);
}

/* The account is brought up to date within a turn, too, in which thousands of connections may be read. */
bool rd_conn_must_ease(struct rd_conn *conn)
{
    unsigned calls = conn->call_count - conn->upload_count;
    if (calls < EASED_CALLS_MAX && rd_outbox_encoded(&conn->out) < EASED_ANSWERS)
        return false;
    if (calls % EASED_CALLS_MAX == 0)
        rd_conn_charge(conn);
    return memory_is_short(conn);
}

size_t rd_conn_read_len(const struct rd_conn *conn)
{
    return memory_is_short(conn) ? EASED_INPUT : RD_LOOP_READ_BUFFER_LEN;
}

bool rd_conn_admit_answer(struct rd_conn *conn, enum rd_opcode opcode, size_t len)
{
    struct rd_process *process = conn->loop->process;
    const struct rd_operation *operation = rd_operation_find(opcode);
    bool has_changed = operation != NULL && operation->class == RD_CLASS_WRITE;
    if (len <= ANSWER_FREE_LEN || has_changed) /* what has taken effect is not refused any more */
        return true;
    /* A quarter stays for requests: they are not to be refused because somebody takes no answers. */
    if (!rd_budget_take_leaving(&process->memory, len, atomic_load(&process->memory.max) / 4)) {
        rd_process_note(process, RD_REFUSED_MEMORY);
        return false;
    }
    conn->charged += len;
    return true;
}

void rd_conn_charge(struct rd_conn *conn)
{
    uint64_t now = conn->cost + conn->admitted + conn->encoding_len + rd_outbox_memory(&conn->out);
    if (conn->pending.len != 0)
        now += conn->pending.capacity;
    if (conn->decoder != NULL)
        now += conn->codec->head_len(conn->decoder);
    if (conn->decoder != NULL && conn->codec->held != NULL)
        now += conn->codec->held(conn->decoder);
    if (conn->tls != NULL)
        now += rd_conn_tls_kept(conn);
    for (const struct rd_call *call = conn->uploads; call != NULL; call = call->queue_next)
        now += rd_upload_memory(call);
    if (now == conn->charged)
        return;
    rd_budget_adjust(&conn->loop->process->memory, conn->charged, now);
    conn->charged = now;
}

void rd_conn_discharge(struct rd_conn *conn)
{
    rd_budget_give(&conn->loop->process->memory, conn->charged);
    conn->charged = 0;
}

/* ---- time ------------------------------------------------------------------------------------------------- */

/* The last thing that the connection is told; after the answers to what came before. */
static void give_up_request(struct rd_conn *conn, enum rd_refusal refusal, enum rd_status status,
                            const char *message)
{
    struct rd_request *request = rd_request_create(0);
    rd_process_note(conn->loop->process, refusal);
    rd_conn_log(conn, RD_LOG_INFO, "connection ended: %s", message);
    if (request == NULL || conn->decoder == NULL) {
        rd_request_destroy(request);
        rd_conn_close(conn);
        return;
    }
    bool is_upload = conn->uploads != NULL && conn->codec->answers_in_order;
    rd_conn_fail_uploads(conn, status, message);
    if (is_upload) { /* which is the request that is under way, and is answered */
        rd_request_destroy(request);
        rd_conn_end_input(conn);
        return;
    }
    request->opcode = conn->requested ? RD_OPCODE_NONE : RD_OPCODE_HELLO; /* so it is the hello that is answered */
    request->status = status;
    request->message = message;
    request->close_after = true;
    rd_conn_take_request(conn, request);
}

void rd_conn_note_arrival(struct rd_conn *conn, size_t len)
{
    conn->rate_bytes += len;
    size_t head_len = conn->codec->head_len(conn->decoder);
    bool waits =
        !conn->requested && !conn->codec->mid_request(conn->decoder); /* those were bytes of a handshake */
    if (head_len == 0 && !waits)
        conn->head_ms = 0;
    else if (conn->head_ms == 0)
        conn->head_ms = uv_now(&conn->loop->uv);
    if (head_len <= EASED_HEAD)
        return;
    rd_conn_charge(conn);
    if (memory_is_short(conn))
        give_up_request(conn, RD_REFUSED_MEMORY, RD_OVERLOADED, RD_LIMITS_REFUSE);
}

static bool head_is_late(const struct rd_conn *conn, uint64_t now_ms)
{
    return conn->head_ms != 0 && now_ms - conn->head_ms >= conn->loop->tuning.header_ms;
}

/* Looked at window by window: a request that comes in bursts has a window's time between them. A stream that waits
 * for credit between two of its chunks is no request that comes slowly. */
static bool is_too_slow(struct rd_conn *conn, uint64_t now_ms)
{
    const struct rd_loop_tuning *tuning = &conn->loop->tuning;
    if (!conn->reading || conn->decoder == NULL || !conn->codec->mid_request(conn->decoder)) {
        conn->rate_ms = 0;
        return false;
    }
    uint64_t elapsed_ms = now_ms - conn->rate_ms;
    bool new_window = conn->rate_ms == 0 || elapsed_ms >= tuning->rate_window_ms;
    bool slow = conn->rate_ms != 0 && new_window && conn->rate_bytes * 1000 < tuning->rate_min * elapsed_ms;
    if (new_window) {
        conn->rate_ms = now_ms;
        conn->rate_bytes = 0;
    }
    return slow;
}

static bool is_idle(const struct rd_conn *conn, uint64_t now_ms)
{
    uint64_t idle_ms = conn->loop->tuning.idle_ms;
    uint64_t last_ms = conn->input_ms > conn->output_ms ? conn->input_ms : conn->output_ms;
    return idle_ms != 0 && conn->requested && rd_conn_is_quiet(conn) && !rd_conn_mid_request(conn) &&
           now_ms - last_ms >= idle_ms && !rd_conn_has_unread(conn);
}

void rd_conn_sweep_times(struct rd_conn *conn, uint64_t now_ms)
{
    if (conn->state != RD_CONN_OPEN)
        return;
    if (conn->refused) {
        if (head_is_late(conn, now_ms))
            rd_conn_close(conn);
        return;
    }
    if (conn->reading && head_is_late(conn, now_ms)) {
        give_up_request(conn, RD_ENDED_HEADER, RD_TIMEOUT, "the head of a request did not come in time");
    } else if (is_too_slow(conn, now_ms)) {
        give_up_request(conn, RD_ENDED_RATE, RD_TIMEOUT, "a request comes more slowly than this server waits for");
    } else if (is_idle(conn, now_ms)) {
        rd_process_note(conn->loop->process, RD_ENDED_IDLE);
        rd_conn_log(conn, RD_LOG_DEBUG, "connection closed: it is idle");
        rd_conn_end_input(conn);
    }
}

/* ---- one too many ----------------------------------------------------------------------------------------- */

void rd_conn_refuse(struct rd_conn *conn)
{
    struct rd_buffer *bytes = rd_outbox_begin(&conn->out, 4096);
    conn->output_ms = uv_now(&conn->loop->uv);
    conn->codec->refuse_connection(bytes);
    bool good = !bytes->failed;
    if (good)
        rd_outbox_commit(&conn->out);
    else
        rd_outbox_rollback(&conn->out);
    rd_conn_end_input(conn);
}

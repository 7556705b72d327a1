/* SPDX-License-Identifier: MIT */
#include "server/download.h"

#include <stdlib.h>

#include "server/stores.h"

#define PART_LEN_MAX 1024u /* encoded bytes of a part without its chunk */

struct rd_download {
    struct rd_download *next;
    uint64_t id;
    struct rd_value value;      /* owned; what is left to be sent is its payload from `sent` on */
    struct rd_hosted *hosted;   /* one use */
    struct rd_counter *leaving; /* borrows; one of it is this one; or NULL */
    uint64_t sent;
    uint64_t credit;
    uint32_t crc32; /* of what was sent */
    bool whole;     /* and so can be verified */
    bool cancelled;
    bool waiting;               /* for its next chunk to be brought into memory */
    uint64_t fetched;           /* bytes that were: it is not asked again whether they are there */
    struct rd_portion *portion; /* one use; they are in there, from portion_begin on; NULL: in the map */
    uint64_t portion_begin;
    struct rd_portion *following; /* one use; what comes behind the portion; NULL: it is not there yet */
    enum rd_status failed;        /* not RD_OK: to be ended with this */
    const char *message;          /* static text; why it has failed */
    uint64_t swept_sent;          /* `sent` when it was last seen to make progress */
    uint64_t swept_ms;            /* and when that was; 0: never swept */
};

static void destroy(struct rd_download *download)
{
    rd_portion_release(download->portion);
    rd_portion_release(download->following);
    rd_value_release(&download->value);
    rd_hosted_unuse(download->hosted);
    if (download->leaving != NULL)
        rd_counter_sub(download->leaving, 1);
    free(download);
}

void rd_downloads_destroy(struct rd_downloads *downloads)
{
    while (downloads->first != NULL) {
        struct rd_download *next = downloads->first->next;
        destroy(downloads->first);
        downloads->first = next;
    }
    downloads->last = NULL;
    downloads->count = 0;
}

static void append(struct rd_downloads *downloads, struct rd_download *download)
{
    download->next = NULL;
    if (downloads->last == NULL)
        downloads->first = download;
    else
        downloads->last->next = download;
    downloads->last = download;
}

bool rd_download_begin(struct rd_downloads *downloads, struct rd_call *call, struct rd_counter *leaving)
{
    struct rd_download *download = calloc(1, sizeof *download);
    if (download == NULL)
        return false;
    download->id = call->request->id;
    download->value = call->value;
    download->hosted = call->hosted;
    download->credit = call->request->stream_credit;
    download->whole = call->request->opcode == RD_OPCODE_READ_STREAM && !call->response.partial;
    download->cancelled = call->stream_cancelled;
    download->leaving = leaving;
    if (leaving != NULL)
        rd_counter_add(leaving, 1);
    call->value = (struct rd_value){.pin = NULL};
    call->hosted = NULL;
    append(downloads, download);
    downloads->count++;
    return true;
}

bool rd_download_take_part(struct rd_downloads *downloads, const struct rd_stream_part *part)
{
    struct rd_download *download = downloads->first;
    while (download != NULL && download->id != part->id)
        download = download->next;
    if (download == NULL)
        return false;
    if (part->kind == RD_STREAM_CREDIT)
        download->credit =
            part->credit > UINT64_MAX - download->credit ? UINT64_MAX : download->credit + part->credit;
    else if (part->kind == RD_STREAM_ABORT)
        download->cancelled = true;
    return true;
}

static bool may_send(const struct rd_download *download)
{
    if (download->waiting)
        return false;
    return download->cancelled || download->failed != RD_OK || download->credit != 0 ||
           download->sent == download->value.payload.len;
}

static void fail(struct rd_download *download, enum rd_status status, const char *message)
{
    if (download->failed == RD_OK) {
        download->failed = status;
        download->message = message;
    }
}

void rd_downloads_end_credit(struct rd_downloads *downloads, enum rd_status status, const char *message)
{
    for (struct rd_download *download = downloads->first; download != NULL; download = download->next)
        if (download->credit < download->value.payload.len - download->sent)
            fail(download, status, message);
}

bool rd_downloads_sweep(struct rd_downloads *downloads, uint64_t now_ms, uint64_t stall_ms, uint64_t heard_ms)
{
    bool any = false;
    for (struct rd_download *download = downloads->first; download != NULL; download = download->next) {
        if (download->waiting || may_send(download) || download->sent != download->swept_sent ||
            download->swept_ms == 0) {
            download->swept_sent = download->sent;
            download->swept_ms = now_ms;
        } else if (now_ms - (download->swept_ms > heard_ms ? download->swept_ms : heard_ms) >= stall_ms) {
            fail(download, RD_TIMEOUT, "no credit for the stream came in time");
            any = true;
        }
    }
    return any;
}

bool rd_downloads_withdraw(struct rd_downloads *downloads, uint64_t now_ms, uint64_t grace_ms)
{
    bool any = false;
    for (struct rd_download *download = downloads->first; download != NULL; download = download->next) {
        if (rd_hosted_is_overdue(download->hosted, now_ms, grace_ms, false)) {
            fail(download, RD_UNAVAILABLE, "the store is being reopened");
            any = true;
        }
    }
    return any;
}

/* Out of the list, the first that may send; it goes to its end again when it has. */
static struct rd_download *take_next(struct rd_downloads *downloads)
{
    struct rd_download *before = NULL;
    struct rd_download *download = downloads->first;
    while (download != NULL && !may_send(download)) {
        before = download;
        download = download->next;
    }
    if (download == NULL)
        return NULL;
    if (before == NULL)
        downloads->first = download->next;
    else
        before->next = download->next;
    if (downloads->last == download)
        downloads->last = before;
    return download;
}

static bool encode(const struct rd_codec *codec, struct rd_outbox *out, const struct rd_stream_part *part)
{
    struct rd_buffer *bytes = rd_outbox_begin(out, PART_LEN_MAX);
    codec->encode_part(part, bytes);
    bool good = !bytes->failed;
    if (good)
        rd_outbox_commit(out);
    else
        rd_outbox_rollback(out);
    return good;
}

/* Others may use its memory. */
static void drop_used_portion(struct rd_download *download)
{
    if (download->portion == NULL || download->sent - download->portion_begin < download->portion->bytes.len)
        return;
    rd_portion_release(download->portion);
    download->portion = download->following;
    download->portion_begin = download->sent;
    download->following = NULL;
}

/* From the map, under a pin of its own. */
static bool append_pinned(const struct rd_download *download, struct rd_outbox *out, struct rd_slice chunk)
{
    struct rd_value pinned = rd_value_share(&download->value);
    pinned.payload = chunk;
    if (rd_outbox_append_value(out, &pinned, download->hosted, RD_CLEARED, NULL))
        return true;
    rd_value_release(&pinned);
    return false;
}

static bool append_chunk(const struct rd_download *download, struct rd_outbox *out, struct rd_slice chunk)
{
    if (download->portion == NULL)
        return append_pinned(download, out, chunk);
    size_t first = (size_t)(download->sent - download->portion_begin);
    return rd_outbox_append_portion(out, download->portion, first, chunk.len, download->hosted);
}

static bool send_chunk(struct rd_download *download, const struct rd_codec *codec, struct rd_outbox *out,
                       struct rd_slice chunk)
{
    struct rd_stream_part part = {.kind = RD_STREAM_CHUNK, .id = download->id, .bytes = chunk};
    if (!encode(codec, out, &part))
        return false;
    rd_hosted_use_again(download->hosted);
    if (!append_chunk(download, out, chunk)) {
        rd_hosted_unuse(download->hosted);
        return false;
    }
    download->sent += chunk.len;
    download->credit -= chunk.len;
    drop_used_portion(download);
    return true;
}

static bool is_corrupt(struct rd_download *download, struct rd_slice chunk)
{
    if (!download->whole)
        return false;
    download->crc32 = rd_crc32(download->crc32, chunk);
    bool last = download->sent + chunk.len == download->value.payload.len;
    return last && download->crc32 != download->value.crc32;
}

/* What comes next of its value, as far as its credit goes, and the portion where there is one. */
static struct rd_slice next_chunk(const struct rd_download *download, uint32_t chunk_len_max)
{
    struct rd_slice left = rd_slice(download->value.payload.data + download->sent,
                                    (size_t)(download->value.payload.len - download->sent));
    if (download->portion != NULL) {
        left = download->portion->bytes;
        (void)rd_slice_take(&left, (size_t)(download->sent - download->portion_begin));
    }
    uint64_t len_max = download->credit < chunk_len_max ? download->credit : chunk_len_max;
    return rd_slice_take(&left, (size_t)len_max);
}

static bool is_in_memory(const struct rd_download *download, struct rd_slice chunk)
{
    return download->portion != NULL || download->sent + chunk.len <= download->fetched ||
           rd_value_is_in_memory(&download->value, download->sent, chunk.len);
}

/* The last part of all; the download is gone then. */
static bool send_end(struct rd_downloads *downloads, struct rd_download *download, const struct rd_codec *codec,
                     struct rd_outbox *out)
{
    struct rd_stream_part end = {.kind = RD_STREAM_END, .id = download->id};
    if (download->cancelled)
        end.kind = RD_STREAM_ABORT;
    else if (download->failed != RD_OK)
        end = (struct rd_stream_part){.kind = RD_STREAM_ABORT,
                                      .id = download->id,
                                      .bytes = rd_slice_of_string(download->message),
                                      .status = download->failed};
    bool good = encode(codec, out, &end);
    downloads->count--;
    destroy(download);
    return good;
}

bool rd_download_send_one(struct rd_downloads *downloads, const struct rd_codec *codec, struct rd_outbox *out,
                          uint32_t chunk_len_max, struct rd_download **ret_waiting, bool *ret_failed)
{
    struct rd_download *download = take_next(downloads);
    *ret_failed = false;
    *ret_waiting = NULL;
    if (download == NULL)
        return false;
    struct rd_slice chunk = next_chunk(download, chunk_len_max);
    if (!download->whole && rd_value_is_lost(&download->value)) /* no checksum would tell */
        fail(download, RD_IO_ERROR, "the file cannot be read; others cut it, or the disk fails");
    bool ends = download->cancelled || download->failed != RD_OK || chunk.len == 0;
    if (!ends && !is_in_memory(download, chunk)) {
        download->waiting = true;
        *ret_waiting = download;
        append(downloads, download);
        return true;
    }
    if (!ends && is_corrupt(download, chunk)) {
        fail(download, RD_CORRUPT, "the value does not match its checksum");
        ends = true;
    }
    bool good;
    if (ends) {
        good = send_end(downloads, download, codec, out);
    } else {
        good = send_chunk(download, codec, out, chunk);
        append(downloads, download);
    }
    *ret_failed = !good;
    return good;
}

const struct rd_value *rd_download_value(const struct rd_download *download, struct rd_hosted **ret_hosted)
{
    *ret_hosted = download->hosted;
    return &download->value;
}

uint64_t rd_download_sent(const struct rd_download *download)
{
    return download->sent;
}

static struct rd_download *find(const struct rd_downloads *downloads, const struct rd_download *download)
{
    struct rd_download *found = downloads->first;
    while (found != NULL && found != download)
        found = found->next;
    return found;
}

void rd_download_fetched(struct rd_downloads *downloads, const struct rd_download *download, uint64_t end,
                         struct rd_portion *portion)
{
    struct rd_download *found = find(downloads, download);
    if (found == NULL)
        return;
    found->waiting = false;
    found->fetched = end;
    if (portion == NULL)
        return;
    portion->uses++;
    found->portion = portion;
    found->portion_begin = found->sent;
}

/* ---- ahead ------------------------------------------------------------------------------------------------ */

/* Whether the next portion may come, and where it begins. */
static bool has_none_following(const struct rd_download *download, uint64_t *ret_first)
{
    if (download->portion == NULL || download->following != NULL)
        return false;
    *ret_first = download->portion_begin + download->portion->bytes.len;
    return *ret_first < download->value.payload.len;
}

static bool wants_ahead(const struct rd_download *download, uint64_t *ret_first)
{
    if (download->cancelled || download->failed != RD_OK || !has_none_following(download, ret_first))
        return false;
    size_t len = download->portion->bytes.len;
    return download->credit > *ret_first - download->sent && /* nobody holds what he has not asked for */
           download->sent - download->portion_begin >= len / RD_PORTION_SENT_SHARE &&
           !rd_value_is_in_memory(&download->value, *ret_first, len);
}

const struct rd_download *rd_downloads_ahead(const struct rd_downloads *downloads, uint64_t *ret_first)
{
    const struct rd_download *download = downloads->first;
    while (download != NULL && !wants_ahead(download, ret_first))
        download = download->next;
    return download;
}

struct rd_download *rd_download_fetched_ahead(struct rd_downloads *downloads, const struct rd_download *download,
                                              const struct rd_value *of, uint64_t first,
                                              struct rd_portion *portion)
{
    struct rd_download *found = find(downloads, download);
    if (found == NULL)
        return NULL;
    uint64_t wanted;
    bool same = portion != NULL && rd_value_is_same(&found->value, of);
    if (same && found->portion == NULL && found->sent == first) {
        rd_download_fetched(downloads, download, first + portion->bytes.len, portion);
    } else if (same && has_none_following(found, &wanted) && wanted == first) {
        portion->uses++;
        found->following = portion;
    }
    return found->waiting ? found : NULL;
}

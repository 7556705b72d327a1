/* SPDX-License-Identifier: MIT
 *
 * json.h - the JSON bodies of the HTTP mapping and of the CLI: batches parsed into requests, responses as text.
 *
 * Parsing is strict: unknown and repeated fields, wrong types and a missing key or value are refused, and the
 * message names the item. Text may hold NUL. Encoders append one line that ends in a newline; bytes that are not
 * UTF-8 come out as U+FFFD wherever text is called for.
 *
 * Pure. Thread-safe, once rd_json_init has been called.
 */
#ifndef RD_PROTOCOL_JSON_H
#define RD_PROTOCOL_JSON_H

#include "base/buffer.h"
#include "protocol/message.h"

/* ---- parsing ---------------------------------------------------------------------------------------------------
 *
 * On success request->items (or what is said below) are filled and the request owns what they point to. Where
 * `text` is the end of request->body their bytes take its place, whatever else is in front of it; else the body is
 * replaced by a new one that holds request->store, request->token and these bytes, and the request's other slices
 * must be empty. The opcode stays as it is.
 *
 * On failure the answer is the status to give, and request->status and request->message (in request->detail) are
 * set; RD_INVALID_ARGUMENT, RD_TOO_LARGE (batch_count_max, key_len_max) or RD_NO_MEMORY. */

/* {"entries":[{"key":"a","value":"text"},{"key_base64":"..","value_base64":".."},{"key_hash":"16 hex digits",..}],
 *  "allow_null_bytes":false} */
enum rd_status rd_json_parse_batch_write(struct rd_slice text, const struct rd_limits *limits,
                                         struct rd_request *request) RD_MUST_CHECK;

/* {"keys":["a",{"key":"a"},{"key_base64":".."},{"key_hash":".."}]} */
enum rd_status rd_json_parse_batch_read(struct rd_slice text, const struct rd_limits *limits,
                                        struct rd_request *request) RD_MUST_CHECK;
enum rd_status rd_json_parse_batch_delete(struct rd_slice text, const struct rd_limits *limits,
                                          struct rd_request *request) RD_MUST_CHECK;

/* {"from":"a","to":"b"}, each also as .._base64 or .._hash: fills key and target_key. */
enum rd_status rd_json_parse_rename(struct rd_slice text, const struct rd_limits *limits,
                                    struct rd_request *request) RD_MUST_CHECK;

/* copy and transfer: {"key":"a","target":"other"}, the key also as above: fills key and target_store. */
enum rd_status rd_json_parse_copy(struct rd_slice text, const struct rd_limits *limits,
                                  struct rd_request *request) RD_MUST_CHECK;

/* Whichever of these request->opcode asks for. */
enum rd_status rd_json_parse(struct rd_slice text, const struct rd_limits *limits,
                             struct rd_request *request) RD_MUST_CHECK;

/* ---- later: a long text takes its time, so it may be parsed on another thread ----
 *
 * Notes the text, which is the end of request->body, and the limits in request->deferred. RD_NO_MEMORY. */
enum rd_status rd_json_defer(struct rd_slice text, const struct rd_limits *limits,
                             struct rd_request *request) RD_MUST_CHECK;

/* How many bytes of memory parsing it takes at most, beside the body: most of them until it is parsed, the items
 * for as long as the request. Refuses what is too much or too deep. */
enum rd_status rd_json_measure(struct rd_request *request, uint64_t *ret_bytes) RD_MUST_CHECK;

/* As rd_json_parse, of a text that was measured; request->status says how it went, and request->deferred is NULL.
 */
void rd_json_parse_deferred(struct rd_request *request);

/* Once, before threads that parse are started: else the first two that do seed the tables of jansson. */
void rd_json_init(void);

/* ---- encoding -------------------------------------------------------------------------------------------- */

void rd_json_encode_written(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_copied(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_transferred(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_deleted(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_batch_written(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_batch_deleted(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_batch_values(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_last(const struct rd_response *response, struct rd_buffer *out);

/* "next" is null where response->more is false. */
void rd_json_encode_entries(const struct rd_response *response, struct rd_buffer *out);

/* response->stores[0], in full; and all of them, in short. */
void rd_json_encode_store(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_stores(const struct rd_response *response, struct rd_buffer *out);

/* One step of a look at a store's entries, or all of them. */
void rd_json_encode_compaction(const struct rd_response *response, struct rd_buffer *out);
void rd_json_encode_verification(const struct rd_response *response, struct rd_buffer *out);

void rd_json_encode_error(const char *code, struct rd_slice message, struct rd_buffer *out);

/* Parts of the above. A string comes with its quotes; a durability as sync, interval:MS or none, without. */
void rd_json_append_string(struct rd_slice text, struct rd_buffer *out);
void rd_json_append_durability(enum rd_message_durability durability, uint32_t interval_ms, struct rd_buffer *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * convert.h - between rdrive_types.h and protocol/message.h, for both faces of the client.
 *
 * Functions that allocate return false where there is no memory and leave their output untouched. What they fill
 * takes over `memory`, the body that the answer was received into, where they have such an argument.
 */
#ifndef RD_CLIENTS_C_CONVERT_H
#define RD_CLIENTS_C_CONVERT_H

#include "clients/c/rdrive_types.h"
#include "protocol/message.h"

struct rd_message_key rd_convert_key(struct rdrive_key key);
struct rd_message_condition rd_convert_condition(struct rdrive_condition condition);
struct rd_message_range rd_convert_range(struct rdrive_range range);

/* Fill request->items, which are the caller's to free. */
bool rd_convert_keys(const struct rdrive_key *keys, size_t count, struct rd_request *request) RD_MUST_CHECK;
bool rd_convert_entries(const struct rdrive_entry *entries, size_t count,
                        struct rd_request *request) RD_MUST_CHECK;

void rd_convert_to_written(const struct rd_response *response, struct rdrive_written *ret_written);
void rd_convert_to_moved(const struct rd_response *response, struct rdrive_moved *ret_moved);
void rd_convert_to_metadata(const struct rd_response *response, struct rdrive_metadata *ret_metadata);
void rd_convert_to_part(const struct rd_response *response, struct rdrive_part *ret_part);
void rd_convert_to_backup(const struct rd_response *response, struct rdrive_backup *ret_backup);
/* memory as above. */
void rd_convert_to_text(const struct rd_response *response, uint8_t *memory, struct rdrive_value *ret_text);
void rd_convert_to_info(const struct rd_response_store *store, struct rdrive_store_info *ret_info);
void rd_convert_to_value(const struct rd_response *response, uint8_t *memory, struct rdrive_value *ret_value);

/* On failure `memory` stays the caller's. */
bool rd_convert_to_values(const struct rd_response *response, uint8_t *memory,
                          struct rdrive_values *ret_values) RD_MUST_CHECK;
bool rd_convert_to_entries(const struct rd_response *response, struct rdrive_entries *ret_entries) RD_MUST_CHECK;
bool rd_convert_to_stores(const struct rd_response *response, struct rdrive_stores *ret_stores) RD_MUST_CHECK;
void rd_convert_to_compaction(const struct rd_response *response, struct rdrive_compaction *ret_compaction);
bool rd_convert_to_verification(const struct rd_response *response,
                                struct rdrive_verification *ret_verification) RD_MUST_CHECK;

/* Whether a token can be shown; NULL, which is none, can. */
bool rd_convert_token_is_good(const char *token);

/* Whether a Unix socket can have that path: of 1 to 107 bytes. */
bool rd_convert_socket_path_is_good(const char *path);

/* Frees it, and leaves nothing of it in memory. NULL is fine. */
void rd_convert_forget_token(char *token);

#endif

/* SPDX-License-Identifier: MIT
 *
 * terms.h - requests in the engine's terms, and what the engine found in a response's. Pure.
 */
#ifndef RD_SERVER_TERMS_H
#define RD_SERVER_TERMS_H

#include "engine/engine.h"
#include "protocol/message.h"

struct rd_key rd_terms_key(const struct rd_message_key *key);
enum rd_durability rd_terms_durability(enum rd_message_durability durability);
enum rd_message_durability rd_terms_message_durability(enum rd_durability durability);
struct rd_condition rd_terms_condition(const struct rd_message_condition *condition);

/* The name that a request means: `default` where it gives none. */
struct rd_slice rd_terms_store_name(struct rd_slice name);

struct rd_response_problem rd_terms_problem(const struct rd_problem *problem);

void rd_terms_describe(const struct rd_value *value, struct rd_response *response);

/* Whether a reader's condition holds for the value. */
bool rd_terms_condition_holds(const struct rd_message_condition *condition, const struct rd_value *value);

/* Cuts *value's payload down to the range and fills the response's partial, range_first and value_len (of the
 * whole). RD_RANGE_NOT_SATISFIABLE: no byte of the value is in it. */
enum rd_status rd_terms_cut(const struct rd_message_range *range, struct rd_value *value,
                            struct rd_response *response) RD_MUST_CHECK;

#endif

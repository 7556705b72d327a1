/* SPDX-License-Identifier: MIT
 *
 * scrape.h - all that the daemon counts and holds, as one text that Prometheus reads. docs/OPERATIONS.md tells
 * what each family means.
 *
 * Any thread; takes locks for some instructions each, and as long as there are stores: on a loop nobody would be
 * served meanwhile.
 */
#ifndef RD_SERVER_SCRAPE_H
#define RD_SERVER_SCRAPE_H

#include "base/buffer.h"
#include "base/status.h"

struct rd_loop;

/* loop: any of the process's. RD_NO_MEMORY: *out is of no use. */
enum rd_status rd_scrape(const struct rd_loop *loop, struct rd_buffer *out) RD_MUST_CHECK;

#endif

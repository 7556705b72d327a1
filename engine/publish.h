/* SPDX-License-Identifier: MIT
 *
 * publish.h - what a group has appended becomes visible: the index names its entries, counts and the published
 * tail follow, and what has died by it is counted for discard.h.
 *
 * All of it lies between two numbers of rd_store.publications, so that whoever looks at several keys at once sees
 * a group whole or not at all.
 *
 * The writer's alone.
 */
#ifndef RD_ENGINE_PUBLISH_H
#define RD_ENGINE_PUBLISH_H

struct rd_plan;
struct rd_store;

/* The plan's room in the index was reserved, and its entries lie in the file. Cannot fail. */
void rd_publish(struct rd_store *store, const struct rd_plan *plan);

#endif

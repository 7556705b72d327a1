/* SPDX-License-Identifier: MIT
 *
 * disposal.h - what takes long to be freed is freed by a thread of the pool: giving 100 MiB back to the kernel
 * takes 10 ms and more, and freeing the many requests that a transaction was put together from takes as long.
 *
 * The loop's thread only.
 */
#ifndef RD_SERVER_DISPOSAL_H
#define RD_SERVER_DISPOSAL_H

#include <stddef.h>

struct rd_loop;

#define RD_DISPOSAL_LEN_MIN (1u << 20) /* bytes; what is less is freed by the loop */

/* Has destroy(object) run on a thread of the pool, or where there is none at once. Takes object; nobody else has
 * it any more. It may run until rd_pool_destroy returns. */
void rd_dispose(struct rd_loop *loop, void *object, void (*destroy)(void *object));

/* The same for `len` bytes from malloc, where they are many; few are freed at once, and all where there is no
 * loop. memory: NULL is fine. */
void rd_dispose_memory(struct rd_loop *loop, void *memory, size_t len);

#endif

/* SPDX-License-Identifier: MIT
 *
 * page.h - memory for buffers that the kernel copies into from the beginning of pages.
 *
 * What a socket has received lies in pages, and often begins with one: the sender starts its page anew once all in
 * it was read. malloc begins a large buffer 16 bytes behind a page; to there some processors copy a few KiB at
 * half their speed (engine/encoder.h says more; bench-simd_copy shows it).
 */
#ifndef RD_BASE_PAGE_H
#define RD_BASE_PAGE_H

#include <stdint.h>
#include <stdlib.h>

#define RD_PAGE_LEN 4096u /* by which distances count; larger pages are multiples of it */

/* Owned; begins with a page; to be freed with free. NULL: no memory. */
static inline void *rd_page_alloc(size_t len)
{
    if (len > SIZE_MAX - RD_PAGE_LEN)
        return NULL;
    return aligned_alloc(RD_PAGE_LEN, (len + RD_PAGE_LEN - 1) / RD_PAGE_LEN * RD_PAGE_LEN);
}

#endif

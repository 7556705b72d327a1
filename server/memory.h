/* SPDX-License-Identifier: MIT
 *
 * memory.h - how much memory the process may use, page cache included: what the machine has, or what its control
 * groups (v1 and v2) and those around them leave to it.
 */
#ifndef RD_SERVER_MEMORY_H
#define RD_SERVER_MEMORY_H

#include <stdint.h>

/* Bytes. Reads files. Any thread. */
uint64_t rd_memory_limit(void);

/* The same of the files below another root than "", which is this machine's; UINT64_MAX where no control group
 * says anything. For tests. */
uint64_t rd_memory_limit_of_groups(const char *root);

#endif

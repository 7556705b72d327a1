/* SPDX-License-Identifier: MIT
 *
 * status_page.h - server/status.html as the Makefile puts it into the program.
 */
#ifndef RD_SERVER_STATUS_PAGE_H
#define RD_SERVER_STATUS_PAGE_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t rd_status_page[];
extern const size_t rd_status_page_len;

#endif

/* SPDX-License-Identifier: MIT
 *
 * port_file.h - the file that tells where the daemon listens:
 * {"binary":"127.0.0.1:41234","http":"127.0.0.1:41235","redis":"127.0.0.1:41236","unix":"PATH","pid":123} (redis
 * and unix only where there are such sockets). It appears whole, by rename. Blocks.
 */
#ifndef RD_SERVER_PORT_FILE_H
#define RD_SERVER_PORT_FILE_H

#include "base/status.h"

struct rd_port_file {
    const char *binary;    /* HOST:PORT */
    const char *http;      /* HOST:PORT */
    const char *redis;     /* HOST:PORT; "": none */
    const char *unix_path; /* "": none */
};

enum rd_status rd_port_file_write(const char *path, const struct rd_port_file *contents,
                                  struct rd_error *ret_error) RD_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT
 *
 * owner.h - whose a store's file is, for work on it as root: what root makes there (a file, its companions, the
 * file that a compaction puts in its place) has to stay that user's, or the daemon cannot open it afterwards. One
 * thread.
 */
#ifndef RD_CLIENTS_CLI_OWNER_H
#define RD_CLIENTS_CLI_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

struct rd_owner {
    bool known; /* false: nothing is to be given to anybody */
    uid_t uid;
    gid_t gid;
};

/* The file's, or where there is none its folder's; known for root alone, who can give files away. */
struct rd_owner rd_owner_of(const char *path);

/* Gives the file and its companions, as far as they are root's own by now, to the owner. What cannot be given is
 * said on standard error. */
void rd_owner_give(const struct rd_owner *owner, const char *path);

#endif

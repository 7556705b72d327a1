/* SPDX-License-Identifier: MIT
 *
 * owner.h - whose a store's file is, for work on it as root: what root makes there (a file, its companions) has to
 * be that user's, or the daemon cannot open it afterwards. (What takes a file's place is given away where it is
 * made: engine/datafile.h.) One thread.
 */
#ifndef RD_CLIENTS_CLI_OWNER_H
#define RD_CLIENTS_CLI_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#define RD_OWNER_FILES 4 /* that may lie at a store's path */

struct rd_owner {
    bool known; /* false: nothing is to be given to anybody */
    uid_t uid;
    gid_t gid;
    ino_t kept[RD_OWNER_FILES]; /* root's own that lay there at the beginning; 0: none did */
};

/* The file's, or where there is none its folder's; known for root alone, who can give files away. */
struct rd_owner rd_owner_of(const char *path);

/* Gives the file and its companions, as far as they are new and root's own, to the owner: what of root's was there
 * before may be something that the folder's owner has put there. What cannot be given is said on standard error.
 */
void rd_owner_give(const struct rd_owner *owner, const char *path);

#endif

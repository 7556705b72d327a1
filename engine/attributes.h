/* SPDX-License-Identifier: MIT
 *
 * attributes.h - what a file has beside its bytes, for another one that is made to take its place:
 *
 *   owner, group, permissions   as rd_datafile_give_away has it
 *   the ACL                     system.posix_acl_access; where the old file has none, the new one has none either,
 *                               whatever its folder gives to new files
 *   user.*, security.*          but for what the kernel makes of a file's own bytes and attributes (IMA, EVM)
 *
 * What the file system or our rights do not let us set is left out, as another group is. Nobody may come to more
 * than before by that: without its group or its ACL the file is its owner's alone. Where the disk is full or in
 * trouble, that is told.
 *
 * Any thread.
 */
#ifndef RD_ENGINE_ATTRIBUTES_H
#define RD_ENGINE_ATTRIBUTES_H

#include "base/status.h"
#include "engine/io.h"

/* `from` is the old file, `to` the new one, of which nobody else knows yet. EPERM where it stays ours and is not
 * to, ENOSPC, EDQUOT, ENOMEM, EIO ...; 0 or an errno value. */
int rd_attributes_take_over(const struct rd_io *io, int from, int to) RD_MUST_CHECK;

#endif

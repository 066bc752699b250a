// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MOUNTS_H
#define TR_MOUNTS_H

// Why locks in a folder hold on its host alone, as the options say with which its file system is
// mounted ("is mounted with localflock, ..."); NULL: nothing says so. `table`: a file as
// /proc/self/mounts.
const char *tr_mount_keeps_locks(const char *table, const char *folder);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NODE_MEMORY_H
#define TR_NODE_MEMORY_H

// Bytes of memory that this process' node, or its batch job's or container's control group, has
// left: the least of MemAvailable and, for each control group above this process that has a limit,
// the limit less what its processes hold. The page cache counts as free.
double tr_node_memory(void);

// The same by the files below `root`, which has proc and sys as the file system's root has them.
double tr_node_memory_at(const char *root);

#endif

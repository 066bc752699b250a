// SPDX-License-Identifier: Apache-2.0
#include "node_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096 };

// The number after `key` at the start of a line of a file; "" takes the first line. NAN when there
// is none ("max" is no number: no limit).
static double number_in(const char *path, const char *key) {
    char line[256];
    double value = NAN;
    FILE *file = fopen(path, "r");
    size_t length = strlen(key);
    while (file && isnan(value) && fgets(line, sizeof line, file))
        if (strncmp(line, key, length) || sscanf(line + length, "%lf", &value) != 1)
            value = NAN;
    if (file)
        fclose(file);
    return value;
}

// Bytes that one control group has left, INFINITY without a limit. `stat_key` names the count of
// what its processes use.
static double left_in_group(const char *folder, const char *limit_name, const char *stat_key) {
    char path[MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, limit_name);
    double limit = number_in(path, "");
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    double held = number_in(path, stat_key);
    return isnan(limit) ? INFINITY : limit - (isnan(held) ? 0 : held);
}

// A version of control groups: where its hierarchy is, which file has a group's limit, and which
// line of memory.stat counts the memory of its processes.
struct hierarchy {
    const char *folder, *limit, *held;
};
static const struct hierarchy version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                           "total_rss "};
static const struct hierarchy version_2 = {"/sys/fs/cgroup", "memory.max", "anon "};

// The least that a group and those above it leave, up to the top of the hierarchy.
static double left_in_hierarchy(const char *root, const struct hierarchy *h, const char *group) {
    char folder[MAX_PATH];
    snprintf(folder, sizeof folder, "%s%s%s", root, h->folder, group);
    size_t top = strlen(root) + strlen(h->folder);
    double left = INFINITY;
    for (;;) {
        left = fmin(left, left_in_group(folder, h->limit, h->held));
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= top || !slash)
            return left;
        *slash = 0;
    }
}

// Version 2 lists one line "0::/group"; version 1 one with the memory controller among its names.
static double left_in_groups(const char *root) {
    char path[MAX_PATH], line[MAX_PATH];
    double left = INFINITY;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        if (names[1] == 0)
            left = fmin(left, left_in_hierarchy(root, &version_2, group));
        else if (strstr(names, "memory"))
            left = fmin(left, left_in_hierarchy(root, &version_1, group));
    }
    if (file)
        fclose(file);
    return left;
}

double tr_node_memory(void) {
    return tr_node_memory_at("");
}

double tr_node_memory_at(const char *root) {
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    double available = 1024 * number_in(path, "MemAvailable:");
    if (isnan(available))
        available = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    return fmax(fmin(available, left_in_groups(root)), 0);
}

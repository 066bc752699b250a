// SPDX-License-Identifier: Apache-2.0
#include "run/affinity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/strings.h"

static int online_processors(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int tr_affinity_threads(const struct dist *dist) {
    int64_t wanted;
    const char *variable = getenv("OMP_NUM_THREADS");
    if (variable && tr_parse_i64(variable, 1, 4096, &wanted))
        return (int)wanted;
    cpu_set_t processors;
    CPU_ZERO(&processors);
    if (sched_getaffinity(0, sizeof processors, &processors))
        return 1;
    int allowed = CPU_COUNT(&processors);
    if (allowed == online_processors())
        allowed /= dist_node_size(dist);
    return allowed > 0 ? allowed : 1;
}

// The UUIDs of all devices this rank sees, in its order.
static void digest_visible(char digest[TR_DIGEST_MAX], int count) {
    enum { MOST = 64 };
    unsigned char seen[MOST * sizeof((struct kn_device *)0)->identity] = {0};
    size_t size = 0;
    for (int i = 0; i < count && i < MOST; i++) {
        struct kn_device device = {.name = ""};
        kn_device_describe(&device, i);
        memcpy(seen + size, device.identity, sizeof device.identity);
        size += sizeof device.identity;
    }
    memset(digest, 0, TR_DIGEST_MAX);
    tr_digest_bytes(seen, size, digest);
}

void tr_affinity_device(struct tr_device *device, struct dist *dist) {
    char visible[TR_DIGEST_MAX];
    int count = kn_device_count();
    digest_visible(visible, count);
    struct dist_alike alike = dist_node_alike(dist, visible, sizeof visible);
    int index = count > 0 ? alike.place % count : 0;
    struct kn_device described = {.name = "a device"};
    kn_device_describe(&described, index);
    const unsigned char *identity = described.identity;
    alike = dist_node_alike(dist, identity, sizeof described.identity);
    *device = (struct tr_device){.index = index, .sharers = alike.count};
    snprintf(device->text, sizeof device->text, "%s (UUID %02x%02x%02x%02x...)", described.name,
             identity[0], identity[1], identity[2], identity[3]);
}

void tr_affinity_hello(struct tr_hello *hello) {
    if (gethostname(hello->host, sizeof hello->host - 1))
        strcpy(hello->host, "this node");
    CPU_ZERO(&hello->processors);
    sched_getaffinity(0, sizeof hello->processors, &hello->processors);
    hello->online = online_processors();
}

void tr_affinity_advice(const struct tr_hello *hellos, int count, char *text, size_t size) {
    cpu_set_t used;
    CPU_ZERO(&used);
    int threads = 0;
    for (int i = 0; i < count; i++) {
        CPU_OR(&used, &used, &hellos[i].processors);
        threads += hellos[i].threads;
    }
    const char *ranks = count == 1 ? "the rank" : "the ranks";
    int reachable = CPU_COUNT(&used), online = hellos[0].online;
    *text = 0;
    if (reachable < online)
        snprintf(
            text, size,
            "%s: %s may use %d of %d cores (%d rank%s bound by the launcher); %s uses them all",
            hellos[0].host, ranks, reachable, online, count, count == 1 ? "" : "s",
            count == 1 ? "mpirun --bind-to none" : "mpirun --map-by socket:PE=n");
    else if (threads > online)
        snprintf(text, size,
                 "%s: %d threads share %d cores; set OMP_NUM_THREADS to %d, or start fewer ranks",
                 hellos[0].host, threads, online, online / count > 0 ? online / count : 1);
}

void tr_affinity_devices(const struct tr_hello *hellos, int count, char *text, size_t size) {
    size_t at = 0;
    *text = 0;
    for (int i = 0, first = 0; i < count && *hellos[i].device && at < size; i++) {
        if (i + 1 < count && strcmp(hellos[i].device, hellos[i + 1].device) == 0)
            continue;
        int ranks = i + 1 - first;
        at += (size_t)snprintf(text + at, size - at, "%s%s %d rank%s on %s",
                               first ? "" : hellos[0].host, first ? "," : ":", ranks,
                               ranks == 1 ? "" : "s", hellos[i].device);
        first = i + 1;
    }
}

// SPDX-License-Identifier: Apache-2.0
// What a node and its control groups leave, by files as Linux has them below a folder of ours.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "folder.h"
#include "node_memory.h"

static const char meminfo[] = "MemTotal:       16384000 kB\n"
                              "MemFree:         1000000 kB\n"
                              "MemAvailable:    8000000 kB\n";
static const double available = 8000000 * 1024.0;

static void assert_bytes(double got, double expected) {
    if (got != expected)
        fail_msg("%.0f bytes, expected %.0f", got, expected);
}

// A file below a root, with the folders on the way to it.
static void put(const char *root, const char *name, const char *text) {
    char path[2 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    write_text(path, text);
}

// A root with the meminfo above, and which groups this process is in.
static const char *make_root(const char *name, const char *groups) {
    const char *root = make_folder(name);
    put(root, "/proc/meminfo", meminfo);
    if (groups)
        put(root, "/proc/self/cgroup", groups);
    return root;
}

static void without_groups_it_is_what_is_available(void **state) {
    (void)state;
    assert_bytes(tr_node_memory_at(make_root("bare", NULL)), available);
    assert_bytes(tr_node_memory_at(make_root("top", "0::/\n")), available);
}

// An old kernel has no MemAvailable; the C library then counts free pages of this machine.
static void without_a_number_it_is_what_is_free(void **state) {
    (void)state;
    const char *root = make_folder("old");
    double page = (double)sysconf(_SC_PAGESIZE), all = page * (double)sysconf(_SC_PHYS_PAGES);
    put(root, "/proc/meminfo", "MemTotal:       16384000 kB\nMemAvailable: unknown\n");
    double left = tr_node_memory_at(root);
    assert_true(left > 0 && left <= all);
    assert_true(tr_node_memory_at(in_folder("nowhere")) > 0);
}

// The limit less what the processes hold; the page cache counts as free.
static void version_2_leaves_the_limit_less_what_is_held(void **state) {
    (void)state;
    const char *root = make_root("two", "0::/job\n");
    put(root, "/sys/fs/cgroup/job/memory.max", "4000000000\n");
    put(root, "/sys/fs/cgroup/job/memory.stat", "file 900000000\nanon 1500000000\nkernel 7\n");
    assert_bytes(tr_node_memory_at(root), 2.5e9);
    put(root, "/sys/fs/cgroup/job/memory.stat", "file 900000000\n");
    assert_bytes(tr_node_memory_at(root), 4e9);
    put(root, "/sys/fs/cgroup/job/memory.max", "max\n");
    assert_bytes(tr_node_memory_at(root), available);
    put(root, "/sys/fs/cgroup/job/memory.max", "90000000000\n");
    assert_bytes(tr_node_memory_at(root), available);
}

// The least counts, wherever on the way up it is.
static void nested_groups_leave_the_least(void **state) {
    (void)state;
    static const char *const limits[] = {
        "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/slurm/memory.max",
        "/sys/fs/cgroup/slurm/job_1/memory.max", "/sys/fs/cgroup/slurm/job_1/step_0/memory.max"};
    const char *root = make_root("nested", "0::/slurm/job_1/step_0\n");
    for (int tight = 0; tight < 4; tight++) {
        for (int i = 0; i < 4; i++)
            put(root, limits[i], i == tight ? "1000000000\n" : i ? "3000000000\n" : "max\n");
        assert_bytes(tr_node_memory_at(root), 1e9);
    }
    put(root, "/sys/fs/cgroup/slurm/memory.stat", "anon 2500000000\n");
    assert_bytes(tr_node_memory_at(root), 5e8);
}

// A step's group may be gone, or lie outside what a container sees; those above it still count.
static void a_group_that_cannot_be_seen_has_no_limit(void **state) {
    (void)state;
    const char *root = make_root("hidden", "0::/slurm/job_1/step_0\n");
    put(root, "/sys/fs/cgroup/slurm/memory.max", "2000000000\n");
    assert_bytes(tr_node_memory_at(root), 2e9);
}

static void version_1_has_a_hierarchy_for_memory(void **state) {
    (void)state;
    const char *root = make_root("one", "12:cpuset:/elsewhere\n"
                                        "8:memory:/slurm/job_1\n"
                                        "1:name=systemd:/elsewhere\n");
    put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put(root, "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes", "3000000000\n");
    put(root, "/sys/fs/cgroup/memory/slurm/memory.stat", "rss 1\ntotal_rss 500000000\n");
    put(root, "/sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes", "2600000000\n");
    put(root, "/sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes", "5\n");
    assert_bytes(tr_node_memory_at(root), 2.5e9);
    put(root, "/sys/fs/cgroup/memory/slurm/job_1/memory.stat", "total_rss 600000000\n");
    assert_bytes(tr_node_memory_at(root), 2e9);
}

// Controllers share a line, and both versions may be mounted.
static void both_versions_count(void **state) {
    (void)state;
    const char *root = make_root("both", "5:cpu,memory:/job\n0::/unit\n");
    put(root, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000000\n");
    assert_bytes(tr_node_memory_at(root), 2e9);
    put(root, "/sys/fs/cgroup/unit/memory.max", "1000000000\n");
    assert_bytes(tr_node_memory_at(root), 1e9);
}

static void what_is_overdrawn_is_nothing(void **state) {
    (void)state;
    const char *root = make_root("over", "0::/job\n");
    put(root, "/sys/fs/cgroup/job/memory.max", "1000\n");
    put(root, "/sys/fs/cgroup/job/memory.stat", "anon 2000\n");
    assert_bytes(tr_node_memory_at(root), 0);
}

static void lines_that_are_none_are_left_alone(void **state) {
    (void)state;
    const char *root = make_root("broken", "\nmemory\n0:\n:::\n8:memory\n");
    assert_bytes(tr_node_memory_at(root), available);
}

// This machine, whatever it is, has some, and no more than it has in all.
static void this_machine_has_some(void **state) {
    (void)state;
    double all = (double)sysconf(_SC_PAGESIZE) * (double)sysconf(_SC_PHYS_PAGES);
    double left = tr_node_memory();
    assert_true(left > 0 && left <= all);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_groups_it_is_what_is_available),
        cmocka_unit_test(without_a_number_it_is_what_is_free),
        cmocka_unit_test(version_2_leaves_the_limit_less_what_is_held),
        cmocka_unit_test(nested_groups_leave_the_least),
        cmocka_unit_test(a_group_that_cannot_be_seen_has_no_limit),
        cmocka_unit_test(version_1_has_a_hierarchy_for_memory),
        cmocka_unit_test(both_versions_count),
        cmocka_unit_test(what_is_overdrawn_is_nothing),
        cmocka_unit_test(lines_that_are_none_are_left_alone),
        cmocka_unit_test(this_machine_has_some),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}

// SPDX-License-Identifier: Apache-2.0
// How many threads a rank takes, and what is said of ranks that were bound or crowded by their
// launcher: by hellos made here, of nodes that need not exist.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/affinity.h"

static int node_ranks = 1; // what the communicator says
int __wrap_dist_node_size(const struct dist *dist);
int __wrap_dist_node_size(const struct dist *dist) {
    (void)dist;
    return node_ranks;
}

// ---- threads -----------------------------------------------------------------------------------

static cpu_set_t machine; // the processors this test was given

static int threads_with(const char *variable, int ranks) {
    node_ranks = ranks;
    if (variable)
        setenv("OMP_NUM_THREADS", variable, 1);
    else
        unsetenv("OMP_NUM_THREADS");
    return tr_affinity_threads(NULL);
}

static void the_variable_rules(void **state) {
    (void)state;
    assert_int_equal(threads_with("3", 1), 3);
    assert_int_equal(threads_with("3", 8), 3);
    assert_int_equal(threads_with("4096", 1), 4096);
}

// What is no such number says nothing.
static void other_variables_are_left_alone(void **state) {
    (void)state;
    static const char *const none[] = {"", "0", "-2", "two", "4,2", "3 ", "4097"};
    int expected = threads_with(NULL, 1);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(threads_with(none[i], 1), expected);
}

static void bind_to(int count) {
    cpu_set_t some;
    CPU_ZERO(&some);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&some) < count; i++)
        if (CPU_ISSET(i, &machine))
            CPU_SET(i, &some);
    assert_int_equal(sched_setaffinity(0, sizeof some, &some), 0);
}

// A rank that has the whole node shares it; one that is bound to a part of it has that.
static void else_the_processors_rule(void **state) {
    (void)state;
    int all = CPU_COUNT(&machine), online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    assert_int_equal(threads_with(NULL, 1), all);
    assert_int_equal(threads_with(NULL, 2), all < online ? all : all / 2 > 0 ? all / 2 : 1);
    assert_int_equal(threads_with(NULL, 10000), all < online ? all : 1);
    bind_to(1);
    int bound = threads_with(NULL, 1);
    int bound_of_many = online > 1 ? threads_with(NULL, 10000) : 1;
    assert_int_equal(sched_setaffinity(0, sizeof machine, &machine), 0);
    assert_int_equal(bound, 1);
    assert_int_equal(bound_of_many, 1);
}

// ---- sentences ---------------------------------------------------------------------------------

enum { ONLINE = 8 };

// A rank of an 8-core node that may use processors [first, first + count).
static struct tr_hello hello(int first, int count, int threads) {
    struct tr_hello made = {.host = "node7", .threads = threads, .online = ONLINE};
    for (int i = first; i < first + count; i++)
        CPU_SET(i, &made.processors);
    return made;
}

static void assert_advice(const struct tr_hello *hellos, int count, const char *expected) {
    char text[1024] = "before";
    tr_affinity_advice(hellos, count, text, sizeof text);
    assert_string_equal(text, expected);
}

static void all_is_well(void **state) {
    (void)state;
    struct tr_hello one[] = {hello(0, 8, 8)};
    struct tr_hello shared[] = {hello(0, 8, 4), hello(0, 8, 4)};
    struct tr_hello bound[] = {hello(0, 4, 4), hello(4, 4, 4)};
    struct tr_hello few[] = {hello(0, 8, 2)}; // asked for by whoever set the variable
    assert_advice(one, 1, "");
    assert_advice(shared, 2, "");
    assert_advice(bound, 2, "");
    assert_advice(few, 1, "");
}

static void cores_that_nobody_may_use(void **state) {
    (void)state;
    struct tr_hello one[] = {hello(0, 1, 1)};
    struct tr_hello two[] = {hello(0, 1, 1), hello(1, 1, 1)};
    struct tr_hello same[] = {hello(0, 4, 4), hello(0, 4, 4)};
    assert_advice(one, 1,
                  "node7: the rank may use 1 of 8 cores (1 rank bound by the launcher); "
                  "mpirun --bind-to none uses them all");
    assert_advice(two, 2,
                  "node7: the ranks may use 2 of 8 cores (2 ranks bound by the launcher); "
                  "mpirun --map-by socket:PE=n uses them all");
    assert_advice(same, 2,
                  "node7: the ranks may use 4 of 8 cores (2 ranks bound by the launcher); "
                  "mpirun --map-by socket:PE=n uses them all");
}

static void more_threads_than_cores(void **state) {
    (void)state;
    struct tr_hello two[] = {hello(0, 8, 8), hello(0, 8, 8)};
    struct tr_hello many[9];
    assert_advice(
        two, 2, "node7: 16 threads share 8 cores; set OMP_NUM_THREADS to 4, or start fewer ranks");
    for (int i = 0; i < 9; i++)
        many[i] = hello(0, 8, 1);
    assert_advice(many, 9,
                  "node7: 9 threads share 8 cores; set OMP_NUM_THREADS to 1, or start fewer ranks");
}

static struct tr_hello on(const char *device) {
    struct tr_hello made = hello(0, 8, 1);
    strcpy(made.device, device);
    return made;
}

static void assert_devices(const struct tr_hello *hellos, int count, size_t size,
                           const char *expected) {
    char text[1024] = "before";
    tr_affinity_devices(hellos, count, text, size);
    assert_string_equal(text, expected);
}

static void devices_are_counted(void **state) {
    (void)state;
    struct tr_hello none[] = {on(""), on("")};
    struct tr_hello one[] = {on("A")};
    struct tr_hello shared[] = {on("A"), on("A"), on("A")};
    struct tr_hello mixed[] = {on("A"), on("B"), on("B"), on("C")};
    assert_devices(none, 2, 1024, "");
    assert_devices(one, 1, 1024, "node7: 1 rank on A");
    assert_devices(shared, 3, 1024, "node7: 3 ranks on A");
    assert_devices(mixed, 4, 1024, "node7: 1 rank on A, 2 ranks on B, 1 rank on C");
}

// What has no room is cut off, wherever that is.
static void a_long_list_is_cut_off(void **state) {
    (void)state;
    static const char whole[] = "node7: 1 rank on A, 2 ranks on B";
    struct tr_hello mixed[] = {on("A"), on("B"), on("B")};
    for (size_t size = 1; size <= sizeof whole; size++) {
        char expected[sizeof whole];
        snprintf(expected, size, "%s", whole);
        assert_devices(mixed, 3, size, expected);
    }
}

static void a_hello_says_where(void **state) {
    (void)state;
    struct tr_hello made = {.threads = 5};
    char host[256] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    tr_affinity_hello(&made);
    assert_string_equal(made.host, host);
    assert_true(CPU_EQUAL(&made.processors, &machine));
    assert_int_equal(made.online, (int)sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(made.threads, 5);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variable_rules),
        cmocka_unit_test(other_variables_are_left_alone),
        cmocka_unit_test(else_the_processors_rule),
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(cores_that_nobody_may_use),
        cmocka_unit_test(more_threads_than_cores),
        cmocka_unit_test(devices_are_counted),
        cmocka_unit_test(a_long_list_is_cut_off),
        cmocka_unit_test(a_hello_says_where),
    };
    if (sched_getaffinity(0, sizeof machine, &machine))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
// Run on any number of ranks. A failed check ends all ranks, so that none waits for the others.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "mpi/dist.h"

static struct dist *dist;
static bool rank0_only_serves;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: rank %d: %s\n", __FILE__, __LINE__, dist_rank(dist),           \
                    #condition);                                                                   \
            dist_abort(dist, 1);                                                                   \
        }                                                                                          \
    } while (0)

// The service: answers with every byte of the request plus the asking rank.
struct counter {
    int answers, ticks, inside;
};

static enum tr_status answer(void *user, int from, const void *request, size_t size,
                             void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    struct counter *counter = user;
    CHECK(counter->inside++ == 0);
    counter->answers++;
    const unsigned char *bytes = request;
    enum tr_status status = TR_OK;
    if (size == 6 && memcmp(bytes, "refuse", 6) == 0) {
        status = tr_fail(err, TR_ECONFLICT, "rank %d was refused", from);
    } else if (size == 4 && memcmp(bytes, "fail", 4) == 0) {
        status = TR_EIO;
    } else if (size > 0) {
        unsigned char *echo = malloc(size);
        CHECK(echo != NULL);
        for (size_t i = 0; i < size; i++)
            echo[i] = (unsigned char)(bytes[i] + from);
        *answer_p = echo;
        *answer_size_p = size;
    }
    counter->inside--;
    return status;
}

static void tick(void *user) {
    struct counter *counter = user;
    CHECK(counter->inside++ == 0);
    counter->ticks++;
    counter->inside--;
}

static bool begin(struct counter *counter) {
    *counter = (struct counter){0};
    static struct dist_service service;
    service = (struct dist_service){.user = counter, .answer = answer, .tick = tick};
    struct tr_err err;
    bool computes = false;
    CHECK(dist_serve_begin(dist, &service, &computes, &err) == TR_OK);
    CHECK(computes == !(rank0_only_serves && dist_rank(dist) == 0 && dist_size(dist) > 1));
    return computes;
}

static int workers(void) {
    return rank0_only_serves && dist_size(dist) > 1 ? dist_size(dist) - 1 : dist_size(dist);
}

static void echo(size_t size) {
    struct tr_err err;
    unsigned char *request = malloc(size + 1), *got = NULL;
    size_t got_size = 77;
    CHECK(request != NULL);
    for (size_t i = 0; i < size; i++)
        request[i] = (unsigned char)(i * 31 + i / 1000);
    CHECK(dist_request(dist, request, size, (void **)&got, &got_size, &err) == TR_OK);
    CHECK(got_size == size && (got == NULL) == (size == 0));
    for (size_t i = 0; i < size; i++)
        CHECK(got[i] == (unsigned char)(request[i] + dist_rank(dist)));
    free(got);
    free(request);
}

static void test_sizes(void) {
    struct counter counter;
    static const size_t sizes[] = {0, 1, 100, (1 << 20) - 1, 1 << 20, 1 << 20 | 1, 10000000};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    if (begin(&counter))
        for (int i = 0; i < SIZES; i++)
            echo(sizes[i]);
    dist_serve_end(dist);
    CHECK(dist_rank(dist) != 0 || counter.answers == SIZES * workers());
}

static void test_many(void) {
    enum { REQUESTS = 2000 };
    struct counter counter;
    if (begin(&counter))
        for (size_t i = 0; i < REQUESTS; i++)
            echo(i % 97);
    dist_serve_end(dist);
    CHECK(dist_rank(dist) != 0 || counter.answers == REQUESTS * workers());
}

static void expect_failure(const char *request, enum tr_status status, const char *sentence) {
    struct tr_err err;
    int here;
    void *got = &here;
    size_t size = 77;
    CHECK(dist_request(dist, request, strlen(request), &got, &size, &err) == status);
    CHECK(err.code == status && strcmp(err.text, sentence) == 0);
    CHECK(got == &here && size == 77);
}

static void test_failures(void) {
    struct counter counter;
    char refused[64];
    snprintf(refused, sizeof refused, "rank %d was refused", dist_rank(dist));
    if (begin(&counter)) {
        expect_failure("refuse", TR_ECONFLICT, refused);
        expect_failure("fail", TR_EIO, tr_status_text(TR_EIO));
        echo(3); // and it goes on
    }
    dist_serve_end(dist);
}

static void *echo_often(void *unused) {
    for (size_t i = 0; i < 100; i++)
        echo(i);
    return unused;
}

static void test_other_thread(void) {
    struct counter counter;
    if (begin(&counter)) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, echo_often, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    dist_serve_end(dist);
    CHECK(dist_rank(dist) != 0 || counter.answers == 100 * workers());
}

static double cpu_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// The last rank works for a second and asks now and then: rank 0 ticks meanwhile, and who waits
// leaves the cores alone.
static void test_waiting(void) {
    struct counter counter;
    double cpu = cpu_seconds();
    if (begin(&counter) && dist_rank(dist) == dist_size(dist) - 1)
        for (int i = 0; i < 20; i++) {
            tr_sleep(0.05);
            echo(10);
        }
    dist_serve_end(dist);
    CHECK(cpu_seconds() - cpu < 0.3);
    CHECK(dist_rank(dist) != 0 || (counter.ticks >= 4 && counter.ticks <= 30));
}

// While every rank computes and none asks, rank 0 still publishes and shows progress, if it has a
// thread for that.
static void test_silence(void) {
    struct counter counter;
    if (begin(&counter) && dist_rank(dist) == 0)
        tr_sleep(0.5);
    dist_serve_end(dist);
    CHECK(dist_rank(dist) != 0 || rank0_only_serves || counter.ticks >= 2);
}

static void test_any_order(void) {
    for (int round = 0; round < 12; round++) {
        struct counter counter;
        if (begin(&counter)) {
            int turn = (dist_rank(dist) + round) % dist_size(dist);
            for (int i = 0; i < turn * 5; i++)
                echo(20);
            tr_sleep(0.01 * (round & 1 ? turn : 0));
        }
        dist_serve_end(dist);
    }
}

static void broadcast(size_t size) {
    struct tr_err err;
    unsigned char *bytes = NULL;
    size_t got = 0;
    if (dist_rank(dist) == 0) {
        CHECK((bytes = malloc(size + 1)) != NULL);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)(i * 7 + i / 1000);
        got = size;
    }
    CHECK(dist_broadcast(dist, (void **)&bytes, &got, &err) == TR_OK && got == size);
    for (size_t i = 0; i < size; i++)
        CHECK(bytes[i] == (unsigned char)(i * 7 + i / 1000));
    free(bytes);
}

// Ranks that say the same: all, none, every other one.
static void test_alike(int rank, int size) {
    const char same[16] = "one device";
    int32_t own[4] = {7, rank, 0, 0}, parity = rank % 2;
    struct dist_alike alike = dist_node_alike(dist, same, sizeof same);
    CHECK(alike.count == size && alike.place == rank);
    alike = dist_node_alike(dist, own, sizeof own);
    CHECK(alike.count == 1 && alike.place == 0);
    alike = dist_node_alike(dist, &parity, sizeof parity);
    CHECK(alike.count == (size + 1 - parity) / 2 && alike.place == rank / 2);
}

static void test_collectives(void) {
    int rank = dist_rank(dist), size = dist_size(dist);
    CHECK(rank >= 0 && rank < size);
    CHECK(dist_node_rank(dist) == rank && dist_node_size(dist) == size); // one machine
    test_alike(rank, size);
    broadcast(0);
    broadcast(5);
    broadcast(3000001);
    CHECK(dist_all_ok(dist, true));
    CHECK(!dist_all_ok(dist, rank != size - 1));
    double most[2] = {rank, -rank};
    dist_max(dist, most, 2);
    CHECK(most[0] == size - 1 && most[1] == 0.0);
}

int main(int argc, char **argv) {
    struct tr_err err;
    rank0_only_serves = argc > 1 && strcmp(argv[1], "rank0-only-serves") == 0;
    if (dist_open(&dist, &err) != TR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 3;
    }
    test_collectives();
    test_sizes();
    test_many();
    test_failures();
    test_other_thread();
    test_waiting();
    test_silence();
    test_any_order();
    dist_close(dist);
    return 0;
}

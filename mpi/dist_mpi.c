// SPDX-License-Identifier: Apache-2.0
// The ranks over MPI. Waiting never spins: MPI's own blocking calls burn a core each, which the
// ranks that still compute would miss, so everything that can take long is a non-blocking call that
// is tested between short sleeps.
//
// A message is a fixed header (size, status), then the bytes in chunks. Requests and answers have
// tags of their own; a rank has at most one request under way.
#include <mpi.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "communicator.h"

enum { TAG_REQUEST = 1, TAG_REQUEST_BYTES, TAG_ANSWER, TAG_ANSWER_BYTES };
enum { CHUNK = 1 << 20 };                                  // bytes
static const double shortest_nap = 50e-6, wait_nap = 2e-3; // seconds, waiting for one message
static const double busy_nap = 100e-6, idle_nap = 5e-3;    // seconds, polling for requests

struct header {
    uint64_t size;
    int32_t status; // enum tr_status of an answer; its bytes are then the sentence
    int32_t unused;
};

struct world {
    struct dist dist; // first
    MPI_Comm comm;    // a private copy of the world; errors return
    MPI_Comm node;    // those of its ranks that share this node's memory
    bool threads;     // MPI_THREAD_MULTIPLE
    char *scratch;    // [CHUNK] swallows bytes for which there is no memory
    pthread_t server; // on rank 0 with threads
    atomic_bool stop; // ends the server
};

static enum tr_status check(int code, const char *what, struct tr_err *err) {
    if (code == MPI_SUCCESS)
        return TR_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return tr_fail(err, TR_ENVIRONMENT, "MPI failed while %s: %s", what, text);
}

static void nap(double *seconds, double longest) {
    tr_sleep(*seconds);
    *seconds = *seconds * 1.25 < longest ? *seconds * 1.25 : longest;
}

// Waits for a request that a non-blocking call, which returned `code`, has made.
static enum tr_status finish(int code, MPI_Request *request, const char *what, struct tr_err *err) {
    TR_TRY(check(code, what, err));
    double seconds = shortest_nap;
    for (int done = 0;;) {
        TR_TRY(check(MPI_Test(request, &done, MPI_STATUS_IGNORE), what, err));
        if (done)
            return TR_OK;
        nap(&seconds, wait_nap);
    }
}

// ---- the job ---------------------------------------------------------------------------------

// A node is known by the first of its ranks; nodes are numbered in that order.
static enum tr_status find_nodes(struct world *world, struct tr_err *err) {
    const char *what = "setting up the ranks";
    struct dist *dist = &world->dist;
    int first = dist->rank, nodes = 0;
    TR_TRY(TR_NEW(&dist->node_of, dist->size, "communicator", err));
    TR_TRY(check(MPI_Bcast(&first, 1, MPI_INT, 0, world->node), what, err));
    TR_TRY(check(MPI_Allgather(&first, 1, MPI_INT, dist->node_of, 1, MPI_INT, world->comm), what,
                 err));
    for (int i = 0; i < dist->size; i++) // the first of a node comes before its others
        dist->node_of[i] = dist->node_of[i] == i ? nodes++ : dist->node_of[dist->node_of[i]];
    return TR_OK;
}

static enum tr_status find_places(struct world *world, struct tr_err *err) {
    const char *what = "setting up the ranks";
    struct dist *dist = &world->dist;
    TR_TRY(check(MPI_Comm_dup(MPI_COMM_WORLD, &world->comm), what, err));
    TR_TRY(check(MPI_Comm_set_errhandler(world->comm, MPI_ERRORS_RETURN), what, err));
    TR_TRY(check(MPI_Comm_rank(world->comm, &dist->rank), what, err));
    TR_TRY(check(MPI_Comm_size(world->comm, &dist->size), what, err));
    TR_TRY(check(MPI_Comm_split_type(world->comm, MPI_COMM_TYPE_SHARED, dist->rank, MPI_INFO_NULL,
                                     &world->node),
                 what, err));
    TR_TRY(check(MPI_Comm_rank(world->node, &dist->node_rank), what, err));
    TR_TRY(check(MPI_Comm_size(world->node, &dist->node_size), what, err));
    return find_nodes(world, err);
}

static void close_world(struct dist *dist) {
    struct world *world = (struct world *)dist;
    if (world->node != MPI_COMM_NULL)
        MPI_Comm_free(&world->node);
    if (world->comm != MPI_COMM_NULL)
        MPI_Comm_free(&world->comm);
    MPI_Finalize();
    free(dist->node_of);
    free(world->scratch);
    free(world);
}

static void abort_world(struct dist *dist, int exit_code) {
    MPI_Abort(((struct world *)dist)->comm, exit_code);
}

// ---- collectives -----------------------------------------------------------------------------

static enum tr_status broadcast_chunk(struct world *world, void *bytes, size_t size,
                                      struct tr_err *err) {
    MPI_Request request;
    int code = MPI_Ibcast(bytes, (int)size, MPI_BYTE, 0, world->comm, &request);
    return finish(code, &request, "broadcasting", err);
}

static enum tr_status broadcast(struct dist *dist, void **bytes_p, size_t *size_p,
                                struct tr_err *err) {
    struct world *world = (struct world *)dist;
    uint64_t size = *size_p;
    TR_TRY(broadcast_chunk(world, &size, sizeof size, err));
    char *bytes = *bytes_p;
    enum tr_status status =
        dist->rank == 0 ? TR_OK : TR_NEW(&bytes, size, "what rank 0 broadcasts", err);
    if (!dist_all_ok(dist, status == TR_OK)) {
        if (dist->rank != 0 && status == TR_OK)
            free(bytes);
        return status != TR_OK ? status
                               : tr_fail(err, TR_ENOMEM, "a rank has no memory for %llu bytes",
                                         (unsigned long long)size);
    }
    for (uint64_t done = 0; done < size && status == TR_OK; done += CHUNK)
        status =
            broadcast_chunk(world, bytes + done, size - done < CHUNK ? size - done : CHUNK, err);
    if (dist->rank == 0)
        return status;
    if (status != TR_OK) {
        free(bytes);
        return status;
    }
    *bytes_p = bytes;
    *size_p = size;
    return TR_OK;
}

static enum tr_status maximum(struct dist *dist, double *values, int count) {
    MPI_Request request;
    MPI_Comm comm = ((struct world *)dist)->comm;
    int code = MPI_Iallreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, comm, &request);
    return finish(code, &request, "combining values", NULL);
}

static struct dist_alike node_alike(struct dist *dist, const void *bytes, size_t size) {
    struct dist_alike alike = {0};
    MPI_Request request;
    char *all = malloc((size_t)dist->node_size * size + 1);
    if (!all)
        dist_abort(dist, 3);
    int code = MPI_Iallgather(bytes, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE,
                              ((struct world *)dist)->node, &request);
    if (finish(code, &request, "comparing ranks", NULL) != TR_OK)
        dist_abort(dist, 3);
    for (int i = 0; i < dist->node_size; i++) {
        bool same = memcmp(all + (size_t)i * size, bytes, size) == 0;
        alike.count += same;
        alike.place += same && i < dist->node_rank;
    }
    free(all);
    return alike;
}

// ---- messages --------------------------------------------------------------------------------

static enum tr_status send_piece(struct world *world, int to, int tag, const void *bytes,
                                 size_t size, struct tr_err *err) {
    MPI_Request request;
    int code = MPI_Isend(bytes, (int)size, MPI_BYTE, to, tag, world->comm, &request);
    return finish(code, &request, "sending", err);
}

static enum tr_status receive_piece(struct world *world, int from, int tag, void *bytes,
                                    size_t size, struct tr_err *err) {
    MPI_Request request;
    int code = MPI_Irecv(bytes, (int)size, MPI_BYTE, from, tag, world->comm, &request);
    return finish(code, &request, "receiving", err);
}

static enum tr_status send_message(struct world *world, int to, int tag, enum tr_status status,
                                   const void *bytes, size_t size, struct tr_err *err) {
    struct header header = {.size = size, .status = status};
    TR_TRY(send_piece(world, to, tag, &header, sizeof header, err));
    for (size_t done = 0; done < size; done += CHUNK)
        TR_TRY(send_piece(world, to, tag + 1, (const char *)bytes + done,
                          size - done < CHUNK ? size - done : CHUNK, err));
    return TR_OK;
}

// TR_ENOMEM leaves the connection usable: the bytes are received all the same. *bytes_p is NULL
// when there are none, else followed by a 0 that is not counted.
static enum tr_status receive_message(struct world *world, int from, int tag,
                                      enum tr_status *status_p, void **bytes_p, size_t *size_p,
                                      struct tr_err *err) {
    struct header header;
    TR_TRY(receive_piece(world, from, tag, &header, sizeof header, err));
    char *bytes = NULL;
    enum tr_status status = TR_OK;
    if (header.size > 0)
        status = TR_NEW(&bytes, header.size + 1, "a message between ranks", err);
    for (size_t done = 0; done < header.size; done += CHUNK) {
        size_t size = header.size - done < CHUNK ? header.size - done : CHUNK;
        char *to = bytes ? bytes + done : world->scratch;
        enum tr_status received = receive_piece(world, from, tag + 1, to, size, err);
        if (received != TR_OK) {
            free(bytes);
            return received;
        }
    }
    TR_TRY(status);
    *status_p = (enum tr_status)header.status;
    *bytes_p = bytes;
    *size_p = header.size;
    return TR_OK;
}

// ---- rank 0's service ------------------------------------------------------------------------

static enum tr_status answer_one(struct world *world, int from, struct tr_err *err) {
    void *request = NULL, *answer = NULL;
    size_t size = 0, answer_size = 0;
    enum tr_status unused;
    enum tr_status status =
        receive_message(world, from, TAG_REQUEST, &unused, &request, &size, err);
    if (status == TR_ENVIRONMENT)
        return status; // not received at all
    if (status == TR_OK)
        status =
            dist_host_answer(&world->dist.host, from, request, size, &answer, &answer_size, err);
    free(request);
    if (status != TR_OK)
        return send_message(world, from, TAG_ANSWER, status, err->text, strlen(err->text), err);
    status = send_message(world, from, TAG_ANSWER, TR_OK, answer, answer_size, err);
    free(answer);
    return status;
}

// Answers a request if one has come, and returns whether one had.
static bool serve_once(struct world *world) {
    int waiting = 0;
    MPI_Status probe;
    struct tr_err err;
    int code = MPI_Iprobe(MPI_ANY_SOURCE, TAG_REQUEST, world->comm, &waiting, &probe);
    enum tr_status status = check(code, "looking for requests", &err);
    if (status == TR_OK && waiting)
        status = answer_one(world, probe.MPI_SOURCE, &err);
    // Ranks that wait for an answer which can't be sent would wait forever.
    if (status != TR_OK)
        dist_abort(&world->dist, 3);
    dist_host_tick(&world->dist.host);
    return waiting;
}

static void *serve(void *argument) {
    struct world *world = argument;
    double seconds = busy_nap;
    while (!atomic_load(&world->stop)) {
        if (serve_once(world))
            seconds = busy_nap;
        else
            nap(&seconds, idle_nap);
    }
    return NULL;
}

static enum tr_status start_server(struct world *world, const struct dist_service *service,
                                   struct tr_err *err) {
    dist_host_init(&world->dist.host, service);
    atomic_store(&world->stop, false);
    if (!world->threads || pthread_create(&world->server, NULL, serve, world) == 0)
        return TR_OK;
    dist_host_destroy(&world->dist.host);
    return tr_fail(err, TR_ENVIRONMENT, "cannot start the thread that answers the other ranks");
}

static void stop_server(struct world *world) {
    atomic_store(&world->stop, true);
    if (world->threads)
        pthread_join(world->server, NULL);
    dist_host_destroy(&world->dist.host);
}

// The agreement also makes a fast rank wait, so that its first request does not reach a service
// that is just being ended.
static enum tr_status serve_begin(struct dist *dist, const struct dist_service *service,
                                  bool *computes_p, struct tr_err *err) {
    struct world *world = (struct world *)dist;
    enum tr_status status = TR_OK;
    if (dist->rank == 0)
        status = start_server(world, service, err);
    if (!dist_all_ok(dist, status == TR_OK)) {
        if (status != TR_OK)
            return status;
        if (dist->rank == 0)
            stop_server(world);
        return tr_fail(err, TR_ENVIRONMENT, "rank 0 cannot answer the other ranks");
    }
    *computes_p = dist->rank != 0 || world->threads || dist->size == 1;
    return TR_OK;
}

static enum tr_status request_answer(struct dist *dist, const void *request, size_t size,
                                     void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    struct world *world = (struct world *)dist;
    if (dist->rank == 0) {
        enum tr_status status =
            dist_host_answer(&world->dist.host, 0, request, size, answer_p, answer_size_p, err);
        if (!world->threads)
            dist_host_tick(&world->dist.host);
        return status;
    }
    enum tr_status status;
    void *answer;
    size_t answer_size;
    TR_TRY(send_message(world, 0, TAG_REQUEST, TR_OK, request, size, err));
    TR_TRY(receive_message(world, 0, TAG_ANSWER, &status, &answer, &answer_size, err));
    if (status != TR_OK) {
        tr_fail(err, status, "%s", (const char *)answer);
        free(answer);
        return status;
    }
    *answer_p = answer;
    *answer_size_p = answer_size;
    return TR_OK;
}

// A barrier ends the service: a rank that has entered it waits for no more answers.
static void serve_end(struct dist *dist) {
    struct world *world = (struct world *)dist;
    MPI_Request barrier;
    bool serves_here = dist->rank == 0 && !world->threads;
    int here = 0;
    int code = MPI_Ibarrier(world->comm, &barrier);
    double seconds = busy_nap;
    while (code == MPI_SUCCESS && !here) {
        if (serves_here && serve_once(world))
            seconds = busy_nap;
        else
            nap(&seconds, idle_nap);
        code = MPI_Test(&barrier, &here, MPI_STATUS_IGNORE);
    }
    if (dist->rank == 0)
        stop_server(world);
}

static const struct dist_calls world_calls = {
    .close = close_world,
    .abort = abort_world,
    .broadcast = broadcast,
    .maximum = maximum,
    .node_alike = node_alike,
    .serve_begin = serve_begin,
    .request = request_answer,
    .serve_end = serve_end,
};

// MPI is not given the command line: Open MPI would put it into one environment variable, which is
// too short for thousands of paths.
enum tr_status dist_open_mpi(struct dist **dist_p, struct tr_err *err) {
    int provided = MPI_THREAD_SINGLE;
    TR_TRY(check(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided), "starting", err));
    struct world *world;
    TR_TRY(TR_NEW(&world, 1, "communicator", err));
    world->dist.calls = &world_calls;
    world->comm = world->node = MPI_COMM_NULL;
    world->threads = provided == MPI_THREAD_MULTIPLE;
    enum tr_status status;
    TR_GO(status, TR_NEW(&world->scratch, CHUNK, "communicator", err), fail);
    TR_GO(status, find_places(world, err), fail);
    *dist_p = &world->dist;
    return TR_OK;
fail:
    close_world(&world->dist);
    return status;
}

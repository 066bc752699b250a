// SPDX-License-Identifier: Apache-2.0
// The reader thread and its ring of slabs. One mutex guards everything; the thread holds it
// except while it reads from disk.
#include "model/slab_reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "loaded.h"
#include "slab_fill.h"

// A device goes through a table's panels faster than they are read: its ring has room for them and
// for the first layer, so that they are there when the checkpoint before ends.
enum { HOST_RING = 2, DEVICE_RING_LEAST = 3, DEVICE_RING = 10, DEVICE_READERS = 4 };
static const size_t DEVICE_RING_BYTES = (size_t)4 << 30;

enum job_state { QUEUED, READING, FAILED, READ };

// One pushed checkpoint. After READING has begun, `opened` is fixed.
struct job {
    char *folder;
    struct tr_wanted wanted;
    enum job_state state;
    bool cancelled; // the consumer wants no more of it
    struct tr_opened opened;
    char weights_digest[TR_DIGEST_MAX];
    struct tr_err err; // when FAILED
    struct job *next;
};

struct ring_entry {
    struct tr_slab slab;
    uint64_t capacity;     // of slab.memory
    const struct job *job; // whose slab it is; NULL: free
};

struct tr_slab_reader {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closing;
    struct job *first, *last;  // pushed and not ended; the first is the consumer's
    struct kn_backend *device; // that gives the ring's memory; NULL: the host's own
    struct ring_entry ring[DEVICE_RING];
    uint64_t entries;                 // of the ring
    size_t slab_bytes;                // of each of them on a device
    uint64_t filled, taken, released; // slabs put into, taken from and given back to the ring, ever
    int64_t consumed;                 // slabs of the first job that the consumer has taken
    double waited;
    struct tr_filler *filler;
};

static void free_job(struct job *job) {
    tr_opened_close(&job->opened);
    free(job->folder);
    free(job);
}

static void set_state(struct tr_slab_reader *reader, struct job *job, enum job_state state) {
    job->state = state;
    pthread_cond_broadcast(&reader->changed);
}

// Waits for room in the ring. False when the job is not wanted any more.
static bool wait_for_room(struct tr_slab_reader *reader, const struct job *job) {
    while (!reader->closing && !job->cancelled &&
           reader->ring[reader->filled % reader->entries].job)
        pthread_cond_wait(&reader->changed, &reader->mutex);
    return !reader->closing && !job->cancelled;
}

static void free_memory(struct tr_slab_reader *reader, struct ring_entry *entry) {
    if (reader->device && entry->slab.memory)
        reader->device->ops->host_free(reader->device, entry->slab.memory);
    else
        free(entry->slab.memory);
    entry->slab.memory = NULL;
    entry->capacity = 0;
}

static enum tr_status reserve(struct tr_slab_reader *reader, struct ring_entry *entry, size_t bytes,
                              struct tr_err *err) {
    struct kn_backend *kn = reader->device;
    if (bytes <= entry->capacity)
        return TR_OK;
    free_memory(reader, entry);
    if (!kn) {
        TR_TRY(TR_NEW(&entry->slab.memory, bytes, "a slab of weights", err));
        entry->capacity = bytes;
        return TR_OK;
    }
    enum kn_status status = kn->ops->host_alloc(kn, (void **)&entry->slab.memory, bytes);
    if (status != KN_OK)
        return tr_fail(err, status == KN_ENOMEM ? TR_ENOMEM : TR_ENVIRONMENT,
                       "no %.2f GB of host memory that the device can copy from, for a slab of "
                       "weights: %s",
                       (double)bytes / 1e9, kn_status_text(status));
    entry->capacity = bytes;
    return TR_OK;
}

static enum tr_status fill_entry(struct tr_slab_reader *reader, struct job *job,
                                 struct ring_entry *entry, int64_t index) {
    const struct tr_slab_plan *plan = &job->opened.plan.slabs[index];
    // Page-locked memory is slow to take, and giving it back waits for the device: once is enough.
    size_t bytes = reader->device ? reader->slab_bytes : plan->bytes;
    TR_TRY(reserve(reader, entry, bytes, &job->err));
    entry->slab.plan = plan;
    const struct tr_slab_plan *ahead = index + 1 < job->opened.plan.count ? plan + 1 : NULL;
    for (uint64_t i = 0; ahead && i < ahead->placement_count; i++)
        tr_checkpoint_will_read(job->opened.checkpoint, ahead->placements[i].tensor);
    return tr_filler_fill(reader->filler, job->opened.checkpoint, plan, entry->slab.memory,
                          &job->err);
}

static bool is_empty(const struct tr_slab_reader *reader) {
    uint64_t i = 0;
    while (i < reader->entries && !reader->ring[i].job)
        i++;
    return i == reader->entries;
}

// Makes a device's ring one of larger slabs, fewer in as many bytes, when the job has such; waits
// until it is empty. False when the job is not wanted any more.
static bool fit_ring(struct tr_slab_reader *reader, const struct job *job) {
    size_t largest = job->opened.plan.largest;
    if (!reader->device || largest <= reader->slab_bytes)
        return true;
    while (!reader->closing && !job->cancelled && !is_empty(reader))
        pthread_cond_wait(&reader->changed, &reader->mutex);
    if (reader->closing || job->cancelled)
        return false;
    for (uint64_t i = 0; i < reader->entries; i++)
        free_memory(reader, &reader->ring[i]);
    uint64_t fitting = reader->entries * reader->slab_bytes / largest;
    reader->entries = fitting > DEVICE_RING_LEAST ? fitting : DEVICE_RING_LEAST;
    reader->slab_bytes = largest;
    reader->filled = reader->taken = reader->released = 0;
    return true;
}

// Goes on with the slabs that a device's ring has when there is no memory for one more. Only in the
// first round through the ring, where slab s is in entry s, also of the shorter one.
static bool shorten_ring(struct tr_slab_reader *reader, const struct ring_entry *failed) {
    if (!reader->device || failed->slab.memory || reader->filled >= reader->entries ||
        reader->filled < DEVICE_RING_LEAST)
        return false;
    reader->entries = reader->filled;
    *reader->device->error = '\0'; // not of what comes
    return true;
}

// When all has been read: whether it is of the files that were opened, and its digest.
static enum tr_status conclude(struct tr_slab_reader *reader, struct job *job) {
    TR_TRY(tr_checkpoint_unchanged(job->opened.checkpoint, &job->err));
    return tr_filler_digest(reader->filler, job->weights_digest, &job->err);
}

// Reads one job's slabs into the ring. Called with the mutex held, which is released while reading.
static void read_slabs(struct tr_slab_reader *reader, struct job *job) {
    enum tr_status status = TR_OK;
    bool wanted = fit_ring(reader, job);
    for (int64_t i = 0; i < job->opened.plan.count && status == TR_OK;) {
        if (!wanted || !wait_for_room(reader, job)) {
            set_state(reader, job, READ);
            return;
        }
        struct ring_entry *entry = &reader->ring[reader->filled % reader->entries];
        pthread_mutex_unlock(&reader->mutex);
        status = fill_entry(reader, job, entry, i);
        if (status == TR_OK && i + 1 == job->opened.plan.count)
            status = conclude(reader, job);
        pthread_mutex_lock(&reader->mutex);
        if (status != TR_OK) {
            status = shorten_ring(reader, entry) ? TR_OK : status;
            continue;
        }
        entry->job = job;
        reader->filled++;
        i++;
        pthread_cond_broadcast(&reader->changed);
    }
    set_state(reader, job, status == TR_OK ? READ : FAILED);
}

static void run_job(struct tr_slab_reader *reader, struct job *job) {
    pthread_mutex_unlock(&reader->mutex);
    enum tr_status status = tr_opened_open(&job->opened, job->folder, &job->wanted, &job->err);
    tr_filler_start(reader->filler);
    pthread_mutex_lock(&reader->mutex);
    set_state(reader, job, status == TR_OK ? READING : FAILED);
    if (status == TR_OK)
        read_slabs(reader, job);
}

static struct job *next_queued(const struct tr_slab_reader *reader) {
    struct job *job = reader->first;
    while (job && job->state != QUEUED)
        job = job->next;
    return job;
}

static void *reader_main(void *argument) {
    struct tr_slab_reader *reader = argument;
    pthread_mutex_lock(&reader->mutex);
    while (!reader->closing) {
        struct job *job = next_queued(reader);
        if (job)
            run_job(reader, job);
        else
            pthread_cond_wait(&reader->changed, &reader->mutex);
    }
    pthread_mutex_unlock(&reader->mutex);
    return NULL;
}

int64_t tr_slab_reader_least(const struct kn_backend *kn) {
    return !kn || kn->unified ? HOST_RING : DEVICE_RING_LEAST;
}

int64_t tr_slab_reader_most(const struct kn_backend *kn, size_t largest) {
    if (!kn || kn->unified)
        return HOST_RING;
    size_t fitting = largest ? DEVICE_RING_BYTES / largest : 0;
    if (fitting < DEVICE_RING_LEAST)
        return DEVICE_RING_LEAST;
    return fitting < DEVICE_RING ? (int64_t)fitting : DEVICE_RING;
}

enum tr_status tr_slab_reader_open(struct tr_slab_reader **reader_p, struct kn_backend *kn,
                                   size_t largest, int64_t slabs, struct tr_err *err) {
    struct tr_slab_reader *reader;
    TR_TRY(TR_NEW(&reader, 1, "the reader", err));
    reader->device = kn && !kn->unified ? kn : NULL;
    reader->entries = (uint64_t)(slabs ? slabs : tr_slab_reader_least(kn));
    reader->slab_bytes = largest;
    int readers = reader->device ? DEVICE_READERS : 1;
    enum tr_status status = tr_filler_new(&reader->filler, readers, err);
    if (status != TR_OK) {
        free(reader);
        return status;
    }
    pthread_mutex_init(&reader->mutex, NULL);
    pthread_cond_init(&reader->changed, NULL);
    if (pthread_create(&reader->thread, NULL, reader_main, reader)) {
        pthread_cond_destroy(&reader->changed);
        pthread_mutex_destroy(&reader->mutex);
        tr_filler_free(reader->filler);
        free(reader);
        return tr_fail(err, TR_ENVIRONMENT, "cannot start the reader thread");
    }
    *reader_p = reader;
    return TR_OK;
}

enum tr_status tr_slab_reader_push(struct tr_slab_reader *reader, const char *folder,
                                   const struct tr_wanted *wanted, struct tr_err *err) {
    struct job *job;
    TR_TRY(TR_NEW(&job, 1, "a checkpoint to read", err));
    enum tr_status status = tr_strdup(&job->folder, folder, err);
    if (status != TR_OK) {
        free(job);
        return status;
    }
    job->wanted = *wanted;
    pthread_mutex_lock(&reader->mutex);
    if (reader->last)
        reader->last->next = job;
    else
        reader->first = job;
    reader->last = job;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->mutex);
    return TR_OK;
}

// Takes the first job off the list; the thread must have left it.
static void drop_first(struct tr_slab_reader *reader) {
    struct job *job = reader->first;
    TR_ASSERT(job->state == READ || job->state == FAILED);
    // Removes the slabs of this job that nobody took from the ring.
    reader->taken = reader->filled;
    for (uint64_t i = 0; i < reader->entries; i++)
        if (reader->ring[i].job == job)
            reader->ring[i].job = NULL;
        else if (reader->ring[i].job)
            reader->taken--;
    reader->released = reader->taken;
    reader->first = job->next;
    if (!reader->first)
        reader->last = NULL;
    reader->consumed = 0;
    free_job(job);
    pthread_cond_broadcast(&reader->changed);
}

enum tr_status tr_slab_reader_begin(struct tr_slab_reader *reader, struct tr_loaded *loaded,
                                    struct tr_err *err) {
    double start = tr_now();
    pthread_mutex_lock(&reader->mutex);
    struct job *job = reader->first;
    TR_ASSERT(job != NULL); // a checkpoint was pushed and is not ended
    while (job->state == QUEUED)
        pthread_cond_wait(&reader->changed, &reader->mutex);
    reader->waited += tr_now() - start;
    enum tr_status status = TR_OK;
    if (job->state == FAILED && job->opened.plan.count == 0) { // failed to open
        *err = job->err;
        status = job->err.code;
        drop_first(reader);
    } else {
        *loaded = job->opened.loaded;
    }
    pthread_mutex_unlock(&reader->mutex);
    return status;
}

const struct tr_weight_plan *tr_slab_reader_plan(struct tr_slab_reader *reader) {
    TR_ASSERT(reader->first && reader->first->state != QUEUED);
    return &reader->first->opened.plan;
}

void tr_slab_reader_release(struct tr_slab_reader *reader) {
    pthread_mutex_lock(&reader->mutex);
    TR_ASSERT(reader->released < reader->taken);
    reader->ring[reader->released++ % reader->entries].job = NULL;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->mutex);
}

// Whether the begun checkpoint's next slab is in the ring. Behind the slabs of a checkpoint that
// failed, those of the next one may stand there.
static bool has_slab(const struct tr_slab_reader *reader) {
    return reader->taken < reader->filled &&
           reader->ring[reader->taken % reader->entries].job == reader->first;
}

// Whether the consumer has nothing to wait for: a slab, a failure or the checkpoint's end.
static bool is_ready(const struct tr_slab_reader *reader) {
    const struct job *job = reader->first;
    return has_slab(reader) || reader->consumed == job->opened.plan.count || job->state == FAILED;
}

bool tr_slab_reader_ready(struct tr_slab_reader *reader) {
    pthread_mutex_lock(&reader->mutex);
    bool ready = is_ready(reader);
    pthread_mutex_unlock(&reader->mutex);
    return ready;
}

enum tr_status tr_slab_reader_next(struct tr_slab_reader *reader, const struct tr_slab **slab_p,
                                   struct tr_err *err) {
    double start = tr_now();
    pthread_mutex_lock(&reader->mutex);
    struct job *job = reader->first;
    TR_ASSERT(job && job->state != QUEUED); // begun
    TR_ASSERT(reader->consumed == job->opened.plan.count ||
              reader->taken - reader->released < reader->entries); // else none ever comes
    while (!is_ready(reader))
        pthread_cond_wait(&reader->changed, &reader->mutex);
    enum tr_status status = TR_OK;
    if (reader->consumed == job->opened.plan.count) {
        *slab_p = NULL;
    } else if (has_slab(reader)) {
        *slab_p = &reader->ring[reader->taken++ % reader->entries].slab;
        reader->consumed++;
    } else {
        *err = job->err;
        status = job->err.code;
    }
    reader->waited += tr_now() - start;
    pthread_mutex_unlock(&reader->mutex);
    return status;
}

void tr_slab_reader_end(struct tr_slab_reader *reader, char weights_digest[TR_DIGEST_MAX]) {
    pthread_mutex_lock(&reader->mutex);
    struct job *job = reader->first;
    TR_ASSERT(job && job->state != QUEUED); // begun
    for (; reader->released < reader->taken; reader->released++)
        reader->ring[reader->released % reader->entries].job = NULL;
    job->cancelled = true;
    pthread_cond_broadcast(&reader->changed);
    while (job->state != READ && job->state != FAILED)
        pthread_cond_wait(&reader->changed, &reader->mutex);
    strcpy(weights_digest, reader->consumed == job->opened.plan.count ? job->weights_digest : "");
    drop_first(reader);
    pthread_mutex_unlock(&reader->mutex);
}

int64_t tr_slab_reader_slabs(struct tr_slab_reader *reader) {
    pthread_mutex_lock(&reader->mutex);
    int64_t slabs = (int64_t)reader->entries;
    pthread_mutex_unlock(&reader->mutex);
    return slabs;
}

double tr_slab_reader_waited(const struct tr_slab_reader *reader) {
    return reader->waited;
}

void tr_slab_reader_close(struct tr_slab_reader *reader) {
    if (!reader)
        return;
    pthread_mutex_lock(&reader->mutex);
    reader->closing = true;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->mutex);
    pthread_join(reader->thread, NULL);
    while (reader->first) {
        struct job *job = reader->first;
        reader->first = job->next;
        free_job(job);
    }
    for (uint64_t i = 0; i < reader->entries; i++)
        free_memory(reader, &reader->ring[i]);
    tr_filler_free(reader->filler);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->mutex);
    free(reader);
}

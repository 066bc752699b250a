// SPDX-License-Identifier: Apache-2.0
// The ring of slabs on a device: it gets shorter when page-locked memory runs out or slabs get
// larger, and what is read stays the same. A reader whose thread cannot start leaves nothing, and a
// checkpoint that changes while it is read is not taken for whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "fake_device.h"
#include "folder.h"
#include "model/slab_reader.h"

static const char small[] = "tests/series/demo/step_512", large[] = "tests/series/neox/step_512";

static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

// ---- threads and locks, counted ----------------------------------------------------------------

static bool no_threads;
static int locks; // made and not destroyed

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __real_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes);
int __real_pthread_cond_destroy(pthread_cond_t *cond);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_destroy(pthread_cond_t *cond);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument) {
    return no_threads ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes) {
    locks++;
    return __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex) {
    locks--;
    return __real_pthread_mutex_destroy(mutex);
}

int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes) {
    locks++;
    return __real_pthread_cond_init(cond, attributes);
}

int __wrap_pthread_cond_destroy(pthread_cond_t *cond) {
    locks--;
    return __real_pthread_cond_destroy(cond);
}

// ---- tests -------------------------------------------------------------------------------------

static struct tr_loaded examine(const char *folder) {
    struct tr_loaded loaded;
    OK(tr_loaded_examine(&loaded, folder, &(struct tr_wanted){.head = true}, &err));
    return loaded;
}

// Reads the oldest pushed checkpoint with two slabs held at a time; its digest.
static enum tr_status drain(struct tr_slab_reader *reader, char digest[TR_DIGEST_MAX]) {
    struct tr_loaded loaded;
    const struct tr_slab *slab = NULL;
    enum tr_status status;
    OK(tr_slab_reader_begin(reader, &loaded, &err));
    int64_t taken = 0;
    while ((status = tr_slab_reader_next(reader, &slab, &err)) == TR_OK && slab)
        if (taken++)
            tr_slab_reader_release(reader);
    tr_slab_reader_end(reader, digest);
    return status;
}

// Digests of `count` checkpoints by a reader that has one slab after the other in the host's
// memory.
static void digests_of(const char *const *folders, int count, char digests[][TR_DIGEST_MAX]) {
    struct tr_slab_reader *reader;
    OK(tr_slab_reader_open(&reader, NULL, 0, 0, &err));
    for (int i = 0; i < count; i++)
        OK(tr_slab_reader_push(reader, folders[i], &(struct tr_wanted){.head = true}, &err));
    for (int i = 0; i < count; i++)
        OK(drain(reader, digests[i]));
    tr_slab_reader_close(reader);
}

// Reads the checkpoints through a ring of 10 slabs, of which `limit` bytes are to be had; how many
// slabs it has in the end.
static int64_t slabs_after(const char *const *folders, int count, size_t limit) {
    enum { SLABS = 10, MOST = 4 };
    char expected[MOST][TR_DIGEST_MAX], digest[TR_DIGEST_MAX];
    struct kn_backend *kn = fake_device_open(FAKE_LATE_ALL);
    struct tr_slab_reader *reader;
    assert_non_null(kn);
    digests_of(folders, count, expected);
    fake_device_limit_host(kn, limit);
    OK(tr_slab_reader_open(&reader, kn, examine(folders[0]).largest_slab, SLABS, &err));
    for (int i = 0; i < count; i++)
        OK(tr_slab_reader_push(reader, folders[i], &(struct tr_wanted){.head = true}, &err));
    for (int i = 0; i < count; i++) {
        OK(drain(reader, digest));
        assert_string_equal(digest, expected[i]);
    }
    int64_t slabs = tr_slab_reader_slabs(reader);
    tr_slab_reader_close(reader);
    kn->ops->close(kn);
    return slabs;
}

static void the_ring_has_what_memory_there_is(void **state) {
    (void)state;
    const char *const folders[] = {small, small, small};
    size_t slab = examine(small).largest_slab;
    assert_true(examine(small).slabs > 10);
    assert_int_equal(slabs_after(folders, 3, SIZE_MAX), 10);
    for (size_t slabs = 3; slabs <= 10; slabs++)
        assert_int_equal(slabs_after(folders, 3, slabs * slab + slab / 2), slabs);
}

static void fewer_than_three_slabs_are_an_error(void **state) {
    (void)state;
    char digest[TR_DIGEST_MAX];
    struct kn_backend *kn = fake_device_open(FAKE_LATE_ALL);
    struct tr_slab_reader *reader;
    size_t slab = examine(small).largest_slab;
    assert_non_null(kn);
    fake_device_limit_host(kn, 3 * slab - 1);
    OK(tr_slab_reader_open(&reader, kn, slab, 10, &err));
    OK(tr_slab_reader_push(reader, small, &(struct tr_wanted){.head = true}, &err));
    assert_int_equal(drain(reader, digest), TR_ENOMEM);
    assert_non_null(strstr(err.text, "of host memory that the device can copy from"));
    tr_slab_reader_close(reader);
    kn->ops->close(kn);
}

// As many bytes as before, but never fewer than three slabs.
static void larger_slabs_are_fewer(void **state) {
    (void)state;
    const char *const folders[] = {small, large, small, large};
    size_t from = examine(small).largest_slab, to = examine(large).largest_slab;
    size_t fitting = 10 * from / to;
    assert_true(to > from);
    fitting = fitting > 3 ? fitting : 3;
    assert_int_equal(slabs_after(folders, 4, SIZE_MAX), fitting);
    assert_int_equal(slabs_after(folders, 4, fitting * to > 10 * from ? fitting * to : 10 * from),
                     fitting);
}

static void without_a_thread_there_is_no_reader(void **state) {
    (void)state;
    struct tr_slab_reader *reader = NULL;
    locks = 0;
    no_threads = true;
    assert_int_equal(tr_slab_reader_open(&reader, NULL, 0, 0, &err), TR_ENVIRONMENT);
    no_threads = false;
    assert_string_equal(err.text, "cannot start the reader thread");
    assert_null(reader);
    assert_int_equal(locks, 0);
}

static void copy_file(const char *folder, const char *name) {
    char path[FOLDER_PATH];
    char *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/%s", small, name);
    OK(tr_file_load(path, 1 << 24, &bytes, &size, &err));
    snprintf(path, sizeof path, "%.400s/%s", folder, name);
    write_file(path, bytes, size);
    free(bytes);
}

// Overwrites a byte of the file with itself, as a trainer that saves again would.
static void overwrite(const char *folder, const char *name) {
    char path[FOLDER_PATH], byte;
    snprintf(path, sizeof path, "%.400s/%s", folder, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fread(&byte, 1, 1, file), 1);
    rewind(file);
    assert_int_equal(fwrite(&byte, 1, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

// The reader is ahead by a ring at most: what changes before the last slab is read is seen.
static void a_checkpoint_that_changes_is_not_read_to_its_end(void **state) {
    (void)state;
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char digest[TR_DIGEST_MAX], name[32], expected[FOLDER_PATH + 64];
        struct tr_slab_reader *reader;
        struct tr_loaded loaded;
        const struct tr_slab *slab;
        snprintf(name, sizeof name, "changing%d", i);
        char *folder = make_folder(name);
        copy_file(folder, "config.json");
        copy_file(folder, "model.safetensors");
        OK(tr_slab_reader_open(&reader, NULL, 0, 0, &err));
        OK(tr_slab_reader_push(reader, folder, &(struct tr_wanted){.head = true}, &err));
        OK(tr_slab_reader_begin(reader, &loaded, &err));
        OK(tr_slab_reader_next(reader, &slab, &err));
        struct timespec tick = {.tv_nsec = 20000000}; // longer than times of files are fine
        nanosleep(&tick, NULL);
        overwrite(folder, files[i]);
        enum tr_status status = TR_OK;
        while (status == TR_OK && slab) {
            tr_slab_reader_release(reader);
            status = tr_slab_reader_next(reader, &slab, &err);
        }
        assert_int_equal(status, TR_EIO);
        snprintf(expected, sizeof expected, "%.400s/%s changed while it was read", folder,
                 files[i]);
        assert_string_equal(err.text, expected);
        tr_slab_reader_end(reader, digest);
        assert_string_equal(digest, "");
        tr_slab_reader_close(reader);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ring_has_what_memory_there_is),
        cmocka_unit_test(fewer_than_three_slabs_are_an_error),
        cmocka_unit_test(larger_slabs_are_fewer),
        cmocka_unit_test(without_a_thread_there_is_no_reader),
        cmocka_unit_test(a_checkpoint_that_changes_is_not_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}

// SPDX-License-Identifier: Apache-2.0
#include "hdf5_util.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zstd_filter.h"

enum { TR_CAUSE_MAX = 256 };

static struct {
    pthread_mutex_t lock;
    bool ready, broken, started;
    char cause[TR_CAUSE_MAX]; // what the system said last of a call that failed, or empty
    hid_t string_type;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local int entered; // how often this thread has

// A file that could not be flushed would be flushed again at exit, from memory that is gone: hence
// H5dont_atexit, which may come too late where the program itself called HDF5 before.
static bool start(void) {
    H5dont_atexit();
    library.string_type = H5Tcopy(H5T_C_S1);
    return library.string_type >= 0 && H5Zregister(&tr_zstd_class) >= 0 &&
           H5Tset_size(library.string_type, H5T_VARIABLE) >= 0 &&
           H5Tset_cset(library.string_type, H5T_CSET_UTF8) >= 0;
}

void tr_hdf5_enter(void) {
    if (!entered++)
        pthread_mutex_lock(&library.lock);
    if (!library.ready) {
        library.started = start();
        library.ready = true;
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); // per thread where HDF5 is thread-safe
}

void tr_hdf5_leave(void) {
    if (!--entered)
        pthread_mutex_unlock(&library.lock);
}

// The lock may be held by a thread that the child does not have.
void tr_hdf5_forked(void) {
    library.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    entered = 0;
}

void tr_hdf5_close_failed(void) {
    library.broken = true;
}

enum tr_status tr_hdf5_usable(struct tr_err *err) {
    if (!library.started)
        return tr_fail(err, TR_ENVIRONMENT, "the HDF5 library cannot be started");
    if (!library.broken)
        return TR_OK;
    return tr_fail(err, TR_EIO,
                   "files can be neither read nor written any more: one could not be "
                   "closed, for it could not be written%s%s",
                   *library.cause ? ": " : "", library.cause);
}

struct cause {
    char text[TR_CAUSE_MAX];
    bool from_system;
};

// HDF5 quotes strerror as "..., error message = 'No space left on device', ...".
static herr_t find_cause(unsigned depth, const H5E_error2_t *error, void *user) {
    struct cause *cause = user;
    const char *quoted = error->desc ? strstr(error->desc, "error message = '") : NULL;
    if (quoted && !cause->from_system) {
        quoted += strlen("error message = '");
        snprintf(cause->text, sizeof cause->text, "%.*s", (int)strcspn(quoted, "'"), quoted);
        cause->from_system = true;
    } else if (depth == 0 && error->desc) {
        snprintf(cause->text, sizeof cause->text, "%s", error->desc);
    }
    return 0;
}

enum tr_status tr_hdf5_fail(struct tr_err *err, enum tr_status code, const char *format, ...) {
    struct cause cause = {.text = "HDF5 gives no reason"};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_cause, &cause);
    char sentence[TR_ERR_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (cause.from_system)
        strcpy(library.cause, cause.text);
    return tr_fail(err, cause.from_system ? TR_EIO : code, "%s: %s", sentence, cause.text);
}

hid_t tr_hdf5_access(void) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    bool ok = access >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
              H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0;
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERSION_GE(1, 12, 0) && !H5_VERSION_GE(1, 12, 1))
    ok = ok && H5Pset_file_locking(access, false, true) >= 0;
#endif
    if (ok)
        return access;
    if (access >= 0)
        H5Pclose(access); // the failure is reported as it is
    return H5I_INVALID_HID;
}

enum tr_status tr_hdf5_close(enum tr_status status, herr_t (*close)(hid_t), hid_t id,
                             const char *name, const char *path, struct tr_err *err) {
    bool closed = id <= 0 || close(id) >= 0;
    if (status != TR_OK || closed)
        return status;
    return tr_hdf5_fail(err, TR_EIO, "closing %s of %s failed", name, path);
}

hid_t tr_hdf5_string_type(void) {
    return library.string_type;
}

hid_t tr_hdf5_file_type(enum tr_value_type type) {
    const hid_t types[] = {H5T_IEEE_F64LE, H5T_IEEE_F32LE, H5T_STD_U32LE,
                           H5T_STD_I64LE,  H5T_STD_U8LE,   library.string_type};
    return types[type];
}

hid_t tr_hdf5_memory_type(enum tr_value_type type) {
    const hid_t types[] = {H5T_NATIVE_DOUBLE, H5T_NATIVE_FLOAT, H5T_NATIVE_UINT32,
                           H5T_NATIVE_INT64,  H5T_NATIVE_UINT8, library.string_type};
    return types[type];
}

static enum tr_status put(hid_t object, const char *path, const char *name, hid_t file_type,
                          hid_t memory_type, hid_t space, const void *values, struct tr_err *err) {
    hid_t attribute =
        space < 0 ? space : H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    enum tr_status status = TR_OK;
    if (attribute < 0 || H5Awrite(attribute, memory_type, values) < 0)
        status = tr_hdf5_fail(err, TR_EIO, "writing the attribute %s of %s failed", name, path);
    status = tr_hdf5_close(status, H5Aclose, attribute, name, path, err);
    return tr_hdf5_close(status, H5Sclose, space, name, path, err);
}

enum tr_status tr_hdf5_put_text(hid_t object, const char *path, const char *name, const char *text,
                                struct tr_err *err) {
    hid_t type = library.string_type;
    return put(object, path, name, type, type, H5Screate(H5S_SCALAR), &text, err);
}

enum tr_status tr_hdf5_put_values(hid_t object, const char *path, const char *name,
                                  enum tr_value_type type, int64_t count, const void *values,
                                  struct tr_err *err) {
    hsize_t size = (hsize_t)count;
    return put(object, path, name, tr_hdf5_file_type(type), tr_hdf5_memory_type(type),
               H5Screate_simple(1, &size, NULL), values, err);
}

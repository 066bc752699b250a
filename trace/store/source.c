// SPDX-License-Identifier: Apache-2.0
// The file driver that reads for HDF5, and the opening of what it reads.
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hdf5_util.h"
#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif

// What is taken for a trace and is none, by its first bytes.
static const char *other_kind(const char start[8]) {
    static const struct {
        const char *start;
        size_t length;
        const char *kind;
    } kinds[] = {
        {"CDF\1", 4, "a netCDF-3 file; xarray writes a trace with format=\"NETCDF4\""},
        {"CDF\2", 4, "a netCDF-3 file; xarray writes a trace with format=\"NETCDF4\""},
        {"CDF\5", 4, "a netCDF-5 file; xarray writes a trace with format=\"NETCDF4\""},
        {"\x1f\x8b", 2, "compressed with gzip; unpack it"},
        {"\x28\xb5\x2f\xfd", 4, "compressed with zstd; unpack it"},
        {"\xfd"
         "7zXZ",
         5, "compressed with xz; unpack it"},
        {"BZh", 3, "compressed with bzip2; unpack it"},
        {"PK\3\4", 4, "a ZIP archive"},
        {"version ", 8, "a placeholder of Git LFS; git lfs pull fetches the file itself"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!memcmp(start, kinds[i].start, kinds[i].length))
            return kinds[i].kind;
    return NULL;
}

static enum tr_status refuse_other(const struct tr_source *source, uint64_t size,
                                   struct tr_err *err) {
    char start[8] = "";
    TR_TRY(tr_file_read_at(source->fd, source->path, 0, start, size < 8 ? (size_t)size : 8, err));
    const char *kind = size ? other_kind(start) : "an empty file";
    return kind ? tr_fail(err, TR_EFORMAT, "%s is not a trace: it is %s", source->path, kind)
                : TR_OK;
}

static enum tr_status examine(struct tr_source *source, struct tr_err *err) {
    struct stat about;
    if (fstat(source->fd, &about))
        return tr_fail(err, TR_EIO, "cannot examine %s: %s", source->path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return tr_fail(err, TR_EFORMAT, "%s is not a regular file", source->path);
    TR_TRY(refuse_other(source, (uint64_t)about.st_size, err));
    return tr_seal_load(&source->seal, source->fd, source->path, (uint64_t)about.st_size, err);
}

enum tr_status tr_source_open(struct tr_source *source, const char *path, struct tr_err *err) {
    // A pipe without a writer would not be opened before there is one.
    *source = (struct tr_source){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (source->fd < 0)
        return tr_fail(err, TR_EIO, "cannot open %s: %s", path, strerror(errno));
    enum tr_status status = examine(source, err);
    if (status != TR_OK)
        tr_source_close(source);
    return status;
}

void tr_source_close(struct tr_source *source) {
    if (source->fd >= 0)
        close(source->fd); // nothing was written
    tr_seal_free(&source->seal);
    source->fd = -1;
}

enum tr_status tr_source_check(struct tr_source *source, struct tr_err *err) {
    struct tr_err cause = {0};
    enum tr_status status =
        tr_seal_check(&source->seal, source->fd, source->path, 0, source->seal.size, &cause);
    if (status == TR_EFORMAT)
        return tr_fail(err, status, "%s is damaged: %s", source->path, cause.text);
    return status == TR_OK ? TR_OK : tr_fail(err, status, "%s", cause.text);
}

// ---- the driver ------------------------------------------------------------------------------

struct file {
    H5FD_t base; // HDF5's own part
    struct tr_source *source;
};

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t limit) {
    (void)name, (void)limit;
    struct tr_source *const *source = H5Pget_driver_info(access);
    struct file *file = source && !(flags & H5F_ACC_RDWR) ? calloc(1, sizeof *file) : NULL;
    if (!file)
        return NULL;
    file->source = *source;
    return &file->base;
}

static herr_t close_file(H5FD_t *base) {
    free(base);
    return 0;
}

static herr_t query(const H5FD_t *base, unsigned long *flags) {
    (void)base;
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE;
    return 0;
}

static haddr_t get_end(const H5FD_t *base, H5FD_mem_t type) {
    (void)type;
    return ((const struct file *)base)->source->end;
}

static herr_t set_end(H5FD_t *base, H5FD_mem_t type, haddr_t end) {
    (void)type;
    ((struct file *)base)->source->end = end;
    return 0;
}

static haddr_t get_size(const H5FD_t *base, H5FD_mem_t type) {
    (void)type;
    return ((const struct file *)base)->source->seal.size;
}

// As HDF5's own drivers do: what is behind the end reads as 0.
static enum tr_status read_bytes(struct tr_source *source, uint64_t at, void *to, size_t size,
                                 struct tr_err *err) {
    uint64_t there = at < source->seal.size ? source->seal.size - at : 0;
    size_t part = size < there ? size : (size_t)there;
    TR_TRY(tr_seal_check(&source->seal, source->fd, source->path, at, part, err));
    memset((char *)to + part, 0, size - part);
    return tr_file_read_at(source->fd, source->path, at, to, part, err);
}

// The sentence goes onto HDF5's stack of errors, where tr_hdf5_fail finds it.
static herr_t read_file(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                        void *to) {
    (void)type, (void)transfer;
    struct tr_err err;
    enum tr_status status = read_bytes(((struct file *)base)->source, at, to, size, &err);
    if (status == TR_OK)
        return 0;
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_IO, H5E_READERROR,
             status == TR_EFORMAT ? "%s" : "error message = '%s'", err.text);
    return -1;
}

// No file is opened for writing through this driver; HDF5 wants the function.
static herr_t write_file(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                         const void *from) {
    (void)base, (void)type, (void)transfer, (void)at, (void)size, (void)from;
    return -1;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 14, 0)
    .version = H5FD_CLASS_VERSION,
    .value = H5_VFD_MAX, // of no registered driver
#endif
    .name = "trace-ckpts",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(struct tr_source *),
    .open = open_file,
    .close = close_file,
    .query = query,
    .get_eoa = get_end,
    .set_eoa = set_end,
    .get_eof = get_size,
    .read = read_file,
    .write = write_file,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

static hid_t access_through(struct tr_source *source) {
    static hid_t registered = H5I_INVALID_HID;
    if (registered < 0)
        registered = H5FDregister(&driver);
    hid_t access = registered < 0 ? registered : tr_hdf5_access();
    if (access < 0 || H5Pset_driver(access, registered, &source) >= 0)
        return access;
    H5Pclose(access); // the failure is reported as it is
    return H5I_INVALID_HID;
}

enum tr_status tr_source_hdf5(struct tr_source *source, hid_t *file_p, struct tr_err *err) {
    TR_TRY(tr_hdf5_usable(err));
    hid_t access = access_through(source);
    hid_t file = access < 0 ? access : H5Fopen(source->path, H5F_ACC_RDONLY, access);
    enum tr_status status = TR_OK;
    if (file < 0)
        status = tr_hdf5_fail(err, TR_EFORMAT, "cannot open %s as an HDF5 file", source->path);
    else
        *file_p = file;
    // HDF5 itself does not look there, and cuts it off when it writes.
    if (status == TR_OK && source->end < source->seal.size)
        status = tr_fail(err, TR_EFORMAT,
                         "cannot open %s as an HDF5 file: it is cut short or damaged, for the %llu "
                         "bytes behind its data are no seal",
                         source->path, (unsigned long long)(source->seal.size - source->end));
    return tr_hdf5_close(status, H5Pclose, access, "the properties", source->path, err);
}

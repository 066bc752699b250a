// SPDX-License-Identifier: Apache-2.0
#include "text_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "token_file.h"
#include "unpack.h"

enum { BLOCK = 1 << 20 };

static enum tr_status open_stdin(int *fd_p, struct tr_err *err) {
    if (isatty(STDIN_FILENO))
        return tr_fail(err, TR_EUSAGE,
                       "--text - reads stdin, which is a terminal; put a text into it");
    *fd_p = dup(STDIN_FILENO);
    return *fd_p >= 0 ? TR_OK : tr_fail(err, TR_EIO, "cannot open stdin: %s", strerror(errno));
}

// A file, or a pipe such as a shell's <(command). Opening does not wait for a pipe's writer, who
// may never come.
static enum tr_status open_source(int *fd_p, const char *path, struct tr_err *err) {
    struct stat info;
    if (strcmp(path, "-") == 0)
        return open_stdin(fd_p, err);
    if (stat(path, &info) || !S_ISFIFO(info.st_mode))
        return tr_file_open(path, fd_p, &info, err);
    *fd_p = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return *fd_p >= 0 ? TR_OK : tr_fail(err, TR_EIO, "cannot open %s: %s", path, strerror(errno));
}

// Whether there may be more: a pipe that has nothing yet, but a writer, is waited for from now on.
static bool is_waited_for(int fd) {
    int why = errno, flags = fcntl(fd, F_GETFL);
    bool waits = why == EAGAIN && flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
    errno = why;
    return waits;
}

static bool is_pipe(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode);
}

// All that comes, whether or not there is a size to ask for.
static enum tr_status read_all(struct tr_string *bytes, int fd, uint64_t limit, const char *path,
                               struct tr_err *err) {
    char *block;
    enum tr_status status = TR_OK;
    TR_TRY(TR_NEW(&block, BLOCK, "a text", err));
    for (ssize_t got = 1; got != 0 && status == TR_OK;) {
        got = read(fd, block, BLOCK);
        if (got < 0 && (errno == EINTR || is_waited_for(fd)))
            continue;
        if (got < 0)
            status = tr_fail(err, TR_EIO, "cannot read %s: %s", path, strerror(errno));
        else if (bytes->size + (size_t)got > limit)
            status = tr_fail(err, TR_EUSAGE, "%s has more than %llu bytes; give a part of it", path,
                             (unsigned long long)limit);
        else
            status = tr_string_append(bytes, block, (size_t)got, err);
    }
    free(block);
    if (status == TR_OK && bytes->size == 0 && strcmp(path, "-") != 0 && is_pipe(fd))
        return tr_fail(err, TR_EUSAGE, "%s is not a regular file, and nobody writes into it", path);
    return status;
}

// The name without .gz or .zst.
static enum tr_status name_source(struct tr_text_source *source, const char *path,
                                  struct tr_err *err) {
    static const char *const packed[] = {".gz", ".zst"};
    if (strcmp(path, "-") == 0)
        return tr_strdup(&source->label, "stdin", err);
    TR_TRY(tr_path_name(&source->label, path, err));
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (tr_has_extension(source->label, packed[i]))
            source->label[strlen(source->label) - strlen(packed[i])] = '\0';
    return TR_OK;
}

// A name says what it is; what has none says it by how it begins.
static bool looks_like_jsonl(const struct tr_text_source *source, int fd, const char *path) {
    struct stat info;
    bool named = strcmp(path, "-") != 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    if (named)
        return tr_has_extension(source->label, ".jsonl");
    size_t blank = strspn(source->bytes, " \t\r\n");
    return source->bytes[blank] == '{';
}

static enum tr_status load(struct tr_text_source *source, int fd, uint64_t limit, const char *path,
                           struct tr_err *err) {
    struct tr_string bytes = {0};
    enum tr_status status = read_all(&bytes, fd, limit, path, err);
    if (status == TR_OK)
        status = tr_string_append(&bytes, "", 0, err);
    if (status == TR_OK)
        status = tr_refuse_lfs_pointer(path, bytes.data, bytes.size, err);
    if (status == TR_OK && tr_packing_of(bytes.data, bytes.size) != TR_UNPACKED) {
        status = tr_unpack(&source->bytes, &source->size, bytes.data, bytes.size, limit, path, err);
    } else if (status == TR_OK) {
        source->bytes = bytes.data;
        source->size = bytes.size;
        bytes = (struct tr_string){0};
    }
    tr_string_free(&bytes);
    TR_TRY(status);
    source->is_jsonl = looks_like_jsonl(source, fd, path);
    return TR_OK;
}

enum tr_status tr_text_source_read(struct tr_text_source *source, const char *path, uint64_t limit,
                                   struct tr_err *err) {
    struct tr_text_source new = {0};
    int fd = -1;
    TR_TRY(open_source(&fd, path, err));
    enum tr_status status = name_source(&new, path, err);
    if (status == TR_OK)
        status = load(&new, fd, limit, path, err);
    if (close(fd) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot close %s: %s", path, strerror(errno));
    if (status == TR_OK)
        *source = new;
    else
        tr_text_source_free(&new);
    return status;
}

void tr_text_source_free(struct tr_text_source *source) {
    free(source->bytes);
    free(source->label);
    *source = (struct tr_text_source){0};
}

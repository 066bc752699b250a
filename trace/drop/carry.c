// SPDX-License-Identifier: Apache-2.0
#include "carry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static enum tr_status link_file(const char *from, const char *to, struct tr_err *err) {
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW))
        return tr_fail(err, TR_EIO, "cannot link %s to %s: %s", to, from, strerror(errno));
    return TR_OK;
}

enum tr_status tr_carry_file(const struct tr_drop_job *job, const char *path, const char *folder,
                             const char *name, struct tr_err *err) {
    char *to;
    TR_TRY(tr_job_goes_on(job, err));
    TR_TRY(tr_path_join(&to, folder, name, err));
    enum tr_status status = job->options->link ? link_file(path, to, err)
                                               : tr_file_copy(path, to, job->options->stop, err);
    free(to);
    return status;
}

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && !strcmp(text + size - tail, end);
}

// Weights, which would be another model's than the one that is written, and states of training.
static bool is_weights(const char *name) {
    static const char *const ends[] = {".safetensors", ".index.json", ".bin",     ".pt",
                                       ".pth",         ".ckpt",       ".msgpack", ".h5",
                                       ".gguf",        ".onnx",       ".tflite",  ".distcp"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

// Whether the file holds the tensors that are written anew, or places them.
static bool is_own(const struct tr_drop_job *job, const char *path) {
    const struct tr_checkpoint *checkpoint = job->checkpoint;
    for (int64_t t = 0; t < tr_checkpoint_tensor_count(checkpoint); t++) {
        int count;
        const struct tr_tensor *stored =
            tr_tensor_stored(tr_checkpoint_tensor(checkpoint, t), &count);
        for (int i = 0; i < count; i++)
            if (!strcmp(path, tr_checkpoint_file(checkpoint, &stored[i])))
                return true;
    }
    return ends_with(path, ".index.json");
}

static enum tr_status carry_one(const struct tr_drop_job *job, const char *name, const char *folder,
                                struct tr_string *left_out, struct tr_err *err) {
    char *path;
    struct stat info;
    if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "config.json"))
        return TR_OK;
    TR_TRY(tr_path_join(&path, job->options->source, name, err));
    enum tr_status status = TR_OK;
    if (stat(path, &info))
        status = tr_fail(err, TR_EIO, "cannot examine %s: %s", path, strerror(errno));
    else if (S_ISREG(info.st_mode) && !is_weights(name))
        status = tr_carry_file(job, path, folder, name, err);
    else if (!is_own(job, path))
        status = tr_string_format(left_out, err, "%s%s", left_out->size ? ", " : "", name);
    free(path);
    return status;
}

enum tr_status tr_carry_others(const struct tr_drop_job *job, const char *folder,
                               struct tr_string *left_out, struct tr_err *err) {
    struct dirent **entries;
    int count = scandir(job->options->source, &entries, NULL, alphasort);
    enum tr_status status = TR_OK;
    if (count < 0)
        return tr_fail(err, TR_EIO, "cannot list %s: %s", job->options->source, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == TR_OK)
            status = carry_one(job, entries[i]->d_name, folder, left_out, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

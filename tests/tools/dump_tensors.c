// SPDX-License-Identifier: Apache-2.0
// dump_tensors FOLDER [PIECE]: a line for each tensor of a checkpoint, "name dtype [shape] digest",
// the digest being that of its bytes as they are delivered, read PIECE bytes at a time (1 MiB).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "ckpt/checkpoint.h"

static enum tr_status digest_tensor(struct tr_checkpoint *checkpoint,
                                    const struct tr_tensor *tensor, char *piece, size_t size,
                                    char text[TR_DIGEST_MAX], struct tr_err *err) {
    struct tr_digest *digest;
    enum tr_status status = TR_OK;
    TR_TRY(tr_digest_new(&digest, err));
    tr_checkpoint_will_read(checkpoint, tensor);
    for (uint64_t at = 0; at < tensor->bytes && status == TR_OK; at += size) {
        size_t part = tensor->bytes - at < size ? (size_t)(tensor->bytes - at) : size;
        status = tr_checkpoint_read(checkpoint, tensor, at, piece, part, err);
        if (status == TR_OK)
            tr_digest_update(digest, piece, part);
    }
    tr_digest_text(digest, text);
    tr_digest_free(digest);
    return status;
}

static enum tr_status dump(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                           char *piece, size_t size, struct tr_err *err) {
    char text[TR_DIGEST_MAX];
    TR_TRY(digest_tensor(checkpoint, tensor, piece, size, text, err));
    printf("%s %s [", tensor->name, tensor->dtype_text);
    for (int i = 0; i < tensor->dims; i++)
        printf("%s%" PRId64, i ? "," : "", tensor->shape[i]);
    printf("] %s\n", text);
    return TR_OK;
}

static enum tr_status dump_all(const char *folder, size_t size, struct tr_err *err) {
    struct tr_checkpoint *checkpoint = NULL;
    char *piece = NULL;
    enum tr_status status;
    TR_GO(status, tr_checkpoint_open(&checkpoint, folder, err), out);
    TR_GO(status, TR_NEW(&piece, size, "a piece", err), out);
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(checkpoint); i++)
        TR_GO(status, dump(checkpoint, tr_checkpoint_tensor(checkpoint, i), piece, size, err), out);
out:
    free(piece);
    tr_checkpoint_close(checkpoint);
    return status;
}

int main(int count, char **args) {
    struct tr_err err;
    int64_t size = 1 << 20;
    if (count < 2 || count > 3 || (count == 3 && !tr_parse_i64(args[2], 1, INT32_MAX, &size))) {
        fprintf(stderr, "usage: dump_tensors FOLDER [PIECE]\n");
        return 2;
    }
    if (dump_all(args[1], (size_t)size, &err) != TR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// copy_tensors FROM TO SHARD_BYTES [CONFIG]: writes the tensors of the checkpoint FROM, of the
// configuration in the file CONFIG, into the folder TO, as safetensors.
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "ckpt/safetensors_writer.h"

static enum tr_status copy(const char *from, const char *to, uint64_t shard_bytes,
                           const char *config, struct tr_err *err) {
    struct tr_checkpoint *checkpoint = NULL;
    struct tr_tensor_source *sources = NULL;
    enum tr_status status;
    TR_GO(status, tr_checkpoint_open_with(&checkpoint, from, config, err), out);
    int64_t count = tr_checkpoint_tensor_count(checkpoint);
    TR_GO(status, TR_NEW(&sources, count, "the list of tensors", err), out);
    for (int64_t i = 0; i < count; i++)
        sources[i] = tr_tensor_source_of(checkpoint, tr_checkpoint_tensor(checkpoint, i));
    status = tr_safetensors_write(to, sources, count, shard_bytes, err);
out:
    free(sources);
    tr_checkpoint_close(checkpoint);
    return status;
}

int main(int count, char **args) {
    struct tr_err err;
    int64_t shard_bytes;
    if (count < 4 || count > 5 || !tr_parse_i64(args[3], 0, INT64_MAX, &shard_bytes)) {
        fprintf(stderr, "usage: copy_tensors FROM TO SHARD_BYTES [CONFIG]\n");
        return 2;
    }
    if (copy(args[1], args[2], (uint64_t)shard_bytes, args[4], &err) != TR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

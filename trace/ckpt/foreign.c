// SPDX-License-Identifier: Apache-2.0
// What a folder without a readable checkpoint holds instead, so that the refusal helps.
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "reader.h"

static const struct {
    const char *pattern; // of a file's name
    const char *what;
    enum tr_status code;
} foreign[] = {
    {"adapter_model.safetensors", "an adapter, not a whole model", TR_EUNSUPPORTED},
    {"model-*-of-*.safetensors", "shards without their index", TR_EFORMAT},
    {"pytorch_model-*-of-*.bin", "shards without their index", TR_EFORMAT},
    {"*.safetensors.incomplete", "an unfinished download", TR_EFORMAT},
    {"pytorch_model*.bin.incomplete", "an unfinished download", TR_EFORMAT},
    {"snapshots", "a Hugging Face cache: give a folder below snapshots", TR_EUNSUPPORTED},
    {"*.distcp", "a PyTorch distributed checkpoint", TR_EUNSUPPORTED},
    {"zero_pp_rank_*", "a DeepSpeed ZeRO checkpoint", TR_EUNSUPPORTED},
    {"layer_*-model_*-model_states.pt", "a GPT-NeoX checkpoint", TR_EUNSUPPORTED},
    {"mp_rank_*", "a Megatron or DeepSpeed checkpoint", TR_EUNSUPPORTED},
    {"*.gguf", "GGUF weights", TR_EUNSUPPORTED},
    {"consolidated.*.pth", "weights in Meta's own layout", TR_EUNSUPPORTED},
    {"tf_model.h5", "TensorFlow weights", TR_EUNSUPPORTED},
    {"flax_model.msgpack", "Flax weights", TR_EUNSUPPORTED},
};
enum { FOREIGN = sizeof foreign / sizeof *foreign };

// The first row of the table of which the folder holds a file, FOREIGN when there is none; the
// file's name in `found`.
static int find_foreign(DIR *entries, char found[256]) {
    int best = FOREIGN;
    for (struct dirent *entry; (entry = readdir(entries));)
        for (int i = 0; i < best; i++)
            if (!fnmatch(foreign[i].pattern, entry->d_name, 0)) {
                snprintf(found, 256, "%s", entry->d_name);
                best = i;
            }
    return best;
}

enum tr_status tr_refuse_folder(const char *folder, const char *looked_for, struct tr_err *err) {
    DIR *entries = opendir(folder);
    char found[256];
    if (!entries)
        return tr_fail(err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    int i = find_foreign(entries, found);
    closedir(entries);
    if (i == FOREIGN)
        return tr_fail(err, TR_EFORMAT, "%s holds no checkpoint: there is no %s", folder,
                       looked_for);
    return tr_fail(err, foreign[i].code, "%s holds %s (%s); what can be read is %s", folder,
                   foreign[i].what, found, looked_for);
}

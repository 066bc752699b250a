// SPDX-License-Identifier: Apache-2.0
// Opens DeepSpeed's ZeRO-3: each parameter was flattened and cut into as many equal parts as there
// are ranks, which lie one behind the other in each rank's vectors of 32-bit weights; the module
// itself has placeholders. (Source: deepspeed/utils/zero_to_fp32.py.)
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "folder_scan.h"
#include "pieces.h"
#include "reader.h"
#include "torch/torch_dict.h"

// A vector of a rank, in a file.
struct vector {
    int file;
    uint64_t offset, count; // bytes, elements
};

struct rank {
    struct vector *vectors; // [count]
    int64_t count;
    uint64_t length; // elements of all
};

struct zero3 {
    struct tr_checkpoint *checkpoint;
    struct tr_names states, optimizers; // files, by rank
    struct rank *ranks;                 // [states.count]
    struct tr_piece *pieces;            // of one tensor
    int64_t piece_count;
    uint64_t piece_capacity;
    uint64_t at; // how far the vectors are used up
    struct tr_err *err;
};

// ---- the vectors -------------------------------------------------------------------------------

static enum tr_status take_vector(struct zero3 *z, const struct tr_torch *torch,
                                  const struct tr_value *value, struct rank *rank) {
    struct tr_tensor found = {.name = "of 32-bit weights"};
    if (value->kind != TR_VALUE_TENSOR)
        return tr_fail(z->err, TR_EFORMAT, "%s: the 32-bit weights are no list of tensors",
                       torch->path);
    TR_TRY(tr_torch_tensor(torch, value, &found, z->err));
    if (found.dims != 1 || found.strided || found.dtype != TR_F32)
        return tr_fail(z->err, TR_EUNSUPPORTED,
                       "%s: the 32-bit weights are no vectors of that type", torch->path);
    rank->vectors[rank->count++] = (struct vector){z->checkpoint->file_count - 1,
                                                   found.piece.offset, (uint64_t)found.shape[0]};
    rank->length += (uint64_t)found.shape[0];
    return TR_OK;
}

static enum tr_status take_vectors(struct zero3 *z, const struct tr_torch *torch,
                                   struct rank *rank) {
    const struct tr_value *list =
        tr_value_path(torch->root, "optimizer_state_dict.fp32_flat_groups");
    if (!list || list->kind != TR_VALUE_LIST)
        return tr_fail(
            z->err, TR_EUNSUPPORTED,
            "%s has no optimizer_state_dict.fp32_flat_groups, which ZeRO-3's weights are in",
            torch->path);
    TR_TRY(TR_NEW(&rank->vectors, list->sequence.count, "the vectors of a rank", z->err));
    for (uint64_t i = 0; i < list->sequence.count; i++)
        TR_TRY(take_vector(z, torch, list->sequence.items[i], rank));
    return TR_OK;
}

static enum tr_status open_rank(struct zero3 *z, int64_t rank) {
    struct tr_torch torch;
    TR_TRY(tr_torch_add_file(&torch, z->checkpoint, z->optimizers.names[rank], z->err));
    enum tr_status status = take_vectors(z, &torch, &z->ranks[rank]);
    tr_torch_close(&torch);
    return status;
}

// ---- parameters --------------------------------------------------------------------------------

// Adds elements [first, first + count) of the tensor, which are those of the rank's vectors from
// z->at on.
static enum tr_status add_run(struct zero3 *z, const struct tr_tensor *tensor,
                              const struct rank *rank, uint64_t first, uint64_t count) {
    uint64_t at = z->at;
    for (int64_t i = 0; i < rank->count && count; i++) {
        const struct vector *vector = &rank->vectors[i];
        if (at >= vector->count) {
            at -= vector->count;
            continue;
        }
        uint64_t here = vector->count - at < count ? vector->count - at : count;
        TR_TRY(tr_grow((void **)&z->pieces, &z->piece_capacity,
                       (uint64_t)z->piece_count + 2 * TR_MAX_DIMS, sizeof *z->pieces,
                       "the pieces of a tensor", z->err));
        z->piece_count += tr_pieces_of_run(tensor, first, here, vector->file,
                                           vector->offset + 4 * at, z->pieces + z->piece_count);
        first += here;
        count -= here;
        at = 0;
    }
    return TR_OK;
}

static bool take_shape(const struct tr_value *value, struct tr_tensor *tensor, uint64_t *count_p) {
    *count_p = 1;
    if (value->kind != TR_VALUE_TUPLE || value->sequence.count > TR_MAX_DIMS)
        return false;
    tensor->dims = (int)value->sequence.count;
    for (int i = 0; i < tensor->dims; i++) {
        const struct tr_value *size = value->sequence.items[i];
        if (size->kind != TR_VALUE_INTEGER || size->integer < 1 ||
            !tr_mul(*count_p, (uint64_t)size->integer, count_p))
            return false;
        tensor->shape[i] = size->integer;
    }
    return *count_p <= INT64_MAX / 8;
}

static enum tr_status add_parameter(struct zero3 *z, struct tr_slice name,
                                    const struct tr_value *shape, const char *path) {
    struct tr_tensor tensor = {.dtype = TR_F32, .dtype_text = "F32"};
    char text[512];
    uint64_t count, ranks = (uint64_t)z->states.count;
    if (name.size >= sizeof text || memchr(name.bytes, 0, name.size) ||
        !take_shape(shape, &tensor, &count))
        return tr_fail(z->err, TR_EFORMAT,
                       "%s: a parameter of param_shapes has no name or no shape", path);
    snprintf(text, sizeof text, "%.*s", (int)name.size, name.bytes);
    TR_TRY(tr_checkpoint_keep(z->checkpoint, text, &tensor.name, z->err));
    tensor.bytes = 4 * count;
    uint64_t part = count / ranks + (count % ranks > 0);
    z->piece_count = 0;
    for (uint64_t r = 0; r < ranks && r * part < count; r++) {
        uint64_t left = count - r * part;
        TR_TRY(add_run(z, &tensor, &z->ranks[r], r * part, left < part ? left : part));
    }
    z->at += part;
    return tr_checkpoint_add_pieces(z->checkpoint, &tensor, z->pieces, z->piece_count, z->err);
}

static enum tr_status add_parameters(struct zero3 *z, const struct tr_torch *torch) {
    const struct tr_value *groups = tr_value_get(torch->root, "param_shapes");
    const struct tr_value *frozen = tr_value_dict(tr_value_get(torch->root, "frozen_param_shapes"));
    int64_t ranks = z->states.count;
    tr_value_integer(tr_value_get(torch->root, "dp_world_size"), &ranks);
    if (ranks != z->states.count)
        return tr_fail(z->err, TR_EFORMAT,
                       "%s: %" PRId64 " ranks wrote it, the files of %" PRId64 " are there",
                       torch->path, ranks, z->states.count);
    if (!groups || groups->kind != TR_VALUE_LIST)
        return tr_fail(z->err, TR_EUNSUPPORTED, "%s has no list param_shapes", torch->path);
    if (frozen && frozen->sequence.count)
        return tr_fail(
            z->err, TR_EUNSUPPORTED,
            "%s has frozen parameters, which are not read: run DeepSpeed's zero_to_fp32.py",
            torch->path);
    for (uint64_t g = 0; g < groups->sequence.count; g++) {
        const struct tr_value *group = tr_torch_items(groups->sequence.items[g]);
        for (uint64_t i = 0; group && i < group->sequence.count; i += 2) {
            const struct tr_value *name = group->sequence.items[i];
            const struct tr_slice text =
                name->kind == TR_VALUE_TEXT ? name->text : (struct tr_slice){"", SIZE_MAX};
            TR_TRY(add_parameter(z, text, group->sequence.items[i + 1], torch->path));
        }
    }
    return TR_OK;
}

// ---- the checkpoint ----------------------------------------------------------------------------

static enum tr_status read_states(struct zero3 *z) {
    struct tr_torch torch;
    TR_TRY(tr_torch_add_file(&torch, z->checkpoint, z->states.names[0], z->err));
    enum tr_status status = add_parameters(z, &torch);
    tr_torch_close(&torch);
    return status;
}

static enum tr_status refuse_model_parallel(const struct zero3 *z) {
    struct tr_names ranks;
    TR_TRY(tr_names_list(&ranks, z->checkpoint->folder, "zero_pp_rank_0_mp_rank_*_model_states.pt",
                         z->err));
    int64_t count = ranks.count;
    tr_names_free(&ranks);
    return count == 1 ? TR_OK
                      : tr_fail(z->err, TR_EUNSUPPORTED,
                                "%s is ZeRO-3 over %" PRId64
                                " ranks of model parallelism, which is not read: run DeepSpeed's "
                                "ds_to_universal.py",
                                z->checkpoint->folder, count);
}

static enum tr_status read_all(struct zero3 *z) {
    const char *folder = z->checkpoint->folder;
    TR_TRY(tr_names_list(&z->states, folder, "zero_pp_rank_*_mp_rank_00_model_states.pt", z->err));
    TR_TRY(tr_names_list(&z->optimizers, folder, "*zero_pp_rank_*_mp_rank_00_optim_states.pt",
                         z->err));
    if (z->states.count != z->optimizers.count)
        return tr_fail(z->err, TR_EFORMAT,
                       "%s has %" PRId64 " files of ZeRO-3's model states and %" PRId64
                       " of optimizer states, in which the weights are: there should be as many",
                       folder, z->states.count, z->optimizers.count);
    TR_TRY(refuse_model_parallel(z));
    TR_TRY(TR_NEW(&z->ranks, (uint64_t)z->states.count, "the ranks of a checkpoint", z->err));
    for (int64_t i = 0; i < z->optimizers.count; i++)
        TR_TRY(open_rank(z, i));
    TR_TRY(read_states(z));
    return tr_checkpoint_sort(z->checkpoint, z->err);
}

enum tr_status tr_read_zero3(struct tr_checkpoint *checkpoint, const char *name,
                             struct tr_err *err) {
    struct zero3 z = {.checkpoint = checkpoint, .err = err};
    (void)name;
    enum tr_status status = read_all(&z);
    for (int64_t i = 0; z.ranks && i < z.states.count; i++)
        free(z.ranks[i].vectors);
    free(z.ranks);
    free(z.pieces);
    tr_names_free(&z.states);
    tr_names_free(&z.optimizers);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
#include "tensor_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "carry.h"
#include "tensor_fate.h"

// ---- where bytes come from ---------------------------------------------------------------------

static enum tr_status read_tensor(void *user, uint64_t begin, void *bytes, size_t size,
                                  struct tr_err *err) {
    const struct tr_tensor_reader *reader = user;
    TR_TRY(tr_job_goes_on(reader->job, err));
    if (reader->packer)
        return tr_packer_read(reader->packer, reader->tensor, reader->part, begin, bytes, size,
                              err);
    if (reader->tensor)
        return tr_checkpoint_read(reader->job->checkpoint, reader->tensor, begin, bytes, size, err);
    memset(bytes, 0, size);
    return TR_OK;
}

// ---- one tensor --------------------------------------------------------------------------------

static bool is_repeated(const struct tr_checkpoint *checkpoint, int64_t index) {
    return index > 0 && !strcmp(tr_checkpoint_tensor(checkpoint, index - 1)->name,
                                tr_checkpoint_tensor(checkpoint, index)->name);
}

// ---- one file ----------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && !strcmp(text + size - tail, end);
}

// Whether a tensor lies in its file as it would be written into one.
static bool lies_plainly(const struct tr_drop_job *job, const struct tr_tensor *tensor) {
    return !tensor->unwrapped && !tensor->strided && !tensor->pieces &&
           ends_with(tr_checkpoint_file(job->checkpoint, tensor), ".safetensors");
}

// Adds what lies in the last file of a tensor of that fate: itself, or a part of a quantized
// weight, which is zero where its scales are, the only ones of a type that weights have, or in
// MXFP4 its blocks. *same_p becomes false where the file changes by it.
static enum tr_status add_stored(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                                 const struct tr_tensor *tensor, enum tr_fate fate, bool *same_p,
                                 struct tr_err *err) {
    bool is_value = tensor->dtype != TR_OTHER_DTYPE || ends_with(tensor->name, "_blocks");
    bool zeroed = fate == TR_TENSOR_ZEROED && is_value;
    char **name = &plan->names[plan->count];
    struct tr_tensor_reader *reader = &plan->readers[plan->count];
    struct tr_tensor_source *source = &plan->sources[plan->count];
    TR_TRY(tr_new_name(name, job, tensor->name, err));
    *reader = (struct tr_tensor_reader){.job = job, .tensor = zeroed ? NULL : tensor};
    *source = tr_tensor_source_of(job->checkpoint, tensor);
    source->read = read_tensor;
    source->user = reader;
    if (*name)
        source->name = *name;
    *same_p = *same_p && !*name && !zeroed;
    plan->zeroed += zeroed;
    plan->bytes += tensor->bytes;
    plan->files[plan->file_count].count++;
    plan->count++;
    return TR_OK;
}

// "MODULE.weight" as the layout calls a part of it. *name_p is replaced.
static enum tr_status name_part(char **name_p, const struct tr_tensor *tensor, const char *ending,
                                struct tr_err *err) {
    struct tr_string name = {0};
    const char *weight = *name_p ? *name_p : tensor->name;
    size_t module = strlen(weight) - strlen(".weight");
    enum tr_status status = tr_string_format(&name, err, "%.*s%s", (int)module, weight, ending);
    free(*name_p);
    *name_p = name.data;
    return status;
}

// Adds a tensor whose bytes the packer gives: other values, or a part of a packed weight.
static enum tr_status add_made(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                               const struct tr_tensor *tensor, enum tr_packed_part part,
                               const struct tr_part_form *form, struct tr_err *err) {
    char **name = &plan->names[plan->count];
    struct tr_tensor_reader *reader = &plan->readers[plan->count];
    struct tr_tensor_source *source = &plan->sources[plan->count];
    TR_TRY(tr_new_name(name, job, tensor->name, err));
    if (form)
        TR_TRY(name_part(name, tensor, job->options->packing->layout->endings[part], err));
    *reader = (struct tr_tensor_reader){job, tensor, &plan->packer, part};
    *source = tr_tensor_source_of(job->checkpoint, tensor);
    source->read = read_tensor;
    source->user = reader;
    source->name = *name ? *name : tensor->name;
    if (form) {
        source->dtype_text = form->dtype_text;
        source->dims = form->dims;
        memcpy(source->shape, form->shape, sizeof form->shape);
    }
    plan->bytes += form ? form->bytes : tensor->bytes;
    plan->files[plan->file_count].count++;
    plan->count++;
    return TR_OK;
}

static enum tr_status add_packed(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                                 const struct tr_tensor *tensor, struct tr_err *err) {
    const struct tr_packing *packing = job->options->packing;
    struct tr_part_form part_form;
    if (tr_packing_fate_of(job, tensor) == TR_PACKING_VALUES)
        return add_made(plan, job, tensor, TR_PACKED_PARTS, NULL, err);
    const struct tr_codes form = tr_packing_form(packing, tensor);
    for (int part = 0; part < TR_PACKED_PARTS; part++)
        if (tr_layout_part(packing->layout, &form, part, &part_form))
            TR_TRY(add_made(plan, job, tensor, part, &part_form, err));
    return TR_OK;
}

// Adds what lies in `file` of a tensor.
static enum tr_status add_tensor(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                                 int64_t index, int file, bool *same_p, struct tr_err *err) {
    const struct tr_tensor *tensor = tr_checkpoint_tensor(job->checkpoint, index);
    enum tr_fate fate = tr_fate_of(job, tensor);
    bool packed = tr_packing_fate_of(job, tensor) != TR_PACKING_STAYS;
    bool gone = fate == TR_TENSOR_GONE || is_repeated(job->checkpoint, index);
    int count;
    const struct tr_tensor *stored = tr_tensor_stored(tensor, &count);
    for (int i = 0; i < count; i++) {
        if (stored[i].piece.file != file)
            continue;
        plan->paths[plan->file_count] = tr_checkpoint_file(job->checkpoint, &stored[i]);
        plan->bytes_before += stored[i].bytes;
        *same_p = *same_p && fate != TR_TENSOR_GONE && lies_plainly(job, &stored[i]);
        *same_p = *same_p && !packed;
        if (!gone)
            TR_TRY(packed ? add_packed(plan, job, tensor, err)
                          : add_stored(plan, job, &stored[i], fate, same_p, err));
    }
    return TR_OK;
}

static enum tr_status add_file(struct tr_tensor_plan *plan, const struct tr_drop_job *job, int file,
                               struct tr_err *err) {
    bool same = true;
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(job->checkpoint); i++)
        TR_TRY(add_tensor(plan, job, i, file, &same, err));
    if (!plan->files[plan->file_count].count)
        return TR_OK;
    plan->files[plan->file_count++].there = same;
    plan->copied += same;
    return TR_OK;
}

// ---- all files ---------------------------------------------------------------------------------

static enum tr_status make_room(struct tr_tensor_plan *plan, int64_t tensors, int64_t files,
                                struct tr_err *err) {
    TR_TRY(TR_NEW(&plan->sources, tensors, "the plan of tensors", err));
    TR_TRY(TR_NEW(&plan->readers, tensors, "the plan of tensors", err));
    TR_TRY(TR_NEW(&plan->names, tensors, "the plan of tensors", err));
    TR_TRY(TR_NEW(&plan->files, files, "the plan of files", err));
    return TR_NEW(&plan->paths, files, "the plan of files", err);
}

static enum tr_status fill(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                           struct tr_err *err) {
    int64_t tensors = 0;
    int last = 0, count;
    for (int64_t t = 0; t < tr_checkpoint_tensor_count(job->checkpoint); t++) {
        const struct tr_tensor *stored =
            tr_tensor_stored(tr_checkpoint_tensor(job->checkpoint, t), &count);
        for (int i = 0; i < count; i++)
            last = stored[i].piece.file > last ? stored[i].piece.file : last;
        tensors += count;
    }
    plan->packer.packing = job->options->packing;
    TR_TRY(make_room(plan, tensors * (job->options->packing ? TR_PACKED_PARTS : 1), last + 2, err));
    for (int file = 0; file <= last; file++)
        TR_TRY(add_file(plan, job, file, err));
    return TR_OK;
}

enum tr_status tr_tensor_plan_new(struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                                  struct tr_err *err) {
    *plan = (struct tr_tensor_plan){0};
    enum tr_status status = fill(plan, job, err);
    if (status != TR_OK)
        tr_tensor_plan_free(plan);
    return status;
}

void tr_tensor_plan_free(struct tr_tensor_plan *plan) {
    for (int64_t i = 0; plan->names && i < plan->count; i++)
        free(plan->names[i]);
    free(plan->names);
    free(plan->sources);
    free(plan->readers);
    free(plan->files);
    free(plan->paths);
    tr_packer_free(&plan->packer);
    *plan = (struct tr_tensor_plan){0};
}

static enum tr_status carry_files(const struct tr_tensor_plan *plan, const struct tr_drop_job *job,
                                  const char *folder, struct tr_err *err) {
    for (int64_t file = 0; file < plan->file_count; file++) {
        char name[TR_SHARD_NAME_MAX];
        tr_safetensors_name(file, plan->file_count, name);
        if (plan->files[file].there)
            TR_TRY(tr_carry_file(job, plan->paths[file], folder, name, err));
    }
    return TR_OK;
}

// A link changes what the source's file says of itself, so it is looked at before.
enum tr_status tr_tensor_plan_write(const struct tr_tensor_plan *plan,
                                    const struct tr_drop_job *job, const char *folder,
                                    struct tr_err *err) {
    TR_TRY(tr_safetensors_write_files(folder, plan->sources, plan->files, plan->file_count, err));
    if (!job->options->link)
        TR_TRY(carry_files(plan, job, folder, err));
    TR_TRY(tr_checkpoint_unchanged(job->checkpoint, err));
    return job->options->link ? carry_files(plan, job, folder, err) : TR_OK;
}

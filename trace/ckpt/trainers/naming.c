// SPDX-License-Identifier: Apache-2.0
// Gives the tensors the names and the rows that Hugging Face's folders have: chooses the naming by
// the names that are there and the model's type, joins what ranks hold, and makes each tensor that
// the naming's rows tell of out of pieces of the trainer's.
#include "naming.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pieces.h"
#include "row_runs.h"

// ---- what is no weight -------------------------------------------------------------------------

// The name behind the first of the words by which trainers hold a model, itself where it begins
// with none.
static const char *behind_container(const char *name) {
    static const char *const words[] = {"app.", "state.", "model.", "state_dict."};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strncmp(name, words[i], strlen(words[i])))
            return name + strlen(words[i]);
    return name;
}

bool tr_is_training_state(const char *name) {
    static const char *const heads[] = {
        "optimizer", "optim.",      "lr_scheduler", "opt_param_", "dataloader.", "train_state",
        "rng_state", "rerun_state", "chained_",     "scheduler.", "loops.",      "callbacks.",
    };
    enum { HEADS = sizeof heads / sizeof *heads };
    for (const char *next = name;; name = next) {
        for (int i = 0; i < HEADS; i++)
            if (!strncmp(name, heads[i], strlen(heads[i])))
                return true;
        next = behind_container(name);
        if (next == name)
            return false;
    }
}

// ---- the choice --------------------------------------------------------------------------------

struct renaming {
    struct tr_checkpoint *checkpoint;
    const struct tr_naming *naming;
    const char *prefix; // what stands before all names of the model; not 0-terminated
    size_t prefix_size;
    struct tr_model_numbers numbers;
    struct tr_tensor *old; // [old_count], sorted by name; ranks in order
    int64_t old_count;
    struct tr_err *err;
};

// Whether the sign says what it should: the orientation of a matrix tells nanoGPT from GPT-2.
static bool is_sign(const struct tr_naming *naming, const struct tr_tensor *tensor) {
    return !naming->linear || (tensor->dims == 2 && tensor->shape[0] / 3 == tensor->shape[1] &&
                               tensor->shape[0] != tensor->shape[1]);
}

// Whether the tensor's name is the naming's sign behind containers; those go to the renaming.
static bool shows(struct renaming *r, const struct tr_naming *naming,
                  const struct tr_tensor *tensor) {
    enum { LEVELS = 4 };
    int64_t numbers[TR_NUMBERS];
    const char *at = tensor->name;
    int count;
    for (int level = 0; level < LEVELS; level++) {
        if (tr_naming_fits(naming->sign, at, numbers, &count) && is_sign(naming, tensor)) {
            r->naming = naming;
            r->prefix = tensor->name;
            r->prefix_size = (size_t)(at - tensor->name);
            return true;
        }
        const char *next = behind_container(at);
        if (next == at)
            return false;
        at = next;
    }
    return false;
}

static bool suits_type(const struct tr_naming *naming, const char *type) {
    char word[sizeof((struct tr_model_numbers *)0)->type + 2];
    snprintf(word, sizeof word, " %s ", type);
    return !naming->types || strstr(naming->types, word);
}

// Whether a tensor has the name that models use: one of another naming beside it is a stray.
static bool has_own_names(const struct tr_checkpoint *checkpoint) {
    static const char *const own[] = {"model.layers.#.self_attn.q_proj.weight",
                                      "transformer.h.#.attn.c_attn.weight"};
    int64_t numbers[TR_NUMBERS];
    int count;
    for (int64_t t = 0; t < checkpoint->tensor_count; t++)
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            if (tr_naming_fits(own[i], checkpoint->tensors[t].name, numbers, &count))
                return true;
    return false;
}

// The first naming that a tensor shows and that suits the type; of those that only the names fit,
// *other_p has the first.
static void choose(struct renaming *r, const struct tr_naming **other_p) {
    const struct tr_checkpoint *checkpoint = r->checkpoint;
    bool own = has_own_names(checkpoint);
    *other_p = NULL;
    for (int i = 0; i < tr_naming_count; i++)
        for (int64_t t = 0; t < checkpoint->tensor_count && (!own || tr_namings[i].partial); t++)
            if (shows(r, &tr_namings[i], &checkpoint->tensors[t])) {
                if (suits_type(&tr_namings[i], r->numbers.type))
                    return;
                *other_p = *other_p ? *other_p : &tr_namings[i];
                break;
            }
    r->naming = NULL;
}

// ---- making tensors ----------------------------------------------------------------------------

static const char *model_name(const struct renaming *r, const struct tr_tensor *tensor) {
    return strncmp(tensor->name, r->prefix, r->prefix_size) ? NULL : tensor->name + r->prefix_size;
}

static int count_marks(const char *pattern) {
    int count = 0;
    for (; *pattern; pattern++)
        count += *pattern == '#';
    return count;
}

// The new tensor's form: that of the old one without `lead`, with other rows.
static struct tr_tensor shape_like(const struct tr_tensor *old, bool lead, int64_t rows) {
    struct tr_tensor made = {.dtype = old->dtype, .dims = old->dims - lead};
    uint64_t count = tr_tensor_element(old);
    memcpy(made.dtype_text, old->dtype_text, sizeof made.dtype_text);
    memcpy(made.shape, old->shape + lead, (size_t)made.dims * sizeof *made.shape);
    if (made.dims)
        made.shape[0] = rows;
    for (int i = 0; i < made.dims; i++)
        count *= (uint64_t)made.shape[i]; // at most the old one's
    made.bytes = count;
    return made;
}

static enum tr_status add_made(struct renaming *r, struct tr_tensor *made, struct tr_cut *cut,
                               bool transposed) {
    if (transposed && made->dims == 2) {
        int64_t rows = made->shape[0];
        made->shape[0] = made->shape[1];
        made->shape[1] = rows;
        tr_cut_transpose(cut);
    }
    return tr_checkpoint_add_pieces(r->checkpoint, made, cut->pieces, cut->count, r->err);
}

// Adds the part of `old` that the row means, of index `lead` of its first axis unless that is -1.
static enum tr_status make_one(struct renaming *r, const struct tr_naming_row *row,
                               const struct tr_tensor *old, const int64_t *numbers, int64_t lead) {
    struct tr_row_runs runs = {0};
    struct tr_cut cut = {0};
    char name[TR_RENAMED_MAX];
    bool has_lead = lead >= 0;
    int64_t rows = old->dims > has_lead ? old->shape[has_lead] : 1;
    TR_TRY(tr_row_runs_make(&runs, row->layout, rows, &r->numbers, old->name, r->err));
    struct tr_tensor made = shape_like(old, has_lead, runs.rows);
    tr_naming_fill(row->to, numbers, name);
    const struct tr_cut_source source = {.tensor = old, .lead = lead};
    enum tr_status status = tr_cut_add(&cut, &source, 0, runs.runs, runs.count, r->err);
    if (status == TR_OK)
        status = tr_checkpoint_keep(r->checkpoint, name, &made.name, r->err);
    if (status == TR_OK)
        status = add_made(r, &made, &cut, row->layout == TR_TRANSPOSED);
    tr_cut_free(&cut);
    tr_row_runs_free(&runs);
    return status;
}

// All tensors that one row makes of an old one.
static enum tr_status make_row(struct renaming *r, const struct tr_naming_row *row,
                               const struct tr_tensor *old, int64_t *numbers, int count) {
    int marks = count_marks(row->to);
    if (count)
        numbers[0] -= r->naming->first_layer * (marks > 0);
    if (marks <= count)
        return make_one(r, row, old, numbers, -1);
    if (!old->dims || count == TR_NUMBERS)
        return tr_fail(r->err, TR_EUNSUPPORTED, "%s: tensor %s is no stack of layers or experts",
                       r->checkpoint->folder, old->name);
    for (int64_t i = 0; i < old->shape[0]; i++) {
        numbers[count] = i;
        TR_TRY(make_one(r, row, old, numbers, i));
    }
    return TR_OK;
}

static enum tr_status keep_name(struct renaming *r, const struct tr_tensor *old, const char *name) {
    struct tr_checkpoint *checkpoint = r->checkpoint;
    TR_TRY(tr_grow((void **)&checkpoint->tensors, &checkpoint->tensor_capacity,
                   (uint64_t)checkpoint->tensor_count + 1, sizeof *checkpoint->tensors,
                   "the table of tensors", r->err));
    struct tr_tensor *kept = &checkpoint->tensors[checkpoint->tensor_count++];
    *kept = *old;
    kept->name = name;
    return TR_OK;
}

// ---- what ranks hold ---------------------------------------------------------------------------

static int split_axis(const struct renaming *r, enum tr_split split, const struct tr_tensor *part) {
    if (split == TR_BY_EMBEDDING)
        return part->dims == 2 && part->shape[1] != r->numbers.hidden;
    return split == TR_BY_COLUMNS;
}

static bool same_parts(const struct tr_tensor *parts, int count) {
    for (int i = 1; i < count; i++)
        if (parts[i].dims != parts[0].dims || strcmp(parts[i].dtype_text, parts[0].dtype_text) ||
            memcmp(parts[i].shape, parts[0].shape, sizeof parts[0].shape))
            return false;
    return true;
}

// Joins parts[0, count), which ranks hold, along an axis into *whole, with pieces of its own.
static enum tr_status join(struct renaming *r, enum tr_split split, const struct tr_tensor *parts,
                           int count, struct tr_tensor *whole, struct tr_cut *cut) {
    int axis = split_axis(r, split, parts), halves = split == TR_BY_HALVES ? 2 : 1;
    enum tr_status status = TR_OK;
    if (axis >= parts->dims || !same_parts(parts, count) || parts->shape[axis] % halves ||
        parts->shape[axis] > INT64_MAX / count || parts->bytes > INT64_MAX / (uint64_t)count)
        return tr_fail(r->err, TR_EUNSUPPORTED,
                       "%s: the parts of tensor %s that %d ranks hold do not make one",
                       r->checkpoint->folder, parts->name, count);
    *whole = *parts;
    whole->shape[axis] *= count;
    whole->bytes *= (uint64_t)count;
    for (int rank = 0; rank < count && status == TR_OK; rank++) {
        struct tr_row_runs runs = {0};
        const struct tr_cut_source source = {.tensor = &parts[rank], .lead = -1};
        TR_TRY(tr_row_runs_of_rank(&runs, rank, count, parts->shape[axis], halves, r->err));
        status = tr_cut_add(cut, &source, axis, runs.runs, runs.count, r->err);
        tr_row_runs_free(&runs);
    }
    whole->pieces = cut->pieces;
    whole->piece_count = cut->count;
    return status;
}

static enum tr_status refuse_ranks(const struct renaming *r, const struct tr_tensor *tensor,
                                   int count) {
    return tr_fail(r->err, TR_EFORMAT,
                   "%s: tensor %s is in the files of %d ranks, of which there "
                   "are %d",
                   r->checkpoint->folder, tensor->name, count, r->checkpoint->model_parallel);
}

// Leaves one of the tensors that each rank has whole.
static enum tr_status check_repeated(struct renaming *r, const struct tr_tensor *parts,
                                     int *count_p) {
    for (int i = 1; i < *count_p; i++) {
        bool same = false;
        TR_TRY(tr_checkpoint_same(r->checkpoint, &parts[0], &parts[i], &same, r->err));
        if (!same)
            return tr_fail(r->err, TR_EUNSUPPORTED,
                           "%s: tensor %s differs between ranks 0 and %d of model parallelism: "
                           "merge them with the trainer's own tools",
                           r->checkpoint->folder, parts[0].name, i);
    }
    *count_p = 1;
    return TR_OK;
}

// The tensors of one name, parts[0, count), under one row.
static enum tr_status apply(struct renaming *r, const struct tr_naming_row *row,
                            const struct tr_tensor *parts, int count, const int64_t *numbers,
                            int number_count) {
    int64_t own[TR_NUMBERS + 1];
    struct tr_tensor whole;
    struct tr_cut cut = {0};
    int ranks = r->checkpoint->model_parallel;
    bool split = row->split != TR_REPEATED && ranks > 1;
    if (ranks > 1 && count != ranks)
        return refuse_ranks(r, parts, count);
    enum tr_status status = TR_OK;
    if (ranks > 1 && !split)
        TR_TRY(check_repeated(r, parts, &count));
    if (split) {
        status = join(r, row->split, parts, count, &whole, &cut);
        count = 1;
    }
    for (int i = 0; i < count && status == TR_OK; i++) {
        memcpy(own, numbers, TR_NUMBERS * sizeof *own);
        status = make_row(r, row, split ? &whole : &parts[i], own, number_count);
    }
    tr_cut_free(&cut);
    return status;
}

static enum tr_status refuse_unknown(const struct renaming *r, const struct tr_tensor *tensor) {
    return tr_fail(
        r->err, TR_EUNSUPPORTED,
        "%s: tensor %s is none of those that a %s has by %s names, which the others have",
        r->checkpoint->files[tensor->piece.file].path, tensor->name, r->numbers.type,
        r->naming->whose);
}

// All tensors of one name. *kept_p: they went on as they are, with their pieces.
static enum tr_status rename_group(struct renaming *r, const struct tr_tensor *parts, int count,
                                   bool *kept_p) {
    const struct tr_naming *naming = r->naming;
    const char *name = model_name(r, parts);
    int64_t numbers[TR_NUMBERS + 1] = {0};
    bool fits = false;
    int number_count;
    for (const struct tr_naming_row *row = naming->rows; name && row->from; row++) {
        if (!tr_naming_fits(row->from, name, numbers, &number_count))
            continue;
        fits = true;
        if (row->to)
            TR_TRY(apply(r, row, parts, count, numbers, number_count));
    }
    *kept_p = !fits && naming->partial;
    if (!fits && !naming->partial && name && !tr_is_training_state(name))
        return refuse_unknown(r, parts);
    for (int i = 0; *kept_p && i < count; i++)
        TR_TRY(keep_name(r, &parts[i], name ? name : parts[i].name));
    return TR_OK;
}

static enum tr_status rename_all(struct renaming *r) {
    enum tr_status status = TR_OK;
    for (int64_t i = 0, end; i < r->old_count; i = end) {
        bool kept = false;
        for (end = i + 1; end < r->old_count && !strcmp(r->old[i].name, r->old[end].name);)
            end++;
        if (status == TR_OK)
            status = rename_group(r, &r->old[i], (int)(end - i), &kept);
        for (int64_t t = i; !kept && t < end; t++)
            free(r->old[t].pieces);
    }
    free(r->old);
    return status;
}

static bool is_nothing_to_do(const struct renaming *r) {
    return !r->naming || (!r->naming->rows->from && !r->prefix_size);
}

enum tr_status tr_checkpoint_rename(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    struct renaming r = {.checkpoint = checkpoint, .err = err};
    const struct tr_naming *other;
    choose(&r, &other); // whatever the type, which is read only where it counts
    if (!other && !r.naming)
        return TR_OK;
    TR_TRY(tr_model_numbers_read(&r.numbers, checkpoint->config, checkpoint->config_size,
                                 checkpoint->config_path, err));
    choose(&r, &other);
    if (is_nothing_to_do(&r))
        return TR_OK;
    r.old = checkpoint->tensors;
    r.old_count = checkpoint->tensor_count;
    checkpoint->tensors = NULL;
    checkpoint->tensor_count = 0;
    checkpoint->tensor_capacity = 0;
    return rename_all(&r);
}

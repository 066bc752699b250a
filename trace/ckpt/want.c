// SPDX-License-Identifier: Apache-2.0
// The tensors that a model needs, in whatever spelling the file has them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "reader.h"

// What modules that hold a whole model put before all its names: the name of the attribute.
static const char *const holders[] = {
    "",
    "model.",            // Lightning, Accelerate
    "base_model.model.", // peft, merged
    "base_model.",       // peft, prompt learning
    "pretrained_model.", // trl's models with a value head
    "language_model.",   // models of more than text
};
enum { HOLDERS = sizeof holders / sizeof *holders, SPELLINGS = 2 * HOLDERS };
enum { NAME_MAX_SIZE = 384, PIECE = 1 << 20, COPIES = 8 };

struct spellings {
    char names[SPELLINGS][NAME_MAX_SIZE];
    int count;
};

static void add_spelling(struct spellings *all, const char *holder, const char *root,
                         const char *name) {
    char *to = all->names[all->count];
    if (snprintf(to, NAME_MAX_SIZE, "%s%s%s", holder, root, name) >= NAME_MAX_SIZE)
        return;
    for (int i = 0; i < all->count; i++)
        if (!strcmp(all->names[i], to))
            return;
    all->count++;
}

static void spell(struct spellings *all, const char *name, const char *root) {
    size_t size = strlen(root);
    bool rooted = size && !strncmp(name, root, size) && name[size];
    all->count = 0;
    for (int i = 0; i < HOLDERS; i++) {
        add_spelling(all, holders[i], "", name);
        add_spelling(all, holders[i], rooted ? "" : root, rooted ? name + size : name);
    }
}

// The first of the tensors of that name; they lie side by side.
static struct tr_tensor *find_first(struct tr_checkpoint *checkpoint, const char *name) {
    const struct tr_tensor *found = tr_checkpoint_find(checkpoint, name);
    struct tr_tensor *tensor = found ? &checkpoint->tensors[found - checkpoint->tensors] : NULL;
    while (tensor && tensor > checkpoint->tensors && !strcmp(tensor[-1].name, name))
        tensor--;
    return tensor;
}

// All tensors of these names, at most COPIES + 1 of them.
static int gather(struct tr_checkpoint *checkpoint, const struct spellings *all,
                  struct tr_tensor *found[COPIES + 1]) {
    const struct tr_tensor *end = checkpoint->tensors + checkpoint->tensor_count;
    int count = 0;
    for (int i = 0; i < all->count; i++) {
        struct tr_tensor *tensor = find_first(checkpoint, all->names[i]);
        for (; tensor && tensor < end && !strcmp(tensor->name, all->names[i]); tensor++)
            if (count <= COPIES)
                found[count++] = tensor;
    }
    return count;
}

static const char *file_name(const struct tr_checkpoint *checkpoint,
                             const struct tr_tensor *tensor) {
    return checkpoint->files[tensor->piece.file].name;
}

static bool same_form(const struct tr_tensor *a, const struct tr_tensor *b) {
    return a->dims == b->dims && a->bytes == b->bytes && !strcmp(a->dtype_text, b->dtype_text) &&
           !memcmp(a->shape, b->shape, (size_t)a->dims * sizeof *a->shape);
}

static enum tr_status compare_bytes(struct tr_checkpoint *checkpoint, const struct tr_tensor *a,
                                    const struct tr_tensor *b, char *pieces, bool *same_p,
                                    struct tr_err *err) {
    *same_p = same_form(a, b);
    for (uint64_t at = 0; *same_p && at < a->bytes; at += PIECE) {
        size_t size = a->bytes - at < PIECE ? (size_t)(a->bytes - at) : PIECE;
        TR_TRY(tr_checkpoint_read(checkpoint, a, at, pieces, size, err));
        TR_TRY(tr_checkpoint_read(checkpoint, b, at, pieces + PIECE, size, err));
        *same_p = !memcmp(pieces, pieces + PIECE, size);
    }
    return TR_OK;
}

static enum tr_status refuse_copy(const struct tr_checkpoint *checkpoint, const struct tr_tensor *a,
                                  const struct tr_tensor *b, struct tr_err *err) {
    if (strcmp(a->name, b->name))
        return tr_fail(err, TR_EFORMAT, "%s: tensors %s and %s should be one and differ",
                       checkpoint->folder, a->name, b->name);
    if (a->piece.file == b->piece.file)
        return tr_fail(err, TR_EFORMAT, "%s has tensor %s twice, wrapped or not, and they differ",
                       checkpoint->files[a->piece.file].path, a->name);
    return tr_fail(err, TR_EFORMAT, "%s: tensor %s is in both %s and %s, and they differ",
                   checkpoint->folder, a->name, file_name(checkpoint, a), file_name(checkpoint, b));
}

enum tr_status tr_checkpoint_same(struct tr_checkpoint *checkpoint, const struct tr_tensor *a,
                                  const struct tr_tensor *b, bool *same_p, struct tr_err *err) {
    char *pieces;
    TR_TRY(TR_NEW(&pieces, 2 * PIECE, "pieces of two tensors", err));
    enum tr_status status = compare_bytes(checkpoint, a, b, pieces, same_p, err);
    free(pieces);
    return status;
}

static enum tr_status check_copy(struct tr_checkpoint *checkpoint, const struct tr_tensor *first,
                                 struct tr_tensor *copy, struct tr_err *err) {
    bool same = false;
    enum tr_status status = tr_checkpoint_same(checkpoint, first, copy, &same, err);
    if (status == TR_OK && !same)
        status = refuse_copy(checkpoint, first, copy, err);
    copy->copy = status == TR_OK; // and need not be compared again
    return status;
}

// No tensor of these names: an index may claim one.
static enum tr_status check_claims(const struct tr_checkpoint *checkpoint,
                                   const struct spellings *all, struct tr_err *err) {
    for (int i = 0; i < all->count; i++) {
        const struct tr_index_entry *entry = tr_index_find(&checkpoint->index, all->names[i]);
        if (entry)
            return tr_fail(err, TR_EFORMAT, "%s places tensor %s in %s, which does not have it",
                           checkpoint->index_path, entry->tensor, entry->shard);
    }
    return TR_OK;
}

// Whether one of the tensors is in the file that an index names, if it names one.
static enum tr_status check_place(const struct tr_checkpoint *checkpoint,
                                  struct tr_tensor *const *found, int count, struct tr_err *err) {
    const struct tr_index_entry *entry = tr_index_find(&checkpoint->index, found[0]->name);
    for (int i = 0; entry && i < count; i++)
        if (!strcmp(file_name(checkpoint, found[i]), entry->shard))
            return TR_OK;
    if (!entry)
        return TR_OK;
    return tr_fail(err, TR_EFORMAT, "%s places tensor %s in %s, it is in %s",
                   checkpoint->index_path, found[0]->name, entry->shard,
                   file_name(checkpoint, found[0]));
}

enum tr_status tr_checkpoint_want(struct tr_checkpoint *checkpoint, const char *name,
                                  const char *root, const struct tr_tensor **tensor_p,
                                  struct tr_err *err) {
    struct spellings all;
    struct tr_tensor *found[COPIES + 1];
    spell(&all, name, root);
    int count = gather(checkpoint, &all, found);
    *tensor_p = NULL;
    if (!count)
        return check_claims(checkpoint, &all, err);
    if (count > COPIES)
        return tr_fail(err, TR_EFORMAT, "%s has tensor %s more than %d times", checkpoint->folder,
                       name, COPIES);
    TR_TRY(check_place(checkpoint, found, count, err));
    for (int i = 1; i < count; i++)
        if (!found[i]->copy)
            TR_TRY(check_copy(checkpoint, found[0], found[i], err));
    *tensor_p = found[0];
    return TR_OK;
}

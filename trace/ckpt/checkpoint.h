// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CHECKPOINT_H
#define TR_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

// One checkpoint on disk: a folder with weights in some file format, seen as named tensors, and
// their configuration. Opening reads headers only; every byte of them is checked before it is
// believed.

enum tr_dtype {
    TR_F64,
    TR_F32,
    TR_F16,
    TR_BF16,        // the types weights may have
    TR_OTHER_DTYPE, // legal in the file, not usable as a weight (I64, U8, F8 ...)
};
size_t tr_dtype_size(enum tr_dtype dtype); // bytes; 0 for TR_OTHER_DTYPE

enum { TR_MAX_DIMS = 8 };

// A box of a tensor as it lies in a file: the element [i, j ...] of the box is [begin[0] + i,
// begin[1] + j ...] of the tensor, and lies i * strides[0] + j * strides[1] ... elements behind the
// box's first. Not only shards are boxes: so are the rows of one head, every second row, one layer
// of a stack of layers, a transposed matrix.
struct tr_piece {
    int file;        // index into the checkpoint's files
    uint64_t offset; // of the first byte, from the start of the file
    int64_t begin[TR_MAX_DIMS], shape[TR_MAX_DIMS], strides[TR_MAX_DIMS];
};

// A tensor is pieces that hold each of its elements once.
struct tr_tensor {
    const char *name;
    enum tr_dtype dtype;
    char dtype_text[16]; // as safetensors spells it, whatever the format
    int dims;
    int64_t shape[TR_MAX_DIMS];
    uint64_t bytes;          // as they are delivered, row-major
    bool strided;            // false: they lie in this order from piece.offset on
    struct tr_piece piece;   // the first one, which mostly is the whole tensor; else all are in
    struct tr_piece *pieces; // [piece_count], in the order of `begin`; NULL where there is one
    int64_t piece_count;     // of `pieces`
    bool copy;               // its bytes were found to be those of the tensor that stands for it
    bool unwrapped;          // words of wrapping modules were taken out of its name
    struct tr_packed
        *packed; // a quantized weight, whose values are made of other tensors; else NULL
};

// The tensors [*count_p] as which it lies in files: itself, or the parts of a quantized weight.
// tr_checkpoint_read gives their bytes, too. Borrowed from the tensor.
const struct tr_tensor *tr_tensor_stored(const struct tr_tensor *tensor, int *count_p);
uint64_t tr_tensor_stored_bytes(const struct tr_tensor *tensor); // of all of them

// The pieces [*count_p]. Borrowed from the tensor.
const struct tr_piece *tr_tensor_pieces(const struct tr_tensor *tensor, int64_t *count_p);

// A shape or an index, "[2, 3]", into `out`, returned; many large numbers are cut off.
enum { TR_INDEX_MAX = 128 };
char *tr_index_text(int dims, const int64_t *shape, char out[TR_INDEX_MAX]);

// Open files and the table of tensors. Not thread-safe, except that several threads may read.
struct tr_checkpoint;

// Opens a folder, or a file that is a checkpoint by itself, of one of the formats that
// docs/checkpoints.md lists; where a folder has several, the first of model.safetensors,
// model.safetensors.index.json and its shards, pytorch_model.bin, pytorch_model.bin.index.json and
// its shards, model.pt, and then what trainers write. Tensors that have a trainer's names and rows
// are given Hugging Face's. Quantized weights in the layouts of ckpt/packed_layout.h are tensors of
// f32 under the names of plain ones, those in MXFP4 of bf16, rows as they are stored. Words of
// wrapping modules ("module", "_orig_mod",
// "_fsdp_wrapped_module" ...) are taken out of the tensors' names, wherever they stand. The error
// sentences name the file and, where there is one, the tensor. TR_EFORMAT for damaged files,
// TR_EUNSUPPORTED for a folder in a format we do not read (naming it), TR_EIO otherwise.
enum tr_status tr_checkpoint_open(struct tr_checkpoint **checkpoint_p, const char *path,
                                  struct tr_err *err);

// The same with the configuration of the file `config` (as config.json says it) in place of the
// checkpoint's own. NULL: its own.
enum tr_status tr_checkpoint_open_with(struct tr_checkpoint **checkpoint_p, const char *path,
                                       const char *config, struct tr_err *err);
void tr_checkpoint_close(struct tr_checkpoint *checkpoint); // accepts NULL

// The same without looking into the weights: a checkpoint that has a config and a choice, no
// tensors.
enum tr_status tr_checkpoint_peek(struct tr_checkpoint **checkpoint_p, const char *path,
                                  const char *config, struct tr_err *err);

// A tensor of that exact name, NULL when there is none. Borrowed.
const struct tr_tensor *tr_checkpoint_find(const struct tr_checkpoint *checkpoint,
                                           const char *name);

// The tensor that the model calls `name`, however the file spells it: base models are saved without
// the `root` ("model.", "transformer."; "": there is none) that the whole model puts before their
// names, and modules that hold a whole model put their own before all of them ("model.model...").
// Where the file has it more than once, in several spellings or shards, the bytes must be equal.
// *tensor_p is NULL when there is none, and no index claims it. TR_EFORMAT, by name: copies that
// differ, a tensor that is not where the index says.
enum tr_status tr_checkpoint_want(struct tr_checkpoint *checkpoint, const char *name,
                                  const char *root, const struct tr_tensor **tensor_p,
                                  struct tr_err *err);

// All tensors, sorted by name (bytewise).
int64_t tr_checkpoint_tensor_count(const struct tr_checkpoint *checkpoint);
const struct tr_tensor *tr_checkpoint_tensor(const struct tr_checkpoint *checkpoint, int64_t index);

// Reads bytes [begin, begin + size) of a tensor's data: row-major, little-endian, however the file
// has it; in memory that does not depend on the tensor's size. Callers read in order and in pieces
// of several MiB.
enum tr_status tr_checkpoint_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                                  uint64_t begin, void *bytes, size_t size, struct tr_err *err);

// Tells the kernel that these bytes will be read soon (posix_fadvise); never fails.
void tr_checkpoint_will_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor);

// Whether all files of the checkpoint are the ones that were opened, by device, inode, size and
// times: TR_EIO naming one that is not. To be asked when all has been read.
enum tr_status tr_checkpoint_unchanged(const struct tr_checkpoint *checkpoint, struct tr_err *err);

// Where the folder has weights in several files that each could be meant, which is read and which
// are not, in words ("model.safetensors is read, not pytorch_model.bin"); else "". Borrowed.
const char *tr_checkpoint_choice(const struct tr_checkpoint *checkpoint);

// The path of a tensor's file (of its first piece), for messages. Borrowed.
const char *tr_checkpoint_file(const struct tr_checkpoint *checkpoint,
                               const struct tr_tensor *tensor);

// Sum of the sizes of the weight files, in bytes.
uint64_t tr_checkpoint_bytes(const struct tr_checkpoint *checkpoint);

// config.json's bytes, 0-terminated, their digest and the file's path; of a format that keeps its
// configuration elsewhere, the same said in config.json's words, and the path of where it does.
// Borrowed.
const char *tr_checkpoint_config(const struct tr_checkpoint *checkpoint, size_t *size_p);
const char *tr_checkpoint_config_digest(const struct tr_checkpoint *checkpoint);
const char *tr_checkpoint_config_path(const struct tr_checkpoint *checkpoint);

// The training step, where the format records it; else -1.
int64_t tr_checkpoint_step(const struct tr_checkpoint *checkpoint);

// What tells this checkpoint from another without reading its data: a digest over the weight
// files' names, sizes, modification times (in nanoseconds) and the bytes that describe the tensors
// (safetensors header; directory and pickle of a .bin file), the index of shards included. As they
// were when the checkpoint was opened. Why these: docs/design.md, D7.
void tr_checkpoint_identity(const struct tr_checkpoint *checkpoint, char out[TR_DIGEST_MAX]);

// Whose names the tensors have where a model's are missing ("an adapter's", "Meta's own"), and in
// *name_p (borrowed) one that shows it; NULL when no sign is known.
const char *tr_checkpoint_whose(const struct tr_checkpoint *checkpoint, const char **name_p);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_READER_H
#define TR_READER_H

#include <pthread.h>
#include <sys/stat.h>

#include "base/strings.h"
#include "ckpt/checkpoint.h"
#include "index.h"

// What a reader of one file format fills in. Internal; a new format is a row in checkpoint.c's
// table and a file with its reader.

struct tr_weight_file {
    char *name; // within the folder
    char *path;
    int fd;           // -1: closed for now
    int users;        // that read it at this moment
    uint64_t used;    // when it was last asked for, by the checkpoint's clock
    struct stat info; // when it was first opened
    uint64_t size;
    char *names; // what its tensors' names point into
};

// A file that was read whole at opening: config.json, an index.
struct tr_small_file {
    char *path;
    struct stat info;
};

struct tr_checkpoint {
    char *folder;
    char *above; // the folder that was given, where the weights are in one below it; else NULL
    struct tr_weight_file *files; // [file_count]
    int file_count, open_count;
    uint64_t file_capacity, clock;
    pthread_mutex_t mutex;       // of the files' descriptors: several threads may read at a time
    struct tr_small_file *small; // [small_count]
    int small_count;
    uint64_t small_capacity;
    struct tr_tensor *tensors; // [tensor_count], sorted by name once opened
    int64_t tensor_count;
    uint64_t tensor_capacity;
    char *config, *config_path;
    size_t config_size;
    char config_digest[TR_DIGEST_MAX];
    int64_t step;            // -1 unless the reader knows it
    struct tr_string stamps; // a line per file, of which the identity is the digest
    struct tr_string choice; // see tr_checkpoint_choice
    struct tr_index index;   // of a sharded one
    char *index_path;        // NULL: it has none
    char *names;             // of all tensors, without the words of wrappers
    char **kept;             // [kept_count], names that a reader made
    int64_t kept_count;
    uint64_t kept_capacity;
    int model_parallel; // ranks that each hold a part of the tensors of one name; 1 as a rule
};

// Opens the weights of checkpoint->folder, `name` being the file by which the format was
// recognised; adds files, tensors and stamps, and may set the step. What was added is released by
// the caller.
typedef enum tr_status tr_format_open(struct tr_checkpoint *checkpoint, const char *name,
                                      struct tr_err *err);

struct tr_format {
    // Of the file that a folder of this format has, below it. With a '*' it is a pattern of the
    // name of a file in the folder, of which there must be one alone; `read` gets that one's name.
    const char *name;
    const char *what; // with its article, for sentences of a trainer's format; NULL elsewhere
    tr_format_open *read;
    // For a folder without config.json, called before `read`: gives the configuration by
    // tr_checkpoint_set_config. NULL: such a folder is refused.
    tr_format_open *configure;
    bool foreign_config; // its config.json is not Hugging Face's: `configure` reads it
};

// Opens `folder` as of that format, as tr_checkpoint_open does with the formats it knows.
enum tr_status tr_checkpoint_open_as(struct tr_checkpoint **checkpoint_p, const char *folder,
                                     const struct tr_format *format, struct tr_err *err);

// What config.json would hold, json[0, size); copied. `name`: the file of the folder that says so.
enum tr_status tr_checkpoint_set_config(struct tr_checkpoint *checkpoint, const char *name,
                                        const char *json, size_t size, struct tr_err *err);

// Keeps a copy of a name for as long as the checkpoint is open.
enum tr_status tr_checkpoint_keep(struct tr_checkpoint *checkpoint, const char *name,
                                  const char **kept_p, struct tr_err *err);

// Gives the tensors Hugging Face's names and rows where they have a trainer's, see naming.h, and
// joins what ranks hold. TR_EUNSUPPORTED where a name is none of a naming that others have.
enum tr_status tr_checkpoint_rename(struct tr_checkpoint *checkpoint, struct tr_err *err);

// Puts a tensor of f32, of bf16 for MXFP4, in the place of the parts of each quantized weight,
// where the configuration says that there are such. TR_EUNSUPPORTED, TR_EFORMAT: see
// packed_scheme.h; parts that do not fit one another.
enum tr_status tr_checkpoint_join_packed(struct tr_checkpoint *checkpoint, struct tr_err *err);

// Whether a name begins as what a trainer keeps beside the weights: an optimizer's, a scheduler's.
bool tr_is_training_state(const char *name);

// Whether two tensors have one type, shape and value.
enum tr_status tr_checkpoint_same(struct tr_checkpoint *checkpoint, const struct tr_tensor *a,
                                  const struct tr_tensor *b, bool *same_p, struct tr_err *err);

// Bytes [begin, begin + size) of a quantized weight's values, row-major in the tensor's type.
enum tr_status tr_packed_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                              uint64_t begin, void *bytes, size_t size, struct tr_err *err);

tr_format_open tr_read_safetensors;
tr_format_open tr_read_safetensors_index;
tr_format_open tr_read_torch;
tr_format_open tr_read_torch_index;
tr_format_open tr_read_meta;
tr_format_open tr_read_distributed;
tr_format_open tr_read_megatron;
tr_format_open tr_read_deepspeed;
tr_format_open tr_read_universal;
tr_format_open tr_read_zero3;
tr_format_open tr_read_neox;
tr_format_open tr_read_nanotron;

// Adds the file `name` of torch.save with all its tensors.
tr_format_open tr_add_torch;

// The reader of the index `name`: calls `add` for each shard it names, which adds the file's
// tensors. The index stays with the checkpoint: whether a tensor is where it says is asked when the
// tensor is wanted, for indexes list what no shard has and nobody needs.
enum tr_status tr_read_shards(struct tr_checkpoint *checkpoint, const char *name,
                              tr_format_open *add, struct tr_err *err);

// Adds the regular file `name`, opened for reading; *file_p is valid, and open, until the next
// call. At most 32 files of a checkpoint are open at a time, one that is read more.
enum tr_status tr_checkpoint_add_file(struct tr_checkpoint *checkpoint, const char *name,
                                      struct tr_weight_file **file_p, struct tr_err *err);

// The descriptor of file `index`, opened again when it was closed; TR_EIO when it is another file
// than before. Open until it is given back. Threads may do so at the same time.
enum tr_status tr_checkpoint_take_file(struct tr_checkpoint *checkpoint, int index, int *fd_p,
                                       struct tr_err *err);
void tr_checkpoint_give_file(struct tr_checkpoint *checkpoint, int index);

// Loads the small file `name` of the folder whole (at most `limit` bytes, refusing placeholders),
// and remembers it for tr_checkpoint_unchanged; *info_p (may be NULL) as fstat has it.
enum tr_status tr_checkpoint_load(struct tr_checkpoint *checkpoint, const char *name,
                                  uint64_t limit, char **bytes_p, size_t *size_p,
                                  struct stat *info_p, struct tr_err *err);

void tr_checkpoint_close_files(struct tr_checkpoint *checkpoint); // and releases their memory

// Adds tensors[0, count), each of one piece in the file added last, whose place (piece.offset, and
// piece.strides where `strided`) has been checked.
enum tr_status tr_checkpoint_add_tensors(struct tr_checkpoint *checkpoint,
                                         const struct tr_tensor *tensors, int64_t count,
                                         struct tr_err *err);

// Adds a tensor (its name, type, shape and bytes) made of pieces[0, count), which come in any order
// and lie in any of the files added so far; they are copied. The name is borrowed, from a file's
// `names` as a rule. TR_EFORMAT, with the tensor's name, when a piece leaves the tensor or its
// file, when two overlap, when an element is in none. Pieces without elements count for nothing.
enum tr_status tr_checkpoint_add_pieces(struct tr_checkpoint *checkpoint,
                                        const struct tr_tensor *tensor,
                                        const struct tr_piece *pieces, int64_t count,
                                        struct tr_err *err);

// Sorts the tensors; TR_EFORMAT when a file has two of one name. To be called after all were added.
enum tr_status tr_checkpoint_sort(struct tr_checkpoint *checkpoint, struct tr_err *err);

// Takes the words of wrapping modules (DistributedDataParallel, torch.compile, FSDP, activation
// checkpointing) out of a tensor's name, wherever they stand.
void tr_unwrap_name(char *name);

// Adds a file to the identity: name, size, modification time and the bytes that describe it.
enum tr_status tr_checkpoint_stamp(struct tr_checkpoint *checkpoint, const char *name,
                                   const struct stat *info, const void *bytes, size_t size,
                                   struct tr_err *err);

// Refuses what stands for a file that was never downloaded (an empty file, a git-LFS pointer, a web
// page), and what is plainly of another kind.
// bytes[0, size): the beginning of the file.
enum tr_status tr_refuse_placeholder(const char *path, const void *bytes, size_t size,
                                     struct tr_err *err);

// Whether the folder has an entry of that name, be it a broken link: opening it then says so.
enum tr_status tr_folder_has(const char *folder, const char *name, bool *has_p, struct tr_err *err);

// Whether a file of that name is a checkpoint by itself, as Lightning's and nanoGPT's are; and
// whether it holds what a trainer keeps beside the weights.
bool tr_is_checkpoint_file(const char *name);
bool tr_is_state_file(const char *name);

// Whether the folder has a file by which one of the formats is recognised.
enum tr_status tr_folder_has_weights(const char *folder, bool *has_p, struct tr_err *err);

// Why `folder` cannot be opened, in one sentence: what it holds instead, or nothing of
// `looked_for`.
enum tr_status tr_refuse_folder(const char *folder, const char *looked_for, struct tr_err *err);

// Why a folder with weights but without config.json cannot be: whose configuration it has instead.
enum tr_status tr_refuse_configless(const char *folder, struct tr_err *err);

#endif

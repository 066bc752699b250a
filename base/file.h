// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FILE_H
#define TR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/status.h"

// Reads exactly `size` bytes at `offset` of an open file, retrying short reads; `path` is for the
// sentence. TR_EIO when the file ends early or reading fails.
enum tr_status tr_file_read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t size,
                               struct tr_err *err);

// Opens the regular file `path` for reading; *info_p is what fstat says of it. A FIFO, a socket, a
// device or a folder is TR_EFORMAT at once, nothing being read of it and nobody waited for.
enum tr_status tr_file_open(const char *path, int *fd_p, struct stat *info_p, struct tr_err *err);

// Whether both describe the same bytes as far as a file system tells: device, inode, size, and
// times of modification and change.
bool tr_file_same(const struct stat *a, const struct stat *b);

// Refuses a git-LFS pointer, which stands for a file that was never fetched: TR_EFORMAT.
// bytes[0, size): the beginning of the file.
enum tr_status tr_refuse_lfs_pointer(const char *path, const void *bytes, size_t size,
                                     struct tr_err *err);

// The whole regular file, followed by a 0 that is not counted; freed with free(). TR_EFORMAT when
// it is larger than `limit` bytes, or a git-LFS pointer.
enum tr_status tr_file_load(const char *path, uint64_t limit, char **bytes_p, size_t *size_p,
                            struct tr_err *err);

// The same, and what fstat says of the file that was read.
enum tr_status tr_file_load_info(const char *path, uint64_t limit, char **bytes_p, size_t *size_p,
                                 struct stat *info_p, struct tr_err *err);

// The file that writing to `path` writes, freed with free(): links are followed, also to what is
// not there yet; what is no link stays as it is spelled. TR_EIO for a circle of links.
enum tr_status tr_file_target(char **target_p, const char *path, struct tr_err *err);

// Gives the open file `fd`, which is to replace the file `path`, that one's mode, and its owner and
// group where this process may. Nothing to do when there is none.
enum tr_status tr_file_keep_mode(int fd, const char *path, struct tr_err *err);

// Replaces `path` atomically and durably: write beside it, fsync, rename, fsync the folder. The
// mode of what is replaced stays. A folder is refused; of a link, what it points to is replaced; a
// device or a pipe is written to itself.
enum tr_status tr_file_replace(const char *path, const void *bytes, size_t size,
                               struct tr_err *err);

// The same for what write(user, path) puts into a file of the name it is given. With `seeks` it
// cannot write to a pipe or a device: TR_EUSAGE.
enum tr_status tr_file_replace_by(const char *path, bool seeks,
                                  enum tr_status (*write)(const void *user, const char *path,
                                                          struct tr_err *err),
                                  const void *user, struct tr_err *err);

// Removes what one of the two above has written beside its path so far, for signal handlers.
// Programs that use it replace one file at a time.
void tr_file_abandon(void);

// The two halves of an atomic publication of a file somebody else wrote: fsyncs `path`, renames it
// to `final_path`, which is no link, and whose mode stays, fsyncs the folder.
enum tr_status tr_file_publish(const char *path, const char *final_path, struct tr_err *err);

// Copies the regular file `from` to `to`, which must not exist yet, and syncs it: sharing its
// blocks where the file system can, else byte by byte. *stop (may be NULL) not 0 ends it with
// TR_EIO.
enum tr_status tr_file_copy(const char *from, const char *to, const volatile int *stop,
                            struct tr_err *err);

bool tr_file_exists(const char *path);
bool tr_is_folder(const char *path);

// Makes a folder that is not there; the one above it is.
enum tr_status tr_make_folder(const char *path, struct tr_err *err);

// Whether something stands at `path`, or the folder exists in which it would.
bool tr_file_has_place(const char *path);

// Whether a regular file at `path` begins with another character than `first`. An empty one does
// not; one that cannot be read does.
bool tr_file_holds_other(const char *path, char first);

#endif

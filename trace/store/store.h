// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STORE_H
#define TR_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/row.h"
#include "store/run_info.h"
#include "store/trace.h"

// The time series on disk, netCDF-4-shaped HDF5 (the only folder that sees hdf5.h and zstd.h).
// Reading it is trace.h; this is writing.
//
// A file that is open for writing is never the truth. The rank that completes a checkpoint commits
// a one-checkpoint store OUT.parts/<key>.h5 (temporary name, fsync, rename, fsync of the folder).
// OUT itself is never changed in place: the publisher writes a whole new file, rows sorted, chunks
// copied compressed as they are, and renames it over OUT; then it deletes the parts it holds.
// Readers always see a whole, unlocked file. All functions may be called from any thread; the
// folder serialises its use of HDF5 by one lock.

// Commits one checkpoint's row to out_path.parts/: afterwards it survives any crash. Any rank.
enum tr_status tr_store_commit(const char *out_path, const struct tr_run_info *info,
                               const struct tr_row *row, struct tr_err *err);

// What was added to a row after it was traced, or with it: costs of single removals and of named
// sets, and of these the distances. A row has them when a value of theirs is finite.
struct tr_additions {
    bool costs, sets, distances;
};
enum tr_status tr_trace_additions(const struct tr_trace *trace, int64_t row,
                                  struct tr_additions *additions, struct tr_err *err);

// Fills a row of `layout` (tr_row_new) with the committed one of that name, from its part or from
// out_path; what the file lacks stays missing. TR_EFORMAT when there is none. Any rank.
enum tr_status tr_store_row(const char *out_path, const char *name, const struct tr_layout *layout,
                            struct tr_row *row, struct tr_err *err);

// Takes what out_path and its parts say of costs of removal, of named sets and of a search into the
// description of a run, where that has none, so that it goes on with them.
enum tr_status tr_store_adopt_costs(const char *out_path, struct tr_run_info *info,
                                    struct tr_err *err);

struct tr_store; // the publisher's handle: one per job, on rank 0

// Which part of a series a job takes: the index-th of `count`, from 1; count 0: all of it.
struct tr_shard {
    int64_t index, count;
};

// Opens out_path for a run that `info` describes: creates the .parts folder, locks it against a
// second job (TR_ECONFLICT naming host and process), removes left-over temporary files, reads which
// rows OUT and the parts hold. `fresh`: removes the parts and forgets OUT, which stays as it is
// until the first publication replaces it (TR_ECONFLICT when it is not HDF5: it is somebody's other
// file). TR_ECONFLICT when an
// identity attribute or the layout differs, saying which, there and here. Differing TR_RECORDED
// attributes are returned as sentences, one per line, in *warnings_p (NULL when none; free()).
enum tr_status tr_store_open(struct tr_store **store_p, const char *out_path,
                             const struct tr_run_info *info, bool fresh, char **warnings_p,
                             struct tr_err *err);

// The same for one of several jobs on one OUT, each with a shard of the series: each commits its
// parts, and publishes when no other one does. TR_ECONFLICT when another job has this shard or the
// whole series; TR_EUNSUPPORTED where the file system's locks do not reach from host to host.
enum tr_status tr_store_open_shard(struct tr_store **store_p, const char *out_path,
                                   const struct tr_run_info *info, struct tr_shard shard,
                                   char **warnings_p, struct tr_err *err);
// The shards of so many that have begun and are not over: how many of them a job has in hand, and
// one whose job is no more, however it ended; 0: none.
struct tr_shards_seen {
    int64_t held, left;
};
enum tr_status tr_store_look_at_shards(struct tr_shards_seen *seen, const char *out_path,
                                       int64_t count, struct tr_err *err);
// Whether another job is publishing OUT, so that this one would wait.
bool tr_store_is_busy(const struct tr_store *store);

// What a committed row says of itself, for resuming: all borrowed until the next publish.
struct tr_committed {
    const char *name, *identity, *config_digest, *weights_digest, *backend;
    enum tr_row_status status;
    struct tr_additions additions;
};
// False when no row of that name is committed.
bool tr_store_find(struct tr_store *store, const char *name, struct tr_committed *out);

// Withdraws a committed row (its checkpoint changed on disk): it is left out of the next
// publication, unless a new row of that name is committed.
void tr_store_withdraw(struct tr_store *store, const char *name);

// An attribute of the moment that the next publication writes, such as how long work took.
enum tr_status tr_store_tell(struct tr_store *store, const char *name, const char *text,
                             struct tr_err *err);

// Publishes what is committed: a new OUT with the rows of the old one and of all parts (a part
// replaces a row of the same name), in the order of training: tr_moments_sort, by the rule that the
// attribute row_order holds. Nothing is written when nothing is new. Seconds it took in *seconds_p
// (may be NULL).
enum tr_status tr_store_publish(struct tr_store *store, double *seconds_p, struct tr_err *err);

// Unlocks, removes the .parts folder when it is empty, frees. Accepts NULL.
void tr_store_close(struct tr_store *store);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DROP_WRITE_H
#define TR_DROP_WRITE_H

#include <signal.h>
#include <stdbool.h>

#include "base/status.h"
#include "base/strings.h"

// A checkpoint without the sublayers of a drop set, written as a folder that others load. What they
// read, and what they pass over in silence, differs: docs/dropping.md has who loads what.

// How the set is written. A row of a table.
struct tr_drop_form;

// The form called `as` ("smaller", "zeroed" ...), in that dialect where it has several; dialect
// NULL: the first. NULL when there is none.
const struct tr_drop_form *tr_drop_form_find(const char *as, const char *dialect);

// "smaller, zeroed or ...", for sentences. Appended.
enum tr_status tr_drop_form_names(struct tr_string *text, struct tr_err *err);

struct tr_packing; // see drop/packing.h

struct tr_drop_write_options {
    const char *source;               // the folder of a checkpoint
    const char *target;               // the folder to be made
    const char *drop;                 // as tr_drop_set_read takes it; NULL, with a packing: nothing
    const struct tr_drop_form *form;  // borrowed; NULL where nothing is left out
    const struct tr_packing *packing; // weights in few bits; NULL: as they are. Borrowed
    bool link;                        // untouched files are hard links to the source's
    bool skip;                        // zeroed: config.json says so, too ("per_layer_config")
    bool unchecked;                   // what was written is not run
    int threads;                      // of that run; 0: all
    const char *made_by;              // program and version
    const volatile sig_atomic_t *stop; // not 0: give up; may be NULL
};

// Makes the folder `target`: written beside it under another name, synced, renamed when all is
// well, so that the name is that of a whole folder or of none. The source is only read. What is in
// it is carried over but other weights and folders. The written checkpoint is read again as its
// readers read it, and run over a few rows of tokens beside the source without the set: losses and
// streams must agree. What was done is appended to `told`, in lines.
//
// Packed weights are compared with their codes as they are written, and the folder is planned again
// instead of run.
//
// TR_EUSAGE: a set that the form cannot say, or nothing to leave out; TR_ECONFLICT: something is at
// `target`, or it lies in the source; TR_EUNSUPPORTED: what the form's readers would get wrong;
// TR_EFORMAT, TR_EIO: the files.
enum tr_status tr_drop_write(const struct tr_drop_write_options *options, struct tr_string *told,
                             struct tr_err *err);

#endif

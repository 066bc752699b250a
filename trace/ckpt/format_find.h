// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FORMAT_FIND_H
#define TR_FORMAT_FIND_H

#include "reader.h"

// Which format a folder, or a file that is a checkpoint by itself, is of. Internal.

struct tr_found_format {
    const struct tr_format *format;
    char *name; // of the file that shows it; freed with free()
};

// The first of the formats that checkpoint->folder shows; the others go into the words of the
// choice. Refuses a folder of no format, saying what it holds instead.
enum tr_status tr_format_of_folder(struct tr_checkpoint *checkpoint, struct tr_found_format *found,
                                   struct tr_err *err);

// The format of the file `name` of checkpoint->folder.
enum tr_status tr_format_of_file(const struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_found_format *found, struct tr_err *err);

#endif

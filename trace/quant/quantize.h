// SPDX-License-Identifier: Apache-2.0
#ifndef TR_QUANTIZE_H
#define TR_QUANTIZE_H

#include "base/strings.h"
#include "ckpt/packed_layout.h"
#include "mpi/dist.h"
#include "rounding/gptq.h"
#include "run/settings.h"

// A checkpoint whose weights are in few bits, with or without some of its sublayers, written as a
// folder that others load. Block by block, in their order: the rows of a text go through the model
// as it is so far, what meets each weight is summed up as its second moment, the weight is put into
// few bits, and what comes behind it meets what those make of the text (true sequential): queries,
// keys and values, then the output of attention, gate and up, then down.
//
// Rows are shared among the ranks by micro-batches; moments are added in the order of
// micro-batches, so that bits depend neither on ranks nor on threads. A block that is done is
// committed into TARGET.parts/, from which the same command goes on.

enum tr_quant_method { TR_QUANT_NEAREST, TR_QUANT_GPTQ, TR_QUANT_AWQ, TR_QUANT_METHODS };
extern const char *const tr_quant_method_names[TR_QUANT_METHODS]; // "rtn", "gptq", "awq"

enum { TR_SKIPS_MOST = 32 };

struct tr_quant_settings {
    struct tr_run_settings run; // of one checkpoint, `out` is not used
    const char *target;         // the folder to be made
    const char *drop_as;        // the form of a set that is left out; NULL: smaller
    enum tr_quant_method method;
    const struct tr_packed_layout *layout;
    struct kn_grid grid; // scale_type follows of layout and weights, symmetric of the next
    bool asymmetric;     // groups have zeros of their own
    bool no_clip;        // said of AWQ, which else looks for ranges
    struct tr_gptq_options gptq;
    const char *skip[TR_SKIPS_MOST]; // words: weights whose names hold one stay as they are
    int64_t skips;
    int64_t report; // rows behind the calibration's on which the result is compared; 0: none
    bool link;      // untouched files are hard links to the source's
    const char *made_by;
};

// Collective. What was done is appended to `told` on rank 0, in lines, and the report's tables.
// *stopped_p: it was asked to stop and left work. Errors as tr_drop_write has them; those of a rank
// are returned on that rank alone, and all ranks return together.
enum tr_status tr_quantize(const struct tr_quant_settings *settings, struct dist *dist,
                           bool *stopped_p, struct tr_string *told, struct tr_err *err);

#endif

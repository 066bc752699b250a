// SPDX-License-Identifier: Apache-2.0
#ifndef TR_QUANT_OPTIONS_H
#define TR_QUANT_OPTIONS_H

#include "option.h"
#include "quant/quantize.h"

// trace-quant's settings before its command line is read. It begins with a trace's, so that rows
// are shared. `run.stop` and `run.command` are left to the caller, `run.paths` is to be freed.
struct tr_quant_settings tr_quant_defaults(void);

#endif

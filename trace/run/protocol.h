// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PROTOCOL_H
#define TR_PROTOCOL_H

#include <sched.h>

#include "base/digest.h"
#include "base/status.h"
#include "mpi/work.h"

// What a rank says to rank 0: a fixed head and, for a piece of a checkpoint, its sums behind it.
// The answer to NEXT is an assignment (run/assignment.h); the others are answered by nothing. All
// ranks run one program on one kind of machine, so structs travel as they are.
enum tr_message_kind {
    TR_MSG_HELLO,    // the processors I may use (a struct tr_hello behind the message)
    TR_MSG_PROGRESS, // `tokens` of the present item are done so far
    TR_MSG_NEXT,     // what shall I do next?
    TR_MSG_WHOLE,    // I ran and committed a whole checkpoint, or recorded its failure
    TR_MSG_PIECE,    // here are the sums of a piece
    TR_MSG_FAILED,   // a piece of a checkpoint that cannot be run; `text` says why
    TR_MSG_FATAL,    // this rank cannot go on; `text` says why
};

// What a rank says of the place it runs in.
struct tr_hello {
    char host[256];
    cpu_set_t processors; // of its affinity mask
    int threads;          // it computes with
    int online;           // processors of the node
    double product_rate;  // FLOP/s of its sgemm
    char device[96];      // as in struct tr_device; "" on the CPU
};

struct tr_message {
    enum tr_message_kind kind;
    struct dist_item item;
    enum tr_status status; // TR_MSG_WHOLE: of the checkpoint
    bool vanished;         // it failed because it is no more; with --follow, no row then
    double seconds, bytes, flops, tokens, waited; // what the item took
    double blocks_done, blocks_whole;             // of costs, as in struct tr_cost_flops
    char identity[TR_DIGEST_MAX], config_digest[TR_DIGEST_MAX], weights_digest[TR_DIGEST_MAX];
    char text[TR_ERR_MAX];
    char note[160]; // how the rank fares, for --verbose; "": as planned
};

#endif

// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "forward.h"
#include "node_memory.h"
#include "schedule.h"
#include "worker.h"

// What the program itself has taken so far: libraries, their buffers, the calibration; bytes.
static double resident_memory(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long long pages = 0;
    if (file && fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

double tr_plan_memory(int node_size) {
    return 0.7 * tr_node_memory() / node_size;
}

struct tr_plan tr_plan_make(const struct tr_job *job, int ranks, double memory,
                            double product_rate) {
    const struct tr_calibration *c = &job->calibration;
    double checkpoints = (double)job->todo_count, tokens = (double)(c->sequences * c->seq_len);
    int64_t micro = tr_micro_batch(c->seq_len);
    struct tr_plan plan = {.ranks = ranks, .sequences = c->sequences, .product_rate = product_rate};
    plan.items = dist_schedule_items(job->todo_count, job->micro_batches, ranks);
    if (job->todo_count < ranks) // every item is a piece
        plan.sequences = (job->micro_batches + ranks - 1) / ranks * micro;
    plan.sequences = plan.sequences < c->sequences ? plan.sequences : c->sequences;
    plan.wave = tr_worker_wave(job, memory);
    plan.wave = plan.wave < plan.sequences ? plan.wave : plan.sequences;
    plan.memory = tr_worker_bytes(job, plan.wave) + resident_memory();
    double passes = (double)((plan.sequences + plan.wave - 1) / plan.wave);
    if (checkpoints > 0)
        passes *= (double)plan.items / checkpoints;
    plan.bytes_read = checkpoints * passes * job->first.bytes_read;
    plan.bytes_stored = checkpoints * job->first.bytes_stored;
    plan.flops =
        checkpoints * tr_config_flops(&job->first.config, tokens, c->seq_len, job->info.layout.nll);
    return plan;
}

static enum tr_status page(const struct tr_plan *plan, const struct tr_job *job,
                           struct tr_string *text, struct tr_err *err) {
    char read[TR_HUMAN_MAX], stored[TR_HUMAN_MAX], memory[TR_HUMAN_MAX], time[TR_HUMAN_MAX];
    char flops[TR_HUMAN_MAX], slab[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(
        text, err,
        "  items          %lld for %d rank%s; the largest has %lld sequences, %lld at a time\n",
        (long long)plan->items, plan->ranks, plan->ranks == 1 ? "" : "s",
        (long long)plan->sequences, (long long)plan->wave));
    TR_TRY(tr_string_format(text, err, "  to read        %s, %.2f times what is stored (%s)\n",
                            tr_human_bytes(plan->bytes_read, read),
                            plan->bytes_stored > 0 ? plan->bytes_read / plan->bytes_stored : 0,
                            tr_human_bytes(plan->bytes_stored, stored)));
    TR_TRY(tr_string_format(
        text, err,
        "  peak memory    %s a rank: two slabs of %s, streams, scratch, results, the program\n",
        tr_human_bytes(plan->memory, memory),
        tr_human_bytes((double)job->first.largest_slab, slab)));
    TR_TRY(tr_string_format(text, err, "  to compute     %s\n",
                            tr_human_unit(plan->flops, "FLOP", flops)));
    if (plan->product_rate <= 0)
        return TR_OK;
    return tr_string_format(text, err,
                            "  time           %s at this machine's sgemm rate (%.0f GFLOP/s), if "
                            "the disk keeps up\n",
                            tr_human_seconds(plan->flops / plan->product_rate, time),
                            plan->product_rate / 1e9);
}

enum tr_status tr_plan_text(const struct tr_plan *plan, const struct tr_job *job, bool whole,
                            struct tr_string *text, struct tr_err *err) {
    char parameters[TR_HUMAN_MAX], memory[TR_HUMAN_MAX];
    const struct tr_calibration *c = &job->calibration;
    TR_TRY(tr_string_format(text, err,
                            "tracing %lld of %lld checkpoints (%s; %s parameters) over %lld x %lld "
                            "tokens on %d rank%s, "
                            "at most %s each, into %s\n",
                            (long long)job->todo_count, (long long)job->series.count, job->shape,
                            tr_human_count(tr_config_parameters(&job->first.config), parameters),
                            (long long)c->sequences, (long long)c->seq_len, plan->ranks,
                            plan->ranks == 1 ? "" : "s", tr_human_bytes(plan->memory, memory),
                            job->options->out));
    return whole ? page(plan, job, text, err) : TR_OK;
}

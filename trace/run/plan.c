// SPDX-License-Identifier: Apache-2.0
#include "run/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "model/costs.h"
#include "model/forward.h"
#include "mpi/cut.h"
#include "node_memory.h"
#include "passes.h"

// Bytes that the program has taken so far, before any model: libraries, their buffers, the
// calibration.
static double resident_memory(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long long pages = 0;
    if (file && fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

const double tr_plan_device_reserve = 1.1e9;

// Bytes of libraries that are taken once they work: buffers of products, HDF5 while it writes, code
// that is read for the first time. Measured: 6 to 10 MB.
static const double libraries_at_work = 12e6;

struct tr_rank_bytes tr_plan_memory(const struct kn_backend *kn, double device_memory,
                                    int node_ranks, int sharers) {
    struct tr_rank_bytes memory = {.host = 0.7 * tr_node_memory() / node_ranks};
    if (kn->unified)
        return memory;
    double room = 0.9 * (double)kn->memory_free;
    if (device_memory > 0 && device_memory < room)
        room = device_memory;
    memory.device = room / sharers - tr_plan_device_reserve;
    return memory;
}

// Times that any rank goes through all weights of a checkpoint that is cut into so many pieces.
static int64_t passes_over(const struct tr_job *job, const struct tr_fit *fit, int64_t pieces,
                           bool traced) {
    int64_t units = tr_job_units(job), passes = 0;
    for (int64_t i = 0; i < pieces; i++) {
        struct dist_item item = {.begin = i * units / pieces, .end = (i + 1) * units / pieces};
        passes += tr_item_pass_count(job, fit, &item, traced);
    }
    return passes;
}

// The same of all checkpoints.
static int64_t all_passes(const struct tr_job *job, const struct dist_cut *cut,
                          const struct tr_fit *fit) {
    int64_t passes = 0;
    for (int64_t i = 0; i < job->todo_count; i++)
        passes += passes_over(job, fit, dist_cut_pieces(cut, i), tr_job_is_traced(job, i));
    return passes;
}

// Sequences of the largest item: of a whole checkpoint, unless all are split.
static int64_t largest_item(const struct tr_job *job, const struct dist_cut *cut) {
    int64_t pieces = dist_cut_pieces(cut, 0), all = job->calibration.sequences;
    int64_t units = (tr_job_units(job) + pieces - 1) / pieces;
    int64_t sequences =
        (units < job->micro_batches ? units : job->micro_batches) * job->micro_batch;
    return sequences < all ? sequences : all;
}

struct tr_plan tr_plan_make(const struct tr_job *job, const struct kn_backend *kn, int ranks,
                            int nodes, struct tr_rank_bytes memory, double product_rate) {
    const struct tr_calibration *c = &job->calibration;
    double checkpoints = (double)job->todo_count, tokens = 0;
    struct dist_cut cut = dist_cut(job->todo_count, tr_job_units(job), ranks, nodes);
    struct tr_plan plan = {.ranks = ranks, .nodes = nodes, .product_rate = product_rate};
    plan.items = dist_cut_items(job->todo_count, tr_job_units(job), ranks, nodes);
    plan.sequences = largest_item(job, &cut);
    plan.fit = tr_fit_make(job, kn, memory);
    plan.fit.wave = plan.fit.wave < plan.sequences ? plan.fit.wave : plan.sequences;
    plan.memory = tr_fit_bytes(job, kn, &plan.fit);
    plan.memory.host += resident_memory() + libraries_at_work;
    plan.memory.device += kn->unified ? 0 : tr_plan_device_reserve;
    plan.bytes_read = (double)all_passes(job, &cut, &plan.fit) * job->first.bytes_read;
    plan.bytes_stored = checkpoints * job->first.bytes_stored;
    for (int64_t i = 0; i < job->todo_count; i++)
        tokens += tr_job_tokens(job, tr_job_is_traced(job, i));
    plan.flops = tr_config_flops(&job->first.config, tokens, c->seq_len, &job->wanted);
    return plan;
}

enum tr_status tr_plan_forecast(struct tr_plan *plan, const struct tr_job *job, double rank_rate,
                                struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    struct dist_task *tasks;
    if (!o->ranks || !job->todo_count)
        return TR_OK;
    plan->machine =
        (struct dist_machine){.ranks = (int)o->ranks,
                              .nodes = o->nodes ? (int)o->nodes : 1,
                              .flops = o->rank_rate > 0 ? 1e12 * o->rank_rate : rank_rate,
                              .read = o->read_rate ? (double)o->read_rate : INFINITY};
    double each = tr_config_flops(&job->first.config, 1, job->calibration.seq_len, &job->wanted);
    TR_TRY(TR_NEW(&tasks, job->todo_count, "the forecast", err));
    for (int64_t i = 0; i < job->todo_count; i++)
        tasks[i] = (struct dist_task){.bytes = job->first.bytes_read,
                                      .flops = each * tr_job_tokens(job, tr_job_is_traced(job, i)),
                                      .node = -1};
    enum tr_status status = dist_forecast(&plan->forecast, tasks, job->todo_count,
                                          tr_job_units(job), &plan->machine, err);
    free(tasks);
    return status;
}

// The forecast in words.
static enum tr_status forecast_page(const struct tr_plan *plan, struct tr_string *text,
                                    struct tr_err *err) {
    const struct dist_machine *m = &plan->machine;
    const struct dist_forecast *f = &plan->forecast;
    char rate[TR_HUMAN_MAX], read[TR_HUMAN_MAX], time[TR_HUMAN_MAX], bytes[TR_HUMAN_MAX];
    if (!f->items)
        return TR_OK;
    TR_TRY(tr_string_format(text, err, "  on %d ranks    %d node%s, %s/s a rank", m->ranks,
                            m->nodes, m->nodes == 1 ? "" : "s",
                            tr_human_unit(m->flops, "FLOP", rate)));
    if (!isinf(m->read))
        TR_TRY(tr_string_format(text, err, ", %s/s read by a node", tr_human_bytes(m->read, read)));
    return tr_string_format(text, err,
                            ": %lld items, %s; ranks are idle %.1f %% of it; %s to read, a node "
                            "at most %.2f times what it needs of the checkpoints it is at\n",
                            (long long)f->items, tr_human_seconds(f->seconds, time), 100 * f->idle,
                            tr_human_bytes(f->bytes, bytes), f->rereads);
}

static enum tr_status device_page(const struct tr_plan *plan, struct tr_string *text,
                                  struct tr_err *err) {
    char memory[TR_HUMAN_MAX], reserve[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(text, err, "  device         %s", plan->device.text));
    if (plan->device.sharers > 1)
        TR_TRY(tr_string_format(text, err, ", shared by %d of this node's %d ranks",
                                plan->device.sharers, plan->node_ranks));
    return tr_string_format(text, err,
                            "\n  device memory  %s a rank: two slabs, streams, scratch, and %s for "
                            "the context and libraries\n",
                            tr_human_bytes(plan->memory.device, memory),
                            tr_human_bytes(tr_plan_device_reserve, reserve));
}

// What the costs of a checkpoint take, beside its trace.
static enum tr_status cost_page(const struct tr_plan *plan, const struct tr_job *job,
                                struct tr_string *text, struct tr_err *err) {
    const struct tr_cost_plan *cost = &job->cost;
    struct tr_cost_flops flops = tr_cost_plan_flops(cost, &job->first.config, 0, cost->count, 1,
                                                    job->calibration.seq_len, &job->wanted);
    double trace = tr_job_tokens(job, false) - tr_job_tokens(job, true);
    return tr_string_format(
        text, err,
        "  costs          %lld sublayers or blocks left out one by one on %lld rows, %.1f times "
        "the "
        "work of the trace; in the blocks %.3f of %lld whole forward passes; %lld at a time on "
        "%lld rows\n",
        (long long)cost->count, (long long)job->info.layout.cost_sequences,
        tr_job_tokens(job, true) / trace, flops.blocks_done / flops.blocks_whole,
        (long long)cost->count, (long long)plan->fit.cost_candidates,
        (long long)(plan->fit.cost_batches * job->micro_batch));
}

// What a search takes at most, by checkpoint.
static enum tr_status search_page(const struct tr_plan *plan, const struct tr_job *job,
                                  struct tr_string *text, struct tr_err *err) {
    const struct tr_search_plan *search = &job->search;
    const struct tr_calibration *c = &job->calibration;
    struct tr_search_flops flops;
    char done[TR_HUMAN_MAX], time[TR_HUMAN_MAX];
    int64_t *order;
    double tokens = (double)c->sequences * (double)c->seq_len;
    TR_TRY(TR_NEW(&order, search->count, "the order", err));
    tr_search_costly_order(search, order);
    enum tr_status status =
        tr_search_flops(&flops, search, search->order ? search->order : order, &job->first.config,
                        tokens, c->seq_len, &job->drop, err);
    free(order);
    TR_TRY(status);
    TR_TRY(tr_string_format(
        text, err,
        "  search         %lld rounds among %lld candidates, %.0f evaluations on %lld rows a "
        "checkpoint: %s%s, in the blocks %.3f of a loop that skips what is dropped",
        (long long)search->rounds, (long long)search->count, flops.evaluations,
        (long long)c->sequences, search->order ? "" : "at most ",
        tr_human_unit(flops.done, "FLOP", done), flops.blocks_done / flops.blocks_skipping));
    if (plan->product_rate > 0)
        TR_TRY(tr_string_format(text, err, "; %s at the rate below",
                                tr_human_seconds(flops.done / plan->product_rate, time)));
    return tr_string_append(text, "\n", 1, err);
}

static enum tr_status page(const struct tr_plan *plan, const struct tr_job *job,
                           const struct kn_backend *kn, struct tr_string *text,
                           struct tr_err *err) {
    static const char *const counts[] = {"no",  "one",   "two",   "three", "four", "five",
                                         "six", "seven", "eight", "nine",  "ten"};
    char read[TR_HUMAN_MAX], stored[TR_HUMAN_MAX], memory[TR_HUMAN_MAX], time[TR_HUMAN_MAX];
    char flops[TR_HUMAN_MAX], slab[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(
        text, err,
        "  items          %lld for %d rank%s; the largest has %lld sequences, %lld at a time\n",
        (long long)plan->items, plan->ranks, plan->ranks == 1 ? "" : "s",
        (long long)plan->sequences, (long long)plan->fit.wave));
    if (job->cost.count)
        TR_TRY(cost_page(plan, job, text, err));
    if (job->search.count)
        TR_TRY(search_page(plan, job, text, err));
    TR_TRY(tr_string_format(text, err, "  to read        %s, %.2f times what is stored (%s)\n",
                            tr_human_bytes(plan->bytes_read, read),
                            plan->bytes_stored > 0 ? plan->bytes_read / plan->bytes_stored : 0,
                            tr_human_bytes(plan->bytes_stored, stored)));
    TR_TRY(tr_string_format(text, err,
                            "  peak memory    %s a rank: %s slabs of %s, %sresults, the program\n",
                            tr_human_bytes(plan->memory.host, memory), counts[plan->fit.slabs],
                            tr_human_bytes((double)job->first.largest_slab, slab),
                            plan->memory.device > 0 ? "" : "streams, scratch, "));
    if (plan->memory.device > 0)
        TR_TRY(device_page(plan, text, err));
    TR_TRY(tr_string_format(text, err, "  to compute     %s with %s operands: %s\n",
                            tr_human_unit(plan->flops, "FLOP", flops), kn_type_name(job->type),
                            kn->description));
    if (plan->product_rate <= 0)
        return forecast_page(plan, text, err);
    TR_TRY(tr_string_format(text, err,
                            "  time           %s at this machine's %s rate (%.0f GFLOP/s), if "
                            "the disk keeps up\n",
                            tr_human_seconds(plan->flops / plan->product_rate, time),
                            kn->unified ? "sgemm" : "product", plan->product_rate / 1e9));
    return forecast_page(plan, text, err);
}

enum tr_status tr_plan_text(const struct tr_plan *plan, const struct tr_job *job,
                            const struct kn_backend *kn, bool whole, struct tr_string *text,
                            struct tr_err *err) {
    char parameters[TR_HUMAN_MAX], memory[TR_HUMAN_MAX];
    const struct tr_calibration *c = &job->calibration;
    TR_TRY(tr_string_format(text, err,
                            "tracing %lld of %lld checkpoints (%s; %s parameters) over %lld x %lld "
                            "tokens on %d rank%s, "
                            "at most %s each, into %s\n",
                            (long long)job->todo_count, (long long)job->series.count, job->shape,
                            tr_human_count(tr_config_parameters(&job->first.config), parameters),
                            (long long)c->sequences, (long long)c->seq_len, plan->ranks,
                            plan->ranks == 1 ? "" : "s", tr_human_bytes(plan->memory.host, memory),
                            job->settings->out));
    return whole ? page(plan, job, kn, text, err) : TR_OK;
}

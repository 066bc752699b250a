// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RESULT_H
#define AN_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/run_series.h"
#include "analysis/sizes.h"
#include "base/drop_set.h"
#include "base/status.h"
#include "statistics/choice.h"
#include "statistics/concordance.h"
#include "statistics/decomposition.h"

// Everything that is computed from a store: what trace-analyze prints, what --json holds, what
// exports draw. Plain data in the order of the questions: is the data sound, how redundant is each
// layer, does the ranking hold over training, which set follows, when was it decided, is it more
// than chance.
//
// Claims (means, worst cases, sets, W) rest on the checkpoints `series.claim`, at which all layers
// that are compared have a value; histories (agreement, onset, change points) on all complete ones.
// Importance is 1 - cos, without unit; settings.by may name another thing to rank by (criterion.h),
// and that stands in its place. What the data cannot support is NaN, or -1 where it is an
// index or a count.

// A number and its two-sided interval at the run's level. NaN bounds: no interval can be given.
struct an_estimate {
    double value, low, high;
};

// What is ranked against each other. The first three are the modules of the store; JOINT ranks
// attention and MLP together.
enum an_group { AN_ATTN, AN_MLP, AN_BLOCK, AN_JOINT, AN_GROUPS };
extern const char *const an_group_names[AN_GROUPS]; // "attn", "mlp", "block", "joint"

// Whether the group ranks sublayers of that module (enum tr_module).
bool an_group_holds(enum an_group group, int module);

// How many are "the lowest" when nobody says: about a quarter, at least 1.
int64_t an_default_count(int64_t units);

extern const char *const an_aggregate_names[AN_AGGREGATES]; // "mean", "worst", "last"

// What a smaller model may take at most.
struct an_allowance {
    bool given;
    enum an_resource resource;
    double amount; // of the resource, or as a share of what the whole model takes
    bool is_share;
    int64_t context; // tokens of the text that caches and operations are counted for; 0: the rows'
    const char *speeds; // of milliseconds: a speed.json of trace-eval, borrowed
};

// With fewer rows of text intervals are wide and what they cover is not what they promise
// (tests/statistics/coverage.md): it is said.
enum { AN_ROWS_LEAST = 32 };

struct an_settings {
    bool wanted[AN_GROUPS];
    enum an_by by;     // what is ranked by: "importance" below stands for it
    int64_t count;     // size of the sets; 0: about a quarter of the units
    double below;      // tau of the below-tau test; NaN: none
    int64_t from;      // first step that claims rest on; INT64_MIN: all
    int64_t resamples; // of the bootstrap over sequences, and relabellings of W's test
    uint64_t seed;
    double level; // of intervals, e.g. 0.95; 1 - level is the false-discovery rate
    // Of plans alone:
    enum an_aggregate over; // which value of a unit they go by
    struct an_allowance budget;
    bool protect_first, protect_last; // layers that stay
    bool consecutive;                 // the best run of blocks, of settings.count
    const struct tr_drop_set *given;  // a set that somebody else chose; NULL: none; borrowed
};

// ---- faults of the data ----------------------------------------------------------------------

enum an_fault_kind {
    AN_FAULT_FAILED,    // the checkpoint could not be traced
    AN_FAULT_NONFINITE, // tokens were left out of means: not finite
    AN_FAULT_ANGLELESS, // the same: their stream is zero
    AN_FAULT_LOSS,      // the loss of some sequences is not finite: the checkpoint has none
    AN_FAULT_DUPLICATE, // two checkpoints have the same weights
    AN_FAULT_IDENTICAL, // neighbours have the same values though other weights
    AN_FAULT_OUTLIER,   // far from its neighbours (robust z)
    AN_FAULT_MISSING,   // steps are missing from a regular progression
    AN_FAULT_KINDS
};
extern const char *const an_fault_names[AN_FAULT_KINDS]; // "failed", "nonfinite", ...

struct an_fault {
    enum an_fault_kind kind;
    int64_t checkpoint, other; // of the series; -1: none
    double value;              // tokens, sequences, robust z or steps, by kind; NaN: none
    char *text;                // the sentence for people
};

// ---- one unit: a layer of a module -----------------------------------------------------------

// A jump of a unit's importance, and why: the parts of an_split_change between the means of the two
// segments. Of other things that are ranked by the parts are NaN. What total is beyond norm +
// stream + direction comes from tokens not being alike.
struct an_change {
    int64_t at;               // the first checkpoint after it
    struct an_estimate total; // mean of the segment that begins there less that before
    struct an_estimate delta, stream, direction;
};

struct an_unit {
    int64_t layer;
    enum tr_module module;

    struct an_estimate by[AN_AGGREGATES]; // AN_WORST: no `low`, and `high` is one-sided
    int64_t worst_at;                     // the checkpoint of the highest importance
    double mean_rank;                     // 1 is the least important; midranks
    double share;   // of training (an_checkpoint.weight) among the `count` lowest
    double share_p; // that a permuted layer reaches that share (an_share_test); NaN: not testable

    double below_p, below_q; // of "not below tau at some checkpoint"; Benjamini-Hochberg adjusted
    bool below;              // below tau at every checkpoint, at that false-discovery rate

    int64_t onset;            // from this checkpoint to the end among the `count` lowest; -1: never
    double trend_z, trend_p;  // Mann-Kendall over claims, corrected for autocorrelation
    struct an_estimate slope; // Theil-Sen, per e-fold of tokens or steps, else per checkpoint
    int64_t changes;
    struct an_change *change; // [changes] in time
    struct an_change whole;   // from the first claimed checkpoint to the last; NaN if they are one

    struct an_estimate orthogonal; // mean importance less that of a delta at right angles to x:
                                   // > 0 it erases, < 0 it writes along the stream; else NaN
    struct an_estimate untrained;  // mean importance less that at step 0; NaN without step 0
};

// ---- a group ---------------------------------------------------------------------------------

// One checkpoint's ranking against another's. NaN: no such other, or one layer.
struct an_agreement {
    double spearman, tau, jaccard, rbo;
};

#define AN_MOST 0.8        // of a set, when most of it is asked for
#define AN_PERSISTENCE 0.9 // of rank-biased overlap: ten places carry most of the weight

struct an_stability {
    struct an_concordance concordance; // of the checkpoints that claims rest on
    double threshold; // a permuted layer's share of blocks among the lowest stays below it (level)
    double jaccard_chance, rbo_chance; // of two random rankings
    struct an_agreement *last;         // [series.checkpoints] with the last checkpoint
    struct an_agreement *previous;     // [series.checkpoints] with the one before
    double *overlap; // [series.checkpoints] share of the last checkpoint's `count` lowest
    int64_t onset_most, onset_all; // from here on `overlap` is at least AN_MOST, is 1; -1: never
};

// Two units that the data cannot tell apart: the interval of the paired difference holds 0.
struct an_tie {
    int64_t inside, outside;       // a unit of the set, one that is not
    struct an_estimate difference; // outside less inside
};

// The `count` lowest units by one aggregate.
struct an_set {
    struct an_choice choice;          // of the group's units, all sizes
    struct an_cut *cut;               // [choice.present - 1] all cuts
    int64_t clean_below, clean_above; // nearest sizes whose cut is clean; 0: none
    int64_t ties;
    struct an_tie *tie; // [ties] of the first outside with members, of the last inside with others
};

// ---- proxies on trial: groups with costs -----------------------------------------------------

// What a proxy says of a cost, over training or at one checkpoint. All of it on the rows of text on
// which costs were measured.
struct an_verdict {
    int64_t checkpoint; // of the series; -1: the mean over training
    enum an_by proxy, cost;
    struct an_estimate spearman, tau; // over the units, limits by sure pairs (an_rank_agreement)
    double ceiling; // what Spearman's could be for the rows' noise: of their reliabilities the root
    struct an_estimate found; // share of the `count` cheapest that are the proxy's lowest
    struct an_estimate
        regret;     // what these cost more than the cheapest, cross-fitted (an_cross_fit)
    int64_t *shift; // [trial.units] places by which a unit costs more than the proxy says, surely
};

// How well the cheapest at the last checkpoint are told by what is there at another.
struct an_forecast {
    int64_t checkpoint;
    enum an_by by, cost;       // told by what; cheapest by which cost
    struct an_estimate found;  // share told, on one half of the rows of those of the other; limits
                               // by sure pairs: of the share that is true
    struct an_estimate regret; // what those told cost more at the end than the cheapest
};

// From when on a forecast is and stays at least AN_MOST as good as the last checkpoint's of itself.
struct an_told {
    enum an_by by, cost;
    int64_t from;  // a checkpoint
    double itself; // share that the last checkpoint's cheapest find of themselves on other rows
};

// From when on, and to the end, Spearman's correlation is at least AN_MOST of its ceiling.
struct an_settled {
    enum an_by proxy, cost;
    int64_t from; // a checkpoint; -1: it is not at the end
};

struct an_trial {
    int64_t rows, count;
    int64_t units, *unit;             // [units] of the group: those with all values
    int64_t checkpoints, *checkpoint; // [checkpoints] at which they have them
    int64_t least;  // places from which on a unit is misjudged: an_default_count of the units
    double chance;  // share found by chance
    double *weight; // [checkpoints] share of training
    int64_t verdicts;
    struct an_verdict *verdict; // [1 + checkpoints, proxies, costs] over training first
    // What units cost, nats per token.
    struct an_estimate *cost;   // [2, units, AN_COSTS] over training, and at the last checkpoint
    struct an_estimate *priced; // [checkpoints, AN_COSTS, units] at each checkpoint
    int64_t forecasts;
    struct an_forecast *forecast; // [checkpoints, AN_TRIED, AN_COSTS]
    struct an_told told[AN_TRIED * AN_COSTS];
    struct an_settled settled[AN_PROXIES * AN_COSTS];
};

// A trial's verdict, over training (at = -1) or at its checkpoint `at`.
static inline const struct an_verdict *an_verdict_of(const struct an_trial *trial, int64_t at,
                                                     int proxy, int cost) {
    return &trial->verdict[((at + 1) * AN_PROXIES + proxy) * AN_COSTS + cost];
}

// Whether it misjudges a unit.
static inline bool an_misjudges(const struct an_trial *trial, const struct an_verdict *verdict,
                                int64_t unit) {
    return verdict->shift[unit] >= trial->least || verdict->shift[unit] <= -trial->least;
}

// What one of several texts says by itself.
struct an_text {
    int64_t text, rows; // of the series
    double *mean;       // [units] over training, as by[AN_MEAN]
    int64_t common;     // of its `count` lowest, so many are those of all rows
    double spearman;    // of its means with those of the rows of the other texts; NaN: tied
};

struct an_group_result {
    enum an_group group;
    int64_t count;        // size of the sets
    int64_t units;        // with a value at every checkpoint that claims rest on
    int64_t absent;       // layers without a value (of all modules of the group)
    int64_t gappy;        // layers left out because they have one at some checkpoints only
    struct an_unit *unit; // [units] by layer (joint: attention first)
    int64_t last;         // the last checkpoint at which all units have a value
    double *value;        // [series.checkpoints, units] of what is ranked by
    double *claimed;      // [series.claimed, units] of the checkpoints that claims rest on
    struct an_stability stability;
    struct an_set set[AN_AGGREGATES];
    int64_t below;          // units below tau at every checkpoint; -1: not asked
    int64_t texts;          // 0: the rows are of one text
    struct an_text *text;   // [texts]
    struct an_trial *trial; // NULL: no costs, or too few rows or units with them
};

// ---- spans (stores traced with --spans) ------------------------------------------------------

// The best run of `length` consecutive blocks by the mean over the claimed checkpoints.
struct an_span {
    int64_t length, start;
    double importance;  // 1 - similarity of its two boundaries, mean over training
    double worst, last; // at the worst, at the last checkpoint
    double share;       // of training at which it is the best of its length
    int64_t last_start; // the best of the last checkpoint alone
};

// How far the same tokens' stream moved between two checkpoints. NaN where there is no other.
struct an_drift {
    struct an_estimate cosine; // token-wise, mean over probes
    double cka;                // linear, debiased
};

struct an_spans {
    int64_t lengths;
    struct an_span *span; // [lengths] of 1 ... layers - 1 blocks
    int64_t boundaries;
    double *similarity[AN_AGGREGATES]; // [boundaries, boundaries] of the stream at two boundaries:
                                       // mean over training, lowest, at the last claimed checkpoint
    struct an_drift *previous;         // [series.checkpoints, boundaries]; NULL: no stream stored
    struct an_drift *last;
};

// ---- plans under a budget ----------------------------------------------------------------------

// A set that no other beats: none saves as much at a lower sum, or more at the same.
struct an_budget_point {
    double left;  // of the resource, in the model without the set
    double share; // of the whole model's
    double sum;   // of the units' values, by settings.by and settings.over
    int64_t count;
    char *drop; // the set as text (drop_set.h)
};

struct an_budget {
    enum an_group group;
    enum an_resource resource;
    int64_t context;       // tokens
    double whole, allowed; // of the resource
    int64_t points;
    struct an_budget_point *point; // [points] from the cheapest on, thinned where there are many
    struct an_budget_point chosen; // the cheapest that is allowed
    int64_t units, *unit;          // [units] of the group: its members, the lowest first
};

// What less of a resource costs: the points of a front (budget_front.h), from the whole model on.
struct an_price {
    enum an_group group;
    enum an_resource resource;
    int64_t context; // tokens
    double whole;    // of the resource
    int64_t points;
    double *share; // [points] of the whole model's, falling
    double *sum;   // [points] of the units' values, by settings.by and settings.over: rising
};

// ---- all of it -------------------------------------------------------------------------------

// What a named set costs at a checkpoint, by loss and by divergence, in nats.
struct an_set_cost {
    int64_t checkpoint;
    struct an_estimate cost[AN_COSTS];   // of the whole set
    struct an_estimate excess[AN_COSTS]; // that less `sum`, paired by row
    double sum[AN_COSTS];                // of the single costs of its sublayers; NaN: not measured
    double agree;                        // share of positions whose likeliest token stays
};

struct an_set_costs {
    char *name, *drop; // drop: what is left out, as text
    int64_t checkpoints;
    struct an_set_cost *at; // [checkpoints]
};

struct an_result {
    struct an_settings settings;
    struct an_series series; // what was read
    enum an_method method;   // of the intervals of means and differences; those of worst cases, of
                             // changes and against chance are AN_SKEW_T
    int64_t faults;
    struct an_fault *fault;                   // [faults]
    struct an_group_result *group[AN_GROUPS]; // NULL: not wanted, or nothing measured
    struct an_spans *spans;                   // NULL: not traced
    int64_t sets;                             // named ones whose costs were measured
    struct an_set_costs *set;                 // [sets]
    struct an_budget *budget;                 // NULL: not asked
    int64_t prices;                           // 0: the store does not say what sublayers take
    struct an_price *price;                   // [prices]
};

// Reads and computes. `path` names the store in sentences. TR_EUSAGE: settings that the store
// contradicts (more units than there are, no checkpoint from that step on); TR_EFORMAT: no complete
// checkpoint.
enum tr_status an_analyze(struct an_result *result, const struct tr_trace *trace, const char *path,
                          const struct an_settings *settings, struct tr_err *err);
void an_result_free(struct an_result *result);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "statistics/concordance.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "correlation_time.h"
#include "statistics/onset.h"
#include "statistics/order.h"
#include "statistics/quantile.h"
#include "statistics/random.h"

static bool present_everywhere(const double *values, int64_t checkpoints, int64_t units,
                               int64_t unit) {
    for (int64_t c = 0; c < checkpoints; c++)
        if (!isfinite(values[c * units + unit]))
            return false;
    return true;
}

// kept[checkpoints, returned]: the units that have a value at every checkpoint. `which` (may be
// NULL) names them.
static int64_t keep_present(double *kept, int64_t *which, const double *values, int64_t checkpoints,
                            int64_t units) {
    int64_t count = 0, column = 0;
    for (int64_t u = 0; u < units; u++)
        count += present_everywhere(values, checkpoints, units, u);
    for (int64_t u = 0; u < units; u++) {
        if (!present_everywhere(values, checkpoints, units, u))
            continue;
        for (int64_t c = 0; c < checkpoints; c++)
            kept[c * count + column] = values[c * units + u];
        if (which)
            which[column] = u;
        column++;
    }
    return count;
}

// sum over groups of equal ranks of t^3 - t. `sorted` [units] is scratch.
static double tie_term(double *sorted, const double *ranks, int64_t units) {
    double term = 0.0;
    for (int64_t u = 0; u < units; u++)
        sorted[u] = ranks[u];
    an_sort(sorted, units);
    for (int64_t first = 0, next; first < units; first = next) {
        for (next = first + 1; next < units && sorted[next] == sorted[first];)
            next++;
        double t = (double)(next - first);
        term += t * (t * t - 1.0);
    }
    return term;
}

// S: the squared distances of the rank sums from their mean. sums[units].
static double spread(const double *sums, int64_t units) {
    double mean = 0.0, squares = 0.0;
    for (int64_t u = 0; u < units; u++)
        mean += sums[u];
    mean /= (double)units;
    for (int64_t u = 0; u < units; u++)
        squares += (sums[u] - mean) * (sums[u] - mean);
    return squares;
}

static void add_rows(double *sums, const double *rows, int64_t count, int64_t units) {
    for (int64_t c = 0; c < count; c++)
        for (int64_t u = 0; u < units; u++)
            sums[u] += rows[c * units + u];
}

// ranks[checkpoints, units] of kept values. sums, sorted [units] are scratch, sums zeroed.
static void fill_w(struct an_concordance *test, const double *ranks, double *sums, double *sorted) {
    double n = (double)test->checkpoints, m = (double)test->units, ties = 0.0;
    for (int64_t c = 0; c < test->checkpoints; c++)
        ties += tie_term(sorted, ranks + c * test->units, test->units);
    add_rows(sums, ranks, test->checkpoints, test->units);
    double most = n * n * m * (m * m - 1.0) - n * ties;
    test->w = most > 0.0 ? 12.0 * spread(sums, test->units) / most : NAN;
    test->mean_spearman = test->checkpoints > 1 ? (n * test->w - 1.0) / (n - 1.0) : NAN;
}

// As many blocks as fit at the least length; what is left over lengthens them.
static void fill_blocks(struct an_concordance *test) {
    double time = test->block_time;
    if (!isfinite(time) || time > (double)test->checkpoints)
        return;
    int64_t least = (int64_t)ceil(AN_BLOCK_TIMES * time);
    test->gap = (int64_t)ceil(AN_GAP_TIMES * (time - 1.0));
    test->blocks = (test->checkpoints + test->gap) / (least + test->gap);
    if (test->blocks > 0)
        test->block = (test->checkpoints - test->gap * (test->blocks - 1)) / test->blocks;
}

static bool testable(const struct an_concordance *test) {
    return test->blocks >= AN_BLOCKS_LEAST && test->units >= 2 && isfinite(test->w);
}

// ---- relabelling -----------------------------------------------------------------------------

// Sums of something over each block's checkpoints, and room to shuffle them.
struct blocks {
    int64_t blocks, units;
    double *sums;   // [blocks, units]
    double *total;  // [units]
    int64_t *label; // [units]
};

static enum tr_status blocks_make(struct blocks *blocks, const struct an_concordance *test,
                                  const double *rows, struct tr_err *err) {
    blocks->blocks = test->blocks;
    blocks->units = test->units;
    TR_TRY(TR_NEW(&blocks->sums, test->blocks * test->units, "blocks", err));
    TR_TRY(TR_NEW(&blocks->total, test->units, "blocks", err));
    TR_TRY(TR_NEW(&blocks->label, test->units, "blocks", err));
    for (int64_t b = 0; b < test->blocks; b++)
        add_rows(blocks->sums + b * test->units, rows + b * (test->block + test->gap) * test->units,
                 test->block, test->units);
    for (int64_t u = 0; u < test->units; u++)
        blocks->label[u] = u;
    return TR_OK;
}

static void blocks_free(struct blocks *blocks) {
    free(blocks->sums);
    free(blocks->total);
    free(blocks->label);
}

// total[units] over blocks, every block relabelled; as they are when `random` is NULL.
static void add_blocks(struct blocks *blocks, struct an_random *random) {
    for (int64_t u = 0; u < blocks->units; u++)
        blocks->total[u] = 0.0;
    for (int64_t b = 0; b < blocks->blocks; b++) {
        if (random)
            an_random_shuffle(random, blocks->label, blocks->units);
        for (int64_t u = 0; u < blocks->units; u++)
            blocks->total[u] += blocks->sums[b * blocks->units + blocks->label[u]];
    }
}

// Ties and numbers of checkpoints are the same in every relabelling: W is compared by its S.
static enum tr_status relabel_w(struct an_concordance *test, const double *ranks, uint64_t seed,
                                struct tr_err *err) {
    struct blocks blocks = {0};
    struct an_random random;
    int64_t reached = 0;
    enum tr_status status;
    TR_GO(status, blocks_make(&blocks, test, ranks, err), out);
    an_random_seed(&random, seed);
    add_blocks(&blocks, NULL);
    double seen = spread(blocks.total, test->units) * (1.0 - 1e-12); // rounding is no difference
    for (int64_t i = 0; i < test->relabellings; i++) {
        add_blocks(&blocks, &random);
        reached += spread(blocks.total, test->units) >= seen;
    }
    test->p = (double)(1 + reached) / (double)(1 + test->relabellings);
out:
    blocks_free(&blocks);
    return status;
}

// kept and ranks [checkpoints, units] are room for values without absent units.
static enum tr_status run_test(struct an_concordance *test, const double *values, int64_t units,
                               double *kept, double *ranks, uint64_t seed, struct tr_err *err) {
    double *scratch, bound;
    test->units = keep_present(kept, NULL, values, test->checkpoints, units);
    for (int64_t c = 0; c < test->checkpoints; c++)
        TR_TRY(an_midranks(ranks + c * test->units, kept + c * test->units, test->units, err));
    TR_TRY(TR_NEW(&scratch, 2 * test->units, "rank sums", err));
    fill_w(test, ranks, scratch, scratch + test->units);
    free(scratch);
    test->correlation_time = an_correlation_time(&bound, ranks, test->checkpoints, test->units);
    test->block_time = bound < AN_TIME_LEAST ? AN_TIME_LEAST : bound;
    fill_blocks(test);
    return testable(test) ? relabel_w(test, ranks, seed, err) : TR_OK;
}

enum tr_status an_concordance(struct an_concordance *concordance, const double *values,
                              int64_t checkpoints, int64_t units, int64_t relabellings,
                              uint64_t seed, struct tr_err *err) {
    struct an_concordance test = {
        .checkpoints = checkpoints, .relabellings = relabellings, .p = NAN};
    double *kept = NULL, *ranks = NULL;
    uint64_t size;
    enum tr_status status;
    if (checkpoints < 1 || units < 1 || relabellings < 1)
        return tr_fail(err, TR_EUSAGE, "no concordance of %lld checkpoints, %lld units",
                       (long long)checkpoints, (long long)units);
    if (!tr_mul((uint64_t)checkpoints, (uint64_t)units, &size))
        return tr_fail(err, TR_ENOMEM, "no memory for ranks");
    TR_GO(status, TR_NEW(&kept, size, "ranks", err), out);
    TR_GO(status, TR_NEW(&ranks, size, "ranks", err), out);
    TR_GO(status, run_test(&test, values, units, kept, ranks, seed, err), out);
    *concordance = test;
out:
    free(kept);
    free(ranks);
    return status;
}

// ---- shares ----------------------------------------------------------------------------------

static double highest(const double *values, int64_t count) {
    double most = values[0];
    for (int64_t i = 1; i < count; i++)
        most = fmax(most, values[i]);
    return most;
}

// highest_shares[relabellings], ascending, in checkpoints; seen[units] as they are.
static enum tr_status relabel_shares(double *highest_shares, double *seen,
                                     const struct an_concordance *test, const double *among,
                                     uint64_t seed, struct tr_err *err) {
    struct blocks blocks = {0};
    struct an_random random;
    enum tr_status status;
    TR_GO(status, blocks_make(&blocks, test, among, err), out);
    an_random_seed(&random, seed);
    add_blocks(&blocks, NULL);
    for (int64_t u = 0; u < test->units; u++)
        seen[u] = blocks.total[u];
    for (int64_t i = 0; i < test->relabellings; i++) {
        add_blocks(&blocks, &random);
        highest_shares[i] = highest(blocks.total, test->units);
    }
    an_sort(highest_shares, test->relabellings);
out:
    blocks_free(&blocks);
    return status;
}

static int64_t count_reached(const double *sorted, int64_t count, double least) {
    int64_t reached = 0;
    while (reached < count && sorted[count - 1 - reached] >= least)
        reached++;
    return reached;
}

// Room for an_share_test; `all` is checkpoints * all units.
struct shares {
    double *kept;    // [all] without absent units
    double *among;   // [all] 1 for the lowest, else 0
    bool *lowest;    // [all]
    int64_t *which;  // [units] the unit that each kept column is
    double *seen;    // [units] checkpoints among the lowest
    double *highest; // [relabellings]
};

static enum tr_status shares_make(struct shares *shares, const struct an_concordance *test,
                                  int64_t units, struct tr_err *err) {
    int64_t all = test->checkpoints * units;
    TR_TRY(TR_NEW(&shares->kept, all, "shares", err));
    TR_TRY(TR_NEW(&shares->among, all, "shares", err));
    TR_TRY(TR_NEW(&shares->lowest, all, "shares", err));
    TR_TRY(TR_NEW(&shares->which, units, "shares", err));
    TR_TRY(TR_NEW(&shares->seen, units, "shares", err));
    return TR_NEW(&shares->highest, test->relabellings, "shares", err);
}

static void shares_free(struct shares *shares) {
    free(shares->kept);
    free(shares->among);
    free(shares->lowest);
    free(shares->which);
    free(shares->seen);
    free(shares->highest);
}

enum tr_status an_share_test(double *p, double *threshold, const double *values,
                             const struct an_concordance *test, int64_t units, int64_t count,
                             double alpha, uint64_t seed, struct tr_err *err) {
    struct shares shares = {0};
    double relabellings = (double)test->relabellings;
    enum tr_status status = TR_OK;
    for (int64_t u = 0; u < units; u++)
        p[u] = NAN;
    *threshold = NAN;
    if (!testable(test))
        return TR_OK;
    TR_GO(status, shares_make(&shares, test, units, err), out);
    keep_present(shares.kept, shares.which, values, test->checkpoints, units);
    TR_GO(status,
          an_mark_lowest(shares.lowest, shares.kept, test->checkpoints, test->units,
                         count < test->units ? count : test->units, err),
          out);
    for (int64_t i = 0; i < test->checkpoints * test->units; i++)
        shares.among[i] = shares.lowest[i];
    TR_GO(status, relabel_shares(shares.highest, shares.seen, test, shares.among, seed, err), out);
    for (int64_t u = 0; u < test->units; u++)
        p[shares.which[u]] =
            (1.0 + (double)count_reached(shares.highest, test->relabellings, shares.seen[u])) /
            (1.0 + relabellings);
    *threshold = an_sorted_quantile(shares.highest, test->relabellings, 1.0 - alpha) /
                 (double)(test->block * test->blocks);
out:
    shares_free(&shares);
    return status;
}

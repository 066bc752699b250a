// SPDX-License-Identifier: Apache-2.0
#include "interval.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "distribution.h"
#include "quantile.h"

// The moments of the pseudo-values that are there.
struct moments {
    int64_t count;
    double error; // standard error of the mean; NaN for fewer than two
    double skew;  // 0 without spread
};

const char *an_method_name(enum an_method method) {
    static const char *const names[] = {[AN_NO_INTERVAL] = "none",
                                        [AN_SKEW_T] = "skewness-corrected t",
                                        [AN_BOOTSTRAP_T] = "bootstrap-t",
                                        [AN_BCA] = "BCa"};
    return names[method];
}

static struct moments moments_of(const double *pseudo, int64_t sequences) {
    struct moments m = {0};
    double mean = 0.0, second = 0.0, third = 0.0;
    for (int64_t s = 0; s < sequences; s++)
        if (isfinite(pseudo[s])) {
            mean += pseudo[s];
            m.count++;
        }
    mean /= (double)m.count;
    for (int64_t s = 0; s < sequences; s++)
        if (isfinite(pseudo[s])) {
            double d = pseudo[s] - mean;
            second += d * d;
            third += d * d * d;
        }
    double n = (double)m.count, variance = second / n;
    m.error = m.count < 2 ? NAN : sqrt(variance / (n - 1.0));
    m.skew = variance > 0.0 ? third / n / (variance * sqrt(variance)) : 0.0;
    return m;
}

// ---- Student's t, corrected for skewness -----------------------------------------------------

// Hall's g(t) = ((1 + k t / 3)^3 - 1) / k + k / 6 with k = skew / sqrt n: nearly symmetric.
static double straighten(double t, const struct moments *m) {
    double k = m->skew / sqrt((double)m->count);
    return t * (1.0 + t * k * (1.0 / 3.0 + t * k / 27.0)) + k / 6.0;
}

// Its inverse: 3 (cbrt(1 + k (y - k / 6)) - 1) / k without the cancellation.
static double unstraighten(double y, const struct moments *m) {
    double k = m->skew / sqrt((double)m->count);
    double root = cbrt(1.0 + k * (y - k / 6.0));
    return 3.0 * (y - k / 6.0) / (root * root + root + 1.0);
}

// The value that the true mean is below with this probability.
static double skew_t_limit(double estimate, const struct moments *m, double probability) {
    double quantile = an_t_quantile(1.0 - probability, (double)(m->count - 1));
    return estimate - m->error * unstraighten(quantile, m);
}

double an_upper_limit(double estimate, const double *pseudo, int64_t sequences, double level) {
    struct moments m = moments_of(pseudo, sequences);
    if (m.count < 2)
        return NAN;
    return m.error > 0.0 ? skew_t_limit(estimate, &m, level) : estimate;
}

double an_not_below_p(double estimate, const double *pseudo, int64_t sequences, double bound) {
    struct moments m = moments_of(pseudo, sequences);
    if (m.count < 2)
        return NAN;
    if (!(m.error > 0.0))
        return estimate < bound ? 0.0 : 1.0;
    return an_t_cdf(straighten((estimate - bound) / m.error, &m), (double)(m.count - 1));
}

// ---- the bootstraps --------------------------------------------------------------------------

// (theta* - theta) / se* of one resample; NaN when it holds one sequence only.
static double resampled_t(const double *weights, const double *pseudo, int64_t sequences,
                          double centre) {
    double n = 0.0, sum = 0.0, squares = 0.0;
    for (int64_t s = 0; s < sequences; s++)
        if (isfinite(pseudo[s])) {
            double d = pseudo[s] - centre;
            n += weights[s];
            sum += weights[s] * d;
            squares += weights[s] * d * d;
        }
    double mean = sum / n, variance = squares / n - mean * mean;
    double rounding = 1e-12 * squares / n;
    return variance > rounding ? mean / sqrt(variance / (n - 1.0)) : NAN;
}

static double finite_mean(const double *pseudo, int64_t sequences, int64_t count) {
    double sum = 0.0;
    for (int64_t s = 0; s < sequences; s++)
        sum += isfinite(pseudo[s]) ? pseudo[s] : 0.0;
    return sum / (double)count;
}

static enum tr_status bootstrap_t(struct an_interval *interval, const struct an_sample *sample,
                                  const struct moments *m, double level, struct tr_err *err) {
    const struct an_resamples *resamples = sample->resamples;
    double centre = finite_mean(sample->pseudo, sample->sequences, m->count), *t;
    TR_TRY(TR_NEW(&t, resamples->count, "resampled t", err));
    for (int64_t i = 0; i < resamples->count; i++)
        t[i] = resampled_t(resamples->weights + i * resamples->sequences, sample->pseudo,
                           sample->sequences, centre);
    int64_t count = an_keep_finite(t, resamples->count);
    an_sort(t, count);
    double tail = 0.5 * (1.0 - level);
    interval->low = sample->estimate - m->error * an_sorted_quantile(t, count, 1.0 - tail);
    interval->high = sample->estimate - m->error * an_sorted_quantile(t, count, tail);
    interval->method = AN_BOOTSTRAP_T;
    free(t);
    return TR_OK;
}

// The share of draws below the estimate, equal ones counted half.
static double share_below(const double *draws, int64_t count, double estimate) {
    int64_t below = 0, equal = 0;
    for (int64_t i = 0; i < count; i++) {
        below += draws[i] < estimate;
        equal += draws[i] == estimate;
    }
    return ((double)below + 0.5 * (double)equal) / (double)count;
}

static double bca_probability(double tail, double bias, double acceleration) {
    double z = bias + an_normal_quantile(tail);
    return an_normal_cdf(bias + z / (1.0 - acceleration * z));
}

static enum tr_status bca(struct an_interval *interval, const struct an_sample *sample,
                          const struct moments *m, double level, struct tr_err *err) {
    int64_t count = sample->resamples->count;
    double *draws, tail = 0.5 * (1.0 - level);
    TR_TRY(TR_NEW(&draws, count, "draws", err));
    for (int64_t i = 0; i < count; i++)
        draws[i] = sample->draws[i * sample->stride];
    count = an_keep_finite(draws, count);
    an_sort(draws, count);
    double bias = an_normal_quantile(share_below(draws, count, sample->estimate));
    double acceleration = m->skew / (6.0 * sqrt((double)m->count));
    interval->low = an_sorted_quantile(draws, count, bca_probability(tail, bias, acceleration));
    interval->high =
        an_sorted_quantile(draws, count, bca_probability(1.0 - tail, bias, acceleration));
    interval->method = AN_BCA;
    free(draws);
    return TR_OK;
}

enum tr_status an_interval(struct an_interval *interval, const struct an_sample *sample,
                           double level, struct tr_err *err) {
    struct moments m = moments_of(sample->pseudo, sample->sequences);
    if (!(level > 0.0 && level < 1.0))
        return tr_fail(err, TR_EUSAGE, "a level of %g is not between 0 and 1", level);
    if (m.count < 2 || !isfinite(sample->estimate)) {
        *interval = (struct an_interval){NAN, NAN, AN_NO_INTERVAL};
        return TR_OK;
    }
    if (!(m.error > 0.0)) {
        *interval = (struct an_interval){sample->estimate, sample->estimate, AN_SKEW_T};
        return TR_OK;
    }
    if (sample->resamples && m.count < AN_BCA_LEAST)
        return bootstrap_t(interval, sample, &m, level, err);
    if (sample->resamples && sample->draws)
        return bca(interval, sample, &m, level, err);
    double tail = 0.5 * (1.0 - level);
    interval->low = skew_t_limit(sample->estimate, &m, tail);
    interval->high = skew_t_limit(sample->estimate, &m, 1.0 - tail);
    interval->method = AN_SKEW_T;
    return TR_OK;
}

enum tr_status an_difference(struct an_interval *interval, const struct an_sample *a,
                             const struct an_sample *b, double level, struct tr_err *err) {
    struct an_sample difference = *a;
    double *pseudo = NULL, *draws = NULL;
    int64_t count = a->resamples && a->draws && b->draws ? a->resamples->count : 0;
    enum tr_status status;
    TR_GO(status, TR_NEW(&pseudo, a->sequences, "a difference", err), out);
    TR_GO(status, TR_NEW(&draws, count, "a difference", err), out);
    for (int64_t s = 0; s < a->sequences; s++)
        pseudo[s] = a->pseudo[s] - b->pseudo[s];
    for (int64_t i = 0; i < count; i++)
        draws[i] = a->draws[i * a->stride] - b->draws[i * b->stride];
    difference.estimate = a->estimate - b->estimate;
    difference.pseudo = pseudo;
    difference.draws = count ? draws : NULL;
    difference.stride = 1;
    status = an_interval(interval, &difference, level, err);
out:
    free(pseudo);
    free(draws);
    return status;
}

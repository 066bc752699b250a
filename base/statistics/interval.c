// SPDX-License-Identifier: Apache-2.0
#include "statistics/interval.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "distribution.h"
#include "statistics/quantile.h"

// The moments of the pseudo-values that are there.
struct moments {
    int64_t count;
    double effective; // sequences, Kish's
    double error;     // standard error of the mean; NaN for fewer than two
    double skew;      // m3 / m2^1.5; 0 without spread
};

const char *an_method_name(enum an_method method) {
    static const char *const names[] = {[AN_NO_INTERVAL] = "none",
                                        [AN_SKEW_T] = "skewness-corrected t",
                                        [AN_BOOTSTRAP_T] = "bootstrap-t",
                                        [AN_BCA] = "BCa"};
    return names[method];
}

void an_token_shares(double *share, const struct an_panel *panel) {
    double sum = 0.0;
    int64_t measured = 0;
    for (int64_t s = 0; s < panel->sequences; s++)
        share[s] = 0.0;
    for (int64_t i = 0; i < panel->checkpoints * panel->units * panel->sequences; i++)
        if (isfinite(panel->values[i]))
            share[i % panel->sequences] += panel->tokens ? panel->tokens[i] : 1.0;
    for (int64_t s = 0; s < panel->sequences; s++) {
        sum += share[s];
        measured += share[s] > 0.0;
    }
    for (int64_t s = 0; s < panel->sequences && sum > 0.0; s++)
        share[s] *= (double)measured / sum;
}

static double share_of(const struct an_sample *sample, int64_t sequence) {
    return sample->share ? sample->share[sequence] : 1.0;
}

static struct moments moments_of(const struct an_sample *sample) {
    struct moments m = {0};
    double mean = 0.0, second = 0.0, third = 0.0, shares = 0.0, squares = 0.0;
    for (int64_t s = 0; s < sample->sequences; s++)
        if (isfinite(sample->pseudo[s])) {
            double share = share_of(sample, s);
            mean += sample->pseudo[s];
            shares += share;
            squares += share * share;
            m.count++;
        }
    mean /= (double)m.count;
    for (int64_t s = 0; s < sample->sequences; s++)
        if (isfinite(sample->pseudo[s])) {
            double d = sample->pseudo[s] - mean;
            second += d * d;
            third += d * d * d;
        }
    double n = (double)m.count, variance = second / n;
    m.effective = squares > 0.0 ? shares * shares / squares : n;
    m.error = m.count < 2 ? NAN : sqrt(variance / (n - 1.0));
    m.skew = variance > 0.0 ? third / n / (variance * sqrt(variance)) : 0.0;
    return m;
}

// ---- Student's t, corrected for skewness -----------------------------------------------------

// skew / sqrt n with the adjusted coefficient, which two values do not have.
static double bend(const struct moments *m) {
    double n = (double)m->count;
    return m->count > 2 ? m->skew * sqrt(n - 1.0) / (n - 2.0) : 0.0;
}

// The same with the skewness one standard error higher.
static double upper_bend(const struct moments *m) {
    double n = (double)m->count;
    return m->count > 2 ? bend(m) + sqrt(6.0 * (n - 1.0) / ((n - 2.0) * (n + 1.0) * (n + 3.0)))
                        : 0.0;
}

// Hall's g(t) = ((1 + k t / 3)^3 - 1) / k + k / 6, k = skew / sqrt n: nearly symmetric.
static double straighten(double t, double k) {
    return t * (1.0 + t * k * (1.0 / 3.0 + t * k / 27.0)) + k / 6.0;
}

// Its inverse: 3 (cbrt(1 + k (y - k / 6)) - 1) / k without the cancellation.
static double unstraighten(double y, double k) {
    double root = cbrt(1.0 + k * (y - k / 6.0));
    return 3.0 * (y - k / 6.0) / (root * root + root + 1.0);
}

// The value that the true mean is below with this probability.
static double skew_t_limit(double estimate, const struct moments *m, double k, double probability) {
    double quantile = an_t_quantile(1.0 - probability, m->effective - 1.0);
    return estimate - m->error * unstraighten(quantile, k);
}

double an_upper_limit(const struct an_sample *sample, double level) {
    struct moments m = moments_of(sample);
    if (m.count < AN_INTERVAL_LEAST)
        return NAN;
    return m.error > 0.0 ? skew_t_limit(sample->estimate, &m, upper_bend(&m), level)
                         : sample->estimate;
}

double an_not_below_p(const struct an_sample *sample, double bound) {
    struct moments m = moments_of(sample);
    if (m.count < AN_INTERVAL_LEAST)
        return NAN;
    if (!(m.error > 0.0))
        return sample->estimate < bound ? 0.0 : 1.0;
    double t = (sample->estimate - bound) / m.error;
    return an_t_cdf(straighten(t, upper_bend(&m)), m.effective - 1.0);
}

// ---- the bootstraps --------------------------------------------------------------------------

// (theta* - theta) / se* of one resample; NaN when it holds one sequence only. deviation[sequences]
// is NaN for what is left out.
static double resampled_t(const double *weights, const double *deviation,
                          const struct an_sample *sample) {
    double n = 0.0, shares = 0.0, sum = 0.0, squares = 0.0, largest = 0.0;
    for (int64_t s = 0; s < sample->sequences; s++)
        if (weights[s] > 0.0 && isfinite(deviation[s])) {
            n += weights[s];
            shares += weights[s] * share_of(sample, s);
            sum += weights[s] * deviation[s];
        }
    double mean = sum / shares;
    for (int64_t s = 0; s < sample->sequences; s++)
        if (weights[s] > 0.0 && isfinite(deviation[s])) {
            double rest = deviation[s] - share_of(sample, s) * mean;
            squares += weights[s] * rest * rest;
            largest += weights[s] * deviation[s] * deviation[s];
        }
    if (!(squares > 1e-24 * largest)) // rounding
        return NAN;
    return sum / sqrt(squares * n / (n - 1.0));
}

static enum tr_status bootstrap_t(struct an_interval *interval, const struct an_sample *sample,
                                  const struct moments *m, double level, struct tr_err *err) {
    const struct an_resamples *resamples = sample->resamples;
    double *t = NULL, *deviation = NULL, mean = 0.0, tail = 0.5 * (1.0 - level);
    enum tr_status status;
    TR_GO(status, TR_NEW(&t, resamples->count, "resampled t", err), out);
    TR_GO(status, TR_NEW(&deviation, sample->sequences, "resampled t", err), out);
    for (int64_t s = 0; s < sample->sequences; s++)
        mean += isfinite(sample->pseudo[s]) ? sample->pseudo[s] / (double)m->count : 0.0;
    for (int64_t s = 0; s < sample->sequences; s++)
        deviation[s] = sample->pseudo[s] - mean;
    for (int64_t i = 0; i < resamples->count; i++)
        t[i] = resampled_t(resamples->weights + i * resamples->sequences, deviation, sample);
    int64_t count = an_keep_finite(t, resamples->count);
    an_sort(t, count);
    interval->low = sample->estimate - m->error * an_sorted_quantile(t, count, 1.0 - tail);
    interval->high = sample->estimate - m->error * an_sorted_quantile(t, count, tail);
    interval->method = AN_BOOTSTRAP_T;
out:
    free(t);
    free(deviation);
    return status;
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

// Which percentile stands for the nominal quantile z.
static double bca_probability(double z, double bias, double acceleration) {
    return an_normal_cdf(bias + (bias + z) / (1.0 - acceleration * (bias + z)));
}

static void skew_t(struct an_interval *interval, const struct an_sample *sample,
                   const struct moments *m, double level) {
    double tail = 0.5 * (1.0 - level), k = bend(m);
    interval->low = skew_t_limit(sample->estimate, m, k, tail);
    interval->high = skew_t_limit(sample->estimate, m, k, 1.0 - tail);
    interval->method = AN_SKEW_T;
}

static enum tr_status bca(struct an_interval *interval, const struct an_sample *sample,
                          const struct moments *m, double level, struct tr_err *err) {
    int64_t count = sample->resamples->count;
    double *draws, e = m->effective;
    double z = sqrt(e / (e - 1.0)) * an_t_quantile(0.5 * (1.0 + level), e - 1.0);
    TR_TRY(TR_NEW(&draws, count, "draws", err));
    for (int64_t i = 0; i < count; i++)
        draws[i] = sample->draws[i * sample->stride];
    count = an_keep_finite(draws, count);
    an_sort(draws, count);
    double bias = an_normal_quantile(share_below(draws, count, sample->estimate));
    double acceleration = m->skew / (6.0 * sqrt((double)m->count));
    if (isfinite(bias)) {
        interval->low = an_sorted_quantile(draws, count, bca_probability(-z, bias, acceleration));
        interval->high = an_sorted_quantile(draws, count, bca_probability(z, bias, acceleration));
        interval->method = AN_BCA;
    } else {
        skew_t(interval, sample, m, level);
    }
    free(draws);
    return TR_OK;
}

enum tr_status an_interval(struct an_interval *interval, const struct an_sample *sample,
                           double level, struct tr_err *err) {
    struct moments m = moments_of(sample);
    if (!(level > 0.0 && level < 1.0))
        return tr_fail(err, TR_EUSAGE, "a level of %g is not between 0 and 1", level);
    if (m.count < AN_INTERVAL_LEAST || !isfinite(sample->estimate)) {
        *interval = (struct an_interval){NAN, NAN, AN_NO_INTERVAL};
        return TR_OK;
    }
    if (!(m.error > 0.0)) {
        *interval = (struct an_interval){sample->estimate, sample->estimate, AN_SKEW_T};
        return TR_OK;
    }
    if (sample->resamples && m.effective < AN_BCA_LEAST - 0.5)
        return bootstrap_t(interval, sample, &m, level, err);
    if (sample->resamples && sample->draws)
        return bca(interval, sample, &m, level, err);
    skew_t(interval, sample, &m, level);
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

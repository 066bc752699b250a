# SPDX-License-Identifier: Apache-2.0
"""What the statistics should be: SciPy's, NumPy's, or the formula of the header written out."""
import itertools

import numpy as np
from scipy import optimize, stats

MASK = (1 << 64) - 1


def rotate(x, by):
    return (x << by | x >> (64 - by)) & MASK


class Generator:
    """xoshiro256** seeded by splitmix64, from the papers."""

    def __init__(self, seed):
        self.state = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & MASK
            z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
            self.state.append(z ^ z >> 31)

    def next(self):
        a, b, c, d = self.state
        result = rotate(b * 5 & MASK, 7) * 9 & MASK
        c, d = c ^ a, d ^ b
        b, a = b ^ c, a ^ d
        self.state = [a, b, c ^ (self.state[1] << 17 & MASK), rotate(d, 45)]
        return result

    def below(self, bound):
        """Lemire's multiplication; what falls into the short first part is drawn again."""
        while True:
            product = self.next() * bound
            if product & MASK >= (1 << 64) % bound:
                return product >> 64


def means(measured):
    """sum(tokens value) / sum(tokens) of every cell."""
    tokens = measured.counts()
    with np.errstate(invalid="ignore"):
        return (tokens * np.nan_to_num(measured.values)).sum(-1) / tokens.sum(-1)


def time_mean(values, weight):
    """Over the first axis, leaving out NaN."""
    weight = np.ones(len(values)) if weight is None else weight
    weight = np.where(np.isfinite(values), weight[:, None], 0.0)
    with np.errstate(invalid="ignore"):
        return (weight * np.nan_to_num(values)).sum(0) / weight.sum(0)


def worst(values):
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(values).any(0),
                        np.where(np.isfinite(values), values, -np.inf).max(0), np.nan)


def jackknife(measured, aggregate):
    """Pseudo-values [units, sequences] of aggregate(means [checkpoints, units])."""
    import room
    checkpoints, units, sequences = measured.shape
    estimate = aggregate(means(measured))
    without = np.empty((units, sequences))
    for s in range(sequences):
        values = measured.values.copy()
        values[..., s] = np.nan
        without[:, s] = aggregate(means(room.Measured(values, measured.tokens)))
    return estimate, without


def moments(pseudo, share):
    there = np.isfinite(pseudo)
    y, r = pseudo[there], (np.ones(len(pseudo)) if share is None else share)[there]
    n, second = len(y), ((y - y.mean()) ** 2).mean() if len(y) else 0.0
    skew = ((y - y.mean()) ** 3).mean() / second ** 1.5 if second > 0 else 0.0
    return y, r, n, r.sum() ** 2 / (r ** 2).sum(), np.sqrt(second / (n - 1)) if n > 1 else np.nan, skew


def bend(n, skew, above):
    if n <= 2:
        return 0.0
    adjusted = skew * np.sqrt(n * (n - 1)) / (n - 2)
    error = np.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return (adjusted + above * error) / np.sqrt(n)


def straight(t, k):
    return t + k * t ** 2 / 3 + k ** 2 * t ** 3 / 27 + k / 6


def skew_t_limit(estimate, pseudo, share, probability, above):
    _, _, n, effective, error, skew = moments(pseudo, share)
    target, k = stats.t.ppf(1 - probability, effective - 1), bend(n, skew, above)
    root = optimize.brentq(lambda t: straight(t, k) - target, -1e4, 1e4, xtol=1e-14, rtol=1e-15)
    return estimate - error * root


def not_below_p(estimate, pseudo, share, bound):
    _, _, n, effective, error, skew = moments(pseudo, share)
    return stats.t.cdf(straight((estimate - bound) / error, bend(n, skew, 1)), effective - 1)


def bootstrap_t(estimate, pseudo, share, weights, level):
    there = np.isfinite(pseudo)
    y, r, n, _, error, _ = moments(pseudo, share)
    w, d = weights[:, there], y - y.mean()
    shift = (w @ d) / (w @ r)
    rest = (w * (d - np.outer(shift, r)) ** 2).sum(1)
    count = w.sum(1)
    good = ((w > 0).sum(1) > 1) & (rest > 1e-24 * (w @ d ** 2))
    t = (w @ d)[good] / np.sqrt(rest * count / (count - 1))[good]
    tail = (1 - level) / 2
    return estimate - error * np.quantile(t, 1 - tail), estimate - error * np.quantile(t, tail)


def bca(estimate, pseudo, share, draws, level):
    _, _, n, e, _, skew = moments(pseudo, share)
    draws = draws[np.isfinite(draws)]
    bias = stats.norm.ppf(stats.percentileofscore(draws, estimate, "mean") / 100)
    z = np.sqrt(e / (e - 1)) * stats.t.ppf((1 + level) / 2, e - 1)
    acceleration = skew / (6 * np.sqrt(n))
    at = [stats.norm.cdf(bias + (bias + q) / (1 - acceleration * (bias + q))) for q in (-z, z)]
    return tuple(np.quantile(draws, at))


def correlation_time(series):
    n, units = series.shape
    d = series - series.mean(0)
    covariance = [(d[:n - k] * d[k:]).sum() / ((n - k) * units) for k in range(n // 3 + 1)]
    if not covariance[0] > 0:
        return np.nan, np.nan
    freedom, between = max(units - 1, 1), series.mean(0).var()
    limit = (1 - 2 / (9 * freedom) + stats.norm.ppf(0.975) * np.sqrt(2 / (9 * freedom))) ** 3
    assert abs(limit / (stats.chi2.ppf(0.975, freedom) / freedom) - 1) < 0.02
    for window in range(1, n // 3 + 1):
        lags = 2 * window + 1
        if lags == n:
            break
        windowed = covariance[0] + 2 * sum(covariance[1:window + 1])
        whole = max(windowed, 0) / (1 - lags / n)
        chance = min(between, limit * whole / n)
        time = whole / (covariance[0] + whole / n)
        common = (windowed + lags * chance) / (covariance[0] + chance)
        if window >= 5 * max(time, common):
            return time, common * (1 + np.sqrt(2 * lags / (n * freedom)))
    return np.inf, np.inf


def kendall_w(ranks):
    n, m = ranks.shape
    ties = sum((t ** 3 - t).sum() for t in (np.unique(row, return_counts=True)[1] for row in ranks))
    most = n ** 2 * (m ** 3 - m) - n * ties
    sums = ranks.sum(0)
    return 12 * ((sums - sums.mean()) ** 2).sum() / most if most > 0 else np.nan


def all_relabellings(blocks):
    """Rank sums [relabellings, units] for every relabelling of every block but the first."""
    orders = [np.array(order) for order in itertools.permutations(range(blocks.shape[1]))]
    sums = blocks[:1]
    for block in blocks[1:]:
        sums = (sums[:, None] + np.array([block[order] for order in orders])).reshape(
            -1, blocks.shape[1])
    return sums


def autocorrelations(ranks):
    d = ranks - ranks.mean()
    whole = np.correlate(d, d, "full")[len(d) - 1:]
    return whole / whole[0] if whole[0] > 0 else np.zeros(len(d))


def trend_correction(x, y, slope):
    n, k = len(x), np.arange(1, len(x))
    r = autocorrelations(stats.rankdata(y - slope * x))[1:]
    strong = np.abs(r) > stats.norm.ppf(0.975) / np.sqrt(n)
    hamed_rao = 1 + 2 / (n * (n - 1) * (n - 2)) * ((n - k) * (n - k - 1) * (n - k - 2) * r * strong).sum()
    constant = np.ptp(stats.rankdata(y - slope * x)) == 0
    memory = 0 if constant else (n * r[0] + 2) / (n - 4)
    first_order = (1 + memory) / (1 - memory) if memory < 1 else np.inf
    return max(hamed_rao, first_order, 1.0), hamed_rao


def write_importance(r, c):
    """Of vectors of that ratio and angle, in extended precision."""
    r, c = np.longdouble(r), np.longdouble(c)
    s = np.sqrt((1 - c) * (1 + c))
    y = np.array([1 + r * c, r * s])
    y /= np.sqrt((y ** 2).sum())
    return float((np.array([1 - y[0], y[1]]) ** 2).sum() / 2)

# SPDX-License-Identifier: Apache-2.0
"""test_statistics.py LIBRARY [CHECK...]: every statistic on random inputs (ties, gaps, one unit, one checkpoint,
constant series) against SciPy, NumPy, pandas, ruptures and pymannkendall, or its formula written
out in reference.py."""
import sys
import warnings

import numpy as np
import pandas
import pymannkendall
import ruptures
from scipy import special, stats

import reference
import room
from room import byref, call, doubles, plain

INPUTS = 200
TOLERANCE = 1e-12
LEVEL = 0.95


def near(ours, theirs, what, tolerance=TOLERANCE, scale=None):
    theirs = np.asarray(theirs, float)
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = (finite.max() if finite.size else 1.0) if scale is None else scale
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def some_values(rng, count, gaps=True):
    """Values of one of several kinds: plain, with ties, constant, or a walk; perhaps with gaps."""
    kind = rng.integers(5)
    values = (rng.standard_normal(count) if kind < 2 else
              rng.integers(0, 4, count).astype(float) if kind == 2 else
              np.full(count, rng.standard_normal()) if kind == 3 else
              np.cumsum(rng.standard_normal(count)))
    if gaps and rng.integers(2):
        values[rng.random(count) < 0.2] = rng.choice([np.nan, np.inf])
    return values


def finite(values):
    return np.where(np.isfinite(values), values, np.nan)


def some_panel(rng, sequences=None):
    checkpoints, units = rng.integers(1, 6), rng.integers(1, 5)
    sequences = sequences or rng.integers(1, 12)
    values = np.exp(0.4 * rng.standard_normal((checkpoints, units, sequences)))
    if rng.integers(2):
        values[rng.random(values.shape) < 0.15] = np.nan
    if rng.integers(4) == 0:
        values[:, rng.integers(units)] = np.nan
    if rng.integers(4) == 0:
        values[rng.integers(checkpoints)] = 0.5
    tokens = [None, np.full(values.shape, 256), rng.integers(0, 300, values.shape),
              np.broadcast_to(rng.integers(1, 300, sequences), values.shape)][rng.integers(4)]
    weight = rng.random(checkpoints) + 0.01 if rng.integers(2) else None
    return room.Measured(values, tokens), weight


# ---- distributions, order --------------------------------------------------------------------

def check_distributions(rng):
    x, p = 4 * rng.standard_normal(), rng.random() ** rng.choice([1, 20])
    freedom = rng.choice([1.0, 2.5, rng.integers(2, 40), rng.integers(40, 3000)])
    near(plain("normal_cdf", x), special.ndtr(x), "normal cdf")
    near(plain("normal_quantile", p), special.ndtri(p), "normal quantile", scale=1.0)
    near(plain("t_cdf", x, freedom), stats.t.cdf(x, freedom), "t cdf")
    p = 0.0005 + 0.999 * rng.random()
    near(plain("t_quantile", p, freedom), stats.t.ppf(p, freedom), "t quantile", scale=1.0)
    assert np.isnan(plain("t_quantile", 1.5, freedom)) and np.isnan(plain("normal_quantile", -p))


def check_generator(rng):
    seed, bound = int(rng.integers(1 << 62)), int(rng.integers(1, 1 << 62))
    ours, theirs = room.Random(), reference.Generator(seed)
    plain("random_seed", byref(ours), room.c_uint64(seed))
    for _ in range(5):
        assert plain("random_next", byref(ours)) == theirs.next()
        assert plain("random_below", byref(ours), room.c_uint64(bound)) == theirs.below(bound)
    known = room.Random((room.c_uint64 * 4)(1, 2, 3, 4))  # the authors' program
    assert [plain("random_next", byref(known)) for _ in range(4)] == [
        11520, 0, 1509978240, 1215971899390074240]


def check_order(rng):
    values = some_values(rng, rng.integers(1, 30))
    order, ranks = np.full(len(values), -1), doubles(len(values))
    count = plain("order", order, values, len(values))
    assert count == np.isfinite(values).sum()
    np.testing.assert_array_equal(order, np.argsort(finite(values), kind="stable"))
    call("midranks", ranks, values, len(values))
    np.testing.assert_array_equal(ranks, pandas.Series(finite(values)).rank())
    ordered, p = np.sort(values[np.isfinite(values)]), rng.choice([0.0, 1.0, rng.random()])
    if count:
        near(plain("sorted_quantile", ordered, count, p), np.quantile(ordered, p), "quantile")


def check_correlation(rng):
    count = rng.integers(1, 25)
    x, y = some_values(rng, count), some_values(rng, count)
    rho, tau = doubles(1), doubles(1)
    call("spearman", rho, x, y, count)
    call("kendall_tau_b", tau, x, y, count)
    both = np.isfinite(x) & np.isfinite(y)
    enough = both.sum() > 1 and np.ptp(x[both]) > 0 and np.ptp(y[both]) > 0
    near(rho, stats.spearmanr(x[both], y[both])[0] if enough else np.nan, "rho", scale=1.0)
    near(tau, stats.kendalltau(x[both], y[both])[0] if enough else np.nan, "tau", scale=1.0)


def check_overlap(rng):
    units = rng.integers(1, 20)
    a, b, k = rng.permutation(units), rng.permutation(units), rng.integers(1, units + 1)
    jaccard, rbo, p = doubles(1), room.Rbo(), 0.05 + 0.9 * rng.random()
    call("jaccard", jaccard, a, b, units, k)
    near(jaccard, len(set(a[:k]) & set(b[:k])) / len(set(a[:k]) | set(b[:k])), "Jaccard")
    overlap = stats.hypergeom(units, k, k)
    near(plain("jaccard_chance", units, k), sum(
        overlap.pmf(x) * x / (2 * k - x) for x in range(k + 1)), "Jaccard by chance")
    call("rbo", byref(rbo), a, b, units, k, p)
    depth = np.arange(1, k + 1)
    for ours, agreement in ((rbo, [len(set(a[:d]) & set(b[:d])) / d for d in depth]),
                            (plain("rbo_chance", units, k, p), depth / units)):
        near(ours.plain, (1 - p) * (p ** (depth - 1) * agreement).sum(), "RBO")
        near(ours.extrapolated, agreement[-1] * p ** k +
             (1 - p) / p * (p ** depth * agreement).sum(), "extrapolated RBO")
    try:
        call("jaccard", jaccard, a, b, units, units + 1)
        raise AssertionError("more units than there are were compared")
    except room.Failed as error:
        assert "cannot be compared" in str(error)


# ---- panels ----------------------------------------------------------------------------------

def check_panel(rng):
    measured, weight = some_panel(rng)
    checkpoints, units, sequences = measured.shape
    means, found = doubles(checkpoints, units), doubles(units)
    plain("checkpoint_means", means, byref(measured.panel))
    near(means, reference.means(measured), "means")
    last = checkpoints - 1
    expected = (reference.time_mean(means, weight), reference.worst(means), means[last])
    for which in range(3):
        plain("aggregate", found, room.c_int(which), means, weight, checkpoints, units)
        near(found, expected[which], "aggregate")
    shares, tokens = doubles(sequences), measured.counts().sum((0, 1))
    plain("token_shares", shares, byref(measured.panel))
    near(shares, tokens / tokens[tokens > 0].mean() if tokens.any() else tokens, "shares")


def check_time_weights(rng):
    checkpoints = rng.integers(1, 9)
    tokens, weight = np.cumsum(rng.random(checkpoints)), doubles(checkpoints)
    if rng.integers(3) == 0:
        tokens[rng.integers(checkpoints)] = np.nan
    plain("time_weights", weight, tokens, checkpoints)
    near(weight.sum(), 1.0, "weights")
    values = rng.standard_normal(checkpoints)
    known = checkpoints > 1 and np.isfinite(tokens).all()
    near((weight * values).sum(), np.trapezoid(values, tokens) / (tokens[-1] - tokens[0])
         if known else values.mean(), "time weights", scale=1.0)


def check_pseudo_values(rng):
    measured, weight = some_panel(rng)
    checkpoints, units, sequences = measured.shape
    pseudo, cells = doubles(units, sequences), reference.means(measured)
    for which in range(3):
        call("pseudo_values", pseudo, byref(measured.panel), room.c_int(which), weight)
        for u in range(units):
            at = np.arange(checkpoints)
            if which == 2:
                at = at[-1:]
            elif which == 1:
                at = [np.nanargmax(cells[:, u])] if np.isfinite(cells[:, u]).any() else at[:1]
            one = room.Measured(measured.values[at][:, [u]], None if measured.tokens is None
                                else measured.tokens[at][:, [u]])
            share = None if weight is None else weight[at]
            estimate, without = reference.jackknife(one, lambda m: reference.time_mean(m, share))
            counted = (one.counts() > 0).any((0, 1))
            n = counted.sum()
            expected = n * estimate - (n - 1) * without[0] if n > 1 else np.full(
                sequences, estimate)
            near(pseudo[u], np.where(counted, expected, np.nan), "pseudo-values", 1e-11)


def check_draws(rng):
    measured, weight = some_panel(rng)
    checkpoints, units, sequences = measured.shape
    count, seed = int(rng.integers(1, 500)), int(rng.integers(1 << 40))
    drawn, weights = room.resamples(count, sequences, seed)
    generator = reference.Generator(seed)
    for row in weights[:3]:
        np.testing.assert_array_equal(row, np.bincount(
            [generator.below(sequences) for _ in range(sequences)], minlength=sequences))
    assert (weights.sum(1) == sequences).all()
    tokens = measured.counts()
    with np.errstate(invalid="ignore"):
        means = (np.einsum("rs,cus->rcu", weights, tokens * np.nan_to_num(measured.values)) /
                 np.einsum("rs,cus->rcu", weights, tokens))
    ours = room.draws(drawn, measured, weight)
    for row in range(count):
        near(ours[0][row], reference.time_mean(means[row], weight), "mean")
        near(ours[1][row], reference.worst(means[row]), "worst")
        near(ours[2][row], means[row, -1], "last")
    plain("resamples_free", byref(drawn))


# ---- intervals -------------------------------------------------------------------------------

def some_sample(rng, sequences):
    pseudo = np.exp(rng.choice([0.1, 0.6]) * rng.standard_normal(sequences))
    pseudo[rng.random(sequences) < rng.choice([0.0, 0.1])] = np.nan
    if rng.integers(10) == 0:
        pseudo = np.where(np.isfinite(pseudo), 0.25, np.nan)
    share = None
    if rng.integers(2):
        share = rng.random(sequences) + 0.5
        share *= np.isfinite(pseudo).sum() / share[np.isfinite(pseudo)].sum()
    return np.nanmean(pseudo) * (1 + 0.001 * rng.standard_normal()), pseudo, share


def expected_interval(estimate, pseudo, share, weights, draws):
    _, _, n, effective, error, _ = reference.moments(pseudo, share)
    if n < 2:
        return np.nan, np.nan, "none"
    if not error > 0:
        return estimate, estimate, "skew_t"
    if weights is not None and effective < 63.5:
        return *reference.bootstrap_t(estimate, pseudo, share, weights, LEVEL), "bootstrap_t"
    if weights is not None and draws is not None and (draws <= estimate).any() and \
            (draws >= estimate).any():
        return *reference.bca(estimate, pseudo, share, draws, LEVEL), "bca"
    return *[reference.skew_t_limit(estimate, pseudo, share, p, 0) for p in
             ((1 - LEVEL) / 2, (1 + LEVEL) / 2)], "skew_t"


def check_intervals(rng):
    sequences, count = int(rng.choice([2, 5, 16, 70, 100])), 300
    drawn, weights = room.resamples(count, sequences, int(rng.integers(1 << 40)))
    a, b = some_sample(rng, sequences), some_sample(rng, sequences)
    b = (b[0], b[1], a[2])  # of the same sequences
    draws = [np.ascontiguousarray(weights @ np.nan_to_num(one[1]) / (weights @ np.isfinite(one[1])))
             for one in (a, b)]
    samples, kind = [], rng.integers(3)
    for one, drawing in zip((a, b), draws):
        samples.append(room.sample(*one, drawn if kind else None, drawing if kind == 2 else None))
    used = weights if kind else None
    for ours, theirs in (
            (room.interval(samples[0], LEVEL),
             expected_interval(*a, used, draws[0] if kind == 2 else None)),
            (room.difference(*samples, LEVEL),
             expected_interval(a[0] - b[0], a[1] - b[1], a[2], used,
                               draws[0] - draws[1] if kind == 2 else None))):
        assert ours[2] == theirs[2], (ours, theirs)
        near(ours[:2], theirs[:2], theirs[2], 1e-11, scale=1.0)
    plain("resamples_free", byref(drawn))


def check_bounds(rng):
    estimate, pseudo, share = some_sample(rng, int(rng.integers(2, 40)))
    one = room.sample(estimate, pseudo, share)
    _, _, n, _, error, _ = reference.moments(pseudo, share)
    limit, bound = plain("upper_limit", byref(one), LEVEL), estimate * (1 + rng.standard_normal())
    p = plain("not_below_p", byref(one), bound)
    if n < 2 or not error > 0:
        near(limit, estimate if n > 1 else np.nan, "limit without spread")
        near(p, np.nan if n < 2 else float(estimate >= bound), "p without spread")
        return
    near(limit, reference.skew_t_limit(estimate, pseudo, share, LEVEL, 1), "limit", 1e-11)
    near(p, reference.not_below_p(estimate, pseudo, share, bound), "p", 1e-11)
    near(plain("not_below_p", byref(one), limit), 1 - LEVEL, "p at the limit", 1e-9)


def check_consistent(rng):
    measured, _ = some_panel(rng, sequences=int(rng.integers(1, 20)))
    checkpoints, units, sequences = measured.shape
    limits, p, bound = doubles(checkpoints, units), doubles(units), 0.3 + rng.random()
    call("upper_limits", limits, byref(measured.panel), LEVEL)
    call("not_below_everywhere", p, byref(measured.panel), bound)
    expected, cells = doubles(checkpoints, units), doubles(checkpoints, units)
    for c in range(checkpoints):
        one = room.Measured(measured.values[c:c + 1], None if measured.tokens is None
                            else measured.tokens[c:c + 1])
        pseudo, share = doubles(units, sequences), doubles(sequences)
        call("pseudo_values", pseudo, byref(one.panel), room.c_int(2), None)
        plain("token_shares", share, byref(one.panel))
        for u, estimate in enumerate(reference.means(one)[0]):
            row = np.ascontiguousarray(pseudo[u])
            expected[c, u] = plain("upper_limit", byref(room.sample(estimate, row, share)), LEVEL)
            cells[c, u] = plain("not_below_p", byref(room.sample(estimate, row, share)), bound)
    near(limits, expected, "limits")
    worst, at = doubles(units), np.full(units, -1)
    plain("worst_bounds", worst, at, limits, checkpoints, units)
    near(worst, limits.max(0), "worst")  # NaN wins
    none = np.isnan(cells)
    near(p, np.where(none.all(0), np.nan, np.where(none, 1.0, cells).max(0)), "largest p")


def check_benjamini_hochberg(rng):
    p = rng.random(rng.integers(1, 30)) ** rng.choice([1, 4])
    p[rng.random(len(p)) < 0.1] = np.nan
    p[rng.random(len(p)) < 0.2] = 0.01
    adjusted, there = doubles(len(p)), np.isfinite(p)
    call("benjamini_hochberg", adjusted, p, len(p))
    assert (np.isnan(adjusted) == ~there).all()
    if there.any():
        near(adjusted[there], stats.false_discovery_control(p[there]), "adjusted p")


def check_choice(rng):
    units, count = rng.integers(1, 9), int(rng.integers(1, 60))
    estimate = np.where(rng.random(units) < 0.1, np.nan, rng.integers(0, 6, units) + 0.0)
    draws = estimate + rng.integers(-2, 3, (count, units))
    unit = rng.permutation(units)[:rng.integers(1, units + 1)].astype(np.int64)
    choice, candidates = room.Choice(), len(unit)
    call("choose", byref(choice), estimate, draws, count, units, unit, candidates)
    order = np.argsort(estimate[unit], kind="stable")
    present = np.isfinite(estimate[unit]).sum()
    np.testing.assert_array_equal(room.array_of(choice.order, candidates), order)
    assert choice.present == present
    orders = np.argsort(draws[:, unit], axis=1, kind="stable")[:, :present]
    same = [np.mean([set(row[:n]) == set(order[:n]) for row in orders])
            for n in range(present + 1)]
    near(room.array_of(choice.set, candidates + 1)[:present + 1], same, "sets")
    for u in range(candidates):
        for n in range(candidates + 1):
            near(plain("choice_probability", byref(choice), u, n),
                 (orders[:, :n] == u).any(1).mean(), "membership")
    check_cuts(rng, choice, estimate[unit], order, present, same)
    plain("choice_free", byref(choice))


def check_cuts(rng, choice, estimate, order, present, same):
    rows = [np.ascontiguousarray(e + 0.5 * rng.standard_normal(20)) for e in estimate]
    kept = [room.sample(e, row) for e, row in zip(estimate, rows)]
    samples = (room.Sample * len(kept))(*kept)
    cuts = (room.Cut * max(present - 1, 1))()
    call("choice_cuts", cuts, byref(choice), samples, 0.5)
    clean = []
    for n in range(1, present):
        last, following, cut = order[n - 1], order[n], cuts[n - 1]
        interval = room.difference(kept[following], kept[last], 0.5)
        assert (cut.last, cut.next) == (last, following)
        near([cut.margin, cut.interval.low, cut.interval.high, cut.probability],
             [estimate[following] - estimate[last], *interval[:2], same[n]], "cut")
        assert cut.clean == (interval[0] > 0 and same[n] >= 0.5)
        clean += [n] if cut.clean else []
    n = int(rng.integers(1, present + 2))
    below, above = room.c_int64(), room.c_int64()
    plain("clean_neighbours", byref(below), byref(above), cuts, present, n)
    assert below.value == max([c for c in clean if c < n], default=0)
    assert above.value == min([c for c in clean if c > n], default=0)


# ---- over time -------------------------------------------------------------------------------

def some_series(rng, checkpoints, units):
    memory, values = rng.choice([0.0, 0.5, 0.9]), rng.standard_normal((checkpoints, units))
    for c in range(1, checkpoints):
        values[c] += memory * values[c - 1]
    kind = rng.integers(4)
    values = np.round(values) if kind == 0 else values + (2 * np.arange(units) if kind == 1 else 0)
    if rng.integers(3) == 0:
        values[rng.integers(checkpoints), rng.integers(units)] = np.nan
    return np.full((checkpoints, units), 1.5) if rng.integers(20) == 0 else values


def check_concordance(rng):
    checkpoints, units = int(rng.choice([1, 2, 20, 60])), int(rng.choice([1, 2, 5, 12]))
    values, test = some_series(rng, checkpoints, units), room.Concordance()
    call("concordance", byref(test), values, checkpoints, units, 50, room.c_uint64(1))
    kept = values[:, np.isfinite(values).all(0)]
    ranks = stats.rankdata(kept, axis=1)
    assert (test.checkpoints, test.units) == kept.shape
    w = reference.kendall_w(ranks) if kept.shape[1] else np.nan
    near(test.w, w, "W", scale=1.0)
    if kept.shape[1] > 2 and checkpoints > 1 and np.isfinite(w):
        chi_square = stats.friedmanchisquare(*kept.T)[0]
        near(test.w, chi_square / (checkpoints * (kept.shape[1] - 1)), "Friedman", scale=1.0)
    if kept.shape[1] > 1 and checkpoints > 1 and (np.ptp(kept, axis=1) > 0).all() and \
            len(np.unique(kept)) == kept.size:
        between = np.corrcoef(ranks)[np.triu_indices(checkpoints, 1)]
        near(test.mean_spearman, between.mean(), "mean Spearman", scale=1.0)
    time, error = reference.correlation_time(ranks) if ranks.size and checkpoints > 1 else (
        np.nan, np.nan)
    near(test.correlation_time, time, "correlation time", 1e-10)
    longest = time + stats.norm.ppf(0.95) * error
    if np.isfinite(longest):
        block, gap = np.ceil(3 * max(longest, 1)), np.ceil(2 * (max(longest, 1) - 1))
        assert test.blocks == (checkpoints + gap) // (block + gap) and test.gap == gap
    testable = np.isfinite(longest) and test.blocks >= 6 and test.units >= 2 and np.isfinite(w)
    assert np.isfinite(test.p) == testable, (test.p, test.blocks)


def check_relabelling(rng):
    """Against all relabellings of three units in six or seven blocks."""
    units, relabellings, test = 3, 4000, room.Concordance()
    while not 6 <= test.blocks <= 7:
        checkpoints = int(rng.choice([20, 32, 40]))
        levels = rng.choice([0.0, 0.4]) * np.arange(units)
        values = rng.standard_normal((checkpoints, units)) + levels
        call("concordance", byref(test), values, checkpoints, units, relabellings,
             room.c_uint64(7))
    ranks = stats.rankdata(values, axis=1)
    starts = np.arange(test.blocks) * (test.block + test.gap)
    blocks = np.array([ranks[s:s + test.block].sum(0) for s in starts])
    spread = lambda sums: ((sums - sums.mean(-1, keepdims=True)) ** 2).sum(-1)
    exact = (spread(reference.all_relabellings(blocks)) >= spread(blocks.sum(0)) - 1e-9).mean()
    slack = 4.5 * np.sqrt(exact * (1 - exact) / relabellings) + 2 / relabellings
    assert abs(test.p - exact) <= slack, (test.p, exact)
    among = (np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1) < 1).astype(float)
    blocks = np.array([among[s:s + test.block].sum(0) for s in starts])
    highest, p, threshold = reference.all_relabellings(blocks).max(1), doubles(units), doubles(1)
    call("share_test", p, threshold, values, byref(test), units, 1, 0.1, room.c_uint64(3))
    for u, seen in enumerate(blocks.sum(0)):
        exact = (highest >= seen - 1e-9).mean()
        slack = 4.5 * np.sqrt(exact * (1 - exact) / relabellings) + 2 / relabellings
        assert abs(p[u] - exact) <= slack, (p[u], exact)
    most = np.quantile(highest, [0.87, 0.93]) / (test.block * test.blocks)
    assert most[0] - 1e-9 <= threshold[0] <= most[1] + 1e-9, (most, threshold)


def check_trend(rng):
    count = int(rng.choice([1, 2, 7, 8, 20, 60]))
    y = some_values(rng, count)
    there = np.isfinite(y)
    n, trend = there.sum(), room.Trend()
    x = np.where(there, np.cumsum(there), np.nan).astype(float)
    if rng.integers(2):
        x = np.cumsum(0.1 + rng.random(count))
    call("trend", byref(trend), x, y, count, LEVEL)
    assert trend.count == n
    x, y = x[there], y[there]
    if n < 2:
        assert np.isnan([trend.slope, trend.p, trend.z, trend.low]).all()
        return
    slope, intercept, _, _ = stats.theilslopes(y, x)
    scale = np.abs(y).max() + 1
    near([trend.slope, trend.intercept], [slope, intercept], "Theil-Sen", scale=scale)
    if n < 8:
        assert np.isnan([trend.p, trend.low]).all()
        return
    check_mann_kendall(trend, x, y, n, slope)


def check_mann_kendall(trend, x, y, n, slope):
    original = pymannkendall.original_test(y)
    near([trend.s, trend.variance], [original.s, original.var_s], "Mann-Kendall")
    correction, hamed_rao = reference.trend_correction(x, y, slope)
    near(trend.correction, correction, "correction", 1e-10)
    if np.array_equal(x, np.arange(1, n + 1)) and np.ptp(y) > 0:
        theirs = pymannkendall.hamed_rao_modification_test(y)
        near(hamed_rao * original.var_s, theirs.var_s, "Hamed & Rao", 1e-9)
    freedom = n / correction - 2
    if freedom < 1:
        assert np.isnan([trend.p, trend.z, trend.low, trend.high]).all()
        return
    sigma = np.sqrt(original.var_s * correction)
    z = (original.s - np.sign(original.s)) / sigma if original.s else 0.0
    near([trend.z, trend.p], [z, 2 * stats.t.sf(abs(z), freedom)], "p", 1e-10, scale=1.0)
    slopes = np.sort([(y[j] - y[i]) / (x[j] - x[i]) for j in range(n) for i in range(j)])
    reach = stats.t.ppf((1 + LEVEL) / 2, freedom) * sigma
    at = np.round([(len(slopes) - reach) / 2, (len(slopes) + reach) / 2 - 1])
    near([trend.low, trend.high], slopes[np.clip(at, 0, len(slopes) - 1).astype(int)],
         "Sen's interval", scale=np.abs(slopes).max())


def check_change_points(rng):
    count, shortest = int(rng.choice([1, 2, 5, 30, 80])), int(rng.integers(1, 4))
    y = some_values(rng, count) + np.where(np.arange(count) > count // 2, rng.choice([0.0, 5.0]), 0)
    there = np.isfinite(y)
    kept, penalty = y[there], doubles(1)
    call("change_penalty", penalty, y, count)
    steps = np.diff(kept)
    sigma = stats.median_abs_deviation(steps) * 1.4826 / np.sqrt(2) if len(steps) else 0.0
    near(penalty, 2 * sigma ** 2 * np.log(max(len(kept), 1)), "penalty")
    changes, chosen = room.Changes(), float(rng.choice([-1.0, 0.5, 3.0]))
    call("change_points", byref(changes), y, count, chosen, shortest)
    chosen = penalty[0] if chosen < 0 else chosen
    near(changes.penalty, chosen, "penalty used")
    at = room.array_of(changes.at, changes.count) if changes.count else np.array([], int)
    plain("change_points_free", byref(changes))
    assert there[at].all()
    bounds = [0, *np.cumsum(there)[at] - 1, len(kept)]
    cost = sum(((part - part.mean()) ** 2).sum() for part in
               (kept[a:b] for a, b in zip(bounds, bounds[1:])) if len(part))
    if len(kept) >= shortest:
        assert np.diff(bounds).min() >= shortest
        near(changes.cost, cost + chosen * len(at), "cost", scale=(kept ** 2).sum() + 1)
    if len(kept) >= 2 * shortest and chosen > 0:
        search = ruptures.Dynp(model="l2", jump=1, min_size=shortest).fit(kept)
        best = min(search.cost.sum_of_costs(search.predict(k)) + chosen * k
                   for k in range(1, min(len(kept) // shortest, len(at) + 3)) or [1]) \
            if len(kept) // shortest > 1 else np.inf
        best = min(best, ((kept - kept.mean()) ** 2).sum())
        near(changes.cost, best, "least cost", scale=(kept ** 2).sum() + 1)
        theirs = ruptures.Pelt(model="l2", jump=1, min_size=shortest).fit(kept).predict(chosen)
        pelt = search.cost.sum_of_costs(theirs) + chosen * (len(theirs) - 1)
        assert changes.cost <= pelt + 1e-9 * (1 + pelt), (changes.cost, pelt)


def check_onset(rng):
    checkpoints, units = rng.integers(1, 9), rng.integers(1, 9)
    holds = rng.random(checkpoints) < 0.7
    first = plain("onset", holds, checkpoints)
    assert first == min(i for i in range(checkpoints + 1) if holds[i:].all())
    series = rng.random(checkpoints)
    series[rng.random(checkpoints) < 0.1] = np.nan
    first = plain("onset_at_least", series, checkpoints, 0.4)
    assert first == min(i for i in range(checkpoints + 1) if (series[i:] >= 0.4).all())
    values = np.array([some_values(rng, units) for _ in range(checkpoints)])
    k, overlap = rng.integers(1, units + 1), doubles(checkpoints)
    call("overlap_with_last", overlap, values, checkpoints, units, k)
    lowest = [{u for u in np.argsort(finite(row), kind="stable")[:k] if np.isfinite(row[u])}
              for row in values]
    near(overlap, [len(one & lowest[-1]) / k for one in lowest], "overlap")


def check_windows(rng):
    boundaries = rng.integers(1, 9)
    similarity = rng.integers(0, 9, (boundaries, boundaries)) / 8
    similarity[rng.random(similarity.shape) < 0.1] = np.nan
    length, window = int(rng.integers(0, boundaries + 1)), room.Window()
    found = plain("best_window", byref(window), similarity, boundaries, length)
    across = [similarity[i, i + length] for i in range(boundaries - length)] if length else []
    assert found == bool(np.isfinite(across).any())
    if found:
        assert (window.first, window.length, window.similarity) == (
            np.nanargmax(across), length, np.nanmax(across))


def check_decomposition(rng):
    r, c = 10 ** rng.uniform(-6, 2), rng.choice([-1.0, 1.0, 1 - 1e-9, rng.uniform(-1, 1)])
    near(plain("write_importance", r, c), reference.write_importance(r, c), "importance",
         scale=reference.write_importance(r, 0.0))
    near(plain("orthogonal_importance", r), 1 - 1 / np.sqrt(1 + np.longdouble(r) ** 2), "null",
         scale=1.0)
    moments = [(10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-1, 2), rng.uniform(-1, 1))
               for _ in range(2)]
    value = lambda later: reference.write_importance(
        moments[later[0]][0] / moments[later[1]][1], moments[later[2]][2])
    parts = np.zeros(3)
    for order in reference.itertools.permutations(range(3)):
        later = [0, 0, 0]
        for factor in order:
            before = value(later)
            later[factor] = 1
            parts[factor] += (value(later) - before) / 6
    split = plain("split_change", byref(room.Write(*moments[0])), byref(room.Write(*moments[1])))
    near([split.delta, split.stream, split.direction, split.change],
         [*parts, value((1, 1, 1)) - value((0, 0, 0))], "split", scale=1.0)
    near(split.delta + split.stream + split.direction, split.change, "sum", scale=1.0)


def robust(deviation):
    with np.errstate(all="ignore"):
        return np.where(deviation == 0, 0, deviation / (1.4826 * np.nanmedian(np.abs(deviation))))


def check_outliers(rng):
    values = some_values(rng, rng.integers(1, 30))
    z, series = doubles(len(values)), finite(values)
    call("robust_z", z, values, len(values))
    near(z, robust(series - np.nanmedian(series)), "robust z")
    call("neighbour_z", z, values, len(values))
    around = np.array([np.nanmedian(np.delete(series, i)[max(i - 2, 0):i + 2])
                       if len(series) > 1 else np.nan for i in range(len(series))])
    enough = np.isfinite(series).sum() > 4
    near(z, robust(series - around) if enough else np.full(len(series), np.nan), "neighbours' z")


def main():
    room.load(sys.argv[1])
    checks = [(name[6:], check) for name, check in globals().items()
              if name.startswith("check_") and name not in ("check_cuts", "check_mann_kendall")]
    for number, (name, check) in enumerate(checks):
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        rng = np.random.default_rng(number)
        for case in range(INPUTS):
            try:
                check(rng)
            except Exception:
                print(f"{name}: input {case} of seed {number}", file=sys.stderr)
                raise
        print(f"{name}: {INPUTS} inputs")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # empty slices, constant inputs
    main()

# SPDX-License-Identifier: Apache-2.0
"""What is said of series over training, one check for each function of the room."""
import numpy as np
import pymannkendall
import ruptures
from scipy import stats

import reference
import room
from inputs import LEVEL, finite, near, some_values
from room import byref, call, doubles, plain

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
    time, bound = reference.correlation_time(ranks) if ranks.size and checkpoints > 1 else (
        np.nan, np.nan)
    near(test.correlation_time, time, "correlation time", 1e-10)
    near(test.block_time, max(bound, 2.0), "block time", 1e-10)
    if np.isfinite(bound):
        block, gap = np.ceil(3 * max(bound, 2)), np.ceil(2 * (max(bound, 2) - 1))
        assert test.blocks == (checkpoints + gap) // (block + gap) and test.gap == gap
    testable = np.isfinite(bound) and test.blocks >= 6 and test.units >= 2 and np.isfinite(w)
    assert np.isfinite(test.p) == testable, (test.p, test.blocks)


def check_relabelling(rng):
    """Against all relabellings of three units in six or seven blocks."""
    units, relabellings, test = 3, 4000, room.Concordance()
    while not 6 <= test.blocks <= 7:
        checkpoints = int(rng.choice([46, 54, 62]))
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
    compare_mann_kendall(trend, x, y, n, slope)


def compare_mann_kendall(trend, x, y, n, slope):
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
    begin, end = sorted(rng.integers(0, boundaries, 2))
    found = plain("best_window", byref(window), similarity, boundaries, length, begin, end)
    across = [similarity[i, i + length] for i in range(begin, end - length + 1)] if length else []
    assert found == bool(np.isfinite(across).any())
    if found:
        assert (window.first, window.length, window.similarity) == (
            begin + np.nanargmax(across), length, np.nanmax(across))


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
    call("neighbour_z", z, values, len(values))
    around = np.array([np.nanmedian(np.delete(series, i)[max(i - 2, 0):i + 2])
                       if len(series) > 1 else np.nan for i in range(len(series))])
    enough = np.isfinite(series).sum() > 4
    near(z, robust(series - around) if enough else np.full(len(series), np.nan), "neighbours' z")

# SPDX-License-Identifier: Apache-2.0
"""What is said of sequences, units and orders, one check for each function of the room."""
import numpy as np
import pandas
from scipy import special, stats

import reference
import room
from inputs import LEVEL, finite, near, some_panel, some_values
from room import byref, call, doubles, plain

LEAST = 5  # sequences that tell an interval

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
    if n < LEAST:
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
    if n < LEAST or not error > 0:
        near(limit, estimate if n >= LEAST else np.nan, "limit without spread")
        near(p, np.nan if n < LEAST else float(estimate >= bound), "p without spread")
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
    rows = draws[:, unit]
    same = [np.mean([max(row[:n], default=-np.inf) < min(row[n:], default=np.inf)
                     for row in rows[:, order[:present]]]) for n in range(present + 1)]
    near(room.array_of(choice.set, candidates + 1)[:present + 1], same, "sets")
    for u in range(candidates):
        for n in range(candidates + 1):
            lower, equal = (rows < rows[:, [u]]).sum(1), (rows == rows[:, [u]]).sum(1)
            near(plain("choice_probability", byref(choice), u, n),
                 np.mean(np.clip(n - lower, 0, equal) / np.maximum(equal, 1)), "membership")
    compare_cuts(rng, choice, estimate[unit], order, present, same)
    plain("choice_free", byref(choice))


def compare_cuts(rng, choice, estimate, order, present, same):
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

# SPDX-License-Identifier: Apache-2.0
"""What is said of proxies and costs, one check for each function of the room."""
import itertools

import numpy as np
from scipy import stats

import reference
import room
from inputs import LEVEL, near
from room import byref, call, doubles, plain


def some_rows(rng, units, rows):
    """[units, rows]: a level of each unit, perhaps tied, and noise; perhaps with gaps."""
    values = rng.choice([0.0, 1.0]) * rng.integers(0, 4, units)[:, None] + rng.standard_normal(
        (units, rows))
    if rng.integers(4) == 0:
        values = np.round(values)
    if rng.integers(4) == 0:
        values[rng.integers(units), rng.integers(rows)] = np.nan
    return np.ascontiguousarray(values)


def sure_order(values):
    units, rows = values.shape
    sign = np.full((units, units), 9, np.int8)
    plain("sure_order", sign, values, units, rows, LEVEL)
    return sign


def check_sure_order(rng):
    values = some_rows(rng, rng.integers(1, 7), int(rng.integers(1, 20)))
    sign, each = sure_order(values), 1 - (1 - LEVEL) / np.sqrt(len(values))
    for i, j in itertools.product(range(len(values)), repeat=2):
        difference = values[i] - values[j]
        kept, expected = difference[np.isfinite(difference)], 0
        if len(kept) > 1 and i != j:
            reach = stats.t.ppf((1 + each) / 2, len(kept) - 1) * stats.sem(kept)
            expected = int(kept.mean() > reach) - int(kept.mean() < -reach)
        assert sign[i, j] == expected, (i, j, sign[i, j], expected)


def linear_extensions(sign):
    """The ranks of every order that the sure pairs allow."""
    units = len(sign)
    for ranks in itertools.permutations(range(units)):
        ranks = np.array(ranks)
        signs = np.sign(ranks[:, None] - ranks)
        if ((sign == 0) | (sign == signs)).all():
            yield ranks


def check_rank_agreement(rng):
    """The limits hold what every order gives that is allowed; tau's are reached or nearly so."""
    units, rows = int(rng.integers(1, 5)), 12
    x, y = some_rows(rng, units, rows), some_rows(rng, units, rows)
    s, t, found, shift = sure_order(x), sure_order(y), room.RankAgreement(), np.zeros(units, int)
    x, y = np.nanmean(x, 1), np.nanmean(y, 1)
    call("rank_agreement", byref(found), x, y, s, t, units)
    plain("sure_shift", shift, s, t, units)
    np.testing.assert_array_equal(shift, (t * (s == -t)).sum(1))
    if units < 2:
        assert np.isnan([found.spearman, found.tau, found.tau_low]).all()
        return
    enough = np.ptp(x) > 0 and np.ptp(y) > 0
    near(found.spearman, stats.spearmanr(x, y)[0] if enough else np.nan, "rho", scale=1.0)
    near(found.tau, stats.kendalltau(x, y)[0] if enough else np.nan, "tau", scale=1.0)
    allowed = [(stats.spearmanr(a, b)[0], stats.kendalltau(a, b)[0]) for a in linear_extensions(s)
               for b in linear_extensions(t)]
    slack = 1e-12
    if allowed:
        low, high = np.min(allowed, 0), np.max(allowed, 0)
        assert found.spearman_low <= low[0] + slack and high[0] - slack <= found.spearman_high
        assert found.tau_low <= low[1] + slack and high[1] - slack <= found.tau_high
    if (s != 0).sum() + (t != 0).sum() == 2 * units * (units - 1):
        near([found.spearman_low, found.tau_low], [found.spearman_high, found.tau_high], "all sure",
             scale=1.0)


def check_sure_share(rng):
    units = int(rng.integers(2, 5))
    x, y, count = some_rows(rng, units, 12), some_rows(rng, units, 12), int(rng.integers(1, 5))
    s, t, count = sure_order(x), sure_order(y), min(count, units)
    share = plain("sure_share", s, t, units, count)
    found = [len(set(np.argsort(a)[:count]) & set(np.argsort(b)[:count])) / count
             for a in linear_extensions(s) for b in linear_extensions(t)]
    assert share.low <= min(found, default=1.0) + 1e-12
    assert share.high >= max(found, default=0.0) - 1e-12


def lowest(values, rows, count):
    return np.argsort(np.nanmean(values[:, rows], 1), kind="stable")[:count]


def check_cross_fit(rng):
    units, rows = int(rng.integers(1, 7)), int(rng.integers(1, 30))
    x, y = some_rows(rng, units, rows), some_rows(rng, units, rows)
    count, regret = int(rng.integers(1, units + 1)), room.Regret()
    call("cross_fit", byref(regret), x, y, units, rows, count, LEVEL)
    folds, paid = np.arange(rows) * 2 // rows, np.full(rows, np.nan)
    for fold in range(2 if rows > 1 else 0):
        rest = folds != fold
        if np.isfinite(x[:, rest]).any(1).all() and np.isfinite(y[:, rest]).any(1).all():
            ours, cheapest = lowest(x, rest, count), lowest(y, rest, count)
            paid[~rest] = (y[np.setdiff1d(ours, cheapest)][:, ~rest].sum(0) -
                           y[np.setdiff1d(cheapest, ours)][:, ~rest].sum(0))
        else:
            return  # a unit without a value on all other rows
    kept = paid[np.isfinite(paid)]
    if len(kept) < 2:
        assert np.isnan([regret.value, regret.low, regret.high]).all()
        return
    reach = stats.t.ppf((1 + LEVEL) / 2, len(kept) - 1) * stats.sem(kept)
    near([regret.value, regret.low, regret.high],
         [kept.mean(), kept.mean() - reach, kept.mean() + reach], "regret", scale=1.0)


def check_halves(rng):
    units, rows, splits = int(rng.integers(2, 6)), int(rng.integers(2, 12)), 5
    x, y = rng.standard_normal((units, rows)), rng.standard_normal((units, rows))
    count, halves, seed = int(rng.integers(1, units + 1)), room.Halves(), int(rng.integers(1 << 40))
    call("halves", byref(halves), x, y, units, rows, count, splits, room.c_uint64(seed))
    generator, order, rho, found = reference.Generator(seed), list(range(rows)), [], []
    for _ in range(splits):
        for i in range(rows - 1, 0, -1):
            j = generator.below(i + 1)
            order[i], order[j] = order[j], order[i]
        half = [order[:rows // 2], order[rows // 2:2 * (rows // 2)]]
        for first in (0, 1):
            a, b = x[:, half[first]].mean(1), y[:, half[1 - first]].mean(1)
            rho.append(stats.spearmanr(a, b)[0])
            found.append(len(set(np.argsort(a)[:count]) & set(np.argsort(b)[:count])) / count)
    near([halves.spearman, halves.found], [np.mean(rho), np.mean(found)], "halves", scale=1.0)
    r = rng.uniform(-1, 1)
    near(plain("stepped_up", r), 2 * r / (1 + r) if r > 0 else 0.0, "stepped up", scale=1.0)

# SPDX-License-Identifier: Apache-2.0
"""Random inputs of the kinds that stores hold, and what counts as equal."""
import numpy as np

import room

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

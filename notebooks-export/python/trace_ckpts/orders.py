# SPDX-License-Identifier: Apache-2.0
"""What layers can be ranked by, and how their orders agree."""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from .drawing import need, need_module, training_axis


class Criterion(NamedTuple):
    """What layers can be ranked by: the lower, the less important."""
    noun: str
    label: str
    scale: str  # "log", "linear", "signed"


RANKED_BY = {
    "importance": Criterion("Importance", "Importance 1 − cos (no unit)", "log"),
    "update_ratio": Criterion("Update ratio", "Update ratio |δ| / |x| (no unit)", "log"),
    "alignment": Criterion("Misalignment", "Misalignment 1 − cos(x, δ) (no unit)", "linear"),
    "cost-nll": Criterion("Cost in loss", "Cost in loss (nats per token)", "signed"),
    "cost-kl": Criterion("Cost in KL", "Cost in KL (nats per token)", "log"),
    "cost-agree": Criterion("Cost in agreement", "Share of tokens that change (no unit)", "linear"),
}


def values(trace: xr.Dataset, module: str, by: str = "importance") -> xr.DataArray:
    """What layers are ranked by, over checkpoint and layer: importance, update_ratio, alignment (as
    1 - cos(x, delta)), cost-nll, cost-kl or cost-agree, as trace-analyze --by takes them.

    >>> values(trace, "attn").dims
    ('checkpoint', 'layer')
    >>> values(trace, "attn", "cosine")
    Traceback (most recent call last):
    ValueError: by takes importance, update_ratio, alignment, cost-nll, cost-kl, cost-agree, not 'cosine'
    """
    if by not in RANKED_BY:
        raise ValueError(f"by takes {', '.join(RANKED_BY)}, not {by!r}")
    need_module(trace, module)
    variable = {"cost-nll": "drop_nll", "cost-kl": "drop_kl", "cost-agree": "drop_agree"}.get(by, by)
    need(trace, variable, *["base_nll"] * (by == "cost-nll"))
    found = trace[variable].sel(module=module)
    if by in ("alignment", "cost-agree"):
        found = 1 - found
    if by == "cost-nll":
        found = found - trace.base_nll
    if "cost_sequence" in found.dims:
        found = found.mean("cost_sequence")
    return found.transpose("checkpoint", "layer")


def table_of(trace: xr.Dataset, module: str, by: str = "importance") -> pd.DataFrame:
    """The same with checkpoints as rows and layers as columns."""
    found = values(trace, module, by)
    return pd.DataFrame(found.values, found.checkpoint.values, found.layer.values)


def about_a_quarter(layers: int) -> int:
    """How many layers are called the lowest when nobody says.

    >>> about_a_quarter(10)
    3
    """
    return max(1, (layers + 2) // 4)


def ranks(trace: xr.Dataset, module: str, by: str = "importance") -> pd.DataFrame:
    """Ranks of the layers (columns) at each checkpoint (rows): 1 is the least important, ties share
    the middle of their ranks.

    >>> ranks(trace, "attn").shape == (trace.sizes["checkpoint"], trace.sizes["layer"])
    True
    """
    return table_of(trace, module, by).rank(axis="columns")


def training_weights(trace: xr.Dataset) -> np.ndarray:
    """Each checkpoint's share of training by the trapezoidal rule over tokens, else over steps, as
    trace-analyze weighs them; equal shares where neither is known.

    >>> bool(abs(training_weights(trace).sum() - 1) < 1e-12)
    True
    """
    where, label = training_axis(trace)
    if label == "Checkpoint" or len(where) < 2:
        return np.full(len(where), 1 / len(where))
    ends = np.concatenate([where[:1], where, where[-1:]])
    return (ends[2:] - ends[:-2]) / (2 * (where[-1] - where[0]))


def lowest(trace: xr.Dataset, module: str, count: int | None = None,
           by: str = "importance") -> list[int]:
    """The layers of lowest mean over training, lowest first: the set of trace-analyze where every
    layer has a value at every checkpoint. What is left out where some lack one, and how sure the
    set is, only trace-analyze knows: see `result` and `chosen`.

    >>> lowest(trace, "attn", 3) == chosen(found, "attn")
    True
    """
    table = table_of(trace, module, by)
    weights = table.notna().mul(training_weights(trace), axis="rows")
    means = ((table * weights).sum() / weights.sum()).dropna()
    return [int(layer) for layer in means.nsmallest(count or about_a_quarter(len(means))).index]


def jaccard(trace: xr.Dataset, module: str, count: int, by: str = "importance") -> np.ndarray:
    """Jaccard index of each checkpoint's `count` lowest layers with the last checkpoint's."""
    table = table_of(trace, module, by)
    sets = [set(row.nsmallest(count).index) for _, row in table.iterrows()]
    return np.array([len(one & sets[-1]) / len(one | sets[-1]) if one | sets[-1] else np.nan
                     for one in sets])


def jaccard_chance(layers: int, count: int) -> float:
    """Mean Jaccard index of two random sets of `count` of the layers: the overlap of such sets is
    hypergeometric. NaN when there are not as many layers.

    >>> jaccard_chance(2, 1)
    0.5
    """
    if not 0 < count <= layers:
        return np.nan
    return sum(comb(count, both) * comb(layers - count, count - both) / comb(layers, count) *
               both / (2 * count - both) for both in range(count + 1))


def kendall_w(table: pd.DataFrame) -> float:
    """Kendall's coefficient of concordance of rows of ranks, corrected for ties (Kendall and
    Babington Smith 1939; Siegel and Castellan 1988, 9.7). NaN for one row or one column.

    >>> kendall_w(pd.DataFrame([[1, 2, 3], [1, 2, 3]]))
    1.0
    """
    m, n = table.shape
    ties = sum((sizes ** 3 - sizes).sum() for sizes in
               (row.value_counts().to_numpy() for _, row in table.iterrows()))
    total = table.sum()
    below = m * m * (n ** 3 - n) - m * ties
    if m < 2 or below <= 0:
        return np.nan
    return float(12 * ((total - total.mean()) ** 2).sum() / below)

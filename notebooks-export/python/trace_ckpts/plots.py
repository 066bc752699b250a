# SPDX-License-Identifier: Apache-2.0
"""The figures that one looks at first. Each function takes a trace and draws into a matplotlib
Axes, a new one when none is given, which it returns.

Importance is the mean over tokens of 1 - cos(x, x + delta): what a sublayer does to the direction
of the residual stream. It has no unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.ticker import (EngFormatter, LogLocator, MaxNLocator, NullFormatter,
                               StrMethodFormatter)

MODULES = {"attn": "attention", "mlp": "MLP", "block": "block"}
IMPORTANCE = "importance, 1 − cos"
SEQUENTIAL = "cividis"  # even in lightness, alike for the colour-blind


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _map() -> Colormap:
    """The sequential map, with grey for what is missing."""
    return plt.get_cmap(SEQUENTIAL).with_extremes(bad="0.85")


def _log_norm(values: np.ndarray) -> Normalize:
    positive = values[np.isfinite(values) & (values > 0)]
    return LogNorm(positive.min(), positive.max()) if positive.size else Normalize()


# ---- the axis of training ------------------------------------------------------------------------

def training_axis(trace: xr.Dataset) -> tuple[np.ndarray, str]:
    """Where each checkpoint is in training, and what that counts: tokens when they are known, else
    steps, else the checkpoint's index (also where steps start again with a new stage)."""
    for values, label in ((trace.tokens_seen.values, "tokens seen"), (trace.step.values, "step")):
        values = values.astype(float)
        if np.isfinite(values).all() and (np.diff(values) > 0).all():
            return values, label
    return np.arange(trace.sizes["checkpoint"], dtype=float), "checkpoint"


def _line(count: int, marker: str = "o") -> dict[str, Any]:
    """How a line of so many points is drawn: markers would cover a long one."""
    return {"marker": marker, "linewidth": 1.5} if count <= 40 else {"linewidth": 0.8}


def _short(value: float) -> str:
    """1024, 143k, 2.1G."""
    return f"{value:.0f}" if value < 1e4 else EngFormatter(sep="")(float(f"{value:.3g}"))


def _scale_training(ax: Axes, trace: xr.Dataset) -> np.ndarray:
    """Gives ax a logarithmic axis of training on which step 0 has its place; where points go."""
    where, label = training_axis(trace)
    positive = where[where > 0]
    if label != "checkpoint" and len(positive) > 1:
        if where[0] == 0:
            ax.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
            ax.set_xlim(-0.2 * positive[0], 1.3 * where[-1])
        else:
            ax.set_xscale("log")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set_xlabel(label)
    return where


def _label_columns(ax: Axes, trace: xr.Dataset, at_most: int = 8) -> None:
    """Names some of the checkpoints where every one takes the same room: x is the index."""
    where, label = training_axis(trace)
    shown = np.unique(np.linspace(0, len(where) - 1, min(len(where), at_most)).round().astype(int))
    ax.set_xticks(shown, [_short(where[i]) for i in shown])
    ax.set_xlabel(label)


# ---- importance ----------------------------------------------------------------------------------

def _importance(trace: xr.Dataset, module: str) -> xr.DataArray:
    values: xr.DataArray = trace.importance.sel(module=module)
    return values.transpose("checkpoint", "layer")


def _table(trace: xr.Dataset, module: str) -> pd.DataFrame:
    """Importance with checkpoints as rows and layers as columns."""
    values = _importance(trace, module)
    return pd.DataFrame(values.values, values.checkpoint.values, values.layer.values)


def heat_map(trace: xr.Dataset, module: str, ax: Axes | None = None) -> Axes:
    """Importance of each layer (rows) at each checkpoint (columns of equal width), colours on a
    logarithmic scale."""
    ax = _axes(ax)
    values = _importance(trace, module)
    image = ax.imshow(values.values.T, aspect="auto", interpolation="nearest", origin="lower",
                      cmap=_map(), norm=_log_norm(values.values))
    layers = values.layer.values
    ticks = [int(i) for i in MaxNLocator(9, integer=True).tick_values(0, len(layers) - 1)
             if 0 <= i < len(layers)]
    ax.set_yticks(ticks, [str(layers[i]) for i in ticks])
    _label_columns(ax, trace)
    ax.set(ylabel="layer", title=MODULES[module])
    ax.figure.colorbar(image, ax=ax, label=IMPORTANCE)
    return ax


def layer_lines(trace: xr.Dataset, module: str, ax: Axes | None = None) -> Axes:
    """Importance of each layer over training, one line each, both axes logarithmic."""
    ax = _axes(ax)
    values = _importance(trace, module)
    where = _scale_training(ax, trace)
    colours = ScalarMappable(Normalize(values.layer.min(), values.layer.max()), SEQUENTIAL)
    for layer in values.layer.values:
        ax.plot(where, values.sel(layer=layer), color=colours.to_rgba(layer),
                **_line(len(where), "."))
    ax.set_yscale("log")
    ax.set(ylabel=IMPORTANCE, title=MODULES[module])
    ax.figure.colorbar(colours, ax=ax, label="layer")
    return ax


# ---- ranks ---------------------------------------------------------------------------------------

def about_a_quarter(layers: int) -> int:
    """How many layers are called the lowest when nobody says."""
    return max(1, (layers + 2) // 4)


def ranks(trace: xr.Dataset, module: str) -> pd.DataFrame:
    """Ranks of the layers (columns) at each checkpoint (rows): 1 is the least important, ties share
    the middle of their ranks."""
    return _table(trace, module).rank(axis="columns")


def training_weights(trace: xr.Dataset) -> np.ndarray:
    """Each checkpoint's share of training by the trapezoidal rule over tokens, else over steps, as
    trace-analyze weighs them; equal shares where neither is known."""
    where, label = training_axis(trace)
    if label == "checkpoint" or len(where) < 2:
        return np.full(len(where), 1 / len(where))
    ends = np.concatenate([where[:1], where, where[-1:]])
    return (ends[2:] - ends[:-2]) / (2 * (where[-1] - where[0]))


def lowest(trace: xr.Dataset, module: str, count: int | None = None) -> list[int]:
    """The layers of lowest mean importance over training, lowest first: the set of trace-analyze
    where every layer has a value at every checkpoint. What is left out where some lack one, and how
    sure the set is, only trace-analyze knows: see `result` and `chosen`."""
    table = _table(trace, module)
    weights = table.notna().mul(training_weights(trace), axis="rows")
    means = ((table * weights).sum() / weights.sum()).dropna()
    return list(means.nsmallest(count or about_a_quarter(len(means))).index)


def rank_bumps(trace: xr.Dataset, module: str, chosen: Sequence[int] | int | None = None,
               ax: Axes | None = None) -> Axes:
    """Ranks over training of the chosen layers, the others in grey behind. A number, or None, stands
    for so many of `lowest`. Of many checkpoints 24 are shown, evenly spaced, first and last
    included."""
    ax = _axes(ax)
    shown = np.unique(np.linspace(0, trace.sizes["checkpoint"] - 1, 24).round().astype(int))
    if chosen is None or isinstance(chosen, int):
        chosen = lowest(trace, module, chosen)
    chosen = [layer for layer in chosen if layer in trace.layer]
    trace = trace.isel(checkpoint=shown)
    table = ranks(trace, module)
    where = np.arange(len(table))
    for layer in table.columns.difference(chosen):
        ax.plot(where, table[layer], color="0.88", linewidth=1, zorder=1)
    colours = plt.get_cmap(SEQUENTIAL)(np.linspace(0, 0.85, len(chosen)))
    for layer, colour in zip(chosen, colours):
        ax.plot(where, table[layer], color=colour, marker="o", linewidth=2, zorder=2)
        last = np.flatnonzero(table[layer].notna())[-1]
        ax.annotate(f"layer {layer}", (last, table[layer].iloc[last]), (8, 0),
                    textcoords="offset points", va="center", color=colour, annotation_clip=False)
    deepest = int(np.ceil(np.nanmax(table[chosen].to_numpy(), initial=1)))
    ax.set_ylim(deepest + 0.6, 0.4)
    ax.set_yticks(range(1, deepest + 1, deepest // 10 + 1))
    _label_columns(ax, trace)
    ax.set(ylabel="rank, 1 is the least important", title=MODULES[module])
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def jaccard(trace: xr.Dataset, module: str, count: int) -> np.ndarray:
    """Jaccard index of each checkpoint's `count` lowest layers with the last checkpoint's."""
    table = _table(trace, module)
    sets = [set(row.nsmallest(count).index) for _, row in table.iterrows()]
    return np.array([len(one & sets[-1]) / len(one | sets[-1]) if one | sets[-1] else np.nan
                     for one in sets])


def jaccard_chance(layers: int, count: int) -> float:
    """Mean Jaccard index of two random sets of `count` of the layers: the overlap of such sets is
    hypergeometric. NaN when there are not as many layers."""
    if not 0 < count <= layers:
        return np.nan
    return sum(comb(count, both) * comb(layers - count, count - both) / comb(layers, count) *
               both / (2 * count - both) for both in range(count + 1))


def kendall_w(table: pd.DataFrame) -> float:
    """Kendall's coefficient of concordance of rows of ranks, corrected for ties (Kendall and
    Babington Smith 1939; Siegel and Castellan 1988, 9.7). NaN for one row or one column."""
    m, n = table.shape
    ties = sum((sizes ** 3 - sizes).sum() for sizes in
               (row.value_counts().to_numpy() for _, row in table.iterrows()))
    total = table.sum()
    below = m * m * (n ** 3 - n) - m * ties
    if m < 2 or below <= 0:
        return np.nan
    return float(12 * ((total - total.mean()) ** 2).sum() / below)


def agreement(trace: xr.Dataset, module: str, count: int | None = None,
              ax: Axes | None = None) -> Axes:
    """How early the ranking is what it will be: the Jaccard index of the lowest layers with the
    last checkpoint's, beside its level by chance, and Kendall's W of the checkpoints from each one
    on."""
    ax = _axes(ax)
    table = ranks(trace, module).dropna(axis="columns", how="all")
    count = count or about_a_quarter(table.shape[1])
    where = _scale_training(ax, trace)
    first, second = plt.get_cmap(SEQUENTIAL)([0.1, 0.75])
    ax.plot(where, jaccard(trace, module, count), color=first, **_line(len(where)),
            label=f"Jaccard index of the {count} lowest with the last checkpoint's")
    ax.axhline(jaccard_chance(table.shape[1], count), color=first, linestyle=":",
               label="the same by chance")
    ax.plot(where, [kendall_w(table.iloc[i:]) for i in range(len(table))], color=second,
            **_line(len(where), "s"), label="Kendall's W of the checkpoints from here on")
    ax.set_ylim(-0.02, 1.02)
    ax.set(title=MODULES[module], ylabel="agreement")
    ax.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return ax


# ---- more than layers ----------------------------------------------------------------------------

def span_matrix(trace: xr.Dataset, checkpoint: int = -1, ax: Axes | None = None) -> Axes:
    """Importance of every run of consecutive blocks at one checkpoint (its position in the trace):
    1 - cos between the residual stream at any two boundaries."""
    ax = _axes(ax)
    importance = 1 - trace.span_similarity.isel(checkpoint=checkpoint)
    importance = importance.where(importance.boundary < importance.boundary_to)
    where, label = training_axis(trace)
    importance.plot.imshow(x="boundary", y="boundary_to", ax=ax, cmap=_map(),
                           norm=_log_norm(importance.values), add_labels=False,
                           cbar_kwargs={"label": IMPORTANCE})
    ax.set_aspect("equal")
    ax.set(xlabel="from the boundary before block", ylabel="to the boundary before block",
           title=f"runs of blocks, {label} {_short(where[checkpoint])}")
    return ax


def loss(trace: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Negative log-likelihood of the next token over training: the mean over calibration sequences,
    and the band of 1.96 standard errors of that mean. A checkpoint whose loss is not finite in
    every sequence is left out, as the analysis leaves it out."""
    ax = _axes(ax)
    where = _scale_training(ax, trace)
    nll = trace.nll.where(np.isfinite(trace.nll).all("sequence"))
    mean = nll.mean("sequence")
    error = 1.96 * nll.std("sequence", ddof=1) / np.sqrt(nll.count("sequence"))
    colour = plt.get_cmap(SEQUENTIAL)(0.1)
    ax.fill_between(where, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)
    ax.plot(where, mean, color=colour, **_line(len(where)))
    ax.set_ylabel("negative log-likelihood, nat per token")
    return ax


def drop_cost(trace: xr.Dataset, module: str, ax: Axes | None = None) -> Axes:
    """What leaving each sublayer out costs over training: the loss it adds, mean over sequences."""
    ax = _axes(ax)
    cost = trace.drop_nll.sel(module=module).mean("sequence").transpose("layer", "checkpoint")
    image = ax.imshow(cost, aspect="auto", interpolation="nearest", origin="lower", cmap=_map())
    _label_columns(ax, trace)
    ax.set(ylabel="layer", title=MODULES[module])
    ax.figure.colorbar(image, ax=ax, label="added loss, nat per token")
    return ax


def intervals(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The layers of a table with columns module, layer, mean, low and high, in its order from the
    top: the mean and its interval on a logarithmic axis."""
    ax = _axes(ax)
    where = np.arange(len(table))[::-1]
    sides = np.stack([table["mean"] - table["low"], table["high"] - table["mean"]])
    ax.errorbar(table["mean"], where, xerr=np.nan_to_num(sides).clip(min=0), fmt="o",
                color=plt.get_cmap(SEQUENTIAL)(0.1), capsize=3)
    ax.set_yticks(where, [f"{MODULES.get(module, module)} {layer}" for module, layer in
                          zip(table["module"], table["layer"])])
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"mean {IMPORTANCE}")
    return ax

# SPDX-License-Identifier: Apache-2.0
"""The figures that one looks at first. Each function takes a trace and draws into a matplotlib
Axes, a new one when none is given, which it returns; they show what trace-export --to svg shows.

Importance is the mean over tokens of 1 - cos(x, x + delta): what a sublayer does to the direction
of the residual stream. It has no unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from .drawing import (CRITERIA, DEPTH, DIVERGING, FAINT, INK, MODULES, SEQUENTIAL, depth_colours,
                      label_columns, label_ends, need, new_axes, norm_of, scale_training, style,
                      training_axis)
from .orders import (RANKED_BY, about_a_quarter, jaccard, jaccard_chance, kendall_w, lowest, ranks,
                     values)


# ---- what is ranked by ---------------------------------------------------------------------------

def common_norm(trace: xr.Dataset, by: str = "importance") -> Normalize:
    """One scale of colours for all modules of the trace.

    >>> norm = common_norm(trace)
    >>> norm.vmin < norm.vmax
    True
    """
    found = [values(trace, str(module), by).values.ravel() for module in trace.module.values]
    return norm_of(np.concatenate(found), RANKED_BY[by].scale)


def layer_ticks(ax: Axes, layers: np.ndarray) -> None:
    """Names some of the layers where they are rows of cells, the first on top."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if len(layers) <= 12 * s)
    ax.set_yticks(range(0, len(layers), step), [str(layer) for layer in layers[::step]])
    ax.set_ylabel("Layer")


def heat_map(trace: xr.Dataset, module: str, by: str = "importance", bar: bool = True,
             ax: Axes | None = None) -> Axes:
    """What is ranked by, of each layer (rows, the first on top) at each checkpoint (columns of equal
    width). All modules share one scale of colours; `bar`: with its bar. Grey: not measured.

    >>> heat_map(trace, "attn").get_title(loc="left")
    'Attention'
    """
    ax = new_axes(ax)
    found = values(trace, module, by)
    colours = DIVERGING if RANKED_BY[by].scale == "signed" else SEQUENTIAL
    image = ax.imshow(found.values.T, aspect="auto", interpolation="nearest", origin="upper",
                      cmap=colours, norm=common_norm(trace, by))
    layer_ticks(ax, found.layer.values)
    label_columns(ax, trace)
    ax.set_title(MODULES[module], loc="left")
    if bar:
        ax.figure.colorbar(image, ax=ax, label=RANKED_BY[by].label)
    return ax


def layer_lines(trace: xr.Dataset, module: str, by: str = "importance", bar: bool = True,
                ax: Axes | None = None) -> Axes:
    """The same over training, a line for each layer, coloured from the first to the last.

    >>> len(layer_lines(trace, "mlp").lines) == trace.sizes["layer"]
    True
    """
    ax = new_axes(ax)
    found = values(trace, module, by)
    where, label = training_axis(trace)
    for layer, colour in depth_colours(trace).items():
        ax.plot(where, found.sel(layer=layer), color=colour, **style(len(where), dots=len(where) < 2))
    norm = common_norm(trace, by)
    if RANKED_BY[by].scale == "log" and (found > 0).any():
        ax.set_yscale("log")
    ax.set_ylim(norm.vmin, norm.vmax)
    scale_training(ax, where, label)
    ax.set_ylabel(RANKED_BY[by].label)
    ax.set_title(MODULES[module], loc="left")
    if bar:
        depth = ScalarMappable(Normalize(0, max(float(trace.layer.max()), 1)), DEPTH)
        ax.figure.colorbar(depth, ax=ax, label="Layer")
    return ax


# ---- ranks ---------------------------------------------------------------------------------------

def rank_bumps(trace: xr.Dataset, module: str, chosen: Sequence[int] | int | None = None,
               by: str = "importance", ax: Axes | None = None) -> Axes:
    """The 12 lowest ranks over training. The chosen layers have their colour, every second of them
    dashed; all others are grey. A number, or None, stands for so many of `lowest`. Of many
    checkpoints about 30 are shown, the last one included.

    >>> rank_bumps(trace, "attn", chosen(found, "attn")).get_ylabel()
    'Rank (1: lowest)'
    """
    ax = new_axes(ax)
    if chosen is None or isinstance(chosen, int):
        chosen = lowest(trace, module, chosen, by)
    chosen = [layer for layer in chosen if layer in trace.layer]
    last, stride = trace.sizes["checkpoint"] - 1, (trace.sizes["checkpoint"] - 1) // 30 + 1
    trace = trace.isel(checkpoint=slice(last % stride, None, stride))
    table = ranks(trace, module, by)
    deepest = min(max(12, len(chosen)), len(table.columns))
    colours = depth_colours(trace)
    for layer in sorted(table.columns, key=lambda layer: layer in chosen):
        if table[layer].min() <= deepest:
            ax.plot(np.arange(len(table)), table[layer], **style(len(table)),
                    color=colours[layer] if layer in chosen else FAINT,
                    linestyle="--" if layer in chosen and chosen.index(layer) % 2 else "-")
    ax.set_ylim(deepest + 0.5, 0.5)
    label_ends(ax, [(rank, f"layer {layer}", colours[layer] if layer in chosen else "#777777")
                    for layer, rank in table.iloc[-1].items() if rank <= deepest])
    ax.set_yticks(range(1, deepest + 1, deepest // 13 + 1))
    label_columns(ax, trace)
    ax.set_ylabel("Rank (1: lowest)")
    ax.set_title(MODULES[module], loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def agreement(trace: xr.Dataset, module: str, count: int | None = None, by: str = "importance",
              ax: Axes | None = None) -> Axes:
    """How early the ranking is what it will be: the Jaccard index of the lowest layers with the
    last checkpoint's, beside its level by chance, and Kendall's W of the checkpoints from each one
    on.

    >>> sorted(text.get_text() for text in agreement(trace, "attn").texts)
    ['Jaccard', 'Kendall’s W', 'chance']
    """
    ax = new_axes(ax)
    table = ranks(trace, module, by).dropna(axis="columns", how="all")
    count = count or about_a_quarter(table.shape[1])
    where, label = training_axis(trace)
    same = jaccard(trace, module, count, by)
    concordance = [kendall_w(table.iloc[i:]) for i in range(len(table))]
    chance = jaccard_chance(table.shape[1], count)
    ax.plot(where, same, color=CRITERIA[by], **style(len(where)))
    ax.plot(where, concordance, color=INK, **style(len(where)))
    ax.axhline(chance, color=INK, linestyle="--", linewidth=1)
    ax.set_ylim(-0.02, 1.02)
    finite = [w for w in concordance if np.isfinite(w)]
    label_ends(ax, [(same[-1], "Jaccard", CRITERIA[by]), (chance, "chance", INK),
                    (finite[-1] - 1e-6 if finite else np.nan, "Kendall’s W", INK)])
    scale_training(ax, where, label)
    ax.set(ylabel="Agreement")
    ax.set_title(MODULES[module], loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


# ---- more than layers ----------------------------------------------------------------------------

def span_matrix(trace: xr.Dataset, checkpoint: int = -1, ax: Axes | None = None) -> Axes:
    """Similarity of the residual stream at any two boundaries between blocks at one checkpoint (its
    position in the trace): a light cell far from the diagonal is a run of blocks that hardly changes
    the stream.

    >>> span_matrix(trace)
    Traceback (most recent call last):
    ValueError: this trace has no span_similarity: trace-ckpts with --spans measures it
    """
    need(trace, "span_similarity")
    ax = new_axes(ax)
    similarity = trace.span_similarity.isel(checkpoint=checkpoint).values.astype(float)
    image = ax.imshow(similarity, interpolation="nearest", origin="upper", cmap=SEQUENTIAL,
                      norm=norm_of(similarity, "linear"))
    ax.set(xlabel="Boundary (0: before the first layer)", ylabel="Boundary")
    ax.figure.colorbar(image, ax=ax, label="Mean cosine of the residual stream (no unit)")
    return ax


def loss(trace: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Negative log-likelihood of the next token over training: the mean over calibration sequences,
    and the band of 1.96 standard errors of that mean. A checkpoint whose loss is not finite in
    every sequence is left out, as the analysis leaves it out.

    >>> loss(trace).get_ylabel()
    'Loss (nats per token)'
    """
    need(trace, "nll")
    ax = new_axes(ax)
    where, label = training_axis(trace)
    nll = trace.nll.where(np.isfinite(trace.nll).all("sequence"))
    mean = nll.mean("sequence")
    error = 1.96 * nll.std("sequence", ddof=1) / np.sqrt(nll.count("sequence"))
    ax.fill_between(where, mean - error, mean + error, color=CRITERIA["cost-nll"], alpha=0.2,
                    linewidth=0)
    ax.plot(where, mean, color=CRITERIA["cost-nll"], **style(len(where)))
    scale_training(ax, where, label)
    ax.set_ylabel("Loss (nats per token)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def intervals(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The layers of a table with columns module, layer, mean, low and high, in its order from the
    top: the mean and its interval, on a logarithmic axis where all are above 0.

    >>> table = pd.DataFrame({"module": ["attn"], "layer": [3], "mean": [.1], "low": [.08], "high": [.2]})
    >>> [label.get_text() for label in intervals(table).get_yticklabels()]
    ['Attention 3']
    """
    ax = new_axes(ax)
    where = np.arange(len(table))
    sides = np.stack([table["mean"] - table["low"], table["high"] - table["mean"]])
    ax.errorbar(table["mean"], where, xerr=np.nan_to_num(sides).clip(min=0), fmt="o", color=INK,
                markersize=4, capsize=3)
    ax.set_yticks(where, [f"{MODULES.get(module, module)} {layer}" for module, layer in
                          zip(table["module"], table["layer"])])
    ax.set_ylim(len(table) - 0.5, -0.5)
    if (table[["mean", "low"]].min() > 0).all():
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    by = table.attrs.get("by", "importance")
    ax.set_xlabel(f"Mean over training: {RANKED_BY[by].label}")
    return ax

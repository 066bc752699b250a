# SPDX-License-Identifier: Apache-2.0
"""Figures of what leaving a layer out costs (trace-ckpts --cost): over training, against
importance, and how well proxies tell it. What is drawn of a trial comes from the analysis: the
tables `costs`, `verdicts` and `forecasts` of a `result`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from .drawing import (CRITERIA, FAINT, INK, MODULES, depth_colours, label_ends, label_points,
                      new_axes, norm_of, scale_training, style)
from .orders import RANKED_BY, values
from .plots import heat_map

COST_NAMES = {"cost-nll": "loss", "cost-kl": "KL"}
RESOURCES = {"params": "parameters", "kv": "cache of keys and values",
             "flops": "operations of a token"}
SETS_OF = {"joint": ("both", FAINT, "-"), "block": ("blocks", FAINT, "--"), "mlp": ("MLP", INK, "--"),
           "attn": ("attention", INK, "-")}
TRIED_NAMES = {"importance": "importance", "update_ratio": "update ratio",
               "alignment": "alignment", **COST_NAMES}


def modules_with_costs(trace: xr.Dataset) -> list[str]:
    """The modules of which leaving a layer out was measured.

    >>> modules_with_costs(trace)
    ['attn', 'mlp']
    """
    return [str(module) for module in trace.module.values
            if values(trace, str(module), "cost-kl").notnull().any()]


def cost_map(trace: xr.Dataset, module: str, bar: bool = True, ax: Axes | None = None) -> Axes:
    """Loss with one layer left out less the loss of the whole model, over training: neutral at 0,
    blue where the model is better without it.

    >>> cost_map(trace, "mlp").get_title(loc="left")
    'MLP'
    """
    return heat_map(trace, module, "cost-nll", bar, ax)


def _scale_cost(ax: Axes, trace: xr.Dataset, cost: str, prices: pd.DataFrame | None) -> None:
    """The axis of a cost, the same for all modules: 0 and all intervals are on it. It is logarithmic
    away from 0 where two fifths of the costs are within a twentieth of it, as in trace-export."""
    costs = np.concatenate([values(trace, module, cost).values.ravel()
                            for module in modules_with_costs(trace)])
    ends = [np.zeros(1), costs]
    if prices is not None:
        part = prices[prices["cost"] == cost]
        ends += [part["low"].to_numpy(float), part["high"].to_numpy(float)]
    low, high = float(np.nanmin(np.concatenate(ends))), float(np.nanmax(np.concatenate(ends)))
    most = max(-low, high)
    if 5 * np.sum(np.abs(costs) < most / 20) > 2 * np.sum(np.isfinite(costs)):
        linear = 10 ** (np.ceil(np.log10(most) - 1e-9) - 3)
        ax.set_yscale("symlog", linthresh=linear, linscale=0.9)
        ax.set_ylim(1.3 * low, 1.3 * high)
    else:
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _interval(prices: pd.DataFrame | None, module: str, cost: str, name: str,
              layer: int) -> tuple[float, float]:
    """A layer's interval at the checkpoint of that name; NaN where the table has none."""
    if prices is None:
        return np.nan, np.nan
    found = prices[(prices["module"] == module) & (prices["cost"] == cost) &
                   (prices["checkpoint"] == name) & (prices["layer"] == layer)]
    return (float(found["low"].iloc[0]), float(found["high"].iloc[0])) if len(found) else (np.nan,
                                                                                         np.nan)


def cost_scatter(trace: xr.Dataset, module: str, cost: str = "cost-nll", checkpoint: int = -1,
                 chosen: Sequence[int] = (), prices: pd.DataFrame | None = None,
                 ax: Axes | None = None) -> Axes:
    """Each layer's importance against what leaving it out costs at one checkpoint (its position in
    the trace), in loss ("cost-nll") or in KL ("cost-kl"); below the line at 0 the model is better
    without it. The chosen layers have their colour, all others are grey. With the intervals of
    `prices`, the table `costs` of a result.

    >>> cost_scatter(trace, "attn", "cost-kl").get_ylabel()
    'Cost in KL (nats per token)'
    """
    ax = new_axes(ax)
    here = trace.isel(checkpoint=checkpoint)
    across = values(trace, module).isel(checkpoint=checkpoint)
    costs = values(trace, module, cost).isel(checkpoint=checkpoint)
    colours = depth_colours(trace)
    points = []
    every = [values(trace, str(name)).values.ravel() for name in trace.module.values]
    norm = norm_of(np.concatenate(every), "log")
    ax.set_xscale("log")
    ax.set_xlim(norm.vmin / 1.2, norm.vmax * 1.2)
    _scale_cost(ax, trace, cost, prices)
    for layer in sorted(colours, key=lambda layer: layer in chosen):
        x, y = float(across.sel(layer=layer)), float(costs.sel(layer=layer))
        if not np.isfinite([x, y]).all() or x <= 0:
            continue
        colour = colours[layer] if layer in chosen else FAINT
        ax.vlines(x, *_interval(prices, module, cost, str(here.name.values), layer), color=colour,
                  linewidth=1)
        ax.plot(x, y, "o", color=colour, markersize=4.5)
        points.append((x, y, str(layer)))
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    ax.set(xlabel=RANKED_BY["importance"].label, ylabel=RANKED_BY[cost].label)
    ax.set_title(f"{MODULES[module]}, by {COST_NAMES[cost]}", loc="left")
    step = float(here.step)
    ax.set_title(f"step {step:.0f}" if step >= 0 else str(here.name.values), loc="right", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    label_points(ax, points)
    return ax


def _over_training(ax: Axes, table: pd.DataFrame, criterion: str, value: str) -> list[tuple]:
    """A line for each criterion with the band of its interval; the names at their ends."""
    ends = []
    for by in CRITERIA:
        part = table[table[criterion] == by]
        if not len(part):
            continue
        ax.fill_between(part["time"], part["low"].astype(float), part["high"].astype(float),
                        color=CRITERIA[by], alpha=0.12, linewidth=0)
        ax.plot(part["time"], part[value], color=CRITERIA[by], **style(len(part)))
        ends.append((float(part[value].iloc[-1]), TRIED_NAMES[by], CRITERIA[by]))
    return ends


def _finish(ax: Axes, table: pd.DataFrame, module: str, cost: str, ends: list[tuple]) -> None:
    label_ends(ax, ends)
    where = np.unique(table["time"].to_numpy(float))
    scale_training(ax, where, table.attrs.get("axis", "Checkpoint"))
    ax.set_title(f"{MODULES[module]}, by {COST_NAMES[cost]}", loc="left")
    ax.spines[["top", "right"]].set_visible(False)


def _part(table: pd.DataFrame, module: str, cost: str) -> pd.DataFrame:
    part = table[(table["module"] == module) & (table["cost"] == cost)] if len(table) else table
    if not len(part):
        raise ValueError(f"the analysis has no costs of {module}: the same trace-ckpts command with "
                         "--cost attn,mlp adds them")
    part.attrs = table.attrs
    return part


def proxies(verdicts: pd.DataFrame, module: str, cost: str = "cost-nll",
            ax: Axes | None = None) -> Axes:
    """How well importance, update ratio and alignment rank the layers as a cost does, over training:
    Spearman's correlation and its interval, of the table `verdicts` of a result.

    >>> proxies(found.verdicts, "attn").get_ylabel()
    'Rank correlation'
    """
    part = _part(verdicts, module, cost)
    part = part[part["time"].notna()]
    part.attrs = verdicts.attrs
    ax = new_axes(ax)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ends = _over_training(ax, part, "proxy", "spearman")
    ax.set(ylim=(-1.02, 1.02), ylabel="Rank correlation")
    _finish(ax, part, module, cost, ends)
    return ax


def told(forecasts: pd.DataFrame, module: str, cost: str = "cost-nll",
         ax: Axes | None = None) -> Axes:
    """How early the cheapest layers at the end are told: the share of them that the lowest at each
    checkpoint are, on other rows of text, beside what the cheapest tell of themselves and what
    chance would give; of the table `forecasts` of a result. This is one run of training.

    >>> "chance" in [text.get_text() for text in told(found.forecasts, "mlp", "cost-kl").texts]
    True
    """
    part = _part(forecasts, module, cost)
    ax = new_axes(ax)
    ends = []
    for column, name in (("themselves", "themselves"), ("chance", "chance")):
        level = float(part[column].iloc[0])
        ax.axhline(level, color=INK, linestyle="--", linewidth=1)
        ends.append((level, name, INK))
    for by, lines in part.groupby("by", sort=False):
        ax.plot(lines["time"], lines["found"], color=CRITERIA[str(by)], **style(len(lines)))
        ends.append((float(lines["found"].iloc[-1]), TRIED_NAMES[str(by)], CRITERIA[str(by)]))
    ax.set(ylim=(-0.02, 1.02), ylabel="Share told")
    _finish(ax, part, module, cost, ends)
    return ax


def prices(table: pd.DataFrame, resource: str = "params", ax: Axes | None = None) -> Axes:
    """What a smaller model costs, if what single layers cost adds up: the sum of the cheapest set's
    values against the share of a resource (params, kv, flops) that is saved, by what the sets are of;
    of the table `prices` of a result.

    >>> prices(found.prices).get_xlabel()
    'Saved of the parameters (%)'
    """
    part = table[table["resource"] == resource] if len(table) else table
    if not len(part):
        raise ValueError(f"the analysis has no prices of {resource}: the same trace-ckpts command of "
                         "this version adds what sublayers take to the store")
    ax = new_axes(ax)
    ends = []
    for module, (name, colour, line) in SETS_OF.items():
        points = part[part["module"] == module]
        if len(points):
            ax.plot(100 - 100 * points["share"], points["sum"], color=colour, linestyle=line,
                    drawstyle="steps-pre")
            ends.append((float(points["sum"].iloc[-1]), name, colour))
    label_ends(ax, ends)
    noun = RANKED_BY[table.attrs.get("by", "importance")].label
    ax.set(xlabel=f"Saved of the {RESOURCES[resource]} (%)", ylabel=f"Sum of: {noun}")
    ax.spines[["top", "right"]].set_visible(False)
    return ax

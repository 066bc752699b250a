# SPDX-License-Identifier: Apache-2.0
"""What all figures share: colours, the axis of training, labels at the ends of lines. The decisions
are those of trace-export --to svg and html (notebooks-export/figures)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.ticker import NullFormatter

MODULES = {"attn": "Attention", "mlp": "MLP", "block": "Block"}
INK, FAINT, ABSENT = "#222222", "#bbbbbb", "#dddddd"
# What is ranked by, and costs: one colour each (Okabe and Ito 2008).
CRITERIA = {"importance": "#0072b2", "update_ratio": "#d55e00", "alignment": "#009e73",
            "cost-nll": "#cc79a7", "cost-kl": "#56b4e9", "cost-agree": "#e69f00"}
MANY = 48  # more points than this have no dots


# ---- colours -------------------------------------------------------------------------------------

def _srgb(lab: np.ndarray) -> np.ndarray:
    """sRGB of colours in OKLab (Ottosson 2020), rows of three."""
    cones = lab @ np.array([[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775],
                            [0.2158037573, -0.0638541728, -1.2914855480]])
    linear = (cones ** 3) @ np.array([[4.0767416621, -1.2684380046, -0.0041960863],
                                      [-3.3077115913, 2.6097574011, -0.7034186147],
                                      [0.2309699292, -0.3413193965, 1.7076147010]])
    curved = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.clip(np.where(linear <= 0.0031308, 12.92 * linear, curved), 0, 1)


def _curve(start: Sequence[float], bend: Sequence[float], end: Sequence[float]) -> np.ndarray:
    """256 colours at equal distances on a quadratic Bezier curve in OKLab."""
    t = np.linspace(0, 1, 2049)[:, None]
    points = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t ** 2 * np.array(end)
    walked = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    places = np.linspace(0, walked[-1], 256)
    return _srgb(np.stack([np.interp(places, walked, column) for column in points.T], axis=1))


def _lines(*points: Sequence[float]) -> np.ndarray:
    """256 colours on straight lines in OKLab."""
    places = np.linspace(0, len(points) - 1, 256)
    columns = [np.interp(places, range(len(points)), column) for column in zip(*points)]
    return _srgb(np.stack(columns, axis=1))


def _map(colours: np.ndarray, name: str) -> Colormap:
    """A map with grey for what is missing."""
    return ListedColormap(colours, name).with_extremes(bad=ABSENT)


# A value; a value with a sign, neutral in the middle; a layer, from the first to the last.
SEQUENTIAL = _map(_curve((0.27, 0.01, -0.115), (0.60, -0.12, -0.03), (0.93, -0.03, 0.155)), "value")
DIVERGING = _map(_lines((0.45, -0.03, -0.13), (0.96, 0, 0), (0.55, 0.13, 0.10)), "signed")
DEPTH = _map(_lines((0.36, 0.10, -0.10), (0.76, 0.07, 0.10)), "layer")


def depth_colours(trace: xr.Dataset) -> dict[int, Any]:
    """Each layer's colour, by its depth in the trace."""
    layers = trace.layer.values
    return {int(layer): DEPTH(float(layer) / max(float(layers.max()), 1)) for layer in layers}


def norm_of(values: np.ndarray, scale: str) -> Normalize:
    """From the lowest to the highest value: "log", "linear", or "signed", which has 0 in the middle."""
    values = values[np.isfinite(values) & ((values > 0) | (scale != "log"))]
    if not values.size:
        return LogNorm(0.1, 1) if scale == "log" else Normalize(0, 1)
    low, high = float(values.min()), float(values.max())
    if scale == "signed":
        most = max(abs(low), abs(high)) or 1.0
        return Normalize(-most, most)
    if low == high:
        low, high = (low / 1.26, high * 1.26) if scale == "log" else (low - 0.5, high + 0.5)
    return LogNorm(low, high) if scale == "log" else Normalize(low, high)


# ---- axes ----------------------------------------------------------------------------------------

def new_axes(ax: Axes | None) -> Axes:
    """A given Axes, else a new one."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def short(value: float) -> str:
    """Three digits and a unit: 512, 143k, 12.6M, 2.1B."""
    for unit in ("", "k", "M", "B"):
        if abs(value) < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}T"


def training_axis(trace: xr.Dataset) -> tuple[np.ndarray, str]:
    """Where each checkpoint is in training, and what that counts: tokens when they are known, else
    steps, else the checkpoint's number from 1 (also where steps start again with a new stage)."""
    for values, label in ((trace.tokens_seen.values, "Tokens seen"),
                          (trace.step.values, "Training step")):
        values = values.astype(float)
        if np.isfinite(values).all() and (values >= 0).all() and (np.diff(values) > 0).all():
            return values, label
    return np.arange(1.0, trace.sizes["checkpoint"] + 1), "Checkpoint"


def _apart(ax: Axes, ticks: Sequence[float], least: float) -> list[float]:
    """The ticks on the axis that are at least that share of it from the one before."""
    kept: list[float] = []
    last = -np.inf
    low, high = ax.transData.transform([(x, 1) for x in ax.get_xlim()])[:, 0]
    for tick in ticks:
        place = (ax.transData.transform((tick, 1))[0] - low) / (high - low)
        if -1e-6 <= place <= 1 + 1e-6 and place - last >= least:
            kept.append(tick)
            last = place
    return kept


def scale_training(ax: Axes, where: np.ndarray, label: str) -> None:
    """Gives ax an axis of training: logarithmic, with a place for step 0 where the series begins
    there. Ticks stand apart."""
    ax.set_xlabel(label)
    positive = where[where > 0]
    if label == "Checkpoint" or len(positive) < 2:
        ax.set_xticks(where[:: len(where) // 8 + 1])
        return
    if where[0] == 0:
        ax.set_xscale("symlog", linthresh=positive[0], linscale=0.3)
        ax.set_xlim(-0.05 * positive[0], 1.06 * where[-1])
    else:
        ax.set_xscale("log")
        ax.set_xlim(where[0] / 1.06, 1.06 * where[-1])
    decades = range(int(np.floor(np.log10(positive[0]))), int(np.log10(positive[-1])) + 1)
    every = [factor * 10.0 ** decade for decade in decades for factor in range(1, 10)]
    inside = [tick for tick in every if positive[0] <= tick <= positive[-1]]
    first_digits = "1" if len(decades) > 4 else "125"
    named = [tick for tick in inside if f"{tick:e}"[0] in first_digits]
    shown = _apart(ax, ([0.0] if where[0] == 0 else []) + named, 0.1)
    ax.set_xticks(shown, [short(tick) for tick in shown])
    ax.set_xticks(inside, minor=True)
    ax.xaxis.set_minor_formatter(NullFormatter())


def label_columns(ax: Axes, trace: xr.Dataset) -> None:
    """Names as many of the checkpoints as there is room for where every one takes the same: x is the
    index."""
    where, label = training_axis(trace)
    names = [short(value) for value in where]
    width = 0.85 * ax.get_position().width * ax.figure.get_size_inches()[0] * 72  # points
    stride = -(-len(where) // max(1, int(width / (7 * max(map(len, names)) + 6))))
    shown = list(range(0, len(where), stride))
    ax.set_xticks(shown, [names[i] for i in shown])
    ax.set_xlabel(label if label == "Checkpoint" else f"{label}, a column for each checkpoint")


def style(count: int, dots: bool = True) -> dict[str, Any]:
    """How a line of so many points is drawn: dots would cover a long one."""
    return {"marker": "o", "markersize": 3.5, "linewidth": 1.5} if dots and count <= MANY else {
        "linewidth": 1.2}


def label_ends(ax: Axes, names: Sequence[tuple[float, str, Any]]) -> None:
    """Writes names (y, text, colour) right of the axes at the heights where their lines end, apart
    from each other."""
    low, high = ax.get_ylim()
    height = ax.figure.get_size_inches()[1] * 72 * ax.get_position().height
    step = 10 / height  # a line of text, as a share of the axes
    places = sorted((((y - low) / (high - low), text, colour) for y, text, colour in names
                     if np.isfinite(y)), key=lambda name: name[0])
    for i, (y, text, colour) in enumerate(places):
        places[i] = (max(y, places[i - 1][0] + step) if i else y, text, colour)
    for i in range(len(places) - 1, -1, -1):
        limit = places[i + 1][0] - step if i + 1 < len(places) else 1
        places[i] = (min(places[i][0], limit), *places[i][1:])
    for y, text, colour in places:
        ax.annotate(text, (1, y), (6, 0), xycoords="axes fraction", textcoords="offset points",
                    va="center", fontsize=8, color=colour, annotation_clip=False)


def label_points(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Writes a name beside each point (x, y, name) where it covers neither a point nor another name;
    a name without such a place is left out."""
    ax.figure.draw_without_rendering()  # places the axes
    scale = 72 / ax.figure.dpi
    places = ax.transData.transform([point[:2] for point in points]) * scale
    box = ax.get_window_extent()
    taken = [(x, y, 5.0, 5.0) for x, y in places]
    sides = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
    for (x, y), point in zip(places, points):
        width, height = 5.0 * len(point[2]), 8.0
        for right, up in sides:
            label = (x + right * (4.5 + width / 2), y + up * (2.5 + height / 2), width, height)
            inside = (box.x0 * scale < label[0] - width / 2 and
                      label[0] + width / 2 < box.x1 * scale and
                      box.y0 * scale < label[1] - height / 2 and
                      label[1] + height / 2 < box.y1 * scale)
            if inside and not any(abs(label[0] - other[0]) < (width + other[2]) / 2 and
                                  abs(label[1] - other[1]) < (height + other[3]) / 2
                                  for other in taken):
                taken.append(label)
                ax.annotate(point[2], point[:2], (label[0] - x, label[1] - y), ha="center",
                            va="center", fontsize=8, textcoords="offset points")
                break


def need(trace: xr.Dataset, *names: str) -> None:
    """Says which variable a figure lacks, and how to get it."""
    how = {"drop_nll": "the same trace-ckpts command with --cost attn,mlp adds it",
           "span_similarity": "trace-ckpts with --spans measures it",
           "nll": "trace-ckpts without --no-nll measures it"}
    how.update(dict.fromkeys(("drop_kl", "drop_agree", "base_nll"), how["drop_nll"]))
    for name in names:
        if name not in trace:
            raise ValueError(f"this trace has no {name}: "
                             f"{how.get(name, 'trace-export --variables chose others')}")


def need_module(trace: xr.Dataset, module: str) -> None:
    """Says which modules there are when one is not."""
    if module not in trace.module.values:
        raise ValueError(f"this trace has no module {module!r}, it has "
                         f"{', '.join(map(str, trace.module.values))}")

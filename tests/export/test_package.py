# SPDX-License-Identifier: Apache-2.0
"""test_package.py TRACE_EXPORT PLUGINS PACKAGE SAMPLE TRACED: the Python package trace_ckpts,
installed by pip: opening with and without the zstd plugin, the numbers behind the figures against
other formulas or by hand, and that every figure draws what it says."""

import inspect
import itertools
import math
import os
import shutil
import subprocess
import sys
import tempfile
import typing

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def install(package, folder):
    """pip builds beside the sources: a copy of them."""
    shutil.copytree(package, folder + "/source")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps",
                    "--no-build-isolation", "--disable-pip-version-check", "--target",
                    folder + "/site", folder + "/source"], check=True)
    sys.path.insert(0, folder + "/site")


def typed(package):
    """Every public function says what it takes, gives and does."""
    for name in package.__all__:
        thing = getattr(package, name)
        if not inspect.isfunction(thing):
            continue
        hints = typing.get_type_hints(thing)
        assert set(hints) == {*inspect.signature(thing).parameters, "return"}, name
        assert thing.__doc__, name


def open_without(store, plugins, folder, blocked):
    """What open_trace does in a process with or without hdf5plugin and our own filter."""
    read = (f"import sys; sys.path.insert(0, {folder + '/site'!r})\n"
            f"if {blocked}: sys.modules['hdf5plugin'] = None\n"
            "import trace_ckpts\n"
            "trace = trace_ckpts.open_trace(sys.argv[1])\n"
            "print(trace.encoding['source'], float(trace.importance.sum()))")
    return subprocess.run([sys.executable, "-c", read, store], capture_output=True, text=True,
                          env={**os.environ, "HDF5_PLUGIN_PATH": plugins}, check=False)


def plugins_and_copies(program, plugins, sample, folder):
    store, copy = folder + "/run.h5", folder + "/run.gzip.h5"
    shutil.copy(sample, store)
    total = open_without(store, "/nonexistent", folder, False)
    assert total.returncode == 0 and total.stdout.split()[0] == store, total
    ours = open_without(store, plugins, folder, True)
    assert ours.returncode == 0 and ours.stdout == total.stdout, ours
    refused = open_without(store, "/nonexistent", folder, True)
    assert refused.returncode == 1 and refused.stderr.endswith(
        f"OSError: {store} is compressed by zstd and HDF5 has no filter for it: pip install "
        f"hdf5plugin, or trace-export {store} --to hdf5 -o {copy}\n"), refused
    subprocess.run([program, store, "--to", "hdf5"], cwd=folder, check=True, capture_output=True)
    fallen = open_without(store, "/nonexistent", folder, True)
    assert fallen.stdout.split() == [copy, total.stdout.split()[1]], fallen


def failed_rows(package, trace):
    status = trace.status.copy()
    status[1] = 2
    left = package.complete(trace.assign(status=status))
    assert list(left.checkpoint) == [i for i in range(trace.sizes["checkpoint"]) if i != 1]


def made(importance, step=None, tokens=None):
    """A trace of one module with these values [checkpoints, layers]."""
    count, layers = np.shape(importance)
    step = np.arange(count) if step is None else step
    return xr.Dataset(
        {"importance": (("checkpoint", "layer", "module"), np.array(importance)[..., None])},
        {"checkpoint": np.arange(count), "layer": np.arange(layers), "module": ["attn"],
         "step": ("checkpoint", np.array(step, float)),
         "tokens_seen": ("checkpoint", np.array([np.nan] * count if tokens is None else tokens))})


def numbers(package):
    trace = made([[3, 1, 2, 9], [1, 1, 5, 4], [2, 1, 3, 4]])
    assert package.lowest(trace, "attn", 2) == [1, 0]
    assert package.ranks(trace, "attn").iloc[1].tolist() == [1.5, 1.5, 4, 3]
    # {1, 2}, {0, 1}, {1, 0} against the last.
    assert package.jaccard(trace, "attn", 2).tolist() == [1 / 3, 1, 1]
    assert [package.about_a_quarter(n) for n in (1, 4, 10, 80)] == [1, 1, 3, 20]
    chance = np.mean([len({*a} & {*b}) / len({*a} | {*b})
                      for a in itertools.combinations(range(7), 3)
                      for b in itertools.combinations(range(7), 3)])
    assert math.isclose(package.jaccard_chance(7, 3), chance, rel_tol=1e-12)
    # Without ties W follows from the mean of Spearman's rho over pairs: (1 + (m - 1) rho) / m.
    table = pd.DataFrame(np.random.default_rng(0).random((5, 8))).rank(axis="columns")
    rho = table.T.corr(method="pearson").to_numpy()
    mean_rho = (rho.sum() - 5) / 20
    assert math.isclose(package.kendall_w(table), (1 + 4 * mean_rho) / 5, rel_tol=1e-12)
    tied = pd.DataFrame([[1, 2.5, 2.5, 4], [1, 2.5, 2.5, 4]])
    assert math.isclose(package.kendall_w(tied), 1, rel_tol=1e-12)
    assert math.isnan(package.kendall_w(table.iloc[:1]))


def axis_of_training(package):
    values = np.ones((3, 2))
    for trace, label, where in ((made(values, [0, 8, 16]), "step", [0, 8, 16]),
                                (made(values, [0, 8, 16], [0, 1e9, 2e9]), "tokens seen",
                                 [0, 1e9, 2e9]),
                                (made(values, [0, 8, 4]), "checkpoint", [0, 1, 2]),
                                (made(values, [0, np.nan, 4]), "checkpoint", [0, 1, 2])):
        found, name = package.training_axis(trace)
        assert (name, found.tolist()) == (label, where), (name, found)
    ax = package.layer_lines(made(values, [0, 8, 16]), "attn")
    shown = ax.transData.transform([(x, 1) for x in (0, 8, 16)])[:, 0]
    box = ax.get_window_extent()
    assert box.x0 < shown[0] < shown[1] < shown[2] < box.x1, "step 0 has no place on the axis"


def drawn(ax):
    """Draws it; the numbers of its lines and images."""
    ax.figure.canvas.draw()
    counts = len(ax.lines), len(ax.images)
    plt.close(ax.figure)
    return counts


def figures(package, trace):
    layers = trace.sizes["layer"]
    quarter = package.about_a_quarter(layers)
    for module in package.MODULES:
        assert drawn(package.heat_map(trace, module)) == (0, 1)
        assert drawn(package.layer_lines(trace, module)) == (layers, 0)
        ax = package.rank_bumps(trace, module)
        assert len([text for text in ax.texts if "layer" in text.get_text()]) == quarter
        assert drawn(ax) == (layers, 0)
        assert drawn(package.agreement(trace, module))[0] == 3
    assert drawn(package.loss(trace)) == (1, 0)
    cost = trace.importance_seq.rename("drop_nll")
    assert drawn(package.drop_cost(trace.assign(drop_nll=cost), "attn")) == (0, 1)
    table = pd.DataFrame({"module": ["attn", "mlp"], "layer": [0, 1], "mean": [0.1, 0.2],
                          "low": [0.05, np.nan], "high": [0.2, np.nan]})
    ax = package.intervals(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["attention 0", "MLP 1"]
    drawn(ax)


def unknown_loss(package):
    """A checkpoint whose loss is not finite in one sequence is left out, not averaged without it."""
    trace = made(np.ones((4, 2)), [1, 2, 3, 4])
    nll = [[np.nan, 1, 3], [1, 2, 3], [1, np.inf, -np.inf], [2, 3, 4]]
    ax = package.loss(trace.assign(nll=(("checkpoint", "sequence"), nll)))
    shown = np.asarray(ax.lines[0].get_ydata(), float)
    assert np.array_equal(shown, [np.nan, 2, np.nan, 3], equal_nan=True), shown
    drawn(ax)


def constant(package):
    """One checkpoint, one layer, nothing measured: figures, not exceptions."""
    for values in ([[0.5]], [[np.nan, np.nan]], [[0.0, 0.0], [0.0, 0.0]]):
        trace = made(values)
        for draw in (package.heat_map, package.layer_lines, package.rank_bumps, package.agreement):
            drawn(draw(trace, "attn"))


def main():
    program, plugins, source, sample, traced = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        install(source, folder)
        import trace_ckpts as package
        assert package.__file__.startswith(folder), package.__file__
        typed(package)
        plugins_and_copies(program, plugins, sample, folder)
        numbers(package)
        axis_of_training(package)
        unknown_loss(package)
        constant(package)
        spans = package.open_trace(sample)
        failed_rows(package, spans)
        assert drawn(package.span_matrix(spans)) == (0, 1)
        figures(package, package.complete(package.open_trace(traced)))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""test_package.py TRACE_EXPORT TRACE_ANALYZE WRITE_SERIES PLUGINS PACKAGE SAMPLE TRACED: the Python
package trace_ckpts, installed by pip: opening with and without the zstd plugin, the numbers behind
the figures against other formulas or by hand, that every figure draws what it says, that the
examples of its docstrings hold, and that errors name what is missing."""

import doctest
import importlib
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


def plugins_and_copies(package, program, plugins, sample, folder):
    store, copy = folder + "/run.h5", folder + "/run.gzip.h5"
    shutil.copy(sample, store)
    trace = package.open_trace(store)  # by hdf5plugin, in this process
    total = f"{trace.encoding['source']} {float(trace.importance.sum())}\n"
    assert total.split()[0] == store, total
    trace.close()
    ours = open_without(store, plugins, folder, True)
    assert ours.returncode == 0 and ours.stdout == total, ours
    refused = open_without(store, "/nonexistent", folder, True)
    assert refused.returncode == 1 and refused.stderr.endswith(
        f"OSError: {store} is compressed by zstd and HDF5 has no filter for it: pip install "
        f"hdf5plugin, or trace-export {store} --to hdf5 -o {copy}\n"), refused
    subprocess.run([program, store, "--to", "hdf5"], cwd=folder, check=True, capture_output=True)
    fallen = open_without(store, "/nonexistent", folder, True)
    assert fallen.stdout.split() == [copy, total.split()[1]], fallen


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
    for trace, label, where in ((made(values, [0, 8, 16]), "Training step", [0, 8, 16]),
                                (made(values, [0, 8, 16], [0, 1e9, 2e9]), "Tokens seen",
                                 [0, 1e9, 2e9]),
                                (made(values, [0, 8, 4]), "Checkpoint", [1, 2, 3]),
                                (made(values, [0, np.nan, 4]), "Checkpoint", [1, 2, 3])):
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
    for module in package.MODULES:
        ax = package.heat_map(trace, module)
        low, high = ax.get_ylim()
        assert low > high and ax.images[0].norm.vmin == package.common_norm(trace).vmin, "scales"
        assert drawn(ax) == (0, 1)
        assert drawn(package.layer_lines(trace, module)) == (layers, 0)
        ax = package.rank_bumps(trace, module)
        coloured = [line for line in ax.lines if line.get_color() != "#bbbbbb"]
        assert len(coloured) == package.about_a_quarter(layers), len(coloured)
        assert drawn(ax) == (layers, 0)
        assert drawn(package.agreement(trace, module))[0] == 3
    assert drawn(package.loss(trace)) == (1, 0)
    table = pd.DataFrame({"module": ["attn", "mlp"], "layer": [0, 1], "mean": [0.1, 0.2],
                          "low": [0.05, np.nan], "high": [0.2, np.nan]})
    ax = package.intervals(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Attention 0", "MLP 1"]
    drawn(ax)


def overlapping(texts):
    """Pairs of texts that touch as they are drawn."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    return [(one, other) for i, (one, box) in enumerate(boxes) for other, beside in boxes[i + 1:]
            if box.shrunk(0.98, 0.8).overlaps(beside.shrunk(0.98, 0.8))]


def cost_figures(package, trace, found):
    """Points lie where importance and cost are, with the analysis' intervals; no label touches
    another one."""
    for module in package.modules_with_costs(trace):
        for cost in ("cost-nll", "cost-kl"):
            ax = package.cost_scatter(trace, module, cost, 2, package.chosen(found, module),
                                      found.costs)
            shown = {(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[:-1]}
            here = [values.isel(checkpoint=2).values.tolist() for values in
                    (package.values(trace, module), package.values(trace, module, cost))]
            assert shown == set(zip(*here)), (shown, here)
            part = found.costs.query("module == @module and cost == @cost and checkpoint == 'step2000'")
            ends = sorted(float(path.vertices[:, 1].min()) for lines in ax.collections
                          for path in lines.get_paths())
            assert np.allclose(ends, sorted(part["low"]), rtol=1e-12), (ends, part)
            ax.figure.canvas.draw()
            assert not overlapping(ax.texts), overlapping(ax.texts)
            plt.close(ax.figure)
            for draw, table in ((package.proxies, found.verdicts), (package.told, found.forecasts)):
                ax = draw(table, module, cost)
                ax.figure.canvas.draw()
                assert not overlapping(ax.texts), overlapping(ax.texts)
                assert not overlapping(ax.get_xticklabels()), draw
                plt.close(ax.figure)
        assert drawn(package.cost_map(trace, module)) == (0, 1)
    for resource in ("params", "kv", "flops"):
        part = found.prices.query("resource == @resource")
        ax = package.prices(found.prices, resource)
        ends = {line.get_ydata()[-1] for line in ax.lines}
        assert ends == set(part.groupby("module")["sum"].last()), (ends, part)
        ax.figure.canvas.draw()
        assert not overlapping(ax.texts), overlapping(ax.texts)
        plt.close(ax.figure)


def notebook_size(package, trace, found):
    """At the size of a notebook's panels no label of an axis or a line touches another one."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    for ax in axes:
        package.rank_bumps(trace, "attn", package.chosen(found, "attn"), ax=ax)
    figure.canvas.draw()
    for ax in axes:
        assert not overlapping(ax.get_xticklabels()) and not overlapping(ax.texts), ax
    plt.close(figure)


def examples(package, values):
    """The examples of all docstrings, with the names that they use."""
    tried = 0
    for name in ("reader", "drawing", "orders", "plots", "costs", "results"):
        module = importlib.import_module("trace_ckpts." + name)
        names = {**vars(package), **vars(module), "pd": pd, **values}
        found = doctest.testmod(module, extraglobs=names)
        assert not found.failed, name
        tried += found.attempted
        plt.close("all")
    assert tried > 30, tried


def errors(package, trace, found, folder):
    """Each says what is missing and how to get it."""
    broken, other = folder + "/broken.json", folder + "/other.json"
    for path, text in ((broken, "{"), (other, "{}")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    without = trace.drop_vars(["drop_nll", "drop_kl", "nll"])
    adds = "the same trace-ckpts command with --cost attn,mlp adds"
    for draw, sentence in (
            (lambda: package.loss(without), "no nll: trace-ckpts without --no-nll measures it"),
            (lambda: package.cost_map(without, "attn"), f"no drop_nll: {adds} it"),
            (lambda: package.cost_scatter(without, "attn", "cost-kl"), f"no drop_kl: {adds} it"),
            (lambda: package.span_matrix(trace), "no span_similarity: trace-ckpts with --spans"),
            (lambda: package.heat_map(trace, "heads"), "no module 'heads', it has attn, mlp, block"),
            (lambda: package.proxies(found.verdicts, "block"), f"no costs of block: {adds} them"),
            (lambda: package.prices(found.prices, "bytes"), "no prices of bytes"),
            (lambda: package.result(broken), "broken.json is not JSON"),
            (lambda: package.result(other), "other.json is not what trace-analyze --json writes"),
            (lambda: package.open_trace(folder + "/no.h5"), "no.h5: trace-ckpts writes it")):
        try:
            draw()
        except (ValueError, OSError) as error:
            assert sentence in str(error), (sentence, error)
        else:
            raise AssertionError(sentence)
    plt.close("all")


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
    program, analyze, write_series, plugins, source, sample, traced = sys.argv[1:]
    os.environ["HDF5_PLUGIN_PATH"] = "/nonexistent"  # before HDF5 reads it
    with tempfile.TemporaryDirectory() as folder:
        install(source, folder)
        import trace_ckpts as package
        assert package.__file__.startswith(folder), package.__file__
        typed(package)
        plugins_and_copies(package, program, plugins, sample, folder)
        numbers(package)
        axis_of_training(package)
        unknown_loss(package)
        constant(package)
        spans = package.open_trace(sample)
        failed_rows(package, spans)
        assert drawn(package.span_matrix(spans)) == (0, 1)
        figures(package, package.complete(package.open_trace(traced)))
        costs, json = folder + "/costs.h5", folder + "/costs.json"
        subprocess.run([write_series, costs, "6", "12", "16", "5", "wrong"], check=True)
        subprocess.run([analyze, costs, "--json", json], check=True, capture_output=True)
        trace, found = package.complete(package.open_trace(costs)), package.result(json)
        cost_figures(package, trace, found)
        notebook_size(package, trace, found)
        examples(package, {"trace": trace, "found": found, "store": costs, "json_path": json})
        errors(package, trace, found, folder)


if __name__ == "__main__":
    main()

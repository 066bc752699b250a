# SPDX-License-Identifier: Apache-2.0
"""test_same_sets.py TRACE_ANALYZE TRACE_EXPORT WRITE_SERIES PACKAGE TRACED: which layers are the
least important, in which order and with which probability, is the same in the report, its JSON, the
page, the figure, the notebook and the Python package."""

import csv
import html
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import matplotlib
import numpy as np

matplotlib.use("Agg")

TITLES = {"attn": "Attention", "mlp": "MLP", "block": "Block"}


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def numbers(text):
    """The layers of "0, 1, 4 to 7 and 9"."""
    found = []
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return found


# ---- what each of them says ----------------------------------------------------------------------

def of_json(whole):
    """{module: [(layer, probability)]} of the sets by the mean."""
    sets = {}
    for group in whole["groups"]:
        found = group["sets"]["mean"]
        if group["module"] in TITLES:
            sets[group["module"]] = [(group["units"][unit]["layer"], found["inside"][unit])
                                     for unit in found["units"]]
    return sets


def of_answer(answer):
    """What --brief prints: the rule, {module: (layers in the order of their numbers, probability)},
    and {module: those below tau}."""
    lines = [" ".join(line.split()) for line in re.split(r"\n(?! )", answer)]
    rule = re.match(r"To leave out first, (by .*?):", " ".join(answer.split()))[1]
    sets, below = {}, {}
    for module, title in {**TITLES, "block": "Blocks"}.items():
        for line in lines:
            found = re.match(rf"{title}: ([^:]*): [a-z ]+ \(([^)]*)\)", line)
            if found:
                sets[module] = numbers(found[1]), found[2]
                under = re.search(r"; below [\d.e-]+: ([^;]*?)\.$", line)
                if under and under[1] != "none shown":
                    below[module] = numbers(under[1])
    return rule, sets, below


def of_figure(text):
    """What the caption lists, in its order; and below tau, where that was asked."""
    caption = html.unescape(re.search(r"<desc[^>]*>(The \d+ lowest ranks.*?)</desc>", text)[1])
    whole, _, below = caption.partition(" Below ")

    def listed(part):
        return {module: numbers(found[1]) for module, title in TITLES.items()
                if (found := re.search(rf"{title}: ([\d, ]+)\.", part))}
    return listed(whole), listed(below), caption


def of_page(text, module, count):
    """The first rows of the module's table: layer and probability."""
    table = re.search(rf'id="table-{module}">.*?<tbody>\n(.*?)</tbody>', text, re.DOTALL)[1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.splitlines()]
    return [(int(row[0]), row[8]) for row in rows[:count]]


def of_notebook(text):
    source = "".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    table = re.search(r'table = found\("""\\\n(.*?)"""\)', source, re.DOTALL)[1]
    sets = {}
    for row in csv.DictReader(io.StringIO(table)):
        sets.setdefault(row["module"], []).append((int(row["layer"]), row["probability"]))
    return sets, source


def below_of(whole):
    """{module: layers below tau} in the order of the mean, where there are any."""
    found = {group["module"]: [group["units"][unit]["layer"] for unit in
                               group["sets"]["mean"]["order"] if group["units"][unit]["below"]]
             for group in whole["groups"] if group["module"] in TITLES}
    return {module: layers for module, layers in found.items() if layers}


def told(probability, resamples):
    """As people are told it: never 0, never 1."""
    if probability is None:
        return None
    if probability > 1 - 0.5 / resamples:
        return f"over {1 - 1 / resamples:.6g}"
    if probability < 0.5 / resamples:
        return f"under {1 / resamples:.6g}"
    return f"{probability:.6g}" if probability > 0.999 else f"{probability:.3g}"


def coloured(ax):
    """The names at the ends of lines that are not grey."""
    names = {text.get_text() for text in ax.texts if text.get_color() != "#777777"}
    matplotlib.pyplot.close(ax.figure)
    return names


# ---- the comparison ------------------------------------------------------------------------------

def compare(programs, store, options, package, folder, whole_series):
    analyze, export = programs
    path = folder + "/result.json"
    brief = run(analyze, store, *options, "--json", path, "--brief")
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    sets = of_json(result)
    layers = {module: [layer for layer, _ in found] for module, found in sets.items()}
    resamples = result["settings"]["resamples"]
    said = {module: [(layer, told(p, resamples)) for layer, p in found]
            for module, found in sets.items()}
    figure, below, caption = of_figure(run(export, store, "--to", "svg", "--figure", "ranks", "-o", "-",
                                    *options))
    page = run(export, store, "--to", "html", "-o", "-", *options)
    notebook, source = of_notebook(run(export, store, "--to", "notebook", "-o", "-", *options))
    rule = re.search(r"the least important layers (by .*?)\. Attention", caption)[1]
    assert figure == layers, (figure, layers)
    assert below == below_of(result), (below, below_of(result))
    assert of_figure(page)[0] == layers, of_figure(page)
    assert result["rule"] == rule, (result["rule"], rule)
    assert f"Ordered {rule} (" in page and rule in source, rule
    assert notebook == said, (notebook, said)
    answer, report, under = of_answer(brief)
    assert answer == rule, (answer, rule)
    assert under == {module: sorted(found) for module, found in below.items()}, (under, below)
    together = {group["module"]: group["sets"]["mean"]["probability"] for group in result["groups"]}
    assert report == {module: (sorted(chosen), told(together[module], resamples))
                      for module, chosen in layers.items()}, (report, layers)
    found = package.result(path)
    assert found.rule == rule, found.rule
    trace = package.complete(package.open_trace(store))
    for module, chosen in layers.items():
        assert of_page(page, module, len(chosen)) == said[module], of_page(page, module, 9)
        assert package.chosen(found, module) == chosen, found.layers
        part = found.layers[(found.layers["module"] == module) & found.layers["chosen"]]
        assert list(zip(part["layer"], part["probability"])) == said[module], part
        by = result["settings"]["by"]
        colours = coloured(package.rank_bumps(trace, module, chosen, by))
        assert colours == {f"layer {layer}" for layer in chosen}, (colours, chosen)
        if whole_series:
            assert package.lowest(trace, module, len(chosen), by) == chosen, module
            assert np.allclose(package.training_weights(trace), found.checkpoints["weight"],
                               rtol=1e-9), "weights"
    return layers, below


def main():
    analyze, export, write_series, source, traced = sys.argv[1:]
    sys.path.insert(0, source)
    import trace_ckpts as package  # pylint: disable=import-outside-toplevel
    with tempfile.TemporaryDirectory() as folder:
        tokens = folder + "/tokens.h5"
        run(write_series, tokens, 8, 8, 12, 5)
        gaps, steps, costs = (f"{folder}/{kind}.h5" for kind in ("gaps", "steps", "wrong"))
        for store in (gaps, steps, costs):
            kind = os.path.basename(store).split(".", maxsplit=1)[0]
            run(write_series, store, 6, 8, 12, 5, kind)
        for store, options, whole_series in (
                (traced, (), True), (traced, ("--count", 7, "--from", 1024), False),
                (tokens, (), True), (tokens, ("--count", 4, "--from", 1500), False),
                (tokens, ("--by", "update_ratio", "--below", 0.26), True), (steps, (), True),
                (costs, ("--by", "cost-kl", "--below", 0.2), True),
                (gaps, (), False), (gaps, ("--count", 2, "--level", 0.9), False)):
            found, below = compare((analyze, export), store, options, package, folder, whole_series)
            assert bool(below) == ("--below" in options), (options, below)
            print(os.path.basename(store), *options, found)


if __name__ == "__main__":
    main()

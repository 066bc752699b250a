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


def of_report(program, store, options):
    """Its sentences, one for each group, name the layers in the order of their numbers."""
    report = " ".join(run(program, store, *options).split())
    named = re.findall(r"By the mean over training: layers? ([^.]*?)"
                       r"(?:, as a set with| with probability|\.)", report)
    assert len(named) >= len(TITLES), report
    return dict(zip(TITLES, map(numbers, named)))


def of_figure(text):
    """What the caption lists, in its order."""
    caption = html.unescape(re.search(r"<desc[^>]*>(The \d+ lowest ranks.*?)</desc>", text)[1])
    return {module: numbers(re.search(rf"{title}: ([\d, ]+)\.", caption)[1])
            for module, title in TITLES.items()}, caption


def of_page(text, module, count):
    """The first rows of the module's table: layer and probability."""
    table = re.search(rf'id="table-{module}">.*?<tbody>\n(.*?)</tbody>', text, re.DOTALL)[1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.splitlines()]
    return [(int(row[0]), row[8]) for row in rows[:count]]


def of_notebook(text):
    source = "".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    table = re.search(r'StringIO\("""\\\n(.*?)"""\)\)', source, re.DOTALL)[1]
    sets = {}
    for row in csv.DictReader(io.StringIO(table)):
        sets.setdefault(row["module"], []).append((int(row["layer"]), row["probability"]))
    return sets, source


def told(probability, resamples):
    """As people are told it: never 0, never 1."""
    if probability is None:
        return None
    if probability > 1 - 0.5 / resamples:
        return f"over {1 - 1 / resamples:.6g}"
    if probability < 0.5 / resamples:
        return f"under {1 / resamples:.6g}"
    return f"{probability:.6g}" if probability > 0.999 else f"{probability:.3g}"


# ---- the comparison ------------------------------------------------------------------------------

def compare(programs, store, options, package, folder, whole_series):
    analyze, export = programs
    path = folder + "/result.json"
    run(analyze, store, *options, "--json", path)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    sets = of_json(result)
    layers = {module: [layer for layer, _ in found] for module, found in sets.items()}
    said = {module: [(layer, told(p, result["settings"]["resamples"])) for layer, p in found]
            for module, found in sets.items()}
    figure, caption = of_figure(run(export, store, "--to", "svg", "--figure", "ranks", "-o", "-",
                                    *options))
    page = run(export, store, "--to", "html", "-o", "-", *options)
    notebook, source = of_notebook(run(export, store, "--to", "notebook", "-o", "-", *options))
    rule = re.search(r"the least important layers (by .*?)\. Attention", caption)[1]
    assert figure == layers, (figure, layers)
    assert of_figure(page)[0] == layers, of_figure(page)
    assert f"Ordered {rule} (" in page and rule in source, rule
    assert notebook == said, (notebook, said)
    report = of_report(analyze, store, options)
    table = package.result(path)
    trace = package.complete(package.open_trace(store))
    for module, chosen in layers.items():
        assert report[module] == sorted(chosen), (report, layers)
        assert of_page(page, module, len(chosen)) == said[module], of_page(page, module, 9)
        assert package.chosen(table, module) == chosen, table
        ax = package.rank_bumps(trace, module, chosen)
        assert [text.get_text() for text in ax.texts] == [f"layer {layer}" for layer in chosen]
        matplotlib.pyplot.close(ax.figure)
        if whole_series:
            assert package.lowest(trace, module, len(chosen)) == chosen, module
    return layers


def main():
    analyze, export, write_series, source, traced = sys.argv[1:]
    sys.path.insert(0, source)
    import trace_ckpts as package  # pylint: disable=import-outside-toplevel
    with tempfile.TemporaryDirectory() as folder:
        tokens = folder + "/tokens.h5"
        run(write_series, tokens, 20, 12, 16, 5)
        gaps = folder + "/gaps.h5"
        run(write_series, gaps, 20, 12, 16, 5, "gaps")
        for store, options, whole_series in (
                (traced, (), True), (traced, ("--count", 7, "--from", 1024), False),
                (tokens, (), True), (tokens, ("--count", 4, "--from", 9000), False),
                (gaps, (), False), (gaps, ("--count", 2, "--level", 0.9), False)):
            found = compare((analyze, export), store, options, package, folder, whole_series)
            print(os.path.basename(store), *options, found)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""test_notebook.py TRACE_EXPORT WRITE_SERIES SAMPLE TRACED: the notebook is valid, runs as it is under jupyter
nbconvert --execute, shows its figures, and ends with the table of trace-analyze's numbers."""

import base64
import io
import os
import shutil
import subprocess
import sys
import tempfile

import matplotlib.image
import nbformat


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


def export(program, store, folder, *arguments):
    run(program, store, "--to", "notebook", *arguments, cwd=folder)
    path = os.path.splitext(os.path.join(folder, os.path.basename(store)))[0] + ".ipynb"
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5), notebook.nbformat_minor
    return path, notebook


def executed(notebooks, folder):
    """Each with its outputs. A kernel takes longer to start than a notebook to run, so one runs all
    of them, behind each other, and forgets everything between two."""
    whole = nbformat.v4.new_notebook(metadata=notebooks[0].metadata)
    for notebook in notebooks:
        whole.cells += [*notebook.cells, nbformat.v4.new_code_cell("%reset -f")]
    for number, cell in enumerate(whole.cells):
        cell.id = f"cell-{number}"
    nbformat.write(whole, folder + "/whole.ipynb")
    run(sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "notebook", "--output",
        "done", folder + "/whole.ipynb")
    cells = nbformat.read(folder + "/done.ipynb", as_version=4).cells
    for notebook in notebooks:
        count = len(notebook.cells)
        yield nbformat.v4.new_notebook(metadata=whole.metadata, cells=cells[:count])
        cells = cells[count + 1:]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def figures(notebook):
    """The PNGs, each with something drawn on it."""
    found = [output.data["image/png"] for output in outputs(notebook)
             if "image/png" in output.get("data", {})]
    for png in found:
        picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(png)))
        assert picture.shape[0] > 100 and picture.shape[1] > 300, picture.shape
        assert picture[..., :3].std() > 0.02, "an empty figure"
    return found


def headings(notebook):
    return [line for cell in notebook.cells if cell.cell_type == "markdown"
            for line in cell.source.splitlines() if line.startswith("## ")]


def of_traced(program, store, folder):
    _, notebook = export(program, store, folder)
    assert f'STORE = "{os.path.basename(store)}"' in "".join(
        cell.source for cell in notebook.cells), "the path of a store in the same folder"
    assert {"## Runs of blocks", "## Loss"} < set(headings(notebook)), headings(notebook)
    assert "with `--cost attn,mlp` adds it" in "".join(cell.source for cell in notebook.cells)
    return notebook


def check_traced(done):
    check_silent(done)
    assert len(figures(done)) == 8, len(figures(done))
    last = done.cells[-1].outputs[-1].data
    assert last["text/html"].count("<tr") == 1 + 3 * 3, last["text/plain"]
    for name in ("mean", "low", "high", "worst_bound", "probability", "onset"):
        assert f"<th>{name}</th>" in last["text/html"], last["text/plain"]


def of_excerpt(program, store, folder):
    """Only the layers that were asked for, and only figures that the store has the values for."""
    part = folder + "/part.h5"
    run(program, store, "--to", "hdf5", "-o", part, "--variables", "default,importance_seq")
    _, notebook = export(program, part, folder, "--steps", "1000-3000", "--layers", "0,2",
                         "--module", "attn,block")
    assert not {"## Runs of blocks", "## Loss"} & set(headings(notebook)), headings(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(
        'print(list(map(str, trace.module.values)), list(map(int, trace.layer)), '
        'list(map(int, trace.step)))'))
    return notebook


def check_excerpt(done):
    assert len(figures(done)) == 5, len(figures(done))
    assert done.cells[-1].outputs[0].text == "['attn', 'block'] [0, 2] [1000, 2000, 3000]\n"


def of_costs(program, store, folder):
    """Of a store with costs those of costs, ranked by what was asked for."""
    _, notebook = export(program, store, folder, "--by", "cost-kl", "--below", "0.02")
    source = "".join(cell.source for cell in notebook.cells)
    assert "from ." not in source and "adds it to the store" not in source, "cells of other stores"
    return notebook


def check_costs(done):
    check_silent(done)
    assert len(figures(done)) == 4 + 1 + 7 + 1 + 1, len(figures(done))
    assert "<th>below</th>" in done.cells[-1].outputs[-1].data["text/html"], "no column of tau"


def check_silent(done):
    errors = [output for output in outputs(done) if output.output_type in ("error", "stream")]
    assert not errors, errors


def main():
    program, write_series, sample, traced = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        costs = folder + "/costs.h5"
        run(write_series, costs, "6", "8", "12", "5", "wrong")
        kinds = ((of_traced, check_traced, shutil.copy(traced, folder)),
                 (of_excerpt, check_excerpt, shutil.copy(sample, folder)),
                 (of_costs, check_costs, costs))
        notebooks = [made(program, store, folder) for made, _, store in kinds]
        for (_, check, _), done in zip(kinds, executed(notebooks, folder)):
            check(done)


if __name__ == "__main__":
    main()

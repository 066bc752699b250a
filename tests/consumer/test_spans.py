# SPDX-License-Identifier: Apache-2.0
"""test_spans.py NAME=PATH... root=SOURCES: what trace-analyze says of spans and of drift on the
shipped series, against the same sums by h5py and NumPy. Programs: trace-ckpts, trace-analyze."""
import json
import os
import sys

import h5py
import hdf5plugin  # noqa: F401  registers the zstd filter
import numpy as np

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness

FROM = 1024


def analyze(programs, folder):
    """The store's arrays and the analysis of it."""
    series = programs["root"] + "/tests/series/demo"
    steps = [f"{series}/{name}" for name in os.listdir(series) if name.startswith("step_")]
    out = folder + "/spans.h5"
    harness.run(programs["trace-ckpts"], "--spans", "--ckpts", *steps, "--tokens",
                series + "/tokens.npy", "--tokens-per-step", 24576, "-o", out).expect(0)
    harness.run(programs["trace-analyze"], out, "--module", "block", "--from", FROM, "--json",
                folder + "/spans.json").expect(0)
    with h5py.File(out) as store:
        arrays = {name: store[name][()].astype(float) for name in
                  ("step", "tokens_seen", "span_similarity", "stream_sample")}
    with open(folder + "/spans.json", encoding="utf-8") as file:
        return arrays, json.load(file)["spans"]


def time_weights(tokens):
    """Each checkpoint's share of training: trapezoids."""
    half = np.diff(tokens) / 2
    weight = np.zeros(len(tokens))
    weight[:-1] += half
    weight[1:] += half
    return weight / weight.sum()


def check_plans(programs, folder, arrays):
    """The run of three blocks that a plan takes is the best of all, by each value. LLM-Drop's code
    reads the column of four, and takes its first three."""
    claimed = arrays["step"] >= FROM
    similarity = arrays["span_similarity"][claimed]
    weight = time_weights(arrays["tokens_seen"][claimed])
    over = {"mean": np.tensordot(weight, similarity, 1), "worst": similarity.min(axis=0),
            "last": similarity[-1]}
    for name, matrix in over.items():
        plan = folder + "/plan.json"
        harness.run(programs["trace-analyze"], folder + "/spans.h5", "--module", "block", "--from",
                    FROM, "--count", 3, "--consecutive", "--over", name, "--brief", "--plan",
                    plan).expect(0)
        with open(plan, encoding="utf-8") as file:
            found = json.load(file)
        first = int(np.diagonal(matrix, 3).argmax())
        assert found["drop_attn_list"] == found["drop_mlp_list"] == [first, first + 1, first + 2], found
        np.testing.assert_allclose(found["sum"], 1 - matrix[first, first + 3], rtol=1e-12)
    assert first == np.diagonal(over["last"], 4).argmax() + 1, "the published rule is right here"


def check_windows(arrays, windows):
    claimed = arrays["step"] >= FROM
    similarity = arrays["span_similarity"][claimed]
    weight = time_weights(arrays["tokens_seen"][claimed])
    mean = np.tensordot(weight, similarity, 1)
    layers = len(mean) - 1
    assert [window["length"] for window in windows] == list(range(1, layers)), windows
    for window in windows:
        length, start = window["length"], window["start"]
        each = 1 - np.diagonal(similarity, length, 1, 2)
        best = each.argmin(axis=1)
        assert start == (1 - np.diagonal(mean, length)).argmin(), window
        assert window["last_start"] == best[-1], window
        np.testing.assert_allclose(
            [window["importance"], window["worst"], window["last"], window["share"]],
            [weight @ each[:, start], each[:, start].max(), each[-1, start],
             weight @ (best == start)], rtol=1e-12, atol=1e-15)


def debiased_cka(x, y):
    """By the formula with whole matrices (Song et al. 2012)."""
    count, ones = len(x), np.ones(len(x))

    def product(a):
        gram = a @ a.T
        return gram - np.diag(np.diag(gram))

    def hsic(k, l):
        return (np.trace(k @ l) + (ones @ k @ ones) * (ones @ l @ ones) / (count - 1) / (count - 2)
                - 2 / (count - 2) * (ones @ k @ l @ ones))
    k, l = product(x), product(y)
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def check_drift(stream, rows, other):
    for checkpoint, row in enumerate(rows):
        for boundary, found in enumerate(row):
            if other(checkpoint) < 0:
                assert found["cka"] is None and found["cosine"]["value"] is None, found
                continue
            x, y = stream[checkpoint, boundary], stream[other(checkpoint), boundary]
            cosine = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
            np.testing.assert_allclose(found["cosine"]["value"], cosine.mean(), rtol=1e-9)
            np.testing.assert_allclose(found["cka"], debiased_cka(x, y), rtol=1e-9, atol=1e-9)
            error = cosine.std(ddof=1) / np.sqrt(len(cosine))
            width = found["cosine"]["high"] - found["cosine"]["low"]
            assert error < 1e-6 or 3 < width / error < 6, (width, error)


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as folder:
        arrays, spans = analyze(programs, folder)
        check_plans(programs, folder, arrays)
    check_windows(arrays, spans["windows"])
    stream = arrays["stream_sample"]
    check_drift(stream, spans["drift_previous"], lambda checkpoint: checkpoint - 1)
    check_drift(stream, spans["drift_last"], lambda checkpoint: len(stream) - 1)
    print(f"{len(spans['windows'])} spans and the drift of {stream.shape[:2]} are NumPy's")


if __name__ == "__main__":
    main()

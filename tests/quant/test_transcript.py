# SPDX-License-Identifier: Apache-2.0
"""test_transcript.py LIBRARY [CASES]: weights in few bits, on random weights and second moments, against the
formulas in transcript.py. By hand with 500 cases or more."""
import sys

import numpy as np

import transcript
from quant_room import Failed, Room

TIE = 1e-7  # of a step: what two ways of computing the same quotient may differ by


def some_grid(rng, inputs):
    return transcript.Grid(bits=int(rng.choice([4, 4, 8])), symmetric=bool(rng.integers(2)),
                           clip=bool(rng.random() < 0.1), group=int(rng.choice([0, 8, 16, 32, 40, inputs])),
                           dtype=str(rng.choice(["f16", "bf16", "f32"])))


def some_weights(rng, outputs, inputs):
    w = rng.normal(size=(outputs, inputs)) * np.exp(rng.normal(size=(outputs, 1)) - 3)
    kind = rng.integers(6)
    if kind == 0:
        w = np.abs(w)  # a range that begins at 0
    if kind == 1:
        w[:, : inputs // 2] = 0
    return w.astype(np.float32)


def some_moment(rng, inputs):
    x = rng.normal(size=(int(rng.integers(2, 3 * inputs)), inputs)) @ rng.normal(size=(inputs, inputs))
    x *= np.exp(rng.normal(size=inputs))
    if rng.integers(4) == 0:
        x[:, rng.integers(inputs)] = 0  # an input that never is anything else
    return x.T @ x


def assert_same_codes(found, expected, what):
    for mine, theirs in zip(found, expected):
        np.testing.assert_array_equal(mine, theirs, what)


def check_rounding(room, rng):
    outputs, inputs = int(rng.integers(1, 12)), int(rng.integers(1, 120))
    grid, w = some_grid(rng, inputs), some_weights(rng, outputs, inputs)
    codes, scales, zeros, _ = room.round_to_nearest(w, grid)
    assert_same_codes((codes, scales, zeros), transcript.round_to_nearest(w, grid), vars(grid))


def check_gptq(room, rng):
    outputs, inputs = int(rng.integers(1, 40)), int(rng.integers(2, 300))
    grid, w, h = some_grid(rng, inputs), some_weights(rng, outputs, inputs), some_moment(rng, inputs)
    order, damping = str(rng.choice(["file", "static", "groups"])), float(rng.choice([0.01, 0.05]))
    found, _ = room.gptq(w, h, grid, order, damping)
    codes, scales, zeros, group_of, rank, margin = transcript.gptq(w, h, grid, order, damping)
    np.testing.assert_array_equal(found[3], group_of)
    differs = (found[0] != codes)[:, rank]
    for o in np.flatnonzero(differs.any(axis=1)):
        first = differs[o].argmax()
        assert margin[o, first] < TIE, f"output {o}: input {first} differs {margin[o, first]} off a tie"
    same = ~differs.any(axis=1)
    np.testing.assert_array_equal(found[1][same], scales[same])
    np.testing.assert_array_equal(found[2][same], zeros[same])
    mine, theirs = transcript.values(*found), transcript.values(codes, scales, zeros, group_of)
    mine_error, their_error = (transcript.output_square(v.astype(np.float64) - w, h) for v in (mine, theirs))
    np.testing.assert_allclose(mine_error, their_error, rtol=1e-3)
    np.testing.assert_allclose(room.output_error(mine, w, h),
                               mine_error / transcript.output_square(w, h), rtol=1e-6)
    assert_same_codes(room.gptq(w, h, grid, order, damping, threads=1)[0], found, "threads")
    return differs.any(axis=1).sum(), outputs


def check_awq(room, rng):
    outputs, inputs = int(rng.integers(1, 10)), int(rng.integers(1, 140))
    grid, w, h = some_grid(rng, inputs), some_weights(rng, outputs, inputs), some_moment(rng, inputs)
    grid.clip = False
    x_mean = np.abs(rng.normal(size=inputs)) * (rng.random(inputs) < 0.9)
    sums = room.awq_weight_sums(w, grid)
    np.testing.assert_allclose(sums, transcript.awq_weight_sums(w, grid), rtol=1e-12)
    step = int(rng.integers(20))
    s = room.awq_scales(x_mean, sums / outputs, step)
    np.testing.assert_allclose(s, transcript.awq_scales(x_mean, sums / outputs, step), rtol=1e-12)
    np.testing.assert_array_equal(room.awq_round(w, s, grid), transcript.awq_round(w, s, grid))
    found, expected = room.awq_clip(w, h, grid), transcript.awq_clip(w, h, grid)
    assert (found != expected).any(axis=1).sum() <= 1  # two bounds may be as good as each other


def check_gain(room, rng):
    """What it is for: where inputs go together, the output is nearer than by rounding each by itself."""
    inputs = 128
    x = rng.normal(size=(512, 24)) @ rng.normal(size=(24, inputs)) + 0.1 * rng.normal(size=(512, inputs))
    w, h = rng.normal(size=(64, inputs)).astype(np.float32), x.T @ x
    grid = transcript.Grid(group=32)
    plain = room.output_error(transcript.values(*room.round_to_nearest(w, grid)), w, h)
    for order in ("file", "static", "groups"):
        better = room.output_error(transcript.values(*room.gptq(w, h, grid, order, 0.01)[0]), w, h)
        assert better < 0.5 * plain, (order, better, plain)


def check_edges(room, rng):
    """What nothing came by is rounded to nearest; what cannot be factored is damped more; refusals."""
    w, grid = rng.normal(size=(5, 16)).astype(np.float32), transcript.Grid(group=8)
    found, _ = room.gptq(w, np.zeros((16, 16)), grid, "static", 0.01)
    assert_same_codes(found[:3], transcript.round_to_nearest(w, grid), "no inputs")
    h = np.ones((16, 16)) - 1.03 * np.eye(16)  # two moments of a wrong sum: not positive
    np.fill_diagonal(h, 1)
    h[0, 1] = h[1, 0] = 1.05
    _, damping = room.gptq(w, h, grid, "file", 0.01)
    assert 0.05 < damping < 0.07, damping
    for value, dtype, sentence in ((np.nan, "f16", "not finite"), (1e6, "f16", "beyond f16")):
        bad = w.copy()
        bad[2, 3] = value
        for call in (lambda: room.round_to_nearest(bad, transcript.Grid(dtype=dtype)),
                     lambda: room.gptq(bad, np.eye(16), transcript.Grid(dtype=dtype), "file", 0.01)):
            try:
                call()
            except Failed as error:
                assert sentence in str(error), error
            else:
                raise AssertionError(f"{value} was taken")
    tiny = np.full((1, 8), 1e-9, np.float32)
    codes, scales, _, _ = room.round_to_nearest(tiny, transcript.Grid())
    assert scales[0, 0] == 2.0 ** -24 and (codes == 8).all()


def main():
    room, cases = Room(sys.argv[1]), int((sys.argv[2:] or ["40"])[0])
    for number, check in enumerate((check_rounding, check_gptq, check_awq, check_gain, check_edges)):
        rng, tied, rows = np.random.default_rng(number), 0, 0
        for _ in range(cases if number < 3 else 1):
            outcome = check(room, rng)
            tied, rows = tied + (outcome or (0, 0))[0], rows + (outcome or (0, 0))[1]
        print(f"{check.__name__}: {cases} cases" + (f", {tied} of {rows} rows met a tie" if rows else ""))
        assert tied <= 0.02 * rows


if __name__ == "__main__":
    main()

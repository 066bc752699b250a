# SPDX-License-Identifier: Apache-2.0
"""The formulas of quantization, written down in NumPy as the papers and the other tools have them: one step
after the other in double precision, without blocks, and with H^-1 itself."""
import numpy as np

ROUND = {"f32": lambda x: np.float32(x),
         "f16": lambda x: np.float32(np.float16(np.float32(x))),
         "bf16": lambda x: bfloat16(np.float32(x))}
SMALLEST = {"f32": 2.0 ** -126, "f16": 2.0 ** -24, "bf16": 2.0 ** -126}


def bfloat16(x):
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    return bits.astype(np.uint32).view(np.float32)[()]


class Grid:
    def __init__(self, bits=4, symmetric=True, clip=False, group=0, dtype="f16"):
        self.bits, self.symmetric, self.clip, self.group, self.dtype = bits, symmetric, clip, group, dtype
        self.top = 2 ** bits - 1

    def from_range(self, low, high):
        step = 2 * max(high, -low) / self.top if self.symmetric else (high - low) / self.top
        scale = max(ROUND[self.dtype](step), np.float32(SMALLEST[self.dtype]))
        if self.symmetric:
            return scale, 2 ** (self.bits - 1)
        return scale, int(np.clip(np.rint(-low / np.float64(scale)), 0, self.top))

    def step(self, w):
        low, high = min(0, w.min()), max(0, w.max())
        if low == high == 0:
            low, high = -1, 1
        best = self.from_range(low, high)
        if not self.clip:
            return best
        least = (np.abs(self.value(best, self.code(best, w)) - w) ** 2.4).sum()
        for i in range(1, 80):
            step = self.from_range((1 - i / 100) * low, (1 - i / 100) * high)
            misfit = (np.abs(self.value(step, self.code(step, w)) - w) ** 2.4).sum()
            if misfit < least:
                best, least = step, misfit
        return best

    def code(self, step, w):
        return np.clip(np.rint(w / np.float64(step[0])) + step[1], 0, self.top).astype(int)

    def value(self, step, code):
        return np.float64(step[0] * np.float32(code - step[1]))

    def groups(self, inputs):
        size = self.group if 0 < self.group < inputs else inputs
        return [np.arange(first, min(first + size, inputs)) for first in range(0, inputs, size)]


def round_to_nearest(w, grid):
    """Codes, scales and zeros of w [out, in]."""
    groups = grid.groups(w.shape[1])
    codes = np.zeros(w.shape, int)
    scales, zeros = np.zeros((len(w), len(groups)), np.float32), np.zeros((len(w), len(groups)), int)
    for o, row in enumerate(w.astype(np.float64)):
        for g, inputs in enumerate(groups):
            step = grid.step(row[inputs])
            scales[o, g], zeros[o, g] = step
            codes[o, inputs] = grid.code(step, row[inputs])
    return codes, scales, zeros


def gptq(w, h, grid, order, damping):
    """Codes, scales, zeros, the group of each input, and how far each quotient was from a tie, in the order of
    rounding; algorithm 1 of Frantar et al. with the Cholesky factor of H^-1. order: file, static, groups."""
    outputs, inputs = w.shape
    h = h.copy()
    dead = np.diag(h) == 0
    h[dead, dead] = 1
    rank = np.arange(inputs) if order == "file" else np.lexsort((np.arange(inputs), -np.diag(h) * ~dead))
    h += damping * np.diag(h).mean() * np.eye(inputs)
    h = h[np.ix_(rank, rank)]
    u = np.linalg.cholesky(np.linalg.inv(h)).T
    file_groups = grid.groups(inputs)
    size = len(file_groups[0])
    group_of = np.zeros(inputs, int)
    group_of[rank if order == "groups" else np.arange(inputs)] = np.arange(inputs) // size
    codes, margin = np.zeros(w.shape, int), np.zeros(w.shape)
    scales = np.zeros((outputs, len(file_groups)), np.float32)
    zeros = np.zeros((outputs, len(file_groups)), int)
    for o in range(outputs):
        row = w[o].astype(np.float64)
        for g in range(len(file_groups)) if order != "file" else ():
            scales[o, g], zeros[o, g] = grid.step(row[group_of == g])
        row = row[rank]
        for i in range(inputs):
            g = group_of[rank[i]]
            if order == "file" and i % size == 0:
                scales[o, g], zeros[o, g] = grid.step(row[i:i + size])
            step = scales[o, g], zeros[o, g]
            quotient = row[i] / np.float64(step[0])
            margin[o, i] = abs(abs(quotient - np.rint(quotient)) - 0.5)
            codes[o, rank[i]] = grid.code(step, row[i])
            error = (row[i] - grid.value(step, codes[o, rank[i]])) / u[i, i]
            row[i + 1:] -= error * u[i, i + 1:]
    return codes, scales, zeros, group_of, rank, margin


def values(codes, scales, zeros, group_of):
    return scales[:, group_of] * np.float32(codes - zeros[:, group_of])


def output_square(e, h):
    e = e.astype(np.float64)
    return np.einsum("oi,ij,oj->", e, h, e)


def awq_weight_sums(w, grid):
    w = np.abs(w.astype(np.float64))
    share = np.zeros_like(w)
    for inputs in grid.groups(w.shape[1]):
        share[:, inputs] = w[:, inputs] / (w[:, inputs].max(axis=1, keepdims=True) + 1e-6)
    return share.sum(axis=0)


def awq_scales(x_mean, w_mean, step):
    if step == 0:
        return np.ones_like(x_mean)
    ratio = (step - 1) / 18
    with np.errstate(all="ignore"):
        s = np.maximum(x_mean ** ratio / (w_mean ** (1 - ratio) + 1e-4), 1e-4)
        s = s / np.sqrt(s.max() * s.min())
    return np.where(np.isfinite(s), s, 1)


def awq_round(w, s, grid):
    scaled = (w.astype(np.float64) * s).astype(np.float32)
    codes, scales, zeros = round_to_nearest(scaled, grid)
    group_of = np.arange(w.shape[1]) // len(grid.groups(w.shape[1])[0])
    return (values(codes, scales, zeros, group_of).astype(np.float64) / s).astype(np.float32)


def awq_clip(w, h, grid):
    w = w.copy()
    for row in w:
        for inputs in grid.groups(len(row)):
            group, block = row[inputs].astype(np.float64), h[np.ix_(inputs, inputs)]
            most, best = np.abs(group).max(), np.inf
            for i in range(10):
                clamped = np.clip(group, -(1 - i / 20) * most, (1 - i / 20) * most)
                step = grid.step(clamped)
                error = grid.value(step, grid.code(step, clamped)) - group
                if error @ block @ error < best:
                    best, kept = error @ block @ error, clamped
            row[inputs] = kept
    return w

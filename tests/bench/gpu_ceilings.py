# SPDX-License-Identifier: Apache-2.0
"""What the machine can do: copies, products in a burst, and the floor of a model's forward pass.

The floor is the model's weight products alone, in model order, every layer with its own weights,
random bf16 data, as many rows as a micro-batch has (an expert's: its share of them), for so long
that clocks and power settle.
"""
import time

import torch

FLOOR_MEMORY = 100e9  # bytes of weights; a larger model's layers are used again and again


class Clock:
    """Seconds of work on a device."""

    def __init__(self, device):
        self.cuda = device == "cuda"

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, run, repeats=1):
        self.wait()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        self.wait()
        return time.perf_counter() - start

    def sustained(self, run, seconds):
        """Seconds a call, over calls without a pause that together last at least so long."""
        run()
        once = self.seconds(run)
        repeats = max(1, round(seconds / once / 4))
        total, calls = 0.0, 0
        while total < seconds:
            total += self.seconds(run, repeats)
            calls += repeats
        return total / calls


def random(device, *dims):
    return torch.randn(dims, device=device, dtype=torch.bfloat16)


def copy_rate(device, count):
    """Bytes read and written a second by a copy on the device."""
    x, clock = random(device, count), Clock(device)
    y = torch.empty_like(x)
    y.copy_(x)
    return 20 * 4 * count / clock.seconds(lambda: y.copy_(x), 20)


def upload_rate(device, count):
    """Bytes a second from page-locked host memory."""
    pinned = random(device, count).cpu()
    if device == "cuda":
        pinned = pinned.pin_memory()
    there, clock = torch.empty(count, device=device, dtype=torch.bfloat16), Clock(device)
    there.copy_(pinned, non_blocking=True)
    return 5 * 2 * count / clock.seconds(lambda: there.copy_(pinned, non_blocking=True), 5)


def product_rate(device, rows, m, k):
    """FLOP/s of one product in a short burst."""
    x, w, clock = random(device, rows, k), random(device, m, k).t(), Clock(device)
    y = torch.empty(rows, m, device=device, dtype=torch.bfloat16)
    torch.mm(x, w, out=y)
    return 10 * 2 * rows * m * k / clock.seconds(lambda: torch.mm(x, w, out=y), 10)


class Floor:
    """A model's products over one micro-batch."""

    def __init__(self, shape, rows, device):
        sizes = shape.products()
        layer_bytes = 2 * sum(m * k for m, k, _ in sizes)
        self.kept = min(shape.layers, max(1, int(FLOOR_MEMORY // layer_bytes)))
        self.layers, self.rows, self.clock = shape.layers, rows, Clock(device)
        self.weights = [[(random(device, m, k).mul_(0.5 / k ** 0.5).t(), round(rows * share))
                         for m, k, share in sizes] for _ in range(self.kept)]
        head = (shape.vocabulary, shape.hidden)
        self.head = random(device, *head).mul_(0.5 / shape.hidden ** 0.5).t()
        self.x = {k: random(device, rows, k) for _, k, _ in sizes}
        self.y = {m: torch.empty(rows, m, device=device, dtype=torch.bfloat16)
                  for m, *_ in [*sizes, head]}

    def multiply(self, weight, rows):
        k, m = weight.shape
        torch.mm(self.x[k][:rows], weight, out=self.y[m][:rows])

    def blocks(self):
        for index in range(self.layers):
            for weight, rows in self.weights[index % self.kept]:
                self.multiply(weight, rows)

    def measure(self, seconds):
        """Seconds a token: of the blocks, and of the head alone."""
        blocks = self.clock.sustained(self.blocks, seconds)
        head = self.clock.sustained(lambda: self.multiply(self.head, self.rows), seconds / 5)
        return blocks / self.rows, head / self.rows

# SPDX-License-Identifier: Apache-2.0
"""How others get through the same tokens: transformers' forward pass with nothing measured, a
careful PyTorch user who measures all three module kinds in one pass, and LLM-Drop's procedure.
"""
import contextlib

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cosine_similarity
from transformers import AutoModel
from transformers.utils import logging

from gpu_ceilings import Clock

logging.set_verbosity_error()
logging.disable_progress_bar()

BACKENDS = {"default": None, "flash": SDPBackend.FLASH_ATTENTION,
            "cudnn": SDPBackend.CUDNN_ATTENTION}
BATCHES = (4, 8, 16, 32, 64)


class Peer:
    """transformers' model without its head, bf16, with one way of attention and one batch size."""

    def __init__(self, folder, tokens, device, attention="sdpa"):
        self.model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16,
                                               attn_implementation=attention).to(device).eval()
        self.ids = torch.as_tensor(tokens, dtype=torch.int64, device=device)
        self.clock = Clock(device)
        self.backend, self.batch = "default", 1
        self.blocks = self.model.layers

    def forward(self, ids):
        kernel = BACKENDS[self.backend]
        with torch.no_grad(), sdpa_kernel(kernel) if kernel else contextlib.nullcontext():
            self.model(ids, use_cache=False)

    def pass_over(self, ids):
        for first in range(0, len(ids), self.batch):
            self.forward(ids[first:first + self.batch])

    def rate(self, rows):
        """Tokens a second over the first rows, whole batches of them, after one to warm up."""
        ids = self.ids[:max(1, min(rows, len(self.ids)) // self.batch) * self.batch]
        self.forward(ids[:self.batch])
        return ids.numel() / self.clock.seconds(lambda: self.pass_over(ids))

    def choose(self, say):
        """Takes the fastest attention, then the fastest batch size."""
        self.batch = min(BATCHES[1], len(self.ids))
        found = {}
        for backend in BACKENDS:
            self.backend = backend
            try:
                found[backend] = self.rate(2 * self.batch)
            except RuntimeError:  # not for this device or shape
                continue
            say(f"attention {backend}: {found[backend]:.0f} tokens/s")
        self.backend = max(found, key=found.get)
        self.batch = self.fastest_batch(say)
        return self

    def fastest_batch(self, say):
        found = {}
        for batch in BATCHES:
            self.batch = min(batch, len(self.ids))
            try:
                found[self.batch] = self.rate(2 * self.batch)
            except torch.OutOfMemoryError:
                break
            say(f"batch {self.batch}: {found[self.batch]:.0f} tokens/s")
        return max(found, key=found.get)

    def describe(self):
        return f"batch {self.batch}, sdpa {self.backend}"


class Careful:
    """Hooks that add up 1 - cos of attention, MLP and block on the device as the forward pass runs.
    Each stream is widened to f32 once; nothing is copied to the host."""

    def __init__(self, peer):
        config = peer.model.config
        self.parallel = getattr(config, "use_parallel_residual", False)
        self.sums = torch.zeros(len(peer.blocks), 3, device=peer.ids.device, dtype=torch.float64)
        self.hooks, self.seen = [], {}
        for index, layer in enumerate(peer.blocks):
            attention = layer.attention if self.parallel else layer.self_attn
            self.add(layer.register_forward_pre_hook(self.enter, with_kwargs=True))
            self.add(attention.register_forward_hook(self.keep("attn")))
            if self.parallel:
                self.add(layer.mlp.register_forward_hook(self.keep("mlp")))
            else:
                self.add(layer.post_attention_layernorm.register_forward_pre_hook(self.middle))
            self.add(layer.register_forward_hook(self.leave(index)))

    def add(self, hook):
        self.hooks.append(hook)

    def remove(self):
        for hook in self.hooks:
            hook.remove()

    def enter(self, module, args, kwargs):
        self.seen["in"] = (args[0] if args else kwargs["hidden_states"]).float()

    def middle(self, module, args):
        self.seen["middle"] = args[0].float()

    def keep(self, key):
        def hook(module, args, output):
            self.seen[key] = output[0] if isinstance(output, tuple) else output

        return hook

    def pairs(self, x, y):
        """The streams before and after attention, MLP and block."""
        if self.parallel:
            return (x, x + self.seen["attn"]), (x, x + self.seen["mlp"]), (x, y)
        return (x, self.seen["middle"]), (self.seen["middle"], y), (x, y)

    def leave(self, index):
        def hook(module, args, output):
            y = (output[0] if isinstance(output, tuple) else output).float()
            for which, (before, after) in enumerate(self.pairs(self.seen["in"], y)):
                self.sums[index, which] += (1 - cosine_similarity(before, after, dim=-1)).sum()

        return hook


def careful_rate(peer, rows):
    measuring = Careful(peer)
    try:
        rate = peer.rate(rows)
    finally:
        measuring.remove()
    if not torch.isfinite(measuring.sums).all() or not (measuring.sums > 0).all():
        raise ValueError("the careful user's sums are no importances")
    return rate


class LlmDrop:
    """LLM-Drop's procedure for one module kind: eager attention, one sequence at a time, what goes
    in and out of each module copied to the host, cosines in f32 layer by layer afterwards."""

    def __init__(self, peer, kind):
        self.kept = [([], []) for _ in peer.blocks]
        self.hooks = []
        parallel = getattr(peer.model.config, "use_parallel_residual", False)
        for index, layer in enumerate(peer.blocks):
            before, after = {
                "attn": (layer.input_layernorm, layer.attention if parallel else layer.self_attn),
                "mlp": (layer.post_attention_layernorm, layer.mlp),
                "block": (layer, layer),
            }[kind]
            self.hooks.append(before.register_forward_pre_hook(self.enter(index), with_kwargs=True))
            self.hooks.append(after.register_forward_hook(self.leave(index)))
        self.residual = kind != "block"

    def enter(self, index):
        def hook(module, args, kwargs):
            x = args[0] if args else kwargs["hidden_states"]
            self.kept[index][0].append(x.clone().cpu())

        return hook

    def leave(self, index):
        def hook(module, args, output):
            y = output[0] if isinstance(output, tuple) else output
            self.kept[index][1].append(y.clone().cpu())

        return hook

    def similarities(self, device):
        found = []
        for inputs, outputs in self.kept:
            x, y = (torch.cat(part).to(device).float() for part in (inputs, outputs))
            found.append(cosine_similarity(x, x + y if self.residual else y, dim=-1).mean().item())
            inputs.clear()
            outputs.clear()
        return found

    def remove(self):
        for hook in self.hooks:
            hook.remove()


def llm_drop_rate(peer, kind, rows):
    """Tokens a second of one pass, for one module kind."""
    peer.batch = 1
    peer.forward(peer.ids[:1])
    measuring = LlmDrop(peer, kind)

    def run():
        peer.pass_over(peer.ids[:rows])
        measuring.similarities(peer.ids.device)

    seconds = peer.clock.seconds(run)
    measuring.remove()
    return peer.ids[:rows].numel() / seconds

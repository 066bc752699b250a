# SPDX-License-Identifier: Apache-2.0
"""Random models as folders on disk, and the truth about them as transformers computes it.

The truth uses the weights as saved, widened to float64, and float64 activations; what transformers
itself does in float32 (norms, softmax, rotary angles) is left as it is.
"""
import json
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from mxfp4 import PLAIN
from ropes import both_ropes

MODULES = ("attn", "mlp", "block")


@dataclass
class Truth:
    importance: np.ndarray  # [layer, module, sequence, position]
    nll: np.ndarray  # [sequence], mean next-token loss in nats
    exempt: np.ndarray  # [layer, module, sequence, position]: behind a choice of experts too close
    ties: int  # such choices


# ---- making a model ----------------------------------------------------------------------------


def randomise(model, family, vocabulary, generator):
    """Fills every parameter so that no term vanishes and importance spans orders of magnitude."""

    def normal(shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def log_uniform(low, high):
        return 10 ** (low + (high - low) * torch.rand((), generator=generator).item())

    def tame(value):
        """Rows over the vocabulary, so scaled that logits are as small as a trained model's: float32
        cannot give a loss of 50 nats to 1e-5."""
        return value * min(1, 3 / (value.std().item() * value.shape[1] ** 0.5))

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed" in name and parameter.dim() == 2:
                value = log_uniform(-1.0, 0.3) * normal(parameter.shape)
            elif parameter.dim() in (2, 3):  # 3: experts in one tensor
                gain = log_uniform(-0.2, 0.2) / parameter.shape[-1] ** 0.5
                value = gain * normal(parameter.shape)
            elif name.endswith("dt_bias"):  # steps of time, long and short
                value = 2 * normal(parameter.shape) - 2
            elif parameter.dim() == 1 and name.endswith("weight"):  # of a norm
                value = 1 + 0.3 * normal(parameter.shape)
            else:
                value = 0.2 * normal(parameter.shape)
            if any(part in name for part in family.writes):
                value *= log_uniform(-3.5, 0.3)
            if parameter.dim() == 1 and name.endswith("norm.weight"):
                value -= family.norm_offset
            if parameter.dim() == 2 and parameter.shape[0] in vocabulary:
                value = tame(value)
            parameter.copy_(value)
        for name, buffer in model.named_buffers():
            if name.endswith(CORRECTIONS):
                buffer.copy_(0.1 * normal(buffer.shape))


def rewrite_config(case, folder):
    """Spells config.json as the case's style asks; what it means stays the same."""
    if case.config_style == "new":
        return
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if case.config_style == "both":
        if case.family.twice and "rope_parameters" in config:
            both_ropes(config)
    else:
        case.family.old_style(config)
    if case.config_style == "omitted":
        for key, default in case.family.defaults.items():
            value = default(config) if callable(default) else default
            if key in config and config[key] == value:
                del config[key]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def new_model(family, config):
    if family.model:
        return family.model(config)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family.model_type, **config))


def load_model(family, folder, dtype, attention=None):
    folder = folder / PLAIN if (folder / PLAIN).is_dir() else folder
    if family.model:
        return family.model.from_pretrained(folder, dtype)
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention or family.attention,
        experts_implementation="eager").eval()


def to_save(model, case):
    """Of every other case without a head of its own only the base, whose names have no prefix."""
    bare = case.family.base and case.number % 2 and model.config.tie_word_embeddings
    return model.get_submodule(case.family.base) if bare else model


def add_head(model, name, folder, generator):
    """Puts another head into the file of a tied model: that one counts in transformers 5."""
    path = folder / "model.safetensors"
    tied = model.get_output_embeddings().weight
    weight = torch.randn(tied.shape, generator=generator) / tied.shape[1] ** 0.5
    save_file(load_file(path) | {name: weight.to(tied.dtype)}, path, {"format": "pt"})


def add_layer_ahead(model, folder, generator):
    """Puts tensors of one layer more into the file, which no reader of the model takes."""
    path = folder / "model.safetensors"
    first = f"model.layers.{model.config.num_hidden_layers}."
    weights = {first + name: torch.randn(shape, generator=generator)
               for name, shape in (("eh_proj.weight", (3, 6)), ("enorm.weight", (3,)))}
    save_file(load_file(path) | weights, path, {"format": "pt"})


def make_model(case, folder):
    """Writes the case's folder: config.json, weights, tokens.npy. Returns the token ids."""
    generator = torch.Generator().manual_seed(case.seed)
    model = new_model(case.family, case.config)
    padded = getattr(model.config, "embedding_size", None)
    randomise(model, case.family, {model.config.vocab_size, padded}, generator)
    model.to(getattr(torch, case.dtype))
    saved = to_save(model, case)
    saved.save_pretrained(folder, max_shard_size=case.shard_size)
    single = saved is model and case.shard_size == "1GB"
    if case.own_head and single and not case.family.model and model.config.tie_word_embeddings:
        add_head(model, case.family.head, folder, generator)
    if case.family.ahead and single:
        add_layer_ahead(model, folder, generator)
    (folder / "generation_config.json").unlink(missing_ok=True)
    rewrite_config(case, folder)
    if case.packed:
        case.family.pack(folder)
    shape = (case.sequences, case.seq_len)
    tokens = torch.randint(model.config.vocab_size, shape, generator=generator).numpy()
    np.save(folder / "tokens.npy", tokens.astype(np.int32))
    return tokens


# ---- the truth ---------------------------------------------------------------------------------


def importance(x, y):
    """1 - cos(x, y) per token, without cancellation: half the squared distance of unit vectors."""
    x = x / x.norm(dim=-1, keepdim=True)
    y = y / y.norm(dim=-1, keepdim=True)
    return (x - y).square().sum(dim=-1) / 2


def add_nothing(module, args, output):
    """A forward hook: the sublayer's output becomes zero."""
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)


def part_of(layer, paths):
    """The module of a layer at the first of the paths, between bars, that it has."""
    modules = dict(layer.named_modules())
    return next(modules[path] for path in paths.split("|") if path in modules)


CORRECTIONS = ("e_score_correction_bias", "expert_bias")  # what classes call them


def correction_of(router):
    """[experts]: what is added before a router's choice; None: nothing is."""
    tensors = dict(router.named_parameters()) | dict(router.named_buffers())
    return next((tensor.flatten() for name, tensor in tensors.items()
                 if name.endswith(CORRECTIONS)), None)


class Taps:
    """Keeps, layer by layer, the stream that enters, what attention and MLP add, and what leaves."""

    def __init__(self, model, family, drop=()):
        """`drop`: (module, layer) of the sublayers that add nothing, "attn" or "mlp"."""
        self.seen = {}
        self.family = family
        self.added = lambda output: family.added(model.config, output)
        for index, layer in enumerate(model.get_submodule(family.layers)):
            for key, path in (("attn", family.attn), ("mlp", family.mlp)):
                if (key, index) in drop:
                    part_of(layer, path).register_forward_hook(add_nothing)
            layer.register_forward_hook(self.keep_layer(index), with_kwargs=True)
            for key, path in (("attn", family.attn), ("mlp", family.mlp)):
                part_of(layer, path).register_forward_hook(self.keep((index, key)))
            router = dict(layer.named_modules()).get(family.router) if family.router else None
            if router:
                router.register_forward_hook(self.keep_logits(index))
                self.seen[index, "correction"] = correction_of(router)

    def keep_layer(self, index):
        def hook(module, args, kwargs, output):
            self.seen[index, "in"] = args[0] if args else kwargs["hidden_states"]
            self.seen[index, "out"] = first(output)

        return hook

    def keep(self, key):
        def hook(module, args, output):
            self.seen[key] = self.added(first(output)).clone()  # some add to it in place

        return hook

    def keep_logits(self, index):
        def hook(module, args, output):
            at = self.family.router_logits
            logits = output[at] if isinstance(output, tuple) else output
            self.seen[index, "router"] = logits.clone()

        return hook

    def importances(self, index, parallel):
        """[module, sequence, position] of one layer, in float64 whatever the streams' type."""
        exact = self.seen[index, "out"].dtype == torch.float64
        x, attn, mlp, y = (self.seen[index, key].double() for key in ("in", "attn", "mlp", "out"))
        attn, mlp = attn.view_as(x), mlp.view_as(x)
        middle = x if parallel else x + attn
        if exact:
            torch.testing.assert_close(x + attn + mlp, y, rtol=1e-9, atol=1e-9)
        return torch.stack([importance(x, x + attn), importance(middle, middle + mlp),
                            importance(x, y)])


MARGIN = 1e-5  # of probability, below which float32 may choose another expert than float64


def close_choices(logits, family, config, least, correction=None):
    """[token]: whether the last chosen and the first not chosen expert (or group) are less than
    `least` apart."""

    def gap(values, used):
        values = values.sort(dim=-1, descending=True).values
        return values[:, used - 1] - values[:, used] if used < values.shape[1] else values[:, 0] + 1

    logits, sigmoid = logits.double(), family.sigmoid_router(config)
    shares, counted = (logits.sigmoid(), 2) if sigmoid else (logits.softmax(dim=-1), 1)
    if correction is not None:
        shares = shares + correction.double()
    margin = torch.full_like(shares[:, 0], 1.0)
    limited = getattr(config, "topk_method", "greedy") == "group_limited_greedy"
    if sigmoid or limited:
        members = shares.view(len(shares), config.n_group, -1)
        best = members.topk(counted, dim=-1).values.sum(dim=-1)
        margin = gap(best, config.topk_group)
        eligible = best >= best.sort(dim=-1).values[:, -config.topk_group, None]
        shares = members.masked_fill(~eligible[:, :, None], 0 if counted == 1 else -9).view_as(shares)
    used = config.num_experts_per_tok
    return torch.minimum(margin, gap(shares, used[0] if isinstance(used, list) else used)) < least


def exemptions(taps, config, layers, shape, least=MARGIN):
    """What may differ because a router chose otherwise: that token from there on, and later tokens
    from the next layer's attention on. [layer, module, sequence, position], and how many ties."""
    exempt, reached, ties = [], torch.zeros(shape, dtype=torch.bool), 0
    for index in range(layers):
        before = reached.cummax(dim=1).values
        reached = before
        if (index, "router") in taps.seen:
            close = close_choices(taps.seen[index, "router"].flatten(0, -2), taps.family, config, least,
                                  taps.seen[index, "correction"]).view(shape)
            ties += int(close.sum())
            reached = before | close
        exempt.append(torch.stack([before, reached, reached]))
    return torch.stack(exempt).numpy(), ties


def first(output):
    return output[0] if isinstance(output, tuple) else output


def run_model(family, folder, tokens, dtype, device="cpu", attention=None, drop=()):
    """(model, taps, logits) of one forward pass; `attention`: not the truth's implementation."""
    model = load_model(family, folder, dtype, attention).to(device)
    taps = Taps(model, family, drop)
    ids = torch.as_tensor(tokens, dtype=torch.int64, device=device)
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits
    return model, taps, logits


def all_importances(model, family, taps):
    """[layer, module, sequence, position]."""
    parallel = family.parallel(model.config)
    return torch.stack([taps.importances(index, parallel)
                        for index in range(len(model.get_submodule(family.layers)))]).cpu().numpy()


def reads_back(found, value):
    """Whether an option reads back; one that is an object has more members then."""
    if isinstance(value, dict) and not isinstance(found, dict):
        return all(getattr(found, key) == value[key] for key in value)
    return found == value


def loss_of(logits, ids):
    """[sequence]: the mean next-token loss in nats."""
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1).numpy()


def mark_absent(importance, drop):
    """NaN for the sublayers that are left out, and for blocks that are left out whole."""
    for module, layer in drop:
        importance[layer, MODULES.index(module)] = np.nan
        if {("attn", layer), ("mlp", layer)} <= set(drop):
            importance[layer, MODULES.index("block")] = np.nan


def check_config(case, folder, model):
    for key, value in case.config.items():
        found = getattr(model.config, key, value)  # an omitted head_dim is no attribute of some
        if key != "rope_parameters" and not reads_back(found, value):
            raise ValueError(f"{folder}/config.json reads back as {key} = {found}, not {value}")
    for key, value in case.config.get("rope_parameters", {}).items():
        if model.config.rope_parameters[key] != value:
            raise ValueError(f"{folder}/config.json reads back with another {key}")


def compute_truth(case, folder, tokens, drop=()):
    """`drop`: (module, layer) of the sublayers that are left out; their importance is NaN."""
    drop = set(drop) | set(case.family.absent(case.config))
    model, taps, logits = run_model(case.family, folder, tokens, torch.float64, drop=drop)
    check_config(case, folder, model)
    ids = torch.as_tensor(tokens, dtype=torch.int64)
    importance = all_importances(model, case.family, taps)
    exempt, ties = exemptions(taps, model.config, len(importance), ids.shape)
    mark_absent(importance, drop)
    return Truth(importance, loss_of(logits, ids), exempt, ties)

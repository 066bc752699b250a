# SPDX-License-Identifier: Apache-2.0
"""What leaving out one sublayer costs, as trace-ckpts --cost measures it, against transformers in
float64 with that sublayer hooked to zero."""
import h5py
import hdf5plugin  # noqa: F401  registers the zstd filter
import numpy as np
import torch

from reference import exemptions, run_model

TOLERANCE = 1e-5  # nats, of a sequence's loss and divergence
TIE = 1e-4        # between the two largest logits, where the likeliest token may be another
MODULES = ("attn", "mlp")


class Costs:
    """(loss, divergence, agreement, positions that are no ties) of each sequence."""

    def __init__(self, base, logits, ids):
        ours, whole = logits.log_softmax(-1), base.log_softmax(-1)
        self.loss = -ours[:, :-1].gather(2, ids[:, 1:, None])[..., 0].mean(1).numpy()
        self.divergence = (whole.exp() * (whole - ours)).sum(-1).mean(1).numpy()
        agrees = whole.argmax(-1) == ours.argmax(-1)
        self.agreement = agrees.double().mean(1).numpy()
        self.ties = (is_tie(base) | is_tie(logits)).double().mean(1).numpy()


def is_tie(logits):
    top = logits.topk(2, dim=-1).values
    return top[..., 0] - top[..., 1] < TIE


def without(case, folder, tokens, drop=()):
    """(logits, whether each sequence meets a near tie of experts) of a model without `drop`."""
    model, taps, logits = run_model(case.family, folder, tokens, torch.float64, drop=drop)
    layers = len(model.get_submodule(case.family.layers))
    exempt, _ = exemptions(taps, model.config, layers, np.shape(tokens))
    return logits, exempt.any(axis=(0, 1, 3))


def worst(found, truth, exempt):
    error = np.abs(np.where(exempt, truth, found) - truth)
    return np.inf if np.isnan(error).any() else error.max()


def compare(store, case, folder, tokens, singles):
    """(worst error over its tolerance, in words) of the sublayers (module, layer) in `singles`."""
    ids = torch.as_tensor(tokens, dtype=torch.int64)
    base, base_ties = without(case, folder, tokens)
    with h5py.File(store) as file:
        rows = file["cost_sequence"][:]
        if rows.tolist() != list(range(len(tokens))):
            raise ValueError(f"costs are of sequences {rows.tolist()}")
        if not np.array_equal(file["base_nll"][0], file["nll"][0]):
            raise ValueError("the base's loss is not the traced one")
        found = {name: file[name][0] for name in ("drop_nll", "drop_kl", "drop_agree")}
    share, words = 0, []
    for module, layer in singles:
        logits, ties = without(case, folder, tokens, [(module, layer)])
        truth, exempt = Costs(base, logits, ids), base_ties | ties
        at = layer, MODULES.index(module)
        loss = worst(found["drop_nll"][at], truth.loss, exempt)
        divergence = worst(found["drop_kl"][at], truth.divergence, exempt)
        apart = np.abs(found["drop_agree"][at] - truth.agreement) > truth.ties + 1e-12
        share = max(share, loss / TOLERANCE, divergence / TOLERANCE,
                    np.inf if (apart & ~exempt).any() else 0)
        words.append(f"{module}:{layer} loss {loss:.1e} divergence {divergence:.1e}")
    return share, ", ".join(words)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixtures of test_formats.py: tiny models in the layouts of trainers.

    make_fixtures.py FOLDER

Needs torch alone. What torch writes is written by torch (torch.save, distributed.checkpoint of
one process); what other trainers write is laid out here as their sources say, and was compared
with files of the trainers themselves: Megatron-LM's checkpointing.py and tensor_parallel, DeepSpeed's
zero_to_fp32.py and ds_to_universal.py, GPT-NeoX's tools/ckpts/convert_neox_to_hf.py, nanotron's
serialize/, litgpt's model.py, Meta's llama/model.py."""
import argparse
import enum
import hashlib
import json
import os
import struct
import sys
import types

import torch

HEADS, KV, HEAD, HIDDEN, FFN, VOCAB, PADDED = 4, 2, 4, 16, 24, 40, 48
torch.manual_seed(7)


def make(*shape, dtype=torch.bfloat16):
    return (torch.randn(shape) * 0.3).to(dtype)


def llama(layers):
    tensors = {"model.embed_tokens.weight": make(VOCAB, HIDDEN),
               "lm_head.weight": make(VOCAB, HIDDEN), "model.norm.weight": make(HIDDEN)}
    for n in range(layers):
        at = f"model.layers.{n}."
        for name, shape in {"self_attn.q_proj": (HEADS * HEAD, HIDDEN),
                            "self_attn.k_proj": (KV * HEAD, HIDDEN),
                            "self_attn.v_proj": (KV * HEAD, HIDDEN),
                            "self_attn.o_proj": (HIDDEN, HEADS * HEAD),
                            "mlp.gate_proj": (FFN, HIDDEN), "mlp.up_proj": (FFN, HIDDEN),
                            "mlp.down_proj": (HIDDEN, FFN), "input_layernorm": (HIDDEN,),
                            "post_attention_layernorm": (HIDDEN,)}.items():
            tensors[at + name + ".weight"] = make(*shape)
    return tensors


def llama_config(layers):
    return {"model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": FFN,
            "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": KV,
            "head_dim": HEAD, "vocab_size": VOCAB, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "max_position_embeddings": 128, "hidden_act": "silu", "tie_word_embeddings": False}


def neox(layers):
    half = torch.float16
    tensors = {"gpt_neox.embed_in.weight": make(VOCAB, HIDDEN, dtype=half),
               "embed_out.weight": make(VOCAB, HIDDEN, dtype=half)}
    shapes = {"attention.query_key_value": (3 * HIDDEN, HIDDEN), "attention.dense": (HIDDEN, HIDDEN),
              "mlp.dense_h_to_4h": (4 * HIDDEN, HIDDEN), "mlp.dense_4h_to_h": (HIDDEN, 4 * HIDDEN),
              "input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,)}
    for at, of in [("gpt_neox.final_layer_norm", (HIDDEN,))] + [
            (f"gpt_neox.layers.{n}.{name}", shape)
            for n in range(layers) for name, shape in shapes.items()]:
        tensors[at + ".weight"] = make(*of, dtype=half)
        tensors[at + ".bias"] = make(of[0], dtype=half)
    return tensors


def neox_config(layers):
    return {"model_type": "gpt_neox", "hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN,
            "num_hidden_layers": layers, "num_attention_heads": HEADS, "vocab_size": VOCAB,
            "layer_norm_eps": 1e-5, "rotary_pct": 0.5, "rotary_emb_base": 10000,
            "use_parallel_residual": True, "max_position_embeddings": 128, "hidden_act": "gelu",
            "tie_word_embeddings": False}


TYPES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


def raw(tensor):
    return tensor.contiguous().view(torch.uint8 if tensor.dim() else tensor.dtype).numpy().tobytes()


class Fixture:
    def __init__(self, root, name, config, tensors, step=None, tokens=None):
        self.root = os.path.join(root, name)
        os.makedirs(self.root)
        expected = {"config": config, "tensors": {
            key: {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape),
                  "sha256": hashlib.sha256(raw(tensor)).hexdigest()}
            for key, tensor in sorted(tensors.items())}}
        expected.update({key: value for key, value in (("step", step), ("tokens", tokens))
                         if value is not None})
        self.json("expected.json", expected)

    def path(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def json(self, name, value):
        self.text(name, json.dumps(value, indent=1))

    def text(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def save(self, name, value, **options):
        torch.save(value, self.path(name), **options)


def own(tensors):
    """Copies, so that no file holds the storage of a larger tensor."""
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def meta_order(weight):
    return weight.view(-1, 2, HEAD // 2, HIDDEN).transpose(1, 2).reshape(-1, HIDDEN)


def meta_names(tensors, head="output"):
    words = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk",
             "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
             "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
             "mlp.up_proj": "feed_forward.w3", "post_attention_layernorm": "ffn_norm",
             "input_layernorm": "attention_norm", "embed_tokens": "tok_embeddings",
             "lm_head": head, "model.": ""}
    made = {}
    for name, tensor in tensors.items():
        if "q_proj" in name or "k_proj" in name:
            tensor = meta_order(tensor)
        for word, other in words.items():
            name = name.replace(word, other)
        made[name] = tensor
    return made


# ---- torch.save ---------------------------------------------------------------------------------

def pt(root):
    tensors = llama(1)
    for name, options in {"pt-zip-proto2": {}, "pt-zip-proto4": {"pickle_protocol": 4},
                          "pt-legacy-views": {"_use_new_zipfile_serialization": False}}.items():
        fixture = Fixture(root, name, llama_config(1), tensors)
        fixture.save("pytorch_model.bin", own(tensors), **options)
    fixture = Fixture(root, "lightning-ckpt", llama_config(1), tensors, step=3)
    fixture.save("epoch=0-step=3.ckpt", {
        "epoch": 0, "global_step": 3, "pytorch-lightning_version": "2.6.6",
        "state_dict": {"model." + name: tensor for name, tensor in own(tensors).items()},
        "hyper_parameters": argparse.Namespace(kind=Kind.FIRST), "optimizer_states": [
            {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": []}]})
    fixture = Fixture(root, "litgpt-pretrain", llama_config(1), tensors, step=6418)
    at, layer = "model.layers.0.", "transformer.h.0."
    qkv = torch.cat([tensors[f"{at}self_attn.{c}_proj.weight"] for c in "qkv"])
    names = {"norm_1": "input_layernorm", "norm_2": "post_attention_layernorm",
             "attn.proj": "self_attn.o_proj", "mlp.fc_1": "mlp.gate_proj",
             "mlp.fc_2": "mlp.up_proj", "mlp.proj": "mlp.down_proj"}
    fixture.save("step-00006418/lit_model.pth", {"model": own({
        "lm_head.weight": tensors["lm_head.weight"], layer + "attn.qkv.weight": qkv,
        "transformer.wte.weight": tensors["model.embed_tokens.weight"],
        "transformer.ln_f.weight": tensors["model.norm.weight"],
        **{f"{layer}{lit}.weight": tensors[f"{at}{hf}.weight"] for lit, hf in names.items()}}),
        "iter_num": 6418, "step_count": 6418})
    fixture.text("step-00006418/model_config.yaml", f"""block_size: 128
bias: false
head_size: {HEAD}
intermediate_size: {FFN}
mlp_class_name: LLaMAMLP
n_embd: {HIDDEN}
n_head: {HEADS}
n_layer: 1
n_query_groups: {KV}
norm_class_name: RMSNorm
norm_eps: 1.0e-06
padded_vocab_size: {VOCAB}
parallel_residual: false
rope_adjustments: null
rope_base: 10000
rotary_percentage: 1.0
""")
    parts = own(meta_names(tensors))
    fixture = Fixture(root, "meta-mp2-llama2", llama_config(1), tensors)
    for rank in range(2):
        axes = {"tok_embeddings": 1, "wo": 1, "w2": 1, "norm": None}
        part = {}
        for name, tensor in parts.items():
            axis = next((axis for word, axis in axes.items() if word in name), 0)
            part[name] = tensor if axis is None else tensor.chunk(2, axis)[rank]
        fixture.save(f"consolidated.{rank:02d}.pth", own({**part, "rope.freqs": torch.ones(2)}))
    fixture.json("params.json", {"dim": HIDDEN, "n_layers": 1, "n_heads": HEADS, "n_kv_heads": KV,
                                 "vocab_size": VOCAB, "multiple_of": 8, "ffn_dim_multiplier": 0.5,
                                 "norm_eps": 1e-6})


def nano_gpt(root):
    tensors = {"transformer.wte.weight": make(VOCAB, HIDDEN),
               "transformer.wpe.weight": make(32, HIDDEN),
               "transformer.ln_f.weight": make(HIDDEN), "transformer.ln_f.bias": make(HIDDEN)}
    for name, shape in {"attn.c_attn": (HIDDEN, 3 * HIDDEN), "attn.c_proj": (HIDDEN, HIDDEN),
                        "mlp.c_fc": (HIDDEN, 4 * HIDDEN), "mlp.c_proj": (4 * HIDDEN, HIDDEN),
                        "ln_1": (HIDDEN,), "ln_2": (HIDDEN,)}.items():
        tensors[f"transformer.h.0.{name}.weight"] = make(*shape)
        tensors[f"transformer.h.0.{name}.bias"] = make(shape[-1])
    config = {"model_type": "gpt2", "n_embd": HIDDEN, "n_layer": 1, "n_head": HEADS,
              "n_positions": 32, "vocab_size": VOCAB, "tie_word_embeddings": True}
    fixture = Fixture(root, "pt-nanogpt-gpt2", config, tensors, step=12, tokens=12 * 2 * 4 * 32)
    model = {f"_orig_mod.{name}": tensor.t() if ".c_" in name and "weight" in name else tensor
             for name, tensor in tensors.items()}
    fixture.save("ckpt.pt", {"model": own(model), "iter_num": 12, "model_args": {}, "optimizer": {},
                             "config": {"batch_size": 4, "block_size": 32,
                                        "gradient_accumulation_steps": 2}})


# ---- torch.distributed.checkpoint ----------------------------------------------------------------

def write_distributed(folder, tensors, beside):
    from torch.distributed import checkpoint
    checkpoint.save({**own(tensors), **beside}, checkpoint_id=folder, no_dist=True)


class Step:
    """torchtitan's train state: an item that is bytes."""

    def state_dict(self):
        return {"step": 6418}

    def load_state_dict(self, _):
        raise NotImplementedError


def distributed(root):
    tensors = llama(1)
    fixture = Fixture(root, "dcp-app-fsdp2-w4", llama_config(1), tensors)
    state = {"app.model._orig_mod." + name: tensor for name, tensor in own(tensors).items()}
    state["app.optim.state.model.norm.weight.exp_avg"] = torch.ones(HIDDEN)
    write_distributed(fixture.root, state, {})
    fixture = Fixture(root, "titan-w3", llama_config(1), tensors, step=6418)
    state = own(meta_names(tensors))
    state["optimizer.state.norm.weight.exp_avg"] = torch.ones(HIDDEN)
    write_distributed(os.path.join(fixture.root, "step-6418"), state, {"train_state": Step()})


# ---- Megatron -----------------------------------------------------------------------------------

class Kind(enum.Enum):
    FIRST = 1


def megatron_args(layers, **more):
    return argparse.Namespace(
        num_layers=layers, hidden_size=HIDDEN, ffn_hidden_size=FFN, num_attention_heads=HEADS,
        group_query_attention=True, num_query_groups=KV, kv_channels=HEAD, swiglu=True,
        normalization="RMSNorm", norm_epsilon=1e-6, position_embedding_type="rope",
        rotary_base=10000, rotary_percent=1.0, add_bias_linear=False, vocab_size=VOCAB,
        untie_embeddings_and_output_weights=True, max_position_embeddings=128, seq_length=32,
        consumed_train_samples=400, attention_backend=Kind.FIRST,
        params_dtype=torch.bfloat16, **more)


def by_groups(tensors, at):
    q, k, v = (tensors[f"{at}self_attn.{c}_proj.weight"] for c in "qkv")
    return torch.cat([torch.cat([q.chunk(KV)[g], k.chunk(KV)[g], v.chunk(KV)[g]])
                      for g in range(KV)])


def padded(table):
    return torch.cat([table, torch.full((PADDED - VOCAB, HIDDEN), 7, dtype=table.dtype)])


def fused(gate, up, rank, ranks):
    return torch.cat([gate.chunk(ranks)[rank], up.chunk(ranks)[rank]])


def megatron_layer(tensors, n, rank, ranks, names):
    at = f"model.layers.{n}."
    weight = {name: tensors[f"{at}{name}.weight"] for name in (
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "self_attn.o_proj", "input_layernorm",
        "post_attention_layernorm")}
    return dict(zip(names, (
        weight["input_layernorm"], by_groups(tensors, at).chunk(ranks)[rank],
        weight["self_attn.o_proj"].chunk(ranks, 1)[rank], weight["post_attention_layernorm"],
        fused(weight["mlp.gate_proj"], weight["mlp.up_proj"], rank, ranks),
        weight["mlp.down_proj"].chunk(ranks, 1)[rank])))


CORE = ("input_layernorm", "self_attention.linear_qkv", "self_attention.linear_proj",
        "pre_mlp_layernorm", "mlp.linear_fc1", "mlp.linear_fc2")
OLD = ("input_norm", "self_attention.query_key_value", "self_attention.dense",
       "post_attention_norm", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")


def megatron(root):
    layers = 4
    tensors = llama(layers)
    fixture = Fixture(root, "megatron-pp2-vpp2", llama_config(layers), tensors, 100, 400 * 32)
    for rank in range(2):
        for stage in range(2):
            file = {"args": megatron_args(layers), "checkpoint_version": 3.0, "iteration": 100}
            for chunk in range(2):
                state = {"decoder.final_layernorm._extra_state": None}
                first = chunk * 2 + stage
                for name, part in megatron_layer(tensors, first, rank, 2, CORE).items():
                    state[f"decoder.layers.0.{name}.weight"] = part
                if not chunk and not stage:
                    state["embedding.word_embeddings.weight"] = padded(
                        tensors["model.embed_tokens.weight"]).chunk(2)[rank]
                if chunk and stage:
                    state["decoder.final_layernorm.weight"] = tensors["model.norm.weight"]
                    state["output_layer.weight"] = padded(tensors["lm_head.weight"]).chunk(2)[rank]
                file[f"model{chunk}"] = {name: value if value is None else value.clone()
                                         for name, value in state.items()}
            fixture.save(f"iter_0000100/mp_rank_{rank:02d}_{stage:03d}/model_optim_rng.pt", file)
    layers = 1
    tensors = llama(layers)
    fixture = Fixture(root, "megatron-old-names-tp2", llama_config(layers), tensors, 28608, 400 * 32)
    for rank in range(2):
        layer = megatron_layer(tensors, 0, rank, 2, OLD)
        fixture.save(f"iter_0028608/mp_rank_{rank:02d}/model_optim_rng.pt", {
            "args": megatron_args(layers), "checkpoint_version": 3.0, "iteration": 28608,
            "model": {"language_model": {
                "embedding": {"word_embeddings": own({"weight": padded(
                    tensors["model.embed_tokens.weight"]).chunk(2)[rank]})},
                "encoder": own({"final_norm.weight": tensors["model.norm.weight"], **{
                    f"layers.0.{name}.weight": part for name, part in layer.items()}}),
                "output_layer": own({"weight": padded(tensors["lm_head.weight"]).chunk(2)[rank]})}}})
    layers = 2
    tensors = llama(layers)
    fixture = Fixture(root, "megatron-torch-dist-tp2-pp2", llama_config(layers), tensors, 100,
                      400 * 32)
    parts = [megatron_layer(tensors, n, 0, 1, CORE) for n in range(layers)]
    stacked = {f"decoder.layers.{name}.weight": torch.stack([part[name] for part in parts])
               for name in CORE}
    for norm, of in {"input_layernorm": "self_attention.linear_qkv",
                     "pre_mlp_layernorm": "mlp.linear_fc1"}.items():
        stacked[f"decoder.layers.{of}.layer_norm_weight"] = stacked.pop(
            f"decoder.layers.{norm}.weight")
    write_distributed(os.path.join(fixture.root, "iter_0000100"), {
        **stacked, "embedding.word_embeddings.weight": padded(tensors["model.embed_tokens.weight"]),
        "output_layer.weight": padded(tensors["lm_head.weight"]),
        "decoder.final_layernorm.weight": tensors["model.norm.weight"]}, {})
    fixture.save("iter_0000100/common.pt", {"args": megatron_args(layers), "iteration": 100,
                                            "checkpoint_version": 3.0})


def megatron_neox(root):
    tensors = neox(1)
    words = {"attention.query_key_value": "self_attention.linear_qkv",
             "attention.dense": "self_attention.linear_proj", "mlp.dense_h_to_4h": "mlp.linear_fc1",
             "mlp.dense_4h_to_h": "mlp.linear_fc2", "post_attention_layernorm": "pre_mlp_layernorm",
             "gpt_neox.layers": "decoder.layers", "gpt_neox.embed_in": "embedding.word_embeddings",
             "gpt_neox.final_layer_norm": "decoder.final_layernorm", "embed_out": "output_layer"}
    fixture = Fixture(root, "megatron-tp4-neox", neox_config(1), tensors, 100)
    for rank in range(2):
        state = {}
        for name, tensor in tensors.items():
            column = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
            whole = "norm" in name or name.endswith(("attention.dense.bias", "4h_to_h.bias"))
            for word, other in words.items():
                name = name.replace(word, other)
            state[name] = tensor if whole else tensor.chunk(2, 1 if column else 0)[rank]
        fixture.save(f"iter_0000100/mp_rank_{rank:02d}/model_optim_rng.pt", {
            "checkpoint_version": 3.0, "iteration": 100, "model": own(state)})


# ---- DeepSpeed, GPT-NeoX ------------------------------------------------------------------------

def deepspeed(root):
    tensors = llama(1)
    tied = {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
    config = dict(llama_config(1), tie_word_embeddings=True)
    shapes = [{name: tensor.shape for name, tensor in tied.items()}]
    beside = {"param_shapes": shapes, "shared_params": {"lm_head.weight": "model.embed_tokens.weight"},
              "global_steps": 100, "dp_world_size": 2, "ds_version": "0.19.8"}
    fixture = Fixture(root, "ds-zero2-w2", config, tied, 100)
    module = own(tied)
    module["lm_head.weight"] = module["model.embed_tokens.weight"]
    fixture.save("global_step100/mp_rank_00_model_states.pt", {"module": module, **beside})
    fixture.text("latest", "global_step100")
    fixture = Fixture(root, "ds-zero3-w2", config, tied, 100)
    for rank in range(2):
        flat = []
        for tensor in tied.values():
            part = -(-tensor.numel() // 2)
            whole = torch.cat([tensor.flatten().float(), torch.zeros(2 * part - tensor.numel())])
            flat.append(whole[rank * part:(rank + 1) * part])
        flat = torch.cat(flat)
        at = f"global_step100/{{}}zero_pp_rank_{rank}_mp_rank_00_{{}}_states.pt"
        fixture.save(at.format("bf16_", "optim"), {"optimizer_state_dict": {
            "fp32_flat_groups": [flat[:300].clone(), flat[300:].clone()], "kind": Kind.FIRST}})
        fixture.save(at.format("", "model"), {"module": {
            name: torch.empty(0, dtype=torch.bfloat16) for name in module}, **beside})
    tensors = neox(1)
    masters = {name: tensor.float() for name, tensor in tensors.items()}
    fixture = Fixture(root, "ds-universal-neox", neox_config(1), masters)
    for name, tensor in masters.items():
        name = name.replace("embed_out", "lm_head")
        fixture.save(f"global_step100_universal/zero/{name}/fp32.pt", {"param": tensor, "cat_dim": 0})
    fixture = Fixture(root, "neox-layers-mp1", neox_config(1), tensors, 7697)
    files = {}
    for name, tensor in tensors.items():
        name = name.replace("gpt_neox.embed_in", "0 word_embeddings").replace(
            "gpt_neox.layers.0.", "2 ").replace("gpt_neox.final_layer_norm", "4 norm").replace(
            "embed_out", "5 final_linear")
        layer, name = name.split()
        files.setdefault(int(layer), {})[name] = tensor
    for layer, state in files.items():
        fixture.save(f"global_step7697/layer_{layer:02d}-model_00-model_states.pt", own(state))
    fixture.save("global_step7697/mp_rank_00_model_states.pt", {"module": None, "iteration": 7697})
    fixture.json("global_step7697/configs/demo.yml", {
        "num-layers": 1, "hidden-size": HIDDEN, "num-attention-heads": HEADS, "norm": "layernorm",
        "max-position-embeddings": 128, "pos-emb": "rotary", "rotary-pct": 0.5,
        "gpt-j-residual": True, "no-weight-tying": True, "layernorm-epsilon": 1e-5})


# ---- nanotron -----------------------------------------------------------------------------------

def safetensors(path, tensor, metadata):
    header = json.dumps({"data": {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape),
                                  "data_offsets": [0, len(raw(tensor))]},
                         "__metadata__": metadata}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + raw(tensor))


def nanotron(root):
    tensors = llama(1)
    fixture = Fixture(root, "nanotron-tp2", llama_config(1), tensors, 6418, 157728768)
    at = "model.layers.0."
    get = lambda name: tensors[f"{at}{name}.weight"]  # noqa: E731
    block = "decoder/0/pp_block/"
    cut = {"token_position_embeddings/pp_block/token_embedding":
               (0, [tensors["model.embed_tokens.weight"]]),
           "lm_head/pp_block": (0, [tensors["lm_head.weight"]]),
           block + "attn/qkv_proj": (0, [get(f"self_attn.{c}_proj") for c in "qkv"]),
           block + "attn/o_proj": (1, [get("self_attn.o_proj")]),
           block + "mlp/gate_up_proj": (0, [get("mlp.gate_proj"), get("mlp.up_proj")]),
           block + "mlp/down_proj": (1, [get("mlp.down_proj")])}
    whole = {"final_layer_norm/pp_block": tensors["model.norm.weight"],
             block + "input_layernorm": get("input_layernorm"),
             block + "post_attention_layernorm": get("post_attention_layernorm")}
    for name, tensor in whole.items():
        safetensors(fixture.path(f"6418/model/model/{name}/model_weight.safetensors"), tensor, {})
    for name, (axis, parts) in cut.items():
        for rank in range(2):
            pairs, local, start = [], 0, 0
            for part in parts:
                size = part.shape[axis] // 2
                sides = [f"{a},{a + size},None" for a in (local, start + rank * size)]
                pairs.append("#".join(side if axis == 0 else "None,None,None|" + side
                                      for side in sides) if axis else
                             "#".join(side + "|None,None,None" for side in sides))
                local, start = local + size, start + 2 * size
            path = f"6418/model/model/{name}/model_weight_pp-rank-0-of-1_tp-rank-{rank}-of-2"
            safetensors(fixture.path(path + ".safetensors"),
                        torch.cat([part.chunk(2, axis)[rank] for part in parts], axis),
                        {"unsharded_shape": str(tuple(torch.cat(parts, axis).shape)),
                         "local_global_slices_pairs": ";".join(pairs)})
    fixture.json("6418/model_config.json", {
        key: value for key, value in dict(llama_config(1), is_llama_config=True).items()
        if key not in ("model_type", "head_dim")})
    fixture.json("6418/checkpoint_metadata.json", {"metas": {
        "last_train_step": 6418, "consumed_tokens_total": 157728768}, "version": "1.5"})


# ---- experts, and OLMo-core ---------------------------------------------------------------------

EXPERTS, EXPERT = 3, 8


def qwen_moe():
    tensors = {name: tensor for name, tensor in llama(1).items() if "mlp" not in name}
    at = "model.layers.0."
    tensors[at + "self_attn.q_norm.weight"] = make(HEAD)
    tensors[at + "self_attn.k_norm.weight"] = make(HEAD)
    tensors[at + "mlp.gate.weight"] = make(EXPERTS, HIDDEN)
    for n in range(EXPERTS):
        for name, shape in {"gate": (EXPERT, HIDDEN), "up": (EXPERT, HIDDEN),
                            "down": (HIDDEN, EXPERT)}.items():
            tensors[f"{at}mlp.experts.{n}.{name}_proj.weight"] = make(*shape)
    return tensors


def qwen_moe_config():
    config = llama_config(1)
    config.update({"model_type": "qwen3_moe", "num_experts": EXPERTS, "num_experts_per_tok": 2,
                   "moe_intermediate_size": EXPERT, "norm_topk_prob": True, "decoder_sparse_step": 1,
                   "mlp_only_layers": []})
    return config


def stacked(tensors, which):
    return torch.stack([tensors[f"model.layers.0.mlp.experts.{n}.{which}_proj.weight"]
                        for n in range(EXPERTS)])


def experts(root):
    tensors = qwen_moe()
    rest = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    # torchtitan's qwen3, which is not in Meta's order.
    fixture = Fixture(root, "titan-qwen3-moe", qwen_moe_config(), tensors)
    words = {"self_attn.q_norm": "attention.q_norm", "self_attn.k_norm": "attention.k_norm",
             "self_attn.q_proj": "attention.qkv_linear.wq", "self_attn.o_proj": "attention.wo",
             "self_attn.k_proj": "attention.qkv_linear.wk", "mlp.gate": "moe.router.gate",
             "self_attn.v_proj": "attention.qkv_linear.wv", "embed_tokens": "tok_embeddings",
             "post_attention_layernorm": "ffn_norm", "input_layernorm": "attention_norm",
             "model.": ""}
    state = {}
    for name, tensor in rest.items():
        for word, other in words.items():
            name = name.replace(word, other)
        state[name] = tensor
    at = "layers.0.moe.routed_experts.inner_experts."
    state |= {at + "w1_EFD": stacked(tensors, "gate"), at + "w2_EDF": stacked(tensors, "down"),
              at + "w3_EFD": stacked(tensors, "up"),
              "layers.0.moe.tokens_per_expert": torch.zeros(EXPERTS)}
    write_distributed(os.path.join(fixture.root, "step-10"), state, {})
    # transformers 5 in memory, as an FSDP script saves it.
    fixture = Fixture(root, "dcp-fused-experts", qwen_moe_config(), tensors)
    at = "model.layers.0.mlp.experts."
    both = torch.cat([stacked(tensors, "gate"), stacked(tensors, "up")], 1)
    state = {**rest, at + "gate_up_proj": both, at + "down_proj": stacked(tensors, "down")}
    write_distributed(fixture.root, {"app.model." + name: tensor for name, tensor in state.items()},
                      {})


def olmo_core(root):
    at = "model.layers.0."
    tensors = llama(1)
    tensors[at + "post_feedforward_layernorm.weight"] = tensors.pop(at + "input_layernorm.weight")
    tensors[at + "self_attn.q_norm.weight"] = make(HEADS * HEAD)
    tensors[at + "self_attn.k_norm.weight"] = make(KV * HEAD)
    config = {**llama_config(1), "model_type": "olmo2", "rms_norm_eps": 1e-6, "rope_theta": 500000}
    del config["head_dim"]
    fixture = Fixture(root, "olmo-core", config, tensors, step=1000, tokens=4096000)
    words = {"model.embed_tokens": "embeddings", "model.norm": "lm_head.norm",
             "lm_head.weight": "lm_head.w_out.weight", "model.layers": "blocks",
             "self_attn.o_proj": "attention.w_out", "self_attn.q_proj": "attention.w_q",
             "self_attn.k_proj": "attention.w_k", "self_attn.v_proj": "attention.w_v",
             "self_attn": "attention", "post_attention_layernorm": "attention_norm",
             "post_feedforward_layernorm": "feed_forward_norm", "mlp.gate_proj": "feed_forward.w1",
             "mlp.down_proj": "feed_forward.w2", "mlp.up_proj": "feed_forward.w3"}
    state = {"optim.state.blocks.0.feed_forward.w1.weight.exp_avg": torch.ones(4)}
    for name, tensor in tensors.items():
        for word, other in words.items():
            name = name.replace(word, other)
        state["model." + name] = tensor
    write_distributed(os.path.join(fixture.root, "step1000", "model_and_optim"), state, {})
    fixture.save("step1000/train/rank0.pt", {"global_step": 1000, "global_train_tokens_seen": 4096000,
                                             "epoch": 1})
    fixture.json("step1000/config.json", {
        "model": {"d_model": HIDDEN, "n_layers": 1, "vocab_size": VOCAB, "block": {
            "name": "reordered_norm", "layer_norm": {"name": "rms", "eps": 1e-6},
            "attention": {"n_heads": HEADS, "n_kv_heads": KV, "bias": False,
                          "rope": {"name": "default", "theta": 500000}, "qk_norm": {"eps": 1e-6}},
            "feed_forward": {"hidden_size": FFN, "bias": False}}},
        "dataset": {"sequence_length": 128}})
    fixture.json("step1000/.metadata.json", {"version": "1.0"})



def main():
    root = sys.argv[1]
    module = types.ModuleType("a_trainer_of_another_machine")  # whose classes nobody here has
    module.Kind = Kind
    Kind.__module__ = module.__name__
    sys.modules[module.__name__] = module
    for write in pt, nano_gpt, megatron_neox, deepspeed, nanotron, distributed, megatron, \
            experts, olmo_core:
        write(root)


if __name__ == "__main__":
    main()

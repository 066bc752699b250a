# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with one checkpoint folder: a function that breaks a good one (tiny
llama, F32) and the exact sentence that its row then carries. FOLDER stands for the folder, NAME for
its name."""

import json
import os
import socket
import struct

import tiny_checkpoint as tiny

POINTER = ("version https://git-lfs.github.com/spec/v1\n"
           "oid sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
           "size 49152\n")
SHARD = "model-00002-of-00003.safetensors"
QUERY = "model.layers.0.self_attn.q_proj.weight"
NORM = "model.norm.weight"


# ---- ways to break ------------------------------------------------------------------------------

def file_is(name, content):
    def change(folder):
        tiny.write(os.path.join(folder, name), content)
    return change


def removed(*names):
    def change(folder):
        for name in names:
            os.remove(os.path.join(folder, name))
    return change


def bytes_of(name, edit):
    def change(folder):
        path = os.path.join(folder, name)
        tiny.write(path, edit(tiny.read(path)))
    return change


def weights(edit):
    return bytes_of("model.safetensors", edit)


def header(edit):
    """edit(header, data) changes the dict of the header in place."""
    def rebuild(content):
        entries, data = tiny.split_header(content)
        edit(entries)
        return tiny.join_header(json.dumps(entries), data)
    return weights(rebuild)


def header_text(edit):
    def rebuild(content):
        entries, data = tiny.split_header(content)
        return tiny.join_header(edit(json.dumps(entries)), data)
    return weights(rebuild)


def tensors(edit):
    """edit(tensors) changes the dict of random tensors; the file is written anew."""
    def change(folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            all_tensors = tiny.random_tensors(json.load(file), 5)
        edit(all_tensors)
        tiny.write(os.path.join(folder, "model.safetensors"), tiny.safetensors(all_tensors))
    return change


def config(**changes):
    def change(folder):
        path = os.path.join(folder, "config.json")
        merged = dict(json.loads(tiny.read(path)), **changes)
        tiny.write(path, json.dumps({key: value for key, value in merged.items()
                                     if value is not None}))
    return change


def shards(change=None):
    """The same weights in three shards with an index, then `change`."""
    def all_changes(folder):
        made = tiny.random_tensors(json.loads(tiny.read(os.path.join(folder, "config.json"))), 5)
        os.remove(os.path.join(folder, "model.safetensors"))
        tiny.write_shards(folder, made, 3)
        if change:
            change(folder)
    return all_changes


def index(edit):
    def change(folder):
        path = os.path.join(folder, "model.safetensors.index.json")
        whole = json.loads(tiny.read(path))
        edit(whole["weight_map"])
        tiny.write(path, json.dumps(whole))
    return shards(change)


def index_text(text):
    return shards(file_is("model.safetensors.index.json", text))


def shifted(name, begin=0, end=0):
    def edit(entries):
        offsets = entries[name]["data_offsets"]
        entries[name]["data_offsets"] = [offsets[0] + begin, offsets[1] + end]
    return header(edit)


def member(name, key, value):
    return header(lambda entries: entries[name].update({key: value}))


def as_folder(folder):
    path = os.path.join(folder, "model.safetensors")
    os.remove(path)
    os.mkdir(path)


def as_broken_link(folder):
    path = os.path.join(folder, "model.safetensors")
    os.remove(path)
    os.symlink("nowhere", path)


def instead(*names):
    """Other files instead of the weights."""
    def change(folder):
        os.remove(os.path.join(folder, "model.safetensors"))
        for name in names:
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            tiny.write(path, b"something")
    return change


def in_both_shards(folder):
    first = os.path.join(folder, "model-00001-of-00003.safetensors")
    second = os.path.join(folder, SHARD)
    entries, data = tiny.split_header(tiny.read(first))
    name = sorted(key for key in entries if key != "__metadata__")[0]
    begin, end = entries[name]["data_offsets"]
    more, more_data = tiny.split_header(tiny.read(second))
    more[name] = dict(entries[name],
                      data_offsets=[len(more_data), len(more_data) + end - begin])
    other = bytes([data[begin] ^ 1]) + data[begin + 1:end]
    tiny.write(second, tiny.join_header(json.dumps(more), more_data + other))


def without(name):
    """The tensor taken out of its shard; the index stays."""
    def change(folder):
        for shard in os.listdir(folder):
            if not shard.startswith("model-"):
                continue
            path = os.path.join(folder, shard)
            entries, data = tiny.split_header(tiny.read(path))
            if name not in entries:
                continue
            kept, parts, at = {}, [], 0
            for key, entry in entries.items():
                if key == name:
                    continue
                begin, end = entry["data_offsets"]
                kept[key] = dict(entry, data_offsets=[at, at + end - begin])
                parts.append(data[begin:end])
                at += end - begin
            tiny.write(path, tiny.join_header(json.dumps(kept), b"".join(parts)))
    return change


def fifo(name):
    def change(folder):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.remove(path)
        os.mkfifo(path)
    return change


def listening(name):
    """A socket in place of a file."""
    def change(folder):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.remove(path)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path)
    return change


def linked(name, target):
    def change(folder):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.remove(path)
        os.symlink(target, path)
    return change


def both_spellings(folder):
    path = os.path.join(folder, "model.safetensors")
    made = tiny.random_tensors(json.loads(tiny.read(os.path.join(folder, "config.json"))), 5)
    dtype, shape, values = made[NORM]
    made["norm.weight"] = (dtype, shape, values[4:] + values[:4])
    tiny.write(path, tiny.safetensors(made))


def wrapped_twice(folder):
    path = os.path.join(folder, "model.safetensors")
    made = tiny.random_tensors(json.loads(tiny.read(os.path.join(folder, "config.json"))), 5)
    dtype, shape, values = made[QUERY]
    made[QUERY.replace("self_attn", "_orig_mod.self_attn")] = (dtype, shape, bytes(len(values)))
    tiny.write(path, tiny.safetensors(made))


def other_shape(folder):
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    os.rmdir(folder)
    tiny.write_checkpoint(folder, hidden_size=32)


# ---- the table ----------------------------------------------------------------------------------

FILE = "FOLDER/model.safetensors"
INDEX = "FOLDER/model.safetensors.index.json"
CONFIG = "FOLDER/config.json"
LFS = " is a git-LFS pointer, not the file itself: run `git lfs pull` in its repository"
EMPTY = " is empty: its download did not finish"
FORMATS = ("model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
           "pytorch_model.bin.index.json or model.pt")
CAN_READ = "what can be read is " + FORMATS

FAULTS = [
    # A file of weights.
    ("weights empty", file_is("model.safetensors", b""), FILE + EMPTY),
    ("weights an LFS pointer", file_is("model.safetensors", POINTER), FILE + LFS),
    ("weights of 5 bytes", file_is("model.safetensors", b"12345"),
     FILE + " has 5 bytes, too few for a safetensors file"),
    ("header above the cap", weights(lambda b: struct.pack("<Q", 2**63) + b[8:]),
     FILE + " claims a header of 9223372036854775808 bytes, more than the 100000000 accepted: not "
     "a safetensors file?"),
    ("header truncated", weights(lambda b: b[:200]),
     FILE + " claims a header of 2280 bytes, the file has only 200: it is truncated"),
    ("header no JSON", header_text(lambda text: "{{" + text),
     FILE + ": malformed JSON at byte 1: expected a string, found '{'"),
    ("header not UTF-8", header_text(lambda text: b"\xff" + text.encode()),
     FILE + ": the JSON is not UTF-8"),
    ("header deeply nested", header_text(lambda text: '{"a": ' + "[" * 5000),
     FILE + ": malformed JSON at byte 6: expected '{', found '['"),
    ("metadata no map of strings", header(lambda e: e["__metadata__"].update(a=[1])),
     FILE + ": malformed JSON at byte 39: expected a string, found '['"),
    ("a tensor twice", header_text(lambda t: t[:-1] + ', "%s": {"dtype": "F32", "shape": [1], '
                                   '"data_offsets": [0, 4]}}' % NORM),
     FILE + ": the header has two tensors model.norm.weight"),
    ("a member twice", header_text(lambda t: t.replace('"dtype"', '"shape": [1], "dtype"', 1)),
     FILE + ': tensor model.embed_tokens.weight has two members "shape"'),
    ("a member missing", header(lambda e: e[QUERY].pop("shape")),
     FILE + ': tensor model.layers.0.self_attn.q_proj.weight has no "shape"'),
    ("an unknown member", member(QUERY, "strides", [1, 16]),
     FILE + ': tensor model.layers.0.self_attn.q_proj.weight has the unknown member "strides"'),
    ("an unknown dtype", member(QUERY, "dtype", "F12"),
     FILE + ': tensor model.layers.0.self_attn.q_proj.weight has the unknown dtype "F12"'),
    ("a dimension no integer", member(QUERY, "shape", [16.5, 16]),
     FILE + ": malformed JSON at byte 305: expected a whole number below 2^64, found '1'"),
    ("a dimension negative", member(QUERY, "shape", [-16, -16]),
     FILE + ": malformed JSON at byte 305: expected a whole number below 2^64, found '-'"),
    ("a shape that overflows", member(QUERY, "shape", [2**40, 2**40]),
     FILE + ": the shape of tensor model.layers.0.self_attn.q_proj.weight overflows"),
    ("a shape of other bytes", member(QUERY, "shape", [16, 17]),
     FILE + ": tensor model.layers.0.self_attn.q_proj.weight: its shape and dtype take 1088 "
     "bytes, its offsets 1024"),
    ("offsets reversed", member(QUERY, "data_offsets", [1024, 0]),
     FILE + ": tensor model.layers.0.self_attn.q_proj.weight ends (0) before it begins (1024)"),
    ("offsets with a hole", shifted("lm_head.weight", 4, 4),
     FILE + ": tensor lm_head.weight begins at byte 32324 of the data, model.norm.weight ends at "
     "32320: there is a hole"),
    ("offsets overlapping", shifted(NORM, -4, -4),
     FILE + ": tensor model.norm.weight begins at byte 32252 of the data, "
     "model.layers.1.mlp.down_proj.weight ends at 32256: they overlap"),
    ("data truncated", weights(lambda b: b[:-100]),
     FILE + ": the header describes 48960 bytes of data, the file has 48860: it is truncated"),
    ("data with a tail", weights(lambda b: b + b"tail"),
     FILE + ": the header describes 48960 bytes of data, the file has 48964: it is followed by "
     "something else"),
    ("weights a folder", as_folder, FILE + " is not a regular file"),
    ("weights a FIFO", fifo("model.safetensors"), FILE + " is not a regular file"),
    ("weights a socket", listening("model.safetensors"), FILE + " is not a regular file"),
    ("weights a device", linked("model.safetensors", "/dev/zero"), FILE + " is not a regular file"),
    ("weights a broken link", as_broken_link,
     "cannot open FOLDER/model.safetensors: No such file or directory"),
    # Shards.
    ("index no JSON", index_text("weight_map"),
     INDEX + ": malformed JSON at byte 0: expected '{', found 'w'"),
    ("index an LFS pointer", index_text(POINTER), INDEX + LFS),
    ("index empty", index_text(""), INDEX + EMPTY),
    ("index a FIFO", shards(fifo("model.safetensors.index.json")), INDEX + " is not a regular file"),
    ("index a device", shards(linked("model.safetensors.index.json", "/dev/null")),
     INDEX + " is not a regular file"),
    ("a shard a FIFO", shards(fifo(SHARD)), "FOLDER/" + SHARD + " is not a regular file"),
    ("index without a map", index_text('{"metadata": {}}'), INDEX + ' has no "weight_map"'),
    ("index deeply nested", index_text('{"metadata": ' + "[" * 5000),
     INDEX + ": malformed JSON at byte 78: expected at most 64 levels of nesting, found '['"),
    ("index with an empty map", index_text('{"weight_map": {}}'),
     INDEX + ": malformed JSON at byte 16: expected a string, found '}'"),
    ("index with a tensor twice", index_text(
        '{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}'),
     INDEX + " places tensor a twice, in x.safetensors and in y.safetensors"),
    ("index leading out of the folder", index(lambda m: m.update({NORM: "../x.safetensors"})),
     INDEX + ': tensor model.norm.weight is placed in "../x.safetensors", which is not a plain '
     'file name'),
    ("index with an absolute path", index(lambda m: m.update({NORM: "/dev/zero"})),
     INDEX + ': tensor model.norm.weight is placed in "/dev/zero", which is not a plain file name'),
    ("index naming another shard", index(lambda m: m.update(
        {NORM: "model-00001-of-00003.safetensors", QUERY: SHARD})),
     INDEX + " places tensor model.layers.0.self_attn.q_proj.weight in "
     "model-00002-of-00003.safetensors, it is in model-00003-of-00003.safetensors"),
    ("index naming a tensor that its shard lacks", shards(without(NORM)),
     INDEX + " places tensor model.norm.weight in model-00002-of-00003.safetensors, which does not "
     "have it"),
    ("index leading out by a detour", index(lambda m: m.update({NORM: "a/../../x.safetensors"})),
     INDEX + ': tensor model.norm.weight is placed in "a/../../x.safetensors", which is not a plain '
     'file name'),
    ("a shard missing", shards(removed(SHARD)),
     INDEX + ": 1 of 3 shards are missing: model-00002-of-00003.safetensors"),
    ("shards missing", shards(removed(SHARD, "model-00001-of-00003.safetensors")),
     INDEX + ": 2 of 3 shards are missing: model-00001-of-00003.safetensors, "
     "model-00002-of-00003.safetensors"),
    ("a shard empty", shards(file_is(SHARD, b"")), "FOLDER/" + SHARD + EMPTY),
    ("a shard an LFS pointer", shards(file_is(SHARD, POINTER)), "FOLDER/" + SHARD + LFS),
    ("a shard truncated", shards(bytes_of(SHARD, lambda b: b[:-7])),
     "FOLDER/model-00002-of-00003.safetensors: the header describes 4288 bytes of data, the file "
     "has 4281: it is truncated"),
    ("a tensor in two shards", shards(in_both_shards),
     "FOLDER: tensor model.embed_tokens.weight is in both model-00001-of-00003.safetensors and "
     "model-00002-of-00003.safetensors, and they differ"),
    ("shards without index", shards(removed("model.safetensors.index.json", SHARD,
                                            "model-00003-of-00003.safetensors")),
     "FOLDER holds shards without their index (model-00001-of-00003.safetensors); " + CAN_READ),
    # Tensors against config.json.
    ("a tensor missing", tensors(lambda all_: all_.pop(NORM)),
     "FOLDER: tensor model.norm.weight is missing (config.json: llama with 2 layers)"),
    ("the head missing", tensors(lambda all_: all_.pop("lm_head.weight")),
     "FOLDER: tensor lm_head.weight is missing (config.json: llama with 2 layers); --no-nll leaves "
     "out the loss, which alone needs it"),
    ("an adapter's tensors beside the model's", tensors(lambda all_: all_.update({
        QUERY.replace("weight", "base_layer.weight"): all_.pop(QUERY),
        QUERY.replace("weight", "lora_A.default.weight"): ("F32", [2, 16], bytes(128))})),
     "FOLDER: tensor model.layers.0.self_attn.q_proj.weight is missing (config.json: llama with 2 "
     "layers); the names are an adapter's beside the model's: merge it "
     "(model.layers.0.self_attn.q_proj.lora_A.default.weight)"),
    ("Meta's names", tensors(lambda all_: all_.update({
        "layers.0.attention.wq.weight": all_.pop(QUERY)})),
     "FOLDER: tensor model.layers.0.self_attn.q_proj.weight is missing (config.json: llama with 2 "
     "layers); the names are Meta's own (layers.0.attention.wq.weight)"),
    ("flattened parameters", tensors(lambda all_: (all_.clear(), all_.update({
        "_fsdp_wrapped_module._flat_param": ("F32", [4], bytes(16))}))),
     "FOLDER: tensor model.embed_tokens.weight is missing (config.json: llama with 2 layers); the "
     "names are FSDP's, flattened: save with FULL_STATE_DICT (_flat_param)"),
    ("a tensor in two spellings that differ", both_spellings,
     "FOLDER: tensors model.norm.weight and norm.weight should be one and differ"),
    ("a tensor wrapped and not, which differ", wrapped_twice,
     FILE + " has tensor model.layers.0.self_attn.q_proj.weight twice, wrapped or not, and they "
     "differ"),
    ("a tensor of another shape", tensors(lambda all_: all_.update(
        {QUERY: ("F32", [8, 32], bytes(1024))})),
     FILE + ": tensor model.layers.0.self_attn.q_proj.weight has shape [8, 32], config.json asks "
     "for [16, 16]"),
    ("a tensor of other dimensions", tensors(lambda all_: all_.update(
        {NORM: ("F32", [1, 16], bytes(64))})),
     FILE + ": tensor model.norm.weight has shape [1, 16], config.json asks for [16]"),
    ("an integer tensor", tensors(lambda all_: all_.update(
        {QUERY: ("I32", [16, 16], bytes(1024))})),
     FILE + ": tensor model.layers.0.self_attn.q_proj.weight has type I32; known: F64, F32, F16, "
     "BF16"),
    # Tensors that no one would use.
    ("a bias that config.json does not ask for", tensors(lambda all_: all_.update(
        {"model.layers.1.self_attn.k_proj.bias": ("F32", [8], bytes(32))})),
     FILE + ": tensor model.layers.1.self_attn.k_proj.bias would not be used: llama has none there "
     "with what config.json says"),
    ("a bias of a norm", tensors(lambda all_: all_.update(
        {"model.layers.0.input_layernorm.bias": ("F32", [16], bytes(64))})),
     FILE + ": tensor model.layers.0.input_layernorm.bias would not be used: llama has none there "
     "with what config.json says"),
    ("a bias of the final norm", tensors(lambda all_: all_.update(
        {"model.norm.bias": ("F32", [16], bytes(64))})),
     FILE + ": tensor model.norm.bias would not be used: llama has none there with what config.json "
     "says"),
    ("a norm of queries", tensors(lambda all_: all_.update(
        {"model.layers.0.self_attn.q_norm.weight": ("F32", [8], bytes(32))})),
     FILE + ": tensor model.layers.0.self_attn.q_norm.weight would not be used: llama has none "
     "there with what config.json says"),
    ("a norm of the embedding", tensors(lambda all_: all_.update(
        {"model.embed_layernorm.weight": ("F32", [16], bytes(64))})),
     FILE + ": tensor model.embed_layernorm.weight would not be used: llama has none there with "
     "what config.json says"),
    ("an activation that learned", tensors(lambda all_: all_.update(
        {"model.layers.0.mlp.act_fn.beta": ("F32", [1], bytes(4))})),
     FILE + ": tensor model.layers.0.mlp.act_fn.beta would not be used: llama has none there with "
     "what config.json says"),
    ("a bias of the head", tensors(lambda all_: all_.update(
        {"lm_head.bias": ("F32", [260], bytes(1040))})),
     FILE + ": tensor lm_head.bias would not be used: llama has none there with what config.json "
     "says"),
    ("more layers than config.json says", tensors(lambda all_: all_.update(
        {"model.layers.2.input_layernorm.weight": ("F32", [16], bytes(64))})),
     FILE + ': tensor model.layers.2.input_layernorm.weight is of layer 2, but config.json says '
     '"num_hidden_layers" is 2'),
    # config.json.
    ("config missing", removed("config.json"), "FOLDER has no config.json"),
    ("config a FIFO", fifo("config.json"), CONFIG + " is not a regular file"),
    ("config a socket", listening("config.json"), CONFIG + " is not a regular file"),
    ("config a device", linked("config.json", "/dev/zero"), CONFIG + " is not a regular file"),
    ("config empty", file_is("config.json", b""), CONFIG + EMPTY),
    ("config an LFS pointer", file_is("config.json", POINTER), CONFIG + LFS),
    ("config with a byte order mark", bytes_of("config.json", lambda b: b"\xef\xbb\xbf" + b),
     CONFIG + " is not valid JSON: it begins with a byte order mark; save it as UTF-8 without one"),
    ("config garbage", file_is("config.json", b"\x00\x01garbage"),
     CONFIG + " is not valid JSON: line 1 column 1: '[' or '{' expected near end of file"),
    ("config cut short", bytes_of("config.json", lambda b: b[:-10]),
     CONFIG + ' is not valid JSON: line 1 column 279: premature end of input near \'"eos_token\''),
    ("config a list", file_is("config.json", "[]"), CONFIG + " does not hold a JSON object"),
    ("config with a key twice", file_is("config.json", '{"a": 1, "a": 2}'),
     CONFIG + ' is not valid JSON: line 1 column 12: duplicate object key near \'"a"\''),
    ("family missing", config(model_type=None), CONFIG + ': "model_type" is missing'),
    ("family unknown", config(model_type="lama2"),
     CONFIG + ': model_type "lama2" is not known; the nearest known one is llama, all are: apertus, '
     'arcee, baichuan, bailing_moe, bamba, bloom, cohere, cohere2, crystalcoder, deepseek, '
     'deepseek_v2, deepseek_v3, dots1, ernie4_5, ernie4_5_moe, exaone4, falcon, gemma, gemma2, '
     'gemma3_text, glm, glm4, glm4_moe, gpt2, gpt_bigcode, gpt_neo, gpt_neox, gpt_oss, gptj, granite, '
     'hunyuan_v1_dense, hunyuan_v1_moe, internlm, internlm2, llama, llama4_text, '
     'minicpm, mistral, mixtral, '
     'modernbert-decoder, mpt, nanochat, nemotron, nemotron-nas, '
     'olmo, hf_olmo, olmo2, olmo3, olmoe, opt, phi, phi3, '
     'pico_decoder, qwen, qwen2, qwen2_moe, qwen3, qwen3_moe, seed_oss, skywork, smollm3, stablelm, '
     'starcoder2, Yi, yulanmini (a new one needs a row in trace/model/families, see '
     'docs/adding-a-family.md)'),
    ("family no string", config(model_type=7),
     CONFIG + ': "model_type" must be a string, it is an integer'),
    ("rope type unknown", config(rope_scaling={"rope_type": "spiral", "factor": 4.0}),
     CONFIG + ': rope type "spiral" is not supported; known: default, linear, dynamic, yarn, '
     'longrope, llama3'),
    ("rope type unknown to an older file", config(rope_scaling={"type": "helix", "factor": 2.0}),
     CONFIG + ': rope type "helix" is not supported; known: default, linear, dynamic, yarn, '
     'longrope, llama3'),
    ("rope base zero", config(rope_theta=0),
     CONFIG + ": rotary base 0 and fraction 1 of head size 8 make no sense"),
    ("activation unknown", config(hidden_act="mish"),
     CONFIG + ': activation "mish" is not supported'),
    ("weights quantized", config(quantization_config={"quant_method": "fp8"}),
     CONFIG + ': weights quantized by fp8 ("quantization_config") are not supported: gptq, awq, '
     "compressed-tensors' pack-quantized and mxfp4 are read"),
    ("a size missing", config(hidden_size=None), CONFIG + ': "hidden_size" is missing'),
    ("a size of zero", config(num_hidden_layers=0),
     CONFIG + ': "num_hidden_layers" is 0, expected an integer from 1 to 1024'),
    ("a size negative", config(num_attention_heads=-2),
     CONFIG + ': "num_attention_heads" is -2, expected an integer from 1 to 65536'),
    ("a size that may be left out negative", config(num_key_value_heads=-2),
     CONFIG + ': "num_key_value_heads" is -2, expected an integer from 1 to 65536'),
    ("a size a fraction", config(intermediate_size=24.5),
     CONFIG + ': "intermediate_size" is 24.5, expected an integer from 1 to 16777216'),
    ("a size beyond reason", config(hidden_size=10**12),
     CONFIG + ': "hidden_size" is 1e+12, expected an integer from 1 to 16777216'),
    ("a size true", config(intermediate_size=True),
     CONFIG + ': "intermediate_size" must be a number, it is true'),
    ("a size infinite", config(intermediate_size=float("inf")),
     CONFIG + ': "intermediate_size" must be a number, it is NaN or infinite'),
    ("norm epsilon NaN", config(rms_norm_eps=float("nan")),
     CONFIG + ': "rms_norm_eps" must be a number, it is NaN or infinite'),
    ("a rope object a string", config(rope_scaling="linear"),
     CONFIG + ': "rope_scaling" must be an object, it is a string'),
    ("layer types too long", config(layer_types=["full_attention"] * 3),
     CONFIG + ': "layer_types" does not fit the layers: it has 3 entries for 2'),
    ("attention that looks ahead", config(is_causal=False),
     CONFIG + ': "is_causal" is not true: attention is causal here, not bidirectional'),
    ("a size a string", config(hidden_size="16"),
     CONFIG + ': "hidden_size" must be a number, it is a string'),
    ("heads that do not divide", config(num_attention_heads=3, num_key_value_heads=2),
     CONFIG + ": 3 attention heads cannot share 2 key-value heads evenly"),
    ("norm epsilon negative", config(rms_norm_eps=-1),
     CONFIG + ": norm epsilon -1, score scale 0.353553 or logit scale 1 makes no sense"),
    ("another model", other_shape,
     "NAME is another model than the series' first: llama layers=2 hidden=32 heads=2/1 "
     "head_dim=16 ffn=24 vocabulary=260, not llama layers=2 hidden=16 heads=2/1 head_dim=8 "
     "ffn=24 vocabulary=260"),
    # Folders that hold something else.
    ("an empty folder", removed("model.safetensors", "config.json", "tokenizer.json"),
     "FOLDER holds no checkpoint: there is no " + FORMATS),
    ("FSDP's folder of accelerate",
     instead("pytorch_model_fsdp_0/__0_0.distcp", "pytorch_model_fsdp_0/.metadata"),
     "FOLDER/pytorch_model_fsdp_0/.metadata: its pickle does not begin as one (read as "
     "accelerate's distributed checkpoint)"),
    ("ZeRO-3 without its optimizer",
     instead("global_step1000/zero_pp_rank_0_mp_rank_00_model_states.pt", "latest"),
     "FOLDER/global_step1000 has 1 files of ZeRO-3's model states and 0 of optimizer states, in "
     "which the weights are: there should be as many (read as a DeepSpeed ZeRO-3 checkpoint)"),
    ("an adapter", instead("adapter_model.safetensors"),
     "FOLDER holds an adapter, not a whole model (adapter_model.safetensors); " + CAN_READ),
    ("a download cache", instead("snapshots"),
     "FOLDER holds a Hugging Face cache: give a folder below snapshots (snapshots); " + CAN_READ),
    ("an unfinished download", instead("model.safetensors.incomplete"),
     "FOLDER holds an unfinished download (model.safetensors.incomplete); " + CAN_READ),
]

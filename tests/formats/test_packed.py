#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quantized weights: files that other libraries wrote, and made-up ones, against what the formulas of
docs/quantized-layouts.md make of them; damaged ones, with their sentences; and what programs do with
them.

    test_packed.py NAME=PROGRAM ... fixtures=FOLDER [only=NAME]"""
import json
import os
import random
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import harness  # noqa: E402
import packed_words as words  # noqa: E402

PEERS = ("llmcompressor-gptq", "llmcompressor-gptq_asym", "gptqmodel-gptq", "gptqmodel-gptq-v2-asym",
         "gptqmodel-gptq-desc", "awq-gemm-repacked")
LAYOUTS = ("compressed-tensors", "gptq", "gptq-v2", "awq")


def config_of(layout, bits, group, symmetric=False, ordered=False):
    if layout == "compressed-tensors":
        weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "group_size": group,
                   "strategy": "group"}
        said = {"quant_method": layout, "format": "pack-quantized",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    elif layout == "awq":
        said = {"quant_method": "awq", "bits": bits, "group_size": group, "version": "gemm"}
    else:
        said = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric,
                "desc_act": ordered, "checkpoint_format": layout.replace("-", "_")}
    return {"quantization_config": said}


def write(folder, config, tensors):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    words.write_tensors(os.path.join(folder, "model.safetensors"), tensors)


class Cases:
    def __init__(self, programs, work):
        self.programs, self.work, self.fixtures = programs, work, programs["fixtures"]

    def path(self, name):
        return os.path.join(self.work, name)

    def plain(self, folder, name):
        """The checkpoint as plain safetensors, and its tensors."""
        to = self.path(name)
        shutil.rmtree(to, ignore_errors=True)
        os.makedirs(to)
        harness.run(self.programs["copy_tensors"], folder, to, 1 << 30).expect(0)
        return words.read_tensors(os.path.join(to, "model.safetensors"))

    def compare(self, folder, name):
        """Each packed weight of a folder, read here and there."""
        tensors = words.read_tensors(os.path.join(folder, "model.safetensors"))
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            layout, bits, group = words.scheme_of(json.load(file))
        ours = self.plain(folder, name)
        modules = words.modules(tensors, layout)
        harness.check(modules, folder, "has no quantized weight")
        for module in modules:
            codes, zeros, scales, group_of = words.load(tensors, module, layout, bits, group)
            dtype, shape, data = ours.pop(module + ".weight")
            harness.check((dtype, shape) == ("F32", [len(codes), len(codes[0])]), module, dtype, shape)
            harness.check(data == words.value_bytes(codes, zeros, scales, group_of), module, "differs")
        others = {name: tensor for name, tensor in tensors.items() if name in ours}
        harness.check(ours == others, "other tensors differ", sorted(ours))
        return f"{len(modules)} weights"

    def peer(self, name):
        return self.compare(os.path.join(self.fixtures, name), "plain")

    # ---- made-up weights -----------------------------------------------------------------------

    def draw(self, draw, layout, module="m"):
        bits = 4 if layout == "awq" else draw.choice((4, 8))
        out, n = draw.randrange(1, 24), draw.randrange(1, 70)
        if layout != "compressed-tensors" and layout != "awq":
            n = -(-n // (32 // bits)) * (32 // bits)  # without a map, words are full
        group = draw.choice((-1, draw.randrange(1, n + 1), 128))
        size = n if group < 0 else min(group, n)
        groups = -(-n // size)
        symmetric = layout != "awq" and draw.random() < 0.4
        ordered = layout.startswith("gptq") and draw.random() < 0.5
        codes = [[draw.randrange(1 << bits) for _ in range(n)] for _ in range(out)]
        zeros = None if symmetric else [[draw.randrange(1 << bits) for _ in range(groups)]
                                        for _ in range(out)]
        scales = [[draw.randrange(1, 256) / 1024 for _ in range(groups)] for _ in range(out)]
        group_of = [draw.randrange(groups) for _ in range(n)] if ordered else None
        tensors = words.store(layout, module, bits, codes, zeros, scales, group_of,
                              draw.choice(("F16", "BF16", "F32")))
        return config_of(layout, bits, group, symmetric, ordered), tensors

    def made_up(self, layout):
        draw = random.Random(layout)
        for _ in range(6):
            config, tensors = self.draw(draw, layout)
            tensors["m.bias"] = words.tensor_of("F16", [2], [0.5, -1.0])
            write(self.path("made"), config, tensors)
            self.compare(self.path("made"), "plain")

    def wrong_version(self):
        """A symmetric weight says which version it is of, whatever config.json says."""
        draw = random.Random(7)
        codes = [[draw.randrange(16) for _ in range(64)] for _ in range(8)]
        scales = [[0.25, 0.5] for _ in range(8)]
        expected = words.value_bytes(codes, [[8, 8]] * 8, scales, [i // 32 for i in range(64)])
        for stored in ("gptq", "gptq-v2"):
            for said in ("gptq", "gptq-v2"):
                write(self.path("made"), config_of(said, 4, 32, True),
                      words.store(stored, "m", 4, codes, None, scales))
                ours = self.plain(self.path("made"), "plain")
                harness.check(ours["m.weight"][2] == expected, stored, "said to be", said)

    def float_blocks(self):
        """Every code under scales of all sizes, and parts that do not fit."""
        magnitudes = (0, 0.5, 1, 1.5, 2, 3, 4, 6)
        draw = random.Random(11)
        pairs = bytes(draw.randrange(256) for _ in range(2 * 3 * 2 * 16))
        exponents = [0, 1, 126, 127, 128, 200, 251, 120, 121, 122, 123, 255]
        blocks, scales = ("U8", [2, 3, 2, 16], pairs), ("U8", [2, 3, 2], bytes(exponents))
        config = {"quantization_config": {"quant_method": "mxfp4"}}
        write(self.path("made"), config, {"m.w_blocks": blocks, "m.w_scales": scales})
        dtype, shape, data = self.plain(self.path("made"), "plain")["m.w"]
        harness.check((dtype, shape) == ("BF16", [2, 3, 64]), dtype, shape)
        for at in range(2 * len(pairs)):
            code, exponent = pairs[at // 2] >> at % 2 * 4 & 15, exponents[at // 32]
            bits = int.from_bytes(data[2 * at:2 * at + 2], "little")
            found = struct.unpack("<f", (bits << 16).to_bytes(4, "little"))[0]
            value = magnitudes[code & 7] * 2.0 ** (exponent - 127)
            right = (abs(found), bits >> 15) == (value, code >> 3)
            harness.check(found != found if exponent == 255 else right, at, code, exponent, found)
        for changed, sentence in (
                ({"m.w_scales": None}, "tensor m.w_scales is missing, which m.w_blocks needs"),
                ({"m.w_scales": ("U8", [2, 6], bytes(12))}, "m.w_scales do not make a weight of mxfp4"),
                ({"m.w_scales": ("I8", [2, 3, 2], bytes(12))}, "do not make a weight of mxfp4"),
                ({"m.w_blocks": ("U8", [2, 3, 4, 8], pairs)}, "do not make a weight of mxfp4"),
                ({"m.w": ("F16", [1], bytes(2))}, "has both m.w and its quantized form")):
            parts = {"m.w_blocks": blocks, "m.w_scales": scales} | changed
            self.refuse(config, {name: part for name, part in parts.items() if part}, sentence)

    # ---- damage --------------------------------------------------------------------------------

    def refuse(self, config, tensors, sentence):
        write(self.path("bad"), config, tensors)
        os.makedirs(self.path("out"), exist_ok=True)
        result = harness.run(self.programs["dump_tensors"], self.path("bad"))
        harness.check(result.code == 1 and sentence in result.err, "expected:", sentence, "\n", result)

    def damaged(self):
        rows, n = 16, 64
        codes, scales = [[i % 16 for i in range(n)]] * rows, [[1.0, 2.0]] * rows
        order = [i // 32 for i in range(n)]
        gptq = words.store("gptq", "m", 4, codes, None, scales, order)
        plain = words.store("compressed-tensors", "m", 4, codes, None, scales)
        awq = words.store("awq", "m", 4, codes, [[1, 2]] * rows, scales)
        said = {layout: config_of(layout, 4, 32, layout != "awq") for layout in LAYOUTS}

        def changed(tensors, **changes):
            changes = {"m." + name: tensor for name, tensor in changes.items()}
            return {name: tensor for name, tensor in {**tensors, **changes}.items() if tensor}

        def shaped(tensor, *shape):
            return tensor[0], list(shape), tensor[2]

        order[9] = 2
        wrong = words.tensor_of("I32", [n], order)
        order[9] = 0xffffffff
        negative = words.tensor_of("I32", [n], order)
        odd = words.pack([[8, 8]] * (rows - 1) + [[8, 3]], 4, True, True, None, 0x11111111)
        for layout, tensors, sentence in (
                ("gptq", changed(gptq, scales=None), "tensor m.scales is missing, which the weight of gptq"),
                ("gptq", changed(gptq, qzeros=None), "tensor m.qzeros is missing"),
                ("gptq", changed(gptq, g_idx=wrong), "tensor m.g_idx puts input 9 into group 2, there are 2"),
                ("gptq", changed(gptq, g_idx=negative), "tensor m.g_idx puts input 9 into group -1"),
                ("gptq", changed(gptq, g_idx=words.tensor_of("I32", [50], order[:50])),
                 "is none of a weight of 4 bits"),
                ("gptq", changed(gptq, qzeros=odd), "tensor m.qzeros has zeros that are not in the middle"),
                ("gptq", changed(gptq, qweight=shaped(gptq["m.qweight"], 16, 8)), "is none of a weight"),
                ("gptq", changed(gptq, qweight=shaped(gptq["m.qweight"], 128)), "is none of a weight"),
                ("gptq", changed(gptq, scales=words.tensor_of("F16", [2, 8], [1.0] * 16)), "is none of"),
                ("gptq", changed(gptq, scales=words.tensor_of("F16", [1, 16], [1.0] * 16)),
                 "tensor m.scales has scales of 1 groups, 64 inputs in groups of 32 (config.json) make 2"),
                ("gptq", changed(gptq, scales=words.tensor_of("I32", [2, 16], range(32))),
                 "tensor m.scales of type I32 and shape [2, 16] is none of a weight of 4 bits in gptq"),
                ("gptq", changed(gptq, weight=words.tensor_of("F16", [1], [1.0])),
                 "has both m.weight and its quantized form"),
                ("compressed-tensors", changed(plain, weight_shape=None), "tensor m.weight_shape is missing"),
                ("compressed-tensors", changed(plain, weight_shape=words.tensor_of("I64", [2], [17, 64])),
                 "says that the weight is of shape [17, 64], its scales are of 16 rows"),
                ("compressed-tensors", changed(plain, weight_shape=words.tensor_of("I64", [2], [16, -64])),
                 "says that the weight is of shape [16, -64]"),
                ("compressed-tensors", changed(plain, weight_shape=words.tensor_of("I64", [2], [16, 1 << 62])),
                 "has scales of 2 groups"),
                ("compressed-tensors", changed(plain, weight_shape=words.tensor_of("I64", [2], [16, 56])),
                 "tensor m.weight_packed of type I32 and shape [16, 8] is none of a weight of 4 bits"),
                ("awq", changed(awq, qzeros=None), "tensor m.qzeros is missing"),
                ("awq", changed(awq, qweight=shaped(awq["m.qweight"], 32, 4)), "has scales of 2 groups")):
            self.refuse(said[layout], tensors, sentence)
        asymmetric = config_of("compressed-tensors", 4, 32, False)
        self.refuse(asymmetric, plain, "tensor m.weight_zero_point is missing")
        no_map = config_of("gptq", 4, 32, True, True)
        self.refuse(no_map, changed(gptq, g_idx=None), "tensor m.g_idx is missing")

    # ---- programs ------------------------------------------------------------------------------

    def tokens(self):
        path = self.path("tokens.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            draw = random.Random(3)
            for _ in range(3):
                file.write(json.dumps({"input_ids": [draw.randrange(96) for _ in range(48)]}) + "\n")
        return path

    def trace(self, folder, out):
        harness.run(self.programs["trace-ckpts"], "--ckpts", folder, "--tokens", self.tokens(),
                    "--dtype", "f32", "-o", out, "-q").expect(0)

    def traced(self):
        """The store is that of the same weights in f32 under the same configuration, whose files are
        others."""
        for name in PEERS[2:3]:
            same = self.path(os.path.join("same", name))
            shutil.rmtree(same, ignore_errors=True)
            os.makedirs(same)
            folder = os.path.join(self.fixtures, name)
            harness.run(self.programs["copy_tensors"], folder, same, 1 << 30).expect(0)
            shutil.copy(os.path.join(folder, "config.json"), same)
            self.trace(folder, self.path("a.h5"))
            self.trace(same, self.path("b.h5"))
            result = harness.run(self.programs["same_store"], self.path("a.h5"), self.path("b.h5"))
            harness.check(sorted((result.out + result.err).split("\n")) ==
                          ["", "identity differs", "row_digest differs"], result)
            os.remove(self.path("a.h5"))
            os.remove(self.path("b.h5"))

    def biased(self):
        """Biases of zero that a quantizer added are no part of the model; others would be."""
        name = PEERS[2]
        tensors = words.read_tensors(os.path.join(self.fixtures, name, "model.safetensors"))
        with open(os.path.join(self.fixtures, name, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        bias = "model.layers.0.mlp.up_proj.bias"
        for last in 0.0, 1.0:
            tensors[bias] = words.tensor_of("F16", [160], [0.0] * 159 + [last])
            write(self.path("biased"), config, tensors)
            result = harness.run(self.programs["trace-ckpts"], "--ckpts", self.path("biased"), "--tokens",
                                 self.tokens(), "-o", self.path("biased.h5"), "-q", "--fresh")
            harness.check(result.code == (1 if last else 0), result)
        harness.check(f"tensor {bias} would not be used" in result.err, result)

    def dropped(self):
        """Leaving sublayers out keeps weights quantized: names are counted anew, scales are zeroed."""
        folder = os.path.join(self.fixtures, PEERS[0])
        before = words.read_tensors(os.path.join(folder, "model.safetensors"))
        for form, drop in (("smaller", "block:0"), ("zeroed", "attn:1")):
            to = self.path(form)
            harness.run(self.programs["trace-drop"], "write", folder, "--drop", drop, "--as", form,
                        "-o", to).expect(0)
            after = words.read_tensors(os.path.join(to, "model.safetensors"))
            if form == "smaller":
                expected = {name.replace("layers.1.", "layers.0."): tensor for name, tensor in
                            before.items() if "layers.0." not in name}
            else:
                scales = "model.layers.1.self_attn.o_proj.weight_scale"
                dtype, shape, data = before[scales]
                expected = {**before, scales: (dtype, shape, bytes(len(data)))}
            harness.check(after == expected, form, "differs")
            self.compare(to, "plain")


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    with harness.scratch() as work:
        cases = Cases(programs, work)
        listed = [(name, lambda name=name: cases.peer(name)) for name in PEERS]
        listed += [("made up, " + layout, lambda layout=layout: cases.made_up(layout))
                   for layout in LAYOUTS]
        listed += [("said to be of another version", cases.wrong_version),
                   ("blocks of floats", cases.float_blocks),
                   ("damaged", cases.damaged), ("traced", cases.traced), ("biased", cases.biased),
                   ("dropped", cases.dropped)]
        return harness.run_cases(listed, only)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints written in few bits (pack_checkpoint: codes by rounding), read by the formulas of
docs/quantized-layouts.md: tensors, configurations, what is left as it was, and what is refused.

    test_packed_write.py NAME=PROGRAM ... source=FOLDER [only=NAME]"""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import harness  # noqa: E402
import packed_words as words  # noqa: E402

# Layout, bits, group, kind, type of the scales.
WRITTEN = (("compressed-tensors", 4, 32, "symmetric", "BF16"),
           ("compressed-tensors", 4, 16, "asymmetric", "F16"),
           ("compressed-tensors", 8, -1, "asymmetric", "F32"),
           ("gptq", 4, 32, "symmetric", "F16"),
           ("gptq", 4, 48, "ordered", "F16"),
           ("gptq-v2", 8, 48, "asymmetric", "F16"),
           ("awq", 4, 32, "asymmetric", "F16"))


def value_table(codes, zeros, scales, group_of):
    return [[scales[o][g] * (code - zeros[o][g]) for code, g in zip(row, group_of)]
            for o, row in enumerate(codes)]


class Cases:
    def __init__(self, programs, work):
        self.programs, self.work = programs, work
        self.source = self.path("source")
        # One block of the series' last checkpoint, and a folder of it in several files.
        harness.run(programs["trace-drop"], "write", programs["source"], "--drop", "block:2-9",
                    "--as", "smaller", "--no-check", "-o", self.source).expect(0)
        os.remove(os.path.join(self.source, "DROPPED.md"))
        self.sharded = self.path("sharded")
        os.makedirs(self.sharded)
        harness.run(programs["copy_tensors"], self.source, self.sharded, 60000).expect(0)
        shutil.copy(os.path.join(self.source, "config.json"), self.sharded)

    def path(self, name):
        return os.path.join(self.work, name)

    def pack(self, *arguments, source=None):
        to = self.path("packed")
        shutil.rmtree(to, ignore_errors=True)
        return harness.run(self.programs["pack_checkpoint"], source or self.source, to, *arguments), to

    def config(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            return json.load(file)

    def tensors(self, folder):
        found = {}
        for name in os.listdir(folder):
            if name.endswith(".safetensors"):
                found.update(words.read_tensors(os.path.join(folder, name)))
        return found

    def plain(self, folder):
        to = self.path("plain")
        shutil.rmtree(to, ignore_errors=True)
        os.makedirs(to)
        harness.run(self.programs["copy_tensors"], folder, to, 1 << 30).expect(0)
        return self.tensors(to)

    # Our reader gives the formulas' numbers, and they are about half a step at most from what they
    # were (at the ends of a range more, for scales are rounded and zeros are whole): of two weights.
    def check(self, folder, before):
        layout, bits, group = words.scheme_of(self.config(folder))
        stored, ours = self.tensors(folder), self.plain(folder)
        modules = words.modules(stored, layout)
        for module in modules:
            codes, zeros, scales, group_of = words.load(stored, module, layout, bits, group)
            harness.check(ours[module + ".weight"][2] ==
                          words.value_bytes(codes, zeros, scales, group_of), module)
            if module not in modules[:2]:
                continue
            was = words.numbers(before[module + ".weight"])
            width = len(codes[0])
            for o, row in enumerate(value_table(codes, zeros, scales, group_of)):
                for i, value in enumerate(row):
                    harness.check(abs(value - was[o * width + i]) <= 1.2 * scales[o][group_of[i]],
                                  module, o, i, value, was[o * width + i])
        return modules

    def written(self, layout, bits, group, kind, dtype):
        before = self.tensors(self.source)
        result, folder = self.pack(layout, bits, group, kind, dtype)
        result.expect(0)
        modules = self.check(folder, before)
        harness.check(len(modules) == 14, "of 14 weights", len(modules), "are packed")
        stored = self.tensors(folder)
        for name, tensor in before.items():
            if name[:-len(".weight")] not in modules:
                harness.check(stored[name] == tensor, name, "is not as it was")
        said = self.config(folder)["quantization_config"]
        if layout.startswith("gptq"):
            with open(os.path.join(folder, "quantize_config.json"), encoding="utf-8") as file:
                harness.check(json.load(file) == said, "quantize_config.json differs")
            harness.check(said["sym"] == (kind != "asymmetric") and
                          said["desc_act"] == (kind == "ordered") and said["pack_dtype"] == "int32" and
                          said["checkpoint_format"] == layout.replace("-", "_"), said)
            zeros = {word for name, t in stored.items() if name.endswith(".qzeros")
                     for word in words.numbers(t)}
            if kind != "asymmetric":
                harness.check(zeros == {0x77777777 if layout == "gptq" else 0x88888888 - (1 << 32)},
                              "zeros", zeros)
        harness.check(os.path.exists(os.path.join(folder, "QUANTIZED.md")) and
                      not os.path.exists(os.path.join(folder, "DROPPED.md")), "cards")

    # ---- what is left --------------------------------------------------------------------------

    def left_out(self):
        """Modules that stay are named so that readers leave them."""
        module = "model.layers.1.mlp.gate_proj"
        expected = {
            "compressed-tensors": lambda said: said["ignore"] == [module, "lm_head"],
            "gptq": lambda said: said["dynamic"] ==
            {"-:^model\\.layers\\.1\\.mlp\\.(gate_proj|gate_up_proj)$": {}},
            "awq": lambda said: said["modules_to_not_convert"] == [module, "lm_head"]}
        for layout, right in expected.items():
            result, folder = self.pack(layout, 4, 32, "symmetric", "F16", "", "", "layers.1.mlp.gate")
            result.expect(0)
            said = self.config(folder)["quantization_config"]
            harness.check(right(said), said)
            harness.check(f"as they were: {module}." in result.out, result)
            harness.check(module + ".weight" in self.tensors(folder), "it is packed")
            harness.check(len(self.check(folder, self.tensors(self.source))) == 13, "weights")

    def other_values(self):
        before = self.tensors(self.source)
        result, folder = self.pack("gptq", 4, 32, "symmetric", "F16", "", "norms")
        result.expect(0)
        after = self.tensors(folder)
        norms = [name for name in before if "norm" in name]
        for name in norms:
            harness.check(after[name][:2] == before[name][:2] and
                          [2 * value for value in words.numbers(after[name])] ==
                          list(words.numbers(before[name])), name)
        return f"{len(norms)} norms"

    def shards(self):
        """Files of which nothing changes are copied; the index places what is written."""
        result, folder = self.pack("gptq", 4, 32, "symmetric", "F16", source=self.sharded)
        result.expect(0)
        with open(os.path.join(folder, "model.safetensors.index.json"), encoding="utf-8") as file:
            index = json.load(file)
        same = 0
        for name in sorted(set(index["weight_map"].values())):
            tensors = words.read_tensors(os.path.join(folder, name))
            harness.check(all(index["weight_map"][tensor] == name for tensor in tensors), name)
            with open(os.path.join(folder, name), "rb") as new, \
                    open(os.path.join(self.sharded, name), "rb") as old:
                same += new.read() == old.read()
        stored = self.tensors(folder)
        harness.check(set(stored) == set(index["weight_map"]), "the index is of other tensors")
        harness.check(index["metadata"]["total_size"] == sum(len(t[2]) for t in stored.values()), "size")
        harness.check(same, "no file is as it was")
        self.check(folder, self.tensors(self.sharded))
        return f"{same} files as they were"

    def dropped(self):
        before = self.tensors(self.source)
        result, folder = self.pack("compressed-tensors", 4, 32, "symmetric", "F16", "block:0", "smaller",
                                   "o_proj")
        result.expect(0)
        renamed = {name.replace("layers.1.", "layers.0."): tensor for name, tensor in before.items()
                   if "layers.0." not in name}
        harness.check(len(self.check(folder, renamed)) == 6, "weights")
        harness.check(self.config(folder)["quantization_config"]["ignore"] ==
                      ["model.layers.0.self_attn.o_proj", "lm_head"], "ignore")
        result, folder = self.pack("compressed-tensors", 4, 32, "symmetric", "F16", "attn:0 mlp:1",
                                   "zeroed")
        result.expect(0)
        zeroed = ["model.layers.0.self_attn.o_proj", "model.layers.1.mlp.down_proj"]
        after = self.tensors(folder)
        harness.check(len(self.check(folder, before)) == 12, "weights")
        harness.check(all(not any(after[name + ".weight"][2]) for name in zeroed), "not zero")
        harness.check(self.config(folder)["quantization_config"]["ignore"] == zeroed + ["lm_head"],
                      "ignore")
        for card in "DROPPED.md", "QUANTIZED.md":
            harness.check(os.path.exists(os.path.join(folder, card)), card, "is missing")

    # ---- refusals ------------------------------------------------------------------------------

    def refused(self):
        packed, _ = self.pack("awq", 4, 32, "asymmetric", "F16")
        packed.expect(0)
        again = self.path("again")
        os.rename(self.path("packed"), again)
        first = "model.layers.0.mlp.down_proj.weight cannot be stored as "
        for arguments, sentence in (
                (("gptq", 4, 32, "asymmetric", "F16"), first + "gptq: readers differ in what a zero of 0"),
                (("gptq", 4, 32, "symmetric", "BF16"), first + "gptq: its scales are of f16"),
                (("awq", 8, 32, "symmetric", "F16"), first + "awq: it holds 4 bits, not 8"),
                (("gptq", 3, 32, "symmetric", "F16"), first + "gptq: it holds 4 or 8 bits, not 3"),
                (("awq", 4, 48, "symmetric", "F16"),
                 first + "awq: its 160 inputs are no multiple of the group's 48"),
                (("compressed-tensors", 4, 48, "symmetric", "F16"),
                 first + "compressed-tensors: its 160 inputs are no multiple of the group's 48"),
                (("compressed-tensors", 4, 32, "ordered", "F16"),
                 first + "compressed-tensors: its readers know no groups out of the inputs' order"),
                (("gptq", 4, 32, "symmetric", "F16", "block:0", "mergekit"), "a recipe (mergekit) holds no")):
            result, folder = self.pack(*arguments)
            harness.check(result.code == 1 and sentence in result.err, sentence, result)
            harness.check(not os.path.exists(folder), "something was written")
        result, _ = self.pack("gptq", 4, 32, "symmetric", "F16", source=again)
        harness.check(result.code == 1 and "the model is quantized already" in result.err, result)
        result = harness.run(self.programs["pack_checkpoint"], self.source, again, "awq", 4, 32,
                             "symmetric", "F16")
        harness.check(result.code == 1 and "nothing is written over" in result.err, result)
        harness.check(not any(".partial" in name for name in os.listdir(self.work)), "something is left")


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    with harness.scratch() as work:
        cases = Cases(programs, work)
        listed = [(" ".join(map(str, row)), lambda row=row: cases.written(*row)) for row in WRITTEN]
        listed += [(name.replace("_", " "), getattr(cases, name))
                   for name in ("left_out", "other_values", "shards", "dropped", "refused")]
        return harness.run_cases(listed, only)


if __name__ == "__main__":
    sys.exit(main())

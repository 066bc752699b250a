# SPDX-License-Identifier: Apache-2.0
"""trace-quant as its user meets it: what it makes of checkpoints, how it goes on, that bits depend on neither
ranks nor threads, and what it refuses.

test_quant.py trace-quant=PATH trace-eval=PATH trace-ckpts=PATH store_json=PATH root=FOLDER [mpirun=PATH]"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import packed_words
from harness import check


class Cases:
    def __init__(self, programs, root):
        self.quant, self.eval, self.mpirun = programs["trace-quant"], programs["trace-eval"], programs.get("mpirun")
        self.ckpts, self.json = programs["trace-ckpts"], programs["store_json"]
        self.demo = os.path.join(programs["root"], "tests/series/demo")
        self.golden = os.path.join(programs["root"], "tests/golden/forward")
        self.root = root

    def command(self, source, target, *options):
        tokens = os.path.join(os.path.dirname(source) if "demo" in source else source, "tokens.npy")
        return [self.quant, source, "--tokens", tokens, "--device", "cpu", "-o", os.path.join(self.root, target),
                *options]

    def make(self, source, target, *options, code=0, threads=1):
        return harness.run(*self.command(source, target, *options),
                           env=harness.environment(threads)).expect(code)

    def bytes_of(self, target):
        with open(os.path.join(self.root, target, "model.safetensors"), "rb") as file:
            return file.read()

    def loss(self, *targets):
        """The loss of each, in order, on demo's rows."""
        paths = [target if "/" in target else os.path.join(self.root, target) for target in targets]
        page = harness.run(self.eval, *paths, "--tokens", self.demo + "/tokens.npy", "--device", "cpu", "-q",
                           "--fresh", "-o", self.root + "/eval.h5").expect(0).out
        rows = [[cell.strip() for cell in line.split("|")] for line in page.splitlines()]
        found = {row[1]: float(row[4]) for row in rows if len(row) > 5 and row[2] == "nothing"}
        return [found[os.path.basename(path)] for path in paths]

    # ---- what it is for ------------------------------------------------------------------------

    def case_methods(self):
        """Making up for rounding is worth more than rounding, in a file of each layout that is read again."""
        last, few = self.demo + "/step_6418", ("--group", "32", "--samples", "3")
        self.make(last, "nearest", "--method", "rtn", *few)
        told = self.make(last, "gptq", *few, "--layout", "gptq", "--act-order", "groups").out
        check("70 weights in 4 bits (gptq) as gptq" in told, told)
        self.make(last, "zeros", "--layout", "awq", "--asymmetric", *few)
        self.make(last, "eight", "--bits", "8", *few)
        whole, nearest, gptq, zeros, eight = self.loss(last, "nearest", "gptq", "zeros", "eight")
        check(whole - 0.01 < eight < whole + 0.01, whole, eight)
        check(whole < gptq < nearest - 0.02 and whole < zeros < nearest - 0.02, whole, gptq, zeros, nearest)

    def case_report(self):
        """Errors by layer, and what it costs on rows that nothing was calibrated on, beside the model and the set."""
        last = self.demo + "/step_6418"
        told = self.make(last, "out", "--group", "32", "--samples", "2", "--report", "6", "--drop", "block:9").out
        errors = re.findall(r"^ +\d+  self_attn.q_proj ([0-9.e-]+), .*mlp.down_proj ([0-9.e-]+)$", told, re.M)
        check(len(errors) == 9 and all(0 < float(e) < 0.05 for line in errors for e in line), told)
        rows = dict(re.findall(r"^(as it is|without the set|in 4 bits \(\w+\)) +(.*)$", told, re.M))
        loss, kl = ({name: float(cells.split()[at]) for name, cells in rows.items() if len(cells.split()) > at}
                    for at in (0, 4))
        check(len(loss) == 4 and loss["as it is"] < loss["without the set"], told)
        check(0 < kl["without the set"] < kl["in 4 bits (gptq)"], told)
        gain = re.search(r"^from rounding to nearest +([+-][0-9.]+) \[", told, re.M)
        check(abs(float(gain[1]) - loss["in 4 bits (gptq)"] + loss["in 4 bits (rtn)"]) < 1.5e-4, told)
        rounded = self.make(last, "rounded", "--method", "rtn", "--group", "32", "--samples", "2", "--report", "6",
                            "--drop", "block:9").out
        check("Importance" not in told, "a folder with fewer blocks has other layers")
        check(rows["in 4 bits (rtn)"] in rounded and "from rounding" not in rounded, told, rounded)

    def case_every_weight_is_met(self):
        """By text, in steps with several products of a stage: latent attention, a scan, one product for all."""
        for source in ("deepseek_v2-2", "bamba-3", "phi3-1"):
            told = self.make(f"{self.golden}/{source}", source, "--group", "row", "--samples", "1", "--report", "1").out
            weights = int(re.search(r"^(\d+) weights in 4 bits", told, re.M)[1])
            lines = re.findall(r"^ +\d+  ([a-z].*)$", told, re.M)
            check(weights == sum(len(line.split(", ")) for line in lines) > 0, source, told)

    def case_importance(self):
        """What each layer does before and after, on the held-out rows: before, it is what trace-ckpts measures."""
        last, rows = self.demo + "/step_6418", (2, 8)
        told = self.make(last, "out", "--method", "rtn", "--bits", "8", "--group", "32", "--samples", "2",
                         "--report", "6").out
        lines = re.findall(r"^ +\d+((?: +\d\.\d{4}){6})$", told, re.M)
        check(len(lines) == 10, told)
        harness.run(self.ckpts, "--ckpts", last, "--tokens", self.demo + "/tokens.npy", "--device", "cpu", "-q", "-o",
                    self.root + "/trace.h5").expect(0)
        said = json.loads(harness.run(self.json, self.root + "/trace.h5", "-v", "importance_seq").expect(0).out)
        every = said[0]["rows"][0]["importance_seq"]
        for number, line in enumerate(lines):
            found = [float(cell) for cell in line.split()]
            for module in range(3):
                values = every[16 * (3 * number + module):][slice(*rows)]
                check(abs(found[2 * module] - sum(values) / len(values)) < 1e-4, number, module, line, values)
                check(abs(found[2 * module + 1] - found[2 * module]) < 1e-3 + 0.02 * found[2 * module], line)

    def case_awq(self):
        """Scales leave the model what it is: in eight bits nothing is lost, though norms have other values."""
        source = self.golden + "/gemma-0"  # norms that are stored less one
        self.make(source, "awq", "--method", "awq", "--bits", "8", "--group", "row", "--asymmetric")
        page = harness.run(self.eval, source, self.root + "/awq", "--tokens", source + "/tokens.npy", "-q", "--fresh",
                           "--device", "cpu", "-o", self.root + "/eval.h5").expect(0).out
        losses = [float(x) for x in re.findall(r"\|nothing *\| *\d+\| *([0-9.]+)\|", page)]
        check(len(losses) == 2 and abs(losses[0] - losses[1]) < 0.01, page)

    def first_block(self):
        """Demo's first block in f32, as llmcompressor's file was made of it."""
        source = os.path.join(self.root, "first")
        os.mkdir(source)
        shutil.copy(self.demo + "/tokens.npy", source)
        with open(self.demo + "/step_6418/config.json", encoding="utf-8") as file:
            config = json.load(file) | {"num_hidden_layers": 1, "dtype": "float32"}
        with open(source + "/config.json", "w", encoding="utf-8") as file:
            json.dump(config, file)
        tensors = packed_words.read_tensors(self.demo + "/step_6418/model.safetensors")
        packed_words.write_tensors(source + "/model.safetensors", {
            name: packed_words.tensor_of("F32", tensor[1], packed_words.numbers(tensor))
            for name, tensor in tensors.items() if "layers." not in name or "layers.0." in name})
        return source

    def case_awq_of_llmcompressor(self):
        """The codes of the first block are llmcompressor's, but for values between two codes; what meets its MLP is
        attention in few bits here, and attention as it was there."""
        source = self.first_block()
        self.make(source, "awq", "--method", "awq", "--no-clip", "--asymmetric", "--group", "32")
        theirs = os.path.join(self.golden, "../../formats/fixtures/packed/awq-gemm-repacked/model.safetensors")
        ours, theirs = (packed_words.read_tensors(path) for path in
                        (self.root + "/awq/model.safetensors", theirs))
        modules = packed_words.modules(theirs, "awq")
        check(len(modules) == 7, modules)
        for module in modules:
            found, expected = (packed_words.load(tensors, module, layout, 4, 32)[0] for tensors, layout in
                               ((ours, "compressed-tensors"), (theirs, "awq")))
            differ = sum(a != b for x, y in zip(found, expected) for a, b in zip(x, y))
            most = 0.001 if "self_attn" in module else 0.03 if "down" in module else 0.002
            check(differ <= most * len(found) * len(found[0]), module, differ, len(found) * len(found[0]))

    def case_drop(self):
        """Without a block and without attention of another: what is left is put into few bits."""
        last, few = self.demo + "/step_6418", ("--group", "32", "--samples", "1")
        told = self.make(last, "short", "--drop", "block:4", *few).out
        check("63 weights" in told, told)
        with open(self.root + "/short/config.json", encoding="utf-8") as file:
            check(json.load(file)["num_hidden_layers"] == 9, "nine layers are left")
        told = self.make(last, "zeroed", "--drop", "attn:4", "--drop-as", "zeroed", *few).out
        check("66 weights" in told, told)

    # ---- the same bytes ------------------------------------------------------------------------

    def case_same_bytes(self):
        """Of experts, whatever the threads and ranks; --skip leaves what it names."""
        source = self.golden + "/olmoe-1"
        options = ("--group", "row", "--skip", "q_proj")
        self.make(source, "one", *options)
        self.make(source, "two", *options, threads=2)
        check(self.bytes_of("one") == self.bytes_of("two"), "threads show in the bytes")
        check(b"q_proj.weight\"" in self.bytes_of("one") and b"q_proj.weight_packed" not in self.bytes_of("one"),
              "q_proj stays")
        if self.mpirun:
            command = self.command(source, "ranks", *options)
            harness.run(self.mpirun, "--oversubscribe", "-n", "2", *command).expect(0)
            check(self.bytes_of("one") == self.bytes_of("ranks"), "ranks show in the bytes")

    def ended(self, how, where, source, target, *options):
        """The status of a job that gets a signal when it says that line."""
        with subprocess.Popen(self.command(source, target, *options), stderr=subprocess.PIPE, text=True,
                              env=harness.environment(1)) as job:
            for line in job.stderr:
                if line.startswith(where):
                    job.send_signal(how)
            return job.wait()

    def case_goes_on(self):
        """Stopped or killed behind a block, it goes on; another job's blocks are refused; damaged ones, too."""
        last, options = self.demo + "/step_6418", ("--group", "32", "--samples", "1", "-v")
        self.make(last, "whole", *options)
        check(self.ended(signal.SIGTERM, "block 2:", last, "again", *options) == 75, "stopped")
        parts = sorted(os.listdir(self.root + "/again.parts"))
        check(parts[:3] == [f"block-0000{i}.part" for i in range(3)] and len(parts) < 10, parts)
        refused = self.make(last, "again", *options, "--asymmetric", code=3).err
        check("is of another job" in refused, refused)
        with open(self.root + "/again.parts/block-00001.part", "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x99")
        refused = self.make(last, "again", *options, code=1).err
        check("block-00001.part is damaged" in refused, refused)
        os.remove(self.root + "/again.parts/block-00001.part")
        check(self.ended(signal.SIGKILL, "block 5:", last, "again", *options) == -signal.SIGKILL, "killed")
        check(not os.path.exists(self.root + "/again"), "a folder that is not whole")
        with open(self.root + "/again.parts/block-00007.part.tmp1", "wb"):
            pass  # as one has it that was killed while it wrote
        told = self.make(last, "again", *options).err
        check(not any(f"block {done}:" in told for done in range(6)) and "block 9:" in told, told)
        check(self.bytes_of("whole") == self.bytes_of("again"), "going on shows in the bytes")
        check(not os.path.exists(self.root + "/again.parts"), "parts are left")

    # ---- refusals ------------------------------------------------------------------------------

    def case_refusals(self):
        last, gpt2 = self.demo + "/step_6418", self.golden + "/gpt2-1"
        os.mkdir(self.root + "/there")
        for source, target, options, code, sentence in (
                (last, "there", (), 3, "/there is there already"),
                (last, "no", ("--group", "48"), 1, "64 inputs are no multiple of the group's 48"),
                (last, "no", ("--layout", "awq", "--bits", "8", "--group", "32"), 1, "it holds 4 bits, not 8"),
                (gpt2, "no", ("--group", "row"), 1, "c_attn.weight is stored [in, out]"),
                (last, "no", ("--group", "4"), 2, "takes a number of inputs from 8 on, or row"),
                (last, "no", ("--method", "magic"), 2, "takes rtn, gptq or awq"),
                (last, "no", ("--clip", "--no-clip"), 2, "--clip and --no-clip exclude each other"),
                (last, "no", ("--drop-as", "zeroed"), 2, "which --drop SET?"),
                (last, "no", ("--skip", "proj", "--group", "32"), 2, "nothing is left")):
            refused = self.make(source, target, "--samples", "1", *options, code=code).err
            check(sentence in refused, sentence, refused)
            check(not os.path.exists(self.root + "/no"), "something was written")


def one(programs, name):
    def case():
        with harness.scratch() as root:
            getattr(Cases(programs, root), name)()
    return case


def main():
    programs = harness.programs(sys.argv[1:])
    names = [name for name in vars(Cases) if name.startswith("case_")]
    return harness.run_cases([(name[5:].replace("_", " "), one(programs, name)) for name in names])


if __name__ == "__main__":
    sys.exit(main())

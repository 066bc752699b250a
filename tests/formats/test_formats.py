#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that trainers wrote, against what they must give: the tensors of Hugging Face's names
by digest, and the same store as of those tensors in a Hugging Face folder.

    test_formats.py NAME=PROGRAM ... fixtures=FOLDER [only=NAME] [mpirun=PROGRAM [ranks=1,2,4]]
                    [sampled=yes] [memory=no]

sampled=yes: the stores of five alone, two of them of several ranks where there is an mpirun.
memory=no: peaks of memory are not compared with the plan, as a sanitizer takes memory of its own.

Each fixture is a folder with the checkpoint and expected.json, which says who wrote it and what
tensors it has (sha256 of their little-endian row-major bytes), see README.md."""
import hashlib
import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import harness  # noqa: E402

# Fixture: the checkpoint in it; whether the configuration has to be given.
CHECKPOINTS = {
    "pt-zip-proto2": (".", True),
    "pt-zip-proto4": (".", True),
    "pt-views": (".", True),
    "pt-legacy-views": (".", True),
    "pt-nanogpt-like": (".", True),
    "pt-nanogpt-gpt2": (".", True),
    "lightning-ckpt": ("epoch=0-step=3.ckpt", True),
    "litgpt-pretrain": ("step-00006418", False),
    "dcp-flat-w1": (".", True),
    "dcp-app-fsdp2-w4": (".", True),
    "dcp-fsdp2-tp2-w4": (".", True),
    "dcp-threads3-w2": (".", True),
    "dcp-odd-items-w1-neox": (".", True),
    "titan-w3": ("step-6418", True),
    "titan-qwen3-moe": ("step-10", True),
    "dcp-fused-experts": (".", True),
    "olmo-core": ("step1000", False),
    "accelerate-fsdp2-w2": ("checkpoint-100", True),
    "megatron-torch-dist-tp2-pp2": ("iter_0000100", False),
    "megatron-torch-dist-perlayer-tp2": ("iter_0000100", False),
    "megatron-tp2": ("iter_0000100", False),
    "megatron-pp2-vpp2": ("iter_0000100", False),
    "megatron-tp4-neox": ("iter_0000100", True),
    "megatron-old-names-tp2": ("iter_0028608", False),
    "ds-zero1-w2-f32": (".", True),
    "ds-zero2-w2": ("global_step100", True),
    "ds-zero3-w2": ("global_step100", True),
    "ds-universal-neox": ("global_step100_universal", True),
    "neox-layers-mp1": ("global_step7697", False),
    "nanotron-tp2": ("6418", False),
    "meta-mp1": (".", False),
    "meta-mp2-llama2": (".", False),
}
# Fixtures that hold f32 masters where the digests are of the bfloat16 weights.
MASTERS = {"ds-zero3-w2"}
# Whose stores are compared in a short run.
SAMPLED = {"lightning-ckpt": 1, "titan-w3": 2, "megatron-pp2-vpp2": 1, "ds-zero2-w2": 4,
           "nanotron-tp2": 1}  # on so many ranks
# What the fixture's trainer did not write where it can be found, or of one rank only.
NOT_TOLD = {("titan-w3", "tokens"), ("ds-zero1-w2-f32", "step"), ("ds-universal-neox", "step")}
# Tensors beside those of the model, which stay under their own names.
BESIDE = {"dcp-odd-items-w1-neox": {"scale", "list.0", "empty"}}


def narrowed(tensor, data):
    """The bfloat16 tensor that an f32 one was widened from: masters are all that ZeRO-3 stores."""
    dtype, shape, _ = tensor
    harness.check(dtype == "F32" and not any(data[0::4]) and not any(data[1::4]),
                  "f32 values are no bfloat16")
    halves = bytes(part for pair in zip(data[2::4], data[3::4]) for part in pair)
    return "BF16", shape, hashlib.sha256(halves).hexdigest()


def tensors_of(path, masters=False):
    """Name -> (dtype, shape, sha256) of a safetensors file."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        part = data[slice(*entry["data_offsets"])]
        found[name] = entry["dtype"], entry["shape"], hashlib.sha256(part).hexdigest()
        if masters:
            found[name] = narrowed(found[name], part)
    return found


# A process of its own, for a child counts the memory of what it was forked from.
WATCH = """import os, resource, sys
code = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
print("peak of", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)"""


class Fixture:
    def __init__(self, programs, root, name, work):
        self.programs, self.name = programs, name
        self.measures_memory = programs.get("memory") != "no"
        folder, self.needs_config = CHECKPOINTS[name]
        self.path = os.path.normpath(os.path.join(root, name, folder))
        self.same = os.path.join(work, name, os.path.basename(self.path))
        self.config = os.path.join(work, name + ".json")
        self.work = work
        with open(os.path.join(root, name, "expected.json"), encoding="utf-8") as file:
            self.expected = json.load(file)
        os.makedirs(self.same)
        for path in self.config, os.path.join(self.same, "config.json"):
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self.expected["config"], file)

    def check_tensors(self):
        given = [self.config] if self.needs_config else []
        harness.run(self.programs["copy_tensors"], self.path, self.same, 1 << 40,
                    *given).expect(0)
        found = tensors_of(os.path.join(self.same, "model.safetensors"), self.name in MASTERS)
        for name, tensor in self.expected["tensors"].items():
            want = (tensor["dtype"], tensor["shape"], tensor["sha256"])
            harness.check(found.get(name) == want, self.name, name, "is", found.get(name),
                          "and should be", want)
        more = set(found) - set(self.expected["tensors"]) - BESIDE.get(self.name, set())
        harness.check(not more, self.name, "has tensors that nobody expects:", sorted(more))

    def trace(self, path, out, ranks, *options):
        """What the program and each rank's memory say."""
        launch = [self.programs["mpirun"], "-n", ranks] if ranks > 1 else []
        env = harness.environment(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                                  OMPI_MCA_rmaps_base_oversubscribe="1",
                                  OMPI_MCA_hwloc_base_binding_policy="none",
                                  OMPI_MCA_btl="self,vader,tcp", OMPI_MCA_pml="ob1")
        tokens = os.path.join(self.work, "tokens.u16")
        with open(tokens, "wb") as file:
            file.write(bytes(part for i in range(512) for part in (i * 7 % 37, 0)))
        return harness.run(*launch, sys.executable, "-ISc", WATCH, self.programs["trace-ckpts"], "-q",
                           "--ckpts", path, "-o", out, "--tokens", tokens, "--seq-len", 32,
                           "--samples", 16, *options, env=env).expect(0)

    def check_memory(self, ran, out, ranks, *options):
        """No rank takes more than the plan says."""
        planned = self.trace(self.path, out, ranks, "--dry-run", *options).out
        number, unit = re.search(r"peak memory +([\d.]+) ([kMG])B", planned).groups()
        allowed = float(number) * 1000 ** " kMG".index(unit)
        taken = [int(word) for word in re.findall(r"peak of (\d+)", ran.err)]
        harness.check(len(taken) == ranks and max(taken) <= allowed, self.name, "planned", allowed,
                      "and took", taken)

    def ranks(self, arguments):
        """Of how many ranks stores are compared: one after the other."""
        if "sampled" not in arguments:
            return [int(ranks) for ranks in arguments.get("ranks", "1").split(",")]
        return [SAMPLED[self.name] if "mpirun" in arguments else 1] if self.name in SAMPLED else []

    def check_store(self, ranks):
        ours = os.path.join(self.work, f"{self.name}-{ranks}.h5")
        theirs = os.path.join(self.work, f"{self.name}-hf.h5")
        if not os.path.exists(theirs):
            self.trace(self.same, theirs, 1)
        given = ["--config", self.config] if self.needs_config else []
        ran = self.trace(self.path, ours, ranks, *given)
        if self.measures_memory:
            self.check_memory(ran, ours, ranks, *given)
        told = harness.run(self.programs["same_store"], ours, theirs)
        differing = {line.split(" differs")[0] for line in told.out.splitlines()
                     + told.err.splitlines()}
        allowed = {"identity", "row_digest", "name"} | self.counted_twice()
        allowed |= {"config_digest"} if not self.needs_config else set()
        allowed |= {"tokens_seen", "step"} if "step" in self.expected else set()
        harness.check(differing <= allowed, told)
        if "store_json" in self.programs:
            self.check_place(ours)

    def check_place(self, store):
        row, = harness.Store(self.programs["store_json"], store).rows
        for key, name in ("step", "step"), ("tokens", "tokens_seen"):
            wanted = self.expected.get(key)
            if wanted is not None and (self.name, key) not in NOT_TOLD:
                harness.check(row[name] == wanted, self.name, name, "is", row[name], "not", wanted)

    def counted_twice(self):
        """A table that is stored twice is a table of its own in one form and not in the other."""
        tied = self.expected["config"]["tie_word_embeddings"]
        return {"weights_digest", "/:sizes"} if tied and "lm_head.weight" in self.expected["tensors"] else set()


def main():
    arguments = dict(argument.split("=", 1) for argument in sys.argv[1:])
    root, only = arguments["fixtures"], arguments.get("only")
    failed = 0
    with harness.scratch() as work:
        for name in CHECKPOINTS:
            if not os.path.isdir(os.path.join(root, name)) or (only and only not in name):
                continue
            try:
                fixture = Fixture(arguments, root, name, work)
                fixture.check_tensors()
                for ranks in fixture.ranks(arguments) if "trace-ckpts" in arguments else []:
                    fixture.check_store(ranks)
            except harness.Failure as failure:
                failed += 1
                print(f"{name}: {failure}")
            else:
                print(f"{name}: good")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

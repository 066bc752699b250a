#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that trainers wrote, against what they must give: the tensors of Hugging Face's names
by digest, and the same store as of those tensors in a Hugging Face folder.

    test_formats.py NAME=PROGRAM ... fixtures=FOLDER [only=NAME] [mpirun=PROGRAM]

Each fixture is a folder with the checkpoint and expected.json, which says who wrote it and what
tensors it has (sha256 of their little-endian row-major bytes), see README.md."""
import hashlib
import json
import os
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
    "lightning-ckpt": ("epoch=0-step=3.ckpt", True),
    "litgpt-pretrain": ("step-00006418", False),
    "meta-mp1": (".", False),
    "meta-mp2-llama2": (".", False),
}


def tensors_of(path):
    """Name -> (dtype, shape, sha256) of a safetensors file."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"],
                   hashlib.sha256(data[slice(*entry["data_offsets"])]).hexdigest())
            for name, entry in header.items()}


class Fixture:
    def __init__(self, programs, root, name, work):
        self.programs, self.name = programs, name
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
        found = tensors_of(os.path.join(self.same, "model.safetensors"))
        for name, tensor in self.expected["tensors"].items():
            want = (tensor["dtype"], tensor["shape"], tensor["sha256"])
            harness.check(found.get(name) == want, self.name, name, "is", found.get(name),
                          "and should be", want)
        more = set(found) - set(self.expected["tensors"]) - set(self.expected.get("beside", []))
        harness.check(not more, self.name, "has tensors that nobody expects:", sorted(more))

    def trace(self, path, out, ranks, *options):
        launch = [self.programs["mpirun"], "-n", ranks] if ranks > 1 else []
        env = harness.environment(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                                  OMPI_MCA_rmaps_base_oversubscribe="1",
                                  OMPI_MCA_hwloc_base_binding_policy="none",
                                  OMPI_MCA_btl="self,vader,tcp", OMPI_MCA_pml="ob1")
        tokens = os.path.join(self.work, "tokens.u16")
        with open(tokens, "wb") as file:
            file.write(bytes(part for i in range(512) for part in (i * 7 % 251, 0)))
        harness.run(*launch, self.programs["trace-ckpts"], "-q", "--ckpts", path, "-o", out,
                    "--tokens", tokens, "--seq-len", 64, "--samples", 8, *options,
                    env=env).expect(0)

    def check_store(self, ranks):
        ours = os.path.join(self.work, f"{self.name}-{ranks}.h5")
        theirs = os.path.join(self.work, f"{self.name}-hf.h5")
        if not os.path.exists(theirs):
            self.trace(self.same, theirs, 1)
        self.trace(self.path, ours, ranks, *(["--config", self.config] if self.needs_config else []))
        told = harness.run(self.programs["same_store"], ours, theirs)
        differing = {line.split(" differs")[0] for line in told.out.splitlines()
                     + told.err.splitlines()}
        allowed = {"identity", "row_digest", "name"} | self.counted_twice()
        if not self.needs_config:
            allowed.add("config_digest")
        harness.check(differing <= allowed, told)

    def counted_twice(self):
        """A table that is stored twice is a table of its own in one form and not in the other."""
        tied = self.expected["config"]["tie_word_embeddings"]
        return {"weights_digest"} if tied and "lm_head.weight" in self.expected["tensors"] else set()


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
                if "trace-ckpts" in arguments:
                    fixture.check_store(1)
            except harness.Failure as failure:
                failed += 1
                print(f"{name}: {failure}")
            else:
                print(f"{name}: good")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of trainers that are damaged or lie: each is refused with its sentence, and nothing that
a pickle asks for is run.

    test_hostile.py dump_tensors=PROGRAM fixtures=FOLDER [only=WORD] [show=yes]

A case is a fixture, what is done to a copy of it, and the sentence; FOLDER in it is the copy. With
show=yes the sentences are printed instead."""
import json
import os
import re
import shutil
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import harness  # noqa: E402


def changed(name, change):
    def fault(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            before = file.read()
        after = change(before)
        harness.check(after != before, "nothing was changed in", name)
        with open(path, "wb") as file:
            file.write(after)
    return fault


def replaced(name, old, new, count=1):
    """The same number of bytes, so that whatever counts them stays right."""
    harness.check(len(old) == len(new), old, "and", new, "are not of one length")
    return changed(name, lambda data: data.replace(old, new, count))


def cut(name, size):
    return changed(name, lambda data: data[:size])


def removed(name):
    return lambda folder: os.remove(os.path.join(folder, name))


def copied(name, to):
    def fault(folder):
        os.makedirs(os.path.dirname(os.path.join(folder, to)), exist_ok=True)
        shutil.copy(os.path.join(folder, name), os.path.join(folder, to))
    return fault


def runs(folder):
    """What would make a file if it were unpickled."""
    command = f"touch {folder}/it-ran".encode()
    return b"cposix\nsystem\n(X" + len(command).to_bytes(4, "little") + command + b"tR"


def with_pickle(name, value):
    """The archive with another pickle in it."""
    def fault(folder):
        path = os.path.join(folder, name)
        with zipfile.ZipFile(path) as file:
            entries = {entry: file.read(entry) for entry in file.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
            for entry, data in entries.items():
                is_pickle = entry.endswith("/data.pkl")
                file.writestr(entry, value(data, folder) if is_pickle else data)
    return fault


def compressed(name):
    def fault(folder):
        path = os.path.join(folder, name)
        with zipfile.ZipFile(path) as file:
            entries = {entry: file.read(entry) for entry in file.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for entry, data in entries.items():
                file.writestr(entry, data)
    return fault


def runs_beside(data, folder):
    """{"model": the dict that was there, "hook": what would run}."""
    return b"\x80\x02}(X\x05\0\0\0model" + data[2:-1] + b"X\x04\0\0\0hook" + runs(folder) + b"u."


def runs_instead(_, folder):
    return b"\x80\x02}X\x06\0\0\0weight" + runs(folder) + b"s."


def global_as(module, name):
    return lambda data, folder: data.replace(b"ctorch._utils\n_rebuild_tensor_v2\n",
                                             b"c%s\n%s\n" % (module, name))


TITAN, DATA = "titan-w3/step-6418", "__0_0.distcp"
STAGES, RANK = "megatron-pp2-vpp2/iter_0000100", "mp_rank_00_000/model_optim_rng.pt"
ZERO3, NEOX = "ds-zero3-w2/global_step100", "neox-layers-mp1/global_step7697"
STATES, OPTIMIZER = "zero_pp_rank_%d_mp_rank_00_model_states.pt", \
    "bf16_zero_pp_rank_%d_mp_rank_00_optim_states.pt"
PT, BIN = "pt-zip-proto2", "pytorch_model.bin"
CASES = [
    ("metadata cut", TITAN, cut(".metadata", 1000),
     "FOLDER/.metadata: the pickle's SHORT_BINUNICODE at byte 982: it wants 28 bytes, the "
     "pickle has 16 left"),
    ("metadata empty", TITAN, cut(".metadata", 0),
     "FOLDER/.metadata is empty: its download did not finish"),
    ("metadata without its end", TITAN, cut(".metadata", -1),
     "FOLDER/.metadata: its pickle ends without a STOP"),
    ("data cut", TITAN, cut(DATA, 20000),
     "FOLDER/__0_0.distcp: the chunk at [0, 0] of tensor layers.0.feed_forward.w3.weight "
     "reaches beyond the file: it is truncated"),
    ("data missing", TITAN, removed(DATA),
     "cannot open FOLDER/__0_0.distcp: No such file or directory"),
    ("a path that leads out", TITAN, replaced(".metadata", b"__0_0.distcp", b"../../passwd"),
     "FOLDER/.metadata names the file ../../passwd, which is not below its folder"),
    ("an absolute path", TITAN, replaced(".metadata", b"__0_0.distcp", b"/etc//passwd"),
     "FOLDER/.metadata names the file /etc//passwd, which is not below its folder"),
    ("a path with a NUL", TITAN, replaced(".metadata", b"__0_0.distcp", b"__0_0\0distcp"),
     "FOLDER/.metadata names the file __0_0, which is not below its folder"),
    ("another class", TITAN, replaced(".metadata", b"TensorStorageMetadata",
                                      b"TensorStorageMetadatb"),
     "FOLDER/.metadata names no tensors of a model"),
    ("a chunk's magic", TITAN, changed(DATA, lambda data: data.replace(b"PK\3\4", b"PK\3\5")),
     "FOLDER/__0_0.distcp does not begin as a file of torch.save"),
    ("a chunk's directory", TITAN,
     changed(DATA, lambda data: data.replace(b"PK\5\6", b"PK\5\7")),
     "FOLDER/__0_0.distcp does not end with the directory of a ZIP archive: it is "
     "truncated, or followed by something else"),
    ("a chunk's pickle", TITAN, changed(DATA, lambda data: data.replace(
        b"_rebuild_tensor_v2", b"_rebuild_tensor_v9")),
     "FOLDER/__0_0.distcp: the chunk at [0, 0] of tensor tok_embeddings.weight is no "
     "tensor"),
    ("an old version", STAGES, changed(RANK, lambda data: data.replace(
        b"G@\x08\0\0\0\0\0\0", b"G?\xf0\0\0\0\0\0\0")),
     "FOLDER/mp_rank_00_000/model_optim_rng.pt is of checkpoint version 1, of which the "
     "rows of attention are in an older order; known: 2 and 3"),
    ("a rank missing", STAGES, removed("mp_rank_01_001/model_optim_rng.pt"),
     "cannot open FOLDER/mp_rank_01_001/model_optim_rng.pt: No such file or directory"),
    ("a rank cut", STAGES, cut("mp_rank_01_001/model_optim_rng.pt", 5000),
     "FOLDER/mp_rank_01_001/model_optim_rng.pt does not end with the directory of a ZIP "
     "archive: it is truncated, or followed by something else"),
    ("experts' ranks", STAGES, copied(RANK, "mp_rank_00_000_001/model_optim_rng.pt"),
     "FOLDER: mp_rank_00_000_001 is of a run with expert parallelism, which is not read in "
     "this form: save with --ckpt-format torch_dist"),
    ("no model", STAGES, changed(RANK, lambda data: data.replace(b"model0", b"modelx")),
     "FOLDER/mp_rank_00_000/model_optim_rng.pt has no \"model\""),
    ("another number of layers", STAGES, changed(RANK, lambda data: data.replace(
        b"num_layersq", b"num_lay_rsq")),
     "FOLDER/mp_rank_00_000/model_optim_rng.pt does not say Megatron's \"num_layers\": "
     "give a config.json with --config"),
    ("a file of optimizers missing", ZERO3, removed(OPTIMIZER % 1),
     "FOLDER has 2 files of ZeRO-3's model states and 1 of optimizer states, in which the "
     "weights are: there should be as many"),
    ("a rank of both missing", ZERO3, lambda folder: [
        removed(name)(folder) for name in (STATES % 1, OPTIMIZER % 1)],
     "FOLDER/zero_pp_rank_0_mp_rank_00_model_states.pt: 2 ranks wrote it, the files of 1 "
     "are there"),
    ("no vectors", ZERO3, changed(OPTIMIZER % 0, lambda data: data.replace(
        b"fp32_flat_groups", b"fp32_flat_grouqs")),
     "FOLDER/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt has no "
     "optimizer_state_dict.fp32_flat_groups, which ZeRO-3's weights are in"),
    ("no shapes", ZERO3, changed(STATES % 0, lambda data: data.replace(
        b"param_shapes", b"param_shaqes")),
     "FOLDER/zero_pp_rank_0_mp_rank_00_model_states.pt has no list param_shapes"),
    ("a layer cut", NEOX, cut("layer_02-model_00-model_states.pt", -40),
     "FOLDER/layer_02-model_00-model_states.pt does not end with the directory of a ZIP "
     "archive: it is truncated, or followed by something else"),
    ("a configuration of bytes", NEOX, changed("configs/demo.yml", lambda data: b"\xff\xfe" + data),
     "FOLDER/configs/demo.yml is no text"),
    ("a file cut", PT, cut(BIN, 9000),
     "FOLDER/pytorch_model.bin does not end with the directory of a ZIP archive: it is "
     "truncated, or followed by something else"),
    ("a file with a tail", PT, changed(BIN, lambda data: data + b"tail"),
     "FOLDER/pytorch_model.bin does not end with the directory of a ZIP archive: it is "
     "truncated, or followed by something else"),
    ("a file compressed", PT, compressed(BIN),
     "FOLDER/pytorch_model.bin: its entry pytorch_model/data.pkl is compressed (method 8); "
     "torch.save stores entries as they are"),
    ("a pickle that runs, beside", PT, with_pickle(BIN, runs_beside), None),
    ("a pickle that runs, as weights", PT, with_pickle(BIN, runs_instead),
     "FOLDER/pytorch_model.bin holds no tensors by name"),
    ("tensors made by os.system", PT, with_pickle(BIN, global_as(b"os", b"system")),
     "FOLDER/pytorch_model.bin holds no tensors by name"),
]


class Hostile:
    def __init__(self, arguments, work):
        self.arguments, self.work = arguments, work

    def run(self, number, fixture, fault):
        """What is said of the copy with the fault."""
        root, _, below = fixture.partition("/")
        folder = os.path.join(self.work, str(number))
        source = os.path.join(self.arguments["fixtures"], root)
        shutil.copytree(os.path.join(source, below), folder)
        if root not in ("neox-layers-mp1", "megatron-pp2-vpp2"):
            with open(os.path.join(source, "expected.json"), encoding="utf-8") as file:
                config = json.load(file)["config"]
            with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
                json.dump(config, file)
        fault(folder)
        told = harness.run(self.arguments["dump_tensors"], folder)
        harness.check(not os.path.exists(os.path.join(folder, "it-ran")), "the pickle was run")
        said = told.err.strip().replace(folder, "FOLDER")
        return told, re.sub(r" \(read as [^()]*\)$", "", said)  # which layout, at the end

    def case(self, number, fixture, fault, sentence):
        told, said = self.run(number, fixture, fault)
        if "show" in self.arguments:
            return said
        harness.check((told.code != 0) == (sentence is not None), told)
        harness.check(sentence is None or said == sentence, "said:", said, "\nnot:", sentence)
        return ""


def main():
    arguments = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with harness.scratch() as work:
        hostile = Hostile(arguments, work)
        return harness.run_cases(
            [(name, lambda number=number, rest=rest: hostile.case(number, *rest))
             for number, (name, *rest) in enumerate(CASES)], arguments.get("only", ""))


if __name__ == "__main__":
    sys.exit(main())

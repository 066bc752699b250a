# SPDX-License-Identifier: Apache-2.0
"""Reads files of torch.save and the same tensors in safetensors, which must be equal bit for bit.

    python tests/oracle/test_torch_bin.py DUMP_TENSORS [OTHER_PYTHON...]

Each OTHER_PYTHON (with another version of PyTorch) makes the same cases, which must be read as
well. Every file is read whole, and in pieces that end within elements.
"""
import pathlib
import subprocess
import sys
import tempfile

import torch

import make_torch_bin

PIECES = (1 << 20, 4096, 37)


def dump(program, folder, piece):
    return subprocess.run([program, folder, str(piece)], stdout=subprocess.PIPE, check=True,
                          encoding="utf-8").stdout


def compare(program, folder, version):
    wrong = 0
    for case in make_torch_bin.CASES:
        want = dump(program, folder / (case + "-safetensors"), PIECES[0])
        got = [dump(program, folder / case, piece) for piece in PIECES]
        good = want and all(g == want for g in got)
        print(f"torch {version}, {case}: {want.count(chr(10))} tensors, "
              f"{'same' if good else 'DIFFERENT'}", flush=True)
        if not good:
            wrong += 1
            print("expected", want, "got", *got, sep="\n")
    return wrong


def refused(program, folder):
    """What cannot be read is refused with these words."""
    weight = torch.zeros(2, dtype=torch.complex64)
    cases = {
        "module_stream": (torch.nn.Linear(2, 2), dict(_use_new_zipfile_serialization=False),
                          "holds an object, not a dict of tensors"),
        "whole_module": (torch.nn.Linear(2, 2), {}, "holds an object of "
                         "torch.nn.modules.linear.Linear, not a dict of tensors (save the model's "
                         "state_dict()); nothing of it was run"),
        "negated": ({"a": weight.conj().imag}, {},
                    "a view that is conjugated, negated or otherwise marked"),
        "list": ([torch.zeros(2)], {}, "holds a list, not a dict of tensors"),
        "nothing": ({"epoch": 3}, {}, "holds no tensors by name"),
    }
    wrong = 0
    for name, (what, options, sentence) in cases.items():
        where = folder / ("bad_" + name)
        where.mkdir()
        (where / "config.json").write_text("{}")
        torch.save(what, where / "pytorch_model.bin", **options)
        done = subprocess.run([program, where], stderr=subprocess.PIPE, encoding="utf-8")
        if done.returncode != 1 or not done.stderr.endswith(sentence + "\n"):
            wrong += 1
            print(f"{name}: exit {done.returncode}: {done.stderr}")
    return wrong


def main():
    program, others = sys.argv[1], sys.argv[2:]
    wrong = 0
    for python in [sys.executable] + others:
        with tempfile.TemporaryDirectory() as name:
            subprocess.run([python, make_torch_bin.__file__, name], check=True)
            version = subprocess.run(
                [python, "-c", "import torch; print(torch.__version__)"],
                stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout.strip()
            wrong += compare(program, pathlib.Path(name), version)
    with tempfile.TemporaryDirectory() as name:
        wrong += refused(program, pathlib.Path(name))
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())

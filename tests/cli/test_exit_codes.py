# SPDX-License-Identifier: Apache-2.0
"""Equal faults end in equal exit codes, whichever program meets them, and say one sentence.

test_exit_codes.py NAME=PATH...: trace-ckpts, trace-info, trace-analyze, trace-export, trace-eval,
trace-merge, trace-drop."""

import os
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

SOME_FAILED, USAGE, ENVIRONMENT = 1, 2, 3

# What each program does with an input I, an output O and more options, without which it is well.
STORES, CHECKPOINTS, WRITERS = ("info", "analyze", "export", "merge"), (
    "ckpts", "eval", "drop"), ("analyze", "export", "merge", "ckpts", "eval", "drop")
COMMANDS = {
    "info": "trace-info I",
    "analyze": "trace-analyze I --json O",
    "export": "trace-export I --to csv -o O",
    "merge": "trace-merge -o O I",
    "ckpts": "trace-ckpts --ckpts I --tokens ids.jsonl -o O",
    "eval": "trace-eval I --tokens ids.jsonl -o O",
    "drop": "trace-drop write I --drop block:1 --as smaller -o O",
}

# (what, exit code, programs, the word that takes I's place, O's, what is added). None: a good one.
ALL = tuple(COMMANDS)
FAULTS = (
    ("an unknown option", USAGE, ALL, None, None, "--such-an-option"),
    ("nothing at all", USAGE, ALL, "", "", None),
    ("a file that is not there", ENVIRONMENT, ALL, "nowhere", None, ""),
    ("tokens that are not there", ENVIRONMENT, ("ckpts", "eval"), None, None,
     "--tokens nowhere.jsonl"),
    ("a text instead of a store", ENVIRONMENT, STORES, "notes.txt", None, ""),
    ("a store that is cut off", ENVIRONMENT, STORES, "cut.h5", None, ""),
    ("a folder instead of a store", ENVIRONMENT, STORES, "empty", None, ""),
    ("a file instead of a checkpoint", USAGE, CHECKPOINTS, "notes.txt", None, ""),
    ("a folder without a checkpoint", SOME_FAILED, CHECKPOINTS, "empty", None, ""),
    ("a number that is none", USAGE, ("analyze", "export"), None, None, "--count x"),
    ("a number that is none", USAGE, ("ckpts", "eval"), None, None, "--samples x"),
    ("a set that is none", USAGE, ("ckpts", "drop"), None, None, "--drop block:x"),
    ("a layer that is not there", USAGE, ("ckpts", "drop"), None, None, "--drop block:99"),
    ("more rows than there are", USAGE, ("ckpts", "eval"), None, None, "--samples 99"),
    ("somebody's file in the way", ENVIRONMENT, ("analyze", "merge", "ckpts", "eval", "drop"), None,
     "notes.txt", ""),
    ("an output's folder that is not there", USAGE, WRITERS, None, "nowhere/out", ""),
    ("stdout on a full disk", ENVIRONMENT, ALL, None, None, "--help >"),
)


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.checkpoint = tiny.write_series(root + "/series", 1)[0]
        tiny.write_tokens(root + "/ids.jsonl", 2, 16)
        os.mkdir(root + "/empty")
        with open(root + "/notes.txt", "w", encoding="utf-8") as file:
            file.write("not to be lost\n")
        self.run("ckpts", None, "store.h5", "").expect(0)
        with open(root + "/store.h5", "rb") as file, open(root + "/cut.h5", "wb") as cut:
            cut.write(file.read()[:20000])

    def run(self, name, given, out, more):
        program, *words = COMMANDS[name].split()
        good = self.root + "/store.h5" if name in STORES else self.checkpoint
        if more is None:
            return harness.run(self.programs[program], cwd=self.root)
        words = [{"I": good if given is None else given, "O": out or f"out-{name}"}.get(word, word)
                 for word in words]
        if more == "--help >":
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([self.programs[program], "--help"], stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False)
            return harness.Result([program, more], done.returncode, "", done.stderr)
        return harness.run(self.programs[program], *words, *more.split(), cwd=self.root)

    def faults(self):
        """All at once, so that a table that is off is seen whole."""
        wrong = []
        for what, code, names, given, out, more in FAULTS:
            for name in names:
                ran = self.run(name, given, out, more)
                if ran.code != code:
                    wrong.append(f"{what}: {code} was expected, not\n{ran}")
                check(ran.err.strip(), what, "ends without a word:", ran)
        check(not wrong, "\n".join(wrong))
        with open(self.root + "/notes.txt", encoding="utf-8") as file:
            check(file.read() == "not to be lost\n", "somebody's file is lost")

    def well(self):
        """Without a fault each ends with 0, so that it is the fault that is seen."""
        for name in ALL:
            self.run(name, None, None, "").expect(0)


def main():
    with harness.scratch() as root:
        cases = Cases(harness.programs(sys.argv[1:]), root)
        return harness.run_cases([("well", cases.well), ("faults", cases.faults)])


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Bad inputs: every fault with its exact sentence and exit code.

test_bad.py NAME=PATH... [only=TEXT]: the programs trace-ckpts, trace-info, trace-analyze,
store_json, edit_store; `only` runs the cases whose names hold the text."""

import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import analyze_faults
import checkpoint_faults
import harness
import job_faults
import remark_faults
import store_faults
import tiny_checkpoint as tiny
from harness import check


class BrokenSeries:
    """One series in which every fault has its checkpoint, a good one before and after it; traced
    once, by whoever looks first."""

    def __init__(self, programs, root):
        self.programs, self.root, self.ran, self.rows = programs, root, None, None

    def trace(self):
        if self.ran:
            return
        folders = tiny.write_series(self.root, 2 * len(checkpoint_faults.FAULTS) + 1)
        for i, (_, change, _) in enumerate(checkpoint_faults.FAULTS):
            change(folders[2 * i + 1])
        tiny.write_tokens(self.root + "/ids.jsonl", 2, 16)
        self.ran = harness.run(self.programs["trace-ckpts"], "--ckpts", *folders, "-o",
                               self.root + "/out.h5", "--tokens", self.root + "/ids.jsonl")
        self.rows = harness.Store(self.programs["store_json"], self.root + "/out.h5").rows

    def others(self):
        """The good ones are traced, in order, and the run ends with 1."""
        self.trace()
        self.ran.expect(1)
        faults = len(checkpoint_faults.FAULTS)
        check(harness.summary(self.ran) == (faults + 1, faults, 0), self.ran)
        check([row["status"] for row in self.rows] == [1, 2] * faults + [1], self.rows)
        check([row["error"] for row in self.rows[::2]] == [""] * (faults + 1), self.rows)

    def case(self, i):
        """The row and stderr say the fault's sentence."""
        self.trace()
        name = f"step_{100 * (2 * i + 1)}"
        sentence = checkpoint_faults.FAULTS[i][2]
        exact = sentence.replace("FOLDER", f"{self.root}/{name}").replace("NAME", name)
        check(self.rows[2 * i + 1]["name"] == name, self.rows[2 * i + 1])
        check(self.rows[2 * i + 1]["error"] == exact, "expected:", exact, "\nfound:   ",
              self.rows[2 * i + 1]["error"])
        check(f"{name} failed: {exact}\n" in self.ran.err, "stderr lacks it:", exact)


def job_case(programs, prepare, arguments, code, sentence):
    """The whole job ends with the sentence, before anything is written."""
    def case():
        with harness.scratch() as root:
            series = tiny.write_series(root, 2)
            tiny.write_tokens(root + "/ids.jsonl", 2, 16)
            prepare(root)
            there = sorted(os.listdir(root))
            arguments_here = arguments.replace("CKPTS", "--ckpts " + " ".join(series))
            ran = harness.run(programs["trace-ckpts"],
                              *arguments_here.replace("ROOT", root).split(), cwd=root)
            exact = sentence.replace("ROOT", root)
            check(f"trace-ckpts: {exact}\n" in ran.err, "expected:", exact, "in", ran)
            ran.expect(code)
            check(sorted(os.listdir(root)) == there, "files were left:", os.listdir(root))
    return case


def store_case(programs, function):
    def case():
        with harness.scratch() as root:
            return function(programs, root)
    return case


def main():
    options = harness.programs(sys.argv[1:])
    with harness.scratch() as root:
        broken = BrokenSeries(options, root)
        cases = [("checkpoint: " + name, lambda i=i: broken.case(i))
                 for i, (name, _, _) in enumerate(checkpoint_faults.FAULTS)]
        cases.append(("checkpoint: the good ones among them", broken.others))
        cases += [("job: " + name, job_case(options, *fault))
                  for name, *fault in job_faults.FAULTS]
        cases += [("store: " + function.__name__.replace("_", " "),
                   store_case(options, function)) for function in store_faults.CASES]
        cases += [("remark: " + function.__name__.replace("_", " "),
                   store_case(options, function)) for function in remark_faults.CASES]
        cases += [("analyze: " + function.__name__.replace("_", " "),
                   store_case(options, function)) for function in analyze_faults.CASES]
        return harness.run_cases(cases, os.path.basename(options.get("only", "")))


if __name__ == "__main__":
    sys.exit(main())

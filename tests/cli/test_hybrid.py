# SPDX-License-Identifier: Apache-2.0
"""A model whose attn is the scan of a state space in some layers: the file, the report, its JSON and
the page say where, costs are measured, and a model of attention alone says nothing of it.

test_hybrid.py NAME=PATH... golden=FOLDER: trace-ckpts, trace-analyze, trace-export, trace-info."""

import json
import os
import re
import shutil
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check

SENTENCE = "attn is attention but for attn:0, where it is the scan of a state space"


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root

    def run(self, program, *arguments):
        return harness.run(self.programs[program], *arguments).expect(0)

    def trace(self, fixture):
        """A store of two checkpoints that are the fixture."""
        golden, store = os.path.join(self.programs["golden"], fixture), f"{self.root}/{fixture}.h5"
        steps = [f"{self.root}/{fixture}/step_{step}" for step in (1, 2)]
        for step in steps:
            shutil.copytree(golden, step)
        self.run("trace-ckpts", "--ckpts", *steps, "--tokens", f"{golden}/tokens.npy", "--cost",
                 "attn,mlp", "-q", "-o", store)
        return store

    def said(self, store):
        """What report, JSON and page say."""
        self.run("trace-export", store, "--to", "html", "-o", f"{store}.html")
        with open(f"{store}.html", encoding="utf-8") as file:
            page = file.read()
        result = json.loads(self.run("trace-analyze", store, "--json", "-", "--brief").out)
        return " ".join(self.run("trace-analyze", store).out.split()), result["series"]["scans"], page

    def hybrid(self):
        store = self.trace("bamba-3")
        report, scans, page = self.said(store)
        check(SENTENCE in report and SENTENCE in page, report)
        check(scans == "attn:0", scans)
        info = " ".join(self.run("trace-info", store).out.split())
        check(re.search(r"attn 0: [^;]+? attn 1: [^;]+; a token keeps 16 values in the cache", info),
              "the scan keeps no cache that grows:", info)

    def attention_alone(self):
        report, scans, page = self.said(self.trace("llama-0"))
        check("scan" not in report and "is the scan" not in page and scans == "", report)


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as folder:
        cases = Cases(programs, folder)
        return harness.run_cases([("a hybrid", cases.hybrid),
                                  ("attention alone", cases.attention_alone)])


if __name__ == "__main__":
    sys.exit(main())

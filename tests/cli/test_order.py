# SPDX-License-Identifier: Apache-2.0
"""The order of training, from what is typed to what stands in the store.

test_order.py NAME=PATH...: trace-ckpts, trace-info, trace-analyze, store_json."""

import json
import os
import re
import shutil
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

PATTERN = r"run(?<stage>\d+)_(?<step>\d+)"


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root, self.seed = programs, root, 0
        tiny.write_tokens(root + "/ids.jsonl", 2, 8)

    def make(self, *names):
        """Folders of these names, each with weights of its own."""
        for name in names:
            self.seed += 1
            tiny.write_checkpoint(f"{self.root}/{name}", seed=self.seed)
        return [f"{self.root}/{name}" for name in names]

    def copy(self, name, other):
        shutil.copytree(f"{self.root}/{name}", f"{self.root}/{other}")
        return f"{self.root}/{other}"

    def trace(self, out, *options):
        return harness.run(self.programs["trace-ckpts"], "-o", f"{self.root}/{out}.h5", "--tokens",
                           self.root + "/ids.jsonl", *options)

    def rows(self, out):
        return harness.Store(self.programs["store_json"], f"{self.root}/{out}.h5").rows

    def expect(self, out, *names):
        found = [row["name"] for row in self.rows(out)]
        check(found == list(names), found)

    def line(self, ran, names):
        check(re.search(rf"^\d+ checkpoints, .*, from {names[0]} to {names[-1]}$", ran.err,
                        re.MULTILINE), ran)

    def words(self):
        names = ("pretrain_iter_0372000", "pretrain_iter_0373000", "anneal_iter_0001000")
        ran = self.trace("words", "--ckpts", *self.make(*names)).expect(0)
        self.line(ran, names)
        self.expect("words", *names)
        told = harness.run(self.programs["trace-analyze"], self.root + "/words.h5").expect(0)
        check("steps or tokens are known of all, but do not rise from each to the next" in
              " ".join(told.out.split()), told)

    def one_after_the_other(self):
        """Two jobs into one store, the later stage first."""
        late, early = self.make("decay_step_10"), self.make("stable_step_5", "stable_step_90")
        self.trace("two", "--ckpts", *late).expect(0)
        self.trace("two", "--ckpts", *early).expect(0)
        self.expect("two", "stable_step_5", "stable_step_90", "decay_step_10")

    def main_is_a_step(self):
        folders = self.make("step5", "step10", "step20") + [self.copy("step10", "main")]
        ran = self.trace("main", "--ckpts", *folders).expect(0)
        self.line(ran, ("step5", "main"))
        check("no step or tokens known: main; last, or behind the checkpoint with the same "
              "weights" in ran.err, ran)
        self.expect("main", "step5", "step10", "main", "step20")

    def manifest(self):
        """Its stages stay in its order, also when a later job gives none."""
        self.make("a1", "a2", "b1", "c1")
        tiny.write(self.root + "/m.csv",
                   "path,stage,step\nb1,zeta,1\na2,alpha,2\na1,alpha,1\n")
        ran = self.trace("manifest", "-i", self.root + "/m.csv").expect(0)
        self.line(ran, ("b1", "a2"))
        check("stages: zeta, alpha; as the manifest has them" in ran.err, ran)
        self.expect("manifest", "b1", "a1", "a2")
        self.trace("manifest", "--ckpts", self.root + "/c1").expect(0)
        self.expect("manifest", "c1", "b1", "a1", "a2")

    def rows_of_a_manifest(self):
        """They keep its order where nothing else is known, also in the store and later."""
        self.make("pear", "apple", "quince", "banana")
        tiny.write(self.root + "/r.csv", "path\nquince\napple\npear\n")
        ran = self.trace("rows", "-i", self.root + "/r.csv").expect(0)
        self.line(ran, ("quince", "pear"))
        check("3 checkpoints, as the manifest has them, from" in ran.err, ran)
        self.expect("rows", "quince", "apple", "pear")
        self.trace("rows", "--ckpts", self.root + "/banana").expect(0)
        self.expect("rows", "quince", "apple", "pear", "banana")

    def tokens_decide(self):
        self.make("x", "y", "z")
        tiny.write(self.root + "/t.csv", "path,step,tokens\ny,200,2e9\nz,50,3e9\nx,100,1e9\n")
        self.trace("tokens", "-i", self.root + "/t.csv").expect(0)
        self.expect("tokens", "x", "y", "z")

    def pattern(self):
        folders = self.make("run2_10", "run1_30", "run1_20")
        ran = self.trace("pattern", "--name-pattern", PATTERN, "--ckpts", *folders).expect(0)
        self.line(ran, ("run1_20", "run2_10"))
        check([(row["stage"], row["step"]) for row in self.rows("pattern")] ==
              [("1", 20), ("1", 30), ("2", 10)], self.rows("pattern"))

    def separate(self):
        folders = self.make("step5-seed1", "step5-seed2", "step9-seed1", "step9-seed2")
        ran = self.trace("separate", "--ckpts", *folders).expect(2)
        check("step5-seed1 and step5-seed2 are both of step 5" in ran.err and
              "--separate" in ran.err, ran)
        self.trace("separate", "--separate", "--ckpts", *folders).expect(0)
        self.expect("separate", "step5-seed1", "step9-seed1", "step5-seed2", "step9-seed2")
        told = harness.run(self.programs["trace-info"], self.root + "/separate.h5").expect(0)
        check(re.search(r"stage seed1: 2 checkpoints, steps 5 to 9", told.out), told)

    def trainer_state(self):
        folders = self.make("first", "second")
        for folder, step in zip(folders, (900, 80)):
            tiny.write(folder + "/trainer_state.json",
                       json.dumps({"global_step": step, "num_input_tokens_seen": step * 512}))
        self.trace("state", "--ckpts", *folders).expect(0)
        check([(row["name"], row["step"], row["tokens_seen"]) for row in self.rows("state")] ==
              [("second", 80, 40960), ("first", 900, 460800)], self.rows("state"))


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    names = ("words", "one_after_the_other", "main_is_a_step", "manifest",
             "rows_of_a_manifest", "tokens_decide", "pattern", "separate", "trainer_state")
    with harness.scratch() as root:
        cases = Cases(programs, root)
        return harness.run_cases([(name.replace("_", " "), getattr(cases, name))
                                  for name in names], only)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""trace-drop write dies at its n-th call that changes a file, or a call or an allocation fails.

test_drop_deaths.py trace-drop=PATH die_at=LIBRARY fail_at=LIBRARY [samples=N] [only=TEXT]: of all
calls, N spread evenly (0, the default: every one). After each, the source is what it was, and under the final
name there is the whole folder or nothing; after a failure the program has said why."""

import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

KILLED, NO_SPACE, IO_ERROR, ONCE, EVER = -9, 28, 5, "1", "0"
WAYS = [{"FAIL_WHAT": "files", "FAIL_COUNT": count, "FAIL_ERRNO": str(error)}
        for count in (ONCE, EVER) for error in (NO_SPACE, IO_ERROR)]
WAYS += [{"FAIL_WHAT": "memory", "FAIL_COUNT": count} for count in (ONCE, EVER)]
FORMS = (("smaller", "block:1"), ("zeroed", "attn:1 mlp:2"), ("llm-drop", "attn:1"),
         ("block-configs", "mlp:0"), ("mergekit", "block:0"))


def contents(folder):
    return {name: tiny.read(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}


class Writing:
    def __init__(self, programs, root, form, drop):
        self.programs, self.form, self.drop = programs, form, drop
        self.counted, self.work = root + "/calls", root + "/inside"
        self.source, self.target = self.work + "/source", self.work + "/new"
        os.mkdir(self.work)
        tiny.write_checkpoint(self.source, shards=2, num_hidden_layers=3)
        self.before = contents(self.source)
        self.run({}).expect(0)
        self.whole = contents(self.target)
        self.clear()

    def clear(self):
        for name in os.listdir(self.work):
            if name != "source":
                for file in os.listdir(f"{self.work}/{name}"):
                    os.unlink(f"{self.work}/{name}/{file}")
                os.rmdir(f"{self.work}/{name}")

    def run(self, variables):
        env = harness.environment(ASAN_OPTIONS="verify_asan_link_order=0", **variables)
        command = [self.programs["trace-drop"], "write", self.source, "--drop", self.drop, "--as",
                   self.form, "-o", self.target]
        done = subprocess.run(command, env=env, check=False, timeout=120, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        return harness.Result(command, done.returncode, done.stdout, done.stderr)

    def look(self, ran, at):
        check(contents(self.source) == self.before, f"call {at}: the source has changed:", ran)
        there = os.path.lexists(self.target)
        check(not there or contents(self.target) == self.whole, f"call {at}: a half folder:", ran)
        return there

    def count(self, library, variables, name):
        if os.path.exists(self.counted):
            os.unlink(self.counted)
        self.run({"LD_PRELOAD": self.programs[library], name: self.counted, **variables}).expect(0)
        self.clear()
        with open(self.counted, encoding="ascii") as file:
            return int(file.read())

    def deaths(self, samples):
        below = {"DIE_BELOW": self.work}
        calls = self.count("die_at", below | {"DIE_AT": "0"}, "DIE_COUNT")
        whole = 0
        for at in spread(calls, samples):
            ran = self.run({"LD_PRELOAD": self.programs["die_at"], "DIE_AT": str(at), **below})
            ran.expect(KILLED)
            whole += self.look(ran, at)
            self.clear()
            self.run({}).expect(0)
            check(self.look(ran, at), "nothing was written after the death at call", at)
            self.clear()
        check(whole < calls, "it never died before the name was given")
        return f"{calls} calls, {whole} deaths when the folder was whole"

    def failure(self, at, way):
        """Whether it was told."""
        ran = self.run({"LD_PRELOAD": self.programs["fail_at"], "FAIL_AT": str(at), **way})
        there = self.look(ran, at)
        check(ran.code in (0, 1, 2, 3), f"call {at} {way}:", ran)
        check(ran.code == 0 or re.match(r"trace-drop write: .+\n$", ran.err),
              f"call {at} {way}: no sentence:", ran)
        check(there or ran.code, f"call {at} {way}: nothing is there and nobody says so:", ran)
        self.clear()
        return ran.code != 0

    def failures(self, samples):
        """Calls on files and allocations, once and from then on; of samples a share for each way."""
        tried = failed = 0
        for way in WAYS:
            way = way | {"FAIL_BELOW": self.work}
            calls = self.count("fail_at", way | {"FAIL_AT": "0"}, "FAIL_CALLS")
            for at in spread(calls, samples and max(samples // 3, 2)):
                failed += self.failure(at, way)
                tried += 1
        check(failed, "no failure was seen")
        return f"{tried} calls, {failed} failures told"


def spread(calls, samples):
    wanted = min(samples or calls, calls)
    return sorted({1 + i * (calls - 1) // max(wanted - 1, 1) for i in range(wanted)})


def case(programs, form, drop, what, samples):
    def run():
        with harness.scratch() as root:
            return getattr(Writing(programs, root, form, drop), what)(samples)
    return run


def main():
    programs = harness.programs(sys.argv[1:])
    samples = int(os.path.basename(programs.get("samples", "0")))
    only = os.path.basename(programs.get("only", ""))
    return harness.run_cases([(f"{form}, {what}", case(programs, form, drop, what, samples))
                              for form, drop in FORMS for what in ("deaths", "failures")
                              if what == "deaths" or "fail_at" in programs], only)


if __name__ == "__main__":
    sys.exit(main())

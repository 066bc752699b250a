# SPDX-License-Identifier: Apache-2.0
"""What trace-analyze says of little data: 2 to 8 rows of text, 1 to 6 checkpoints, values that are
possible and hardly likely (write_wild). No interval outside of what its quantity can be, none whose
limits cross, none at all from fewer rows than tell one, and then it is said.

test_little_data.py NAME=PATH... [reports=N] [first=N]: trace-analyze, write_wild. A test run looks
at 48 reports; the whole campaign is reports=10000, quickest with TMPDIR=/dev/shm."""

import json
import math
import os
import re
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check

LEAST = 5  # rows that tell an interval
BY = ("importance", "update_ratio", "alignment", "cost-nll", "cost-kl", "cost-agree")
RANGES = {"importance": (0, 2), "update_ratio": (0, math.inf), "alignment": (0, 2),
          "cost-nll": (-math.inf, math.inf), "cost-kl": (0, math.inf), "cost-agree": (0, 1)}
VALUES = ("mean", "worst", "last", "first", "second")
DIFFERENCES = ("untrained", "orthogonal", "total", "written", "stream", "direction", "margin",
               "difference", "whole")
SHARES = ("found", "jaccard")
CORRELATIONS = ("spearman", "tau_b", "cosine")
FREE = ("loss", "loss_excess", "kl_excess", "regret", "slope")  # nats, and slopes over checkpoints
BRACKET = re.compile(r"(?<![\w.])(-?[\d.]+(?:e[+-]\d+)?) \[(\S+), (\S+)\]")


def range_of(name, by):
    low, high = RANGES[by]
    if name in VALUES:
        return low, high
    if name in DIFFERENCES:
        return low - high, high - low
    if name in SHARES:
        return 0, 1
    if name in CORRELATIONS:
        return -1, 1
    if name == "kl":
        return 0, math.inf
    check(name in FREE, "an estimate that this test does not know:", name)
    return -math.inf, math.inf


def estimates(value, name=""):
    """(name, estimate) of all there are."""
    if isinstance(value, dict):
        if set(value) == {"value", "low", "high"}:
            yield name, value
            return
        for key, inner in value.items():
            yield from estimates(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from estimates(inner, name)


def look_at(name, estimate, by, known):
    low, high = estimate["low"], estimate["high"]
    least, most = range_of(name, by)
    if not known and name not in ("slope", "cosine"):
        check(low is None and high is None, "an interval from too few rows:", name, estimate)
    for limit in (low, high):
        check(limit is None or least <= limit <= most, by, name, estimate, "is not within", least,
              most)
    check(low is None or high is None or low <= high, "limits cross:", by, name, estimate)


class Campaign:
    def __init__(self, programs, folder):
        self.programs, self.folder, self.looked = programs, folder, 0

    def analyze(self, *arguments):
        return harness.run(self.programs["trace-analyze"], *arguments, "--resamples", 100,
                           cwd=self.folder)

    def look(self, ran, by):
        result = json.loads(ran.expect(0).out)
        known = result["series"]["samples"] >= LEAST
        for name, estimate in estimates(result["groups"]):
            if name == "costs":
                continue
            look_at(name, estimate, by, known)
            self.looked += 1
        for name, estimate in estimates([result["sets"], result["comparison"]]):
            look_at(name, estimate, by, True)
            self.looked += 1
        return known

    def report(self, number):
        """One store, ranked by one thing; its report as text, and now and then beside another."""
        seed, which = divmod(number, len(BY))
        if which == 0 or not os.path.exists(self.folder + "/wild.h5"):
            harness.run(self.programs["write_wild"], "wild.h5", seed, cwd=self.folder).expect(0)
        by = BY[which]
        ran = self.analyze("wild.h5", "--by", by, "--json", "-")
        if ran.code in (2, 3):  # no costs, or nothing to rank
            check(re.search("cannot be ranked|no complete checkpoint", ran.err), ran)
            by, ran = BY[0], self.analyze("wild.h5", "--json", "-")
        known = self.look(ran, by)
        if number % 5 == 0:
            self.read(self.analyze("wild.h5", "--by", by, "--full").expect(0).out, known)
        if number % 30 == 1:
            harness.run(self.programs["write_wild"], "other.h5", seed + 1, cwd=self.folder).expect(0)
            ran = self.analyze("wild.h5", "other.h5", "--json", "-")
            if ran.code == 2:
                check("no checkpoints in common" in ran.err or "no layer" in ran.err, ran)
            else:
                self.look(ran, BY[0])

    @staticmethod
    def read(text, known):
        words = " ".join(text.split())
        for value, low, high in BRACKET.findall(words):
            check(float(low) <= float(high), value, low, high, text)
        check(known != ("tell nothing of others, so that there are no intervals" in words), text)
        check(known == ("With fewer than 32 rows of text they are wide" in words), text)


def main():
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    reports, first = int(options.pop("reports", 48)), int(options.pop("first", 0))
    programs = harness.programs(f"{name}={path}" for name, path in options.items())
    with harness.scratch() as folder:
        campaign = Campaign(programs, folder)
        for number in range(first, first + reports):
            try:
                campaign.report(number)
            except harness.Failure as failure:
                print(f"FAILED  report {number}, write_wild wild.h5 {number // len(BY)}: {failure}")
                return 1
        print(f"{reports} reports, {campaign.looked} estimates")
        check(campaign.looked > 10 * reports, "hardly anything was looked at")
    return 0


if __name__ == "__main__":
    sys.exit(main())

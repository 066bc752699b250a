# SPDX-License-Identifier: Apache-2.0
"""What trace-analyze says of little data: 2 to 8 rows of text, 1 to 6 checkpoints, values that are
possible and hardly likely (wild_reports). No interval outside of what its quantity can be, none
whose limits cross, none at all from fewer rows than tell one, and then it is said.

test_little_data.py wild_reports=PATH [reports=N] [first=N]: a test run looks at 240 reports; the
whole campaign is reports=10000, minutes of one core, quickest with TMPDIR=/dev/shm."""

import itertools
import json
import math
import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check

LEAST = 5  # rows that tell an interval
FOUND = ((25278, 1),)  # that were wrong once: no value at all in 8 rows was told as one sample
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


def look_at_all(result, by):
    """How many estimates were looked at."""
    known = result["series"]["samples"] >= LEAST
    looked = 0
    for name, estimate in estimates(result["groups"]):
        if name == "costs":
            continue
        look_at(name, estimate, by, known)
        looked += 1
    for name, estimate in estimates([result["sets"], result["comparison"]]):
        look_at(name, estimate, by, True)
        looked += 1
    return looked


def read(text, known):
    words = " ".join(text.split())
    for value, low, high in BRACKET.findall(words):
        check(float(low) <= float(high), value, low, high, text)
    check(known != ("tell nothing of others, so that there are no intervals" in words), text)
    check(known == ("With fewer than 32 rows of text they are wide" in words), text)


def look_at_report(line):
    """One line of wild_reports; how many estimates it has."""
    by, refused = line["by"], line.get("refused")
    if refused:
        check(re.search("cannot be ranked|no complete checkpoint|no checkpoints in common|no layer",
                        refused), refused)
        by = BY[0]
    if "result" not in line:
        return 0
    check(line["result"]["settings"]["by"] == by, line["result"]["settings"], by)
    read(line["text"], line["result"]["series"]["samples"] >= LEAST)
    return look_at_all(line["result"], by)


def reports_of(program, folder, first, count):
    """The lines of as many reports; it has to end well."""
    command = [program, folder, str(first), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as made:
        yield from map(json.loads, made.stdout)
    check(made.returncode == 0, command, "ended with", made.returncode)


def main():
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    reports, first = int(options.get("reports", 240)), int(options.get("first", 0))
    seen, looked, beside, refused = set(), 0, 0, 0
    with harness.scratch() as folder:
        for line in itertools.chain(*(reports_of(options["wild_reports"], folder, *these)
                                      for these in ((first, reports), *FOUND))):
            number = line["number"]
            try:
                looked += look_at_report(line)
            except harness.Failure as failure:
                print(f"FAILED  report {number}, which wild_reports FOLDER {number} 1 makes: {failure}")
                return 1
            beside += number in seen
            refused += "refused" in line
            seen.add(number)
    check(seen == set(range(first, first + reports)) | {number for number, _ in FOUND}, "reports are missing:", len(seen))
    check(looked > 100 * reports and beside > 0, "hardly anything was looked at:", looked, beside)
    print(f"{reports} reports and {beside} of two stores, {refused} ranked otherwise than asked; "
          f"{looked} estimates")
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""test_methods.py NAME=PATH... root=SOURCES: scripts/drop-methods on the last two checkpoints of a
series and a little text: a line for each method and count, sets of so many sublayers, and costs that
trace-ckpts --drop finds again. Programs: trace-ckpts, trace-export."""
import csv
import json
import os
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness

COUNT, ROWS, LENGTH = 2, 4, 64


def loss_of(programs, folder, checkpoint, *drop):
    """On the rows that paid."""
    out = folder + "/again.h5"
    harness.run(programs["trace-ckpts"], "--ckpts", checkpoint, "--text", folder + "/out/pay.txt",
                "--samples", ROWS, "--seq-len", LENGTH, "--device", "cpu", "--fresh", "-q", "-o", out,
                *drop).expect(0)
    rows = json.loads(harness.run(programs["trace-export"], out, "--to", "json", "--variables",
                                  "nll", "-o", "-").expect(0).out)
    values = [row["value"] for row in rows["records"] if row["variable"] == "nll"]
    return sum(values) / len(values)


def main():
    programs = harness.programs(sys.argv[1:])
    series = programs["root"] + "/tests/series/demo/"
    with harness.scratch() as folder:
        os.mkdir(folder + "/series")
        for step in ("step_4096", "step_6418"):
            os.symlink(series + step, f"{folder}/series/{step}")
        said = subprocess.run(
            [sys.executable, programs["root"] + "/scripts/drop-methods",
             os.path.dirname(programs["trace-ckpts"]), folder + "/series",
             programs["root"] + "/trace/text/calibration.txt", "-o", folder + "/out", "--count",
             str(COUNT), "--rows", str(ROWS), "--seq-len", str(LENGTH), "--orders", "3"],
            env=harness.environment(), text=True, stdout=subprocess.PIPE, check=True).stdout
        with open(folder + "/out/methods.csv", encoding="ascii", newline="") as file:
            lines = list(csv.DictReader(file))
        methods = {line["method"] for line in lines}
        assert len(methods) >= 6 and len(lines) == COUNT * len(methods), lines
        assert all(f"| {method} |" in said for method in methods), said
        for line in lines:
            members = [one for word in line["set"].split() for one in word.split(":")[1].split(",")]
            assert len(members) in (0, int(line["count"])), line
            assert float(line["loss_low"]) <= float(line["loss"]) <= float(line["loss_high"]), line
        reference = [line for line in lines if line["method"] == "importance, mean"]
        assert all(float(line["loss_more"]) == float(line["kl_more_high"]) == 0 for line in reference)
        last = folder + "/series/step_6418"
        added = (loss_of(programs, folder, last, "--drop", reference[-1]["set"]) -
                 loss_of(programs, folder, last))
        assert abs(added - float(reference[-1]["loss"])) < 1e-5, (added, reference[-1])
        print(f"{len(methods)} methods, {len(lines)} lines")


if __name__ == "__main__":
    main()

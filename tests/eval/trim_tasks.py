# SPDX-License-Identifier: Apache-2.0
"""Cuts a whole fixture of tasks (see tests/golden/tasks/README.md) down to a few documents a task.

    trim_tasks.py FIXTURE OUT
"""
import json
import pathlib
import sys

FIXTURE, OUT = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
# The last twelve of tr_choice are made to be hard; document 13 of tr_rolling is longer than both models.
KEPT = {"tr_choice": {0, 1, 2, 3, *range(96, 108)}, "tr_letters": set(range(6)),
        "tr_fill": set(range(8)), "tr_lastword": set(range(10)), "tr_rolling": {0, 13, 14}, "tr_greedy": set(range(12))}


def copy(source, target, task_of, doc_of):
    with open(FIXTURE / source, encoding="utf-8") as lines:
        kept = [line for line in lines
                if doc_of(json.loads(line)) in KEPT.get(task_of(json.loads(line)), ())]
    (OUT / target).write_text("".join(kept), encoding="utf-8")


for name in KEPT:
    copy(f"samples-demo/samples_{name}.jsonl", f"samples_{name}.jsonl", lambda row, name=name: name,
         lambda row: row["doc_id"])
for name in ("demo", "demo-attn6", "demo-attn1", "neox"):
    copy(f"lls-{name}.jsonl", f"lls-{name}.jsonl", lambda row: row["task"], lambda row: row["doc_id"])
for name in ("demo", "neox"):
    copy(f"tokens-{name}.jsonl", f"tokens-{name}.jsonl", lambda row: row[0], lambda row: row[1])

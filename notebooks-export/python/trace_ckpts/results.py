# SPDX-License-Identifier: Apache-2.0
"""What trace-analyze found, as tables."""

from __future__ import annotations

import json
import os

import pandas as pd


def _rows(group: dict) -> list[dict]:
    """A group's units in the order of their mean over training."""
    found = group["sets"]["mean"]
    return [{"module": group["module"], "of": group["units"][unit]["module"],
             "layer": group["units"][unit]["layer"], "chosen": place < len(found["units"]),
             "mean": group["units"][unit]["mean"]["value"],
             "low": group["units"][unit]["mean"]["low"],
             "high": group["units"][unit]["mean"]["high"],
             "worst": group["units"][unit]["worst"]["value"],
             "worst_bound": group["units"][unit]["worst"]["high"],
             "lowest_share": group["units"][unit]["share"],
             "probability": found["inside"][unit]}
            for place, unit in enumerate(found["order"])]


def result(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The layers of what `trace-analyze FILE --json PATH` wrote, least important first within each
    module (joint: `of` says whose layer it is): their mean over training and its interval, their
    worst and its bound, and `chosen`, whether the set holds them, with what `probability`. The
    options of the analysis are in `.attrs`."""
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    if not isinstance(whole, dict) or whole.get("schema") != "trace-analyze":
        raise ValueError(f"{path} is not what trace-analyze --json writes")
    table = pd.DataFrame([row for group in whole["groups"] for row in _rows(group)])
    table.attrs = dict(whole["settings"])
    return table


def chosen(table: pd.DataFrame, module: str) -> list[int]:
    """The layers of a module's set in `result`'s table, least important first."""
    return table[(table["module"] == module) & table["chosen"]]["layer"].tolist()

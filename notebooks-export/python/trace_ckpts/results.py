# SPDX-License-Identifier: Apache-2.0
"""What trace-analyze found, as tables."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd

AXES = {"token": "Tokens seen", "step": "Training step", "checkpoint": "Checkpoint"}


@dataclass(frozen=True)
class Result:
    """The tables of an analysis. Modules are attn, mlp, block and joint, where `of` says whose layer
    it is; costs are cost-nll (loss) and cost-kl, in nats per token. What the data cannot support is
    missing.

    layers       the layers, least important first within each module: mean over training and its
                 interval, worst and its bound, the share of training during which they are among
                 the lowest, `chosen`: whether the set holds them, `probability` as the report
                 prints it and as a share (`inside`), `onset`: from which checkpoint on they are
                 always among the lowest; with --below also `below`
    checkpoints  their label, name, step, tokens, `weight` in means over training, loss
    sets         the sets by mean, worst case and last checkpoint, and the probability of each
    agreement    of each checkpoint's ranking with the last one's
    costs        what leaving each layer out costs at each checkpoint, and its interval
    verdicts     Spearman's correlation of proxies with costs, at each checkpoint and over training
    forecasts    share of the cheapest at the end that are told at each checkpoint
    prices       what less of a resource costs: the share of it that is left, and the sum of the
                 cheapest set's values, of each module and resource (params, kv, flops)
    settings     the options of the analysis; `rule` says how the sets were chosen
    """
    layers: pd.DataFrame
    checkpoints: pd.DataFrame
    sets: pd.DataFrame
    agreement: pd.DataFrame
    costs: pd.DataFrame
    verdicts: pd.DataFrame
    forecasts: pd.DataFrame
    prices: pd.DataFrame
    settings: dict[str, Any]
    rule: str


def probability_text(share: float | None, resamples: int) -> str:
    """A share of resamples as the report prints it: of all or none of them it is a bound.

    >>> [probability_text(share, 10000) for share in (0.8123, 1.0, 0.0)]
    ['0.812', 'over 0.9999', 'under 0.0001']
    """
    if share is None or share != share:
        return ""
    if share > 1 - 0.5 / resamples:
        return f"over {1 - 1 / resamples:.6g}"
    if share < 0.5 / resamples:
        return f"under {1 / resamples:.6g}"
    return f"{share:.6g}" if share > 0.999 else f"{share:.3g}"


class _Tables:
    """The rows of the tables, from the JSON."""

    def __init__(self, whole: dict):
        self.whole, self.settings = whole, whole["settings"]
        self.points = whole["series"]["checkpoints"]

    def layers(self, group: dict) -> list[dict]:
        found = group["sets"]["mean"]
        rows = []
        for place, index in enumerate(found["order"]):
            unit, onset = group["units"][index], group["units"][index]["when"]["onset"]
            inside = found["inside"][index]
            rows.append({
                "module": group["module"], "of": unit["module"], "layer": unit["layer"],
                "chosen": place < len(found["units"]), "mean": unit["mean"]["value"],
                "low": unit["mean"]["low"], "high": unit["mean"]["high"],
                "worst": unit["worst"]["value"], "worst_bound": unit["worst"]["high"],
                "lowest_share": unit["share"],
                "probability": probability_text(inside, self.settings["resamples"]),
                "inside": inside,
                "onset": "" if onset is None else self.points[onset]["label"],
                **({} if self.settings["below"] is None else {"below": unit["below"]})})
        return rows

    def sets(self, group: dict) -> list[dict]:
        return [{"module": group["module"], "by": which,
                 "layers": [group["units"][unit]["layer"] for unit in found["units"]],
                 "of": [group["units"][unit]["module"] for unit in found["units"]],
                 "probability": probability_text(found["probability"], self.settings["resamples"])}
                for which, found in group["sets"].items()]

    def at(self, checkpoint: int | None) -> dict:
        """What says where in training a row is; over training there is no time."""
        if checkpoint is None:
            return {"checkpoint": None, "time": None}
        point = self.points[checkpoint]
        first = self.whole["series"]["axis"] == "checkpoint"  # people count from 1
        return {"checkpoint": point["name"], "time": point["time"] + first}

    def agreement(self, group: dict) -> list[dict]:
        return [{"module": group["module"], **self.at(i), **one}
                for i, one in enumerate(group["stability"]["with_last"])]

    def costs(self, group: dict) -> list[dict]:
        trial = group["trial"]
        return [{"module": group["module"], "of": group["units"][unit]["module"],
                 "cost": cost, **self.at(checkpoint), "layer": group["units"][unit]["layer"], **one}
                for checkpoint, both in zip(trial["checkpoints"], trial["costs"])
                for cost, ones in zip(("cost-nll", "cost-kl"), both)
                for unit, one in zip(trial["units"], ones)]

    def verdicts(self, group: dict) -> list[dict]:
        return [{"module": group["module"], "cost": one["cost"], "proxy": one["proxy"],
                 **self.at(one["checkpoint"]), "spearman": one["spearman"]["value"],
                 "low": one["spearman"]["low"], "high": one["spearman"]["high"],
                 "ceiling": one["ceiling"]} for one in group["trial"]["verdicts"]]

    def forecasts(self, group: dict) -> list[dict]:
        itself = {one["cost"]: one["itself"] for one in group["trial"]["told"]}
        return [{"module": group["module"], "cost": one["cost"], "by": one["by"],
                 **self.at(one["checkpoint"]), "found": one["found"]["value"],
                 "low": one["found"]["low"], "high": one["found"]["high"],
                 "themselves": itself[one["cost"]], "chance": group["trial"]["chance"]}
                for one in group["trial"]["forecasts"]]

    def prices(self) -> pd.DataFrame:
        made = pd.DataFrame([{"module": one["module"], "resource": one["resource"],
                              "context": one["context"], "share": share, "sum": cost}
                             for one in self.whole.get("prices", [])
                             for share, cost in zip(one["share"], one["sum"])],
                            columns=["module", "resource", "context", "share", "sum"])
        made.attrs = dict(self.settings)
        return made

    def table(self, rows: Any, of_trial: bool = False) -> pd.DataFrame:
        groups = [group for group in self.whole["groups"] if not of_trial or group["trial"]]
        made = pd.DataFrame([row for group in groups for row in rows(group)])
        made.attrs = {**self.settings, "rule": self.whole["rule"],
                      "axis": AXES[self.whole["series"]["axis"]]}
        return made


def result(path: str | os.PathLike[str]) -> Result:
    """The tables of what `trace-analyze FILE --json PATH` wrote.

    >>> found = result(json_path)
    >>> found.rule
    'by mean importance over training, weighed by tokens'
    >>> found.layers.query("module == 'attn' and chosen")["layer"].tolist() == lowest(trace, "attn")
    True
    """
    with open(path, encoding="utf-8") as file:
        try:
            whole = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(whole, dict) or whole.get("schema") != "trace-analyze":
        raise ValueError(f"{path} is not what trace-analyze --json writes")
    if "rule" not in whole:
        raise ValueError(f"{path} has no rule: it is of an older trace-analyze, which has to write "
                         "it again")
    tables = _Tables(whole)
    return Result(tables.table(tables.layers), pd.DataFrame(tables.points),
                  tables.table(tables.sets), tables.table(tables.agreement),
                  tables.table(tables.costs, True), tables.table(tables.verdicts, True),
                  tables.table(tables.forecasts, True), tables.prices(), dict(whole["settings"]),
                  whole["rule"])


def chosen(found: Result, module: str) -> list[int]:
    """The layers of a module's set, least important first.

    >>> chosen(found, "mlp") == lowest(trace, "mlp")
    True
    >>> chosen(found, "heads")
    Traceback (most recent call last):
    ValueError: the analysis has no module 'heads', it has attn, mlp, block, joint
    """
    layers = found.layers
    if module not in set(layers["module"]):
        raise ValueError(f"the analysis has no module {module!r}, it has "
                         f"{', '.join(layers['module'].unique())}")
    return layers[(layers["module"] == module) & layers["chosen"]]["layer"].tolist()

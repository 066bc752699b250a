# SPDX-License-Identifier: Apache-2.0
"""What trace-analyze says of the shipped series as our tracer traces it: the layers that are
redundant, the documents' copies of the report, --json, --plan, two runs, the widths of a terminal.

test_report.py NAME=PATH... root=SOURCES [bless] [schema] [only=TEXT]: trace-ckpts, trace-analyze,
trace-info, write_series. With `bless` the documents' reports are written anew; with `schema` what --json writes
is checked by jsonschema."""

import csv
import json
import math
import os
import re
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check

DOCUMENTS = {"README.md": 3, "docs/report.md": 4, "docs/reading-the-report.md": 6}  # and how many reports they have
QUESTION = ["--module", "attn", "--from", "1024"]
SEVEN, SIX = [0, 1, 2, 4, 5, 6, 7], [0, 1, 2, 4, 5, 7]
REPORT = re.compile(r"(<!-- report ([\w-]+) ([^:\n]*?)(?: : ([^\n]*?))? -->\n)(.*?)(<!-- end -->)",
                    re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


class Cases:
    def __init__(self, programs, folder):
        self.programs, self.folder, self.sources = programs, folder, programs["root"]
        os.makedirs(folder + "/build/demo")
        with open(folder + "/sets.txt", "w", encoding="utf-8") as file:
            file.write("seven lowest: attn:0,1,2,4,5,6,7\nnothing:\n"
                       "\x1b]0;" + 28 * "\u00fc" + ": attn:0\n")
        self.stores = {"demo": self.trace("demo", "trace.h5")}

    def trace(self, series, name, first=0, *options):
        series = f"{self.sources}/tests/series/{series}"
        steps = [f"{series}/{entry}" for entry in os.listdir(series)
                 if entry.startswith("step_") and int(entry[5:]) >= first]
        out = "build/demo/" + name
        harness.run(self.programs["trace-ckpts"], "--ckpts", *steps, "--tokens",
                    series + "/tokens.npy", "--tokens-per-step", 24576, "-o", out, *options,
                    cwd=self.folder).expect(0)
        return out

    def store(self, name):
        """The store of a series; NAME-costs has its last checkpoints, with costs of attention and
        of named sets."""
        if name not in self.stores:
            self.stores[name] = self.trace(name.split("-")[0], name + ".h5", 4096, "--cost", "attn",
                                           "--drop-sets", "sets.txt")
        return self.stores[name]

    def analyze(self, *arguments, env=None):
        return harness.run(self.programs["trace-analyze"], *arguments, cwd=self.folder,
                           env=env).expect(0)

    def json(self, *arguments):
        """The result as JSON, valid by its schema."""
        self.analyze(*arguments, "--json", "result.json")
        with open(self.folder + "/result.json", encoding="utf-8") as file:
            result = json.load(file)
        if "schema" in self.programs:
            import jsonschema  # pylint: disable=import-outside-toplevel
            with open(self.sources + "/analysis/result.schema.json", encoding="utf-8") as file:
                schema = json.load(file)
            jsonschema.Draft202012Validator.check_schema(schema)
            jsonschema.validate(result, schema)
        return result

    # ---- what it has to find --------------------------------------------------------------------

    def seven(self):
        """By every aggregate, with probability above 0.99; decided at step 1024; W without p."""
        result = self.json(self.stores["demo"], *QUESTION, "--count", 7)
        group, = result["groups"]
        for name, chosen in group["sets"].items():
            check(sorted(chosen["units"]) == SEVEN, name, chosen["units"])
            check(min(chosen["inside"][unit] for unit in SEVEN) > 0.99, name, chosen["inside"])
            check(chosen["probability"] > 0.99, name, chosen["probability"])
            check(chosen["cuts"][6]["clean"], name, chosen["cuts"][6])
        concordance = group["stability"]["concordance"]
        check(0.95 < concordance["w"] <= 1 and concordance["p"] is None, concordance)
        onset = group["stability"]["onset_all"]
        check(result["series"]["checkpoints"][onset]["step"] == 1024, onset)
        report = self.analyze(self.stores["demo"], *QUESTION, "--count", 7, "--full").out
        told = " ".join(report.split())
        for sentence in ("layers 0, 1, 2, 4, 5, 6 and 7, as a set with probability over 0.9999.",
                         "Kendall's W of the 4 checkpoints is", "No p-value:",
                         "all are there and stay from step 1024 on."):
            check(sentence in told, sentence, "is not in", report)

    def six(self):
        """Six are no clean cut: at the last checkpoint layer 6 cannot be told from 5 and 2."""
        group, = self.json(self.stores["demo"], *QUESTION, "--count", 6)["groups"]
        for name, chosen in group["sets"].items():
            check(sorted(chosen["units"]) == SIX, name, chosen["units"])
            check(not chosen["cuts"][5]["clean"], name, chosen["cuts"][5])
            check(chosen["clean_above"] == 7, name, chosen["clean_above"])
        ties = [(tie["outside"], tie["inside"]) for tie in group["sets"]["last"]["ties"]]
        check(sorted(ties) == [(6, 2), (6, 5)], ties)

    def plan(self):
        self.analyze(self.stores["demo"], *QUESTION, "--count", 7, "--plan", "plan.json")
        with open(self.folder + "/plan.json", encoding="utf-8") as file:
            plan = json.load(file)
        check(plan["drop"] == "attn:1,0,7,4,2,5,6", plan)
        check(plan["drop_attn_list"] == SEVEN and plan["drop_mlp_list"] == [], plan)
        self.analyze(self.stores["demo"], "--module", "block", "--count", 2, "--plan", "plan.json")
        with open(self.folder + "/plan.json", encoding="utf-8") as file:
            plan = json.load(file)
        check(plan["drop_attn_list"] == plan["drop_mlp_list"], plan)
        check(len(plan["drop_attn_list"]) == 2, plan)
        check(plan["drop"].startswith("block:"), plan)

    def budget(self):
        """Of all sets of attention and MLP layers the cheapest that leaves 70 % of the parameters;
        what the model has is counted from its config.json."""
        hidden, ffn, layers, vocabulary = 64, 160, 10, 768  # 4 heads of 16, 2 of them of keys
        sizes = {"attn": hidden * (4 + 2 + 2) * 16 + 4 * 16 * hidden, "mlp": 3 * hidden * ffn}
        whole = vocabulary * hidden + layers * sum(sizes.values())
        asked = ["--module", "joint", "--over", "last", "--budget", "params=70%"]
        plan = self.planned(*asked)
        units = self.json(self.stores["demo"], *asked)["groups"][0]["units"]
        values = {module: sorted(unit["last"]["value"] for unit in units
                                 if unit["module"] == module) for module in sizes}
        sets = [(sum(values["attn"][:a]) + sum(values["mlp"][:m]),
                 whole - a * sizes["attn"] - m * sizes["mlp"], a, m)
                for a in range(layers + 1) for m in range(layers + 1)]
        cost, left, a, m = min(s for s in sets if s[1] <= 0.7 * whole)
        check(abs(plan["sum"] - cost) < 1e-12 and a + m == plan["count"], plan, cost, a, m)
        check(plan["budget"]["whole"] == whole and plan["budget"]["left"] == left, plan, whole, left)
        check(plan["budget"]["resource"] == "params" and plan["chosen_by"] == "budget", plan)
        check((len(plan["drop_attn_list"]), len(plan["drop_mlp_list"])) == (a, m), plan)

    def protected(self):
        """The layers that a plan leaves alone; equal layers under a budget are the lowest."""
        half = ["--module", "attn", "--budget", "kv=50%", "--context", 4096]
        lowest = self.planned("--module", "attn", "--count", 5)
        check(self.planned(*half)["drop"] == lowest["drop"], lowest)
        check(self.planned(*half)["budget"]["whole"] == 10 * 4096 * 2 * 2 * 16 * 2, "cache")
        kept = self.planned("--module", "attn", "--count", 5, "--protect", "first,last")
        check(0 in lowest["drop_attn_list"] and not {0, 9} & set(kept["drop_attn_list"]), kept)
        check(kept["count"] == 5 and kept["probability"] is None, kept)
        for code, sentence, arguments in (
                (2, "with all 8 sublayers left out that may go", ["--protect", "first,last",
                                                                  "--budget", "kv=10%"]),
                (2, "--count and --budget are two answers", ["--count", 3, "--budget", "kv=50%"]),
                (2, "--budget takes what may be left", ["--budget", "kv=50x"]),
                (2, "9 of attn are asked for, 8 are not protected",
                 ["--count", 9, "--protect", "first,last"])):
            ran = harness.run(self.programs["trace-analyze"], self.stores["demo"], "--module",
                              "attn", "--plan", "plan.json", *arguments, cwd=self.folder)
            check(ran.code == code and sentence in ran.err, sentence, ran)

    def planned(self, *arguments):
        self.analyze(self.stores["demo"], *arguments, "--plan", "plan.json")
        with open(self.folder + "/plan.json", encoding="utf-8") as file:
            return json.load(file)

    def everything(self):
        """All modules, with every option; the joint ranking holds both modules' layers."""
        result = self.json(self.stores["demo"], "--below", 0.03, "--resamples", 500, "--seed", 3,
                           "--level", 0.9)
        modules = [group["module"] for group in result["groups"]]
        check(modules == ["attn", "mlp", "block", "joint"], modules)
        check(len(result["groups"][3]["units"]) == 20, "joint")
        settings = result["settings"]
        check(settings["seed"] == 3 and settings["level"] == 0.9, settings)
        below = [unit["layer"] for unit in result["groups"][0]["units"] if unit["below"]]
        check(below == [], below, "are not below 0.03 when nothing was learnt yet")

    # ---- the answer -----------------------------------------------------------------------------

    @staticmethod
    def said(units, of=None):
        """Layers as the report names them; of the joint ranking by kind."""
        def numbers(layers):
            layers, runs = sorted(layers), []
            for layer in layers:
                if runs and layer == runs[-1][-1] + 1:
                    runs[-1].append(layer)
                else:
                    runs.append([layer])
            words = [word for run in runs
                     for word in ([f"{run[0]} to {run[-1]}"] if len(run) > 4 else map(str, run))]
            return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]

        if of is None:
            return f"layer{'s' if len(units) > 1 else ''} {numbers(units)}"
        kinds = {kind: [of[unit]["layer"] for unit in units if of[unit]["module"] == kind]
                 for kind in ("attn", "mlp")}
        return ", ".join(f"{kind} {numbers(layers)}" for kind, layers in kinds.items() if layers)

    @staticmethod
    def facts(group):
        """What an answer is made of, by the rule that docs/reading-the-report.md states: the sets,
        the word for how sure the first is, and the share of training of which it holds."""
        sets, units = group["sets"], group["units"]
        mean, worst, last = (set(sets[name]["units"]) for name in ("mean", "worst", "last"))
        p = sets["mean"]["probability"]
        sure = next(word for least, word in ((0.99, "sure"), (0.9, "nearly sure"), (0.5, "likely"),
                                             (0, "not sure")) if p >= least)
        return mean, worst, last, sure, min(units[unit]["share"] for unit in mean)

    def rule(self, group):
        """The parts of the answer where one module is asked for."""
        joint = group["units"] if group["module"] == "joint" else None
        mean, worst, last, sure, share = self.facts(group)
        often = ("throughout" if share > 1 - 1e-9
                 else f"for {math.floor(100 * share)} % of training or more")
        agree = "mean, worst case and last checkpoint agree"
        if worst != mean or last != mean:
            agree = ", ".join(
                f"the {name} " + ("agrees" if other == mean else
                                  f"has {self.said(other - mean, joint)} for "
                                  f"{self.said(mean - other, joint)}")
                for name, other in (("worst case", worst), ("last checkpoint", last)))
        return (f"{self.said(mean, joint)} of {len(group['units'])}: {sure} (probability ",
                f"over texts{'' if sure == 'sure' else ': '}",
                f", {'each ' if len(mean) > 1 else ''}{often}", f"; {agree}.")

    def short_rule(self, group):
        """The parts of its line where several are."""
        mean, worst, last, sure, share = self.facts(group)
        often = "all" if share > 1 - 1e-9 else f"{math.floor(100 * share)} %"
        agree = ("all agree" if worst == last == mean else
                 f"worst {len(worst & mean) or 'none'} of {len(mean)}, last {len(last & mean) or 'none'}")
        layers = self.said(mean)
        return (f": {layers if len(mean) == 1 else layers.split(' ', 1)[1]}: {sure} (", f"), {often} of training",
                f"; {agree}.")

    def answer(self):
        """--brief is the answer alone, of what was computed and by one rule, in three to six lines,
        for all modules, too; a report begins with it."""
        names = {"attn": "Attention: ", "mlp": "MLP: ", "block": "Blocks: ", "joint": "Together: "}
        for question in ((), ("--from", 1024), ("--module", "attn"), (*QUESTION, "--count", 7),
                         ("--module", "joint"), ("--module", "mlp", "--count", 6)):
            question = (*question, "--resamples", 500)
            result = self.json(self.stores["demo"], *question)
            brief = self.analyze(self.stores["demo"], *question, "--brief").out
            check(self.analyze(self.stores["demo"], *question).out.startswith(brief + "\n"), brief)
            several = len(result["groups"]) > 1
            most = 8 if {"joint", "mlp"} & set(question) else 7 if question[:1] == ("--module",) else 6
            check(3 <= len(brief.splitlines()) <= most, brief)
            told = [" ".join(line.split()) for line in re.split(r"\n(?! )", brief)]
            for group in result["groups"]:
                if several and group["module"] == "joint":
                    continue
                line, = [line for line in told if line.startswith(names[group["module"]])]
                for part in (self.short_rule if several else self.rule)(group):
                    check(part in line, part, "is not in", line)
            missing = " ".join(brief[brief.index("To say more"):].split())
            claimed = sum(c["weight"] > 0 for c in result["series"]["checkpoints"])
            rows, costs, run = ((" of text", "measured costs (trace-ckpts --cost)", " of training")
                                if not several else ("", "--cost", ""))
            check(missing == f"To say more: 32 rows{rows} (16 here), 46 checkpoints ({claimed} "
                  f"here), {costs}, another run{run}.", missing)

    def short(self):
        """A usual report fits a few screens; the whole one, or a part, is there when asked for."""
        harness.run(self.programs["write_series"], "big.h5", 154, 32, 32, 3,
                    cwd=self.folder).expect(0)
        for store, most in ((self.stores["demo"], 120), ("big.h5", 200)):
            quick = ("--resamples", 200)
            usual, full = (self.analyze(store, *quick, *more).out for more in ((), ("--full",)))
            check(len(usual.splitlines()) < most, len(usual.splitlines()), usual)
            check("== What the words mean ==" in usual and usual.count("rank: mean") == 1, usual)
            check(usual.endswith("docs/reading-the-report.md explains the words, "
                                 "docs/statistics.md the formulas.\n"), usual)
            check("There is more: --full, or of it --sections map,sets," in usual, usual)
            check("There is more" not in full, "all of it, and more?")
        sets = self.analyze(self.stores["demo"], *quick, "--sections", "sets").out
        check("Which are the" in sets and "Does the ranking hold" not in sets, sets)

    def formats(self):
        """Every number of the layers' table is in each format; CSV reads back to the last bit."""
        quick = (self.stores["demo"], "--resamples", 500)
        result = self.json(*quick)
        printed = self.analyze(*quick, "--json", "-").out
        check(json.loads(printed) == result, "--json - is not --json FILE")
        with open(self.folder + "/table.csv", "w", encoding="utf-8", newline="") as file:
            file.write(self.analyze(*quick, "--format", "csv").out)
        with open(self.folder + "/table.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        units = [(group, unit) for group in result["groups"] for unit in group["units"]]
        check(len(rows) == len(units) == 50, len(rows))
        for row, (group, unit) in zip(rows, units):
            check(row["ranked"] == group["module"] and int(row["layer"]) == unit["layer"], row)
            check(float(row["mean"]) == unit["mean"]["value"], row, unit)
            check(float(row["worst_below"]) == unit["worst"]["high"], row, unit)
        for form, first, cells in (("markdown", "| layer | mean |", 9),
                                   ("latex", "layer & mean &", 8)):
            out = self.analyze(*quick, "--module", "attn", "--format", form).out
            check(first in out, out)
            layers = [line for line in out.splitlines() if re.match(r"(\| )?\d ", line)][:10]
            split = [line.strip("|\\ ").split("|" if form == "markdown" else "&")
                     for line in layers]
            check(len(split) == 10 and all(len(line) == cells for line in split), split)
            check("%.3g" % result["groups"][0]["units"][1]["mean"]["value"] in out, out)
        self.markdown(quick, result["groups"][0]["units"])

    def markdown(self, quick, units):
        """Every table of a whole report reads as one; the layers' has the numbers of the JSON."""
        out = self.analyze(*quick, "--module", "attn", "--full", "--format", "markdown").out
        tables = [[[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                   for line in table.splitlines()]
                  for table in re.findall(r"(?:^\|.*\|\n)+", out, re.MULTILINE)]
        check(len(tables) > 2, out)
        for head, rule, *rows in tables:
            check(rows and {*map(len, rows)} == {len(head)} == {len(rule)}, head, rule, rows)
            check(set(rule) <= {":--", "--:"}, rule)
        layers, = [rows for head, _, *rows in tables if head[:3] == ["layer", "mean", "low"]]
        told = {int(row[0]): row[1:4] for row in layers}
        check(told == {unit["layer"]: ["%.3g" % unit["mean"][key] for key in ("value", "low", "high")]
                       for unit in units}, told)

    # ---- costs ----------------------------------------------------------------------------------

    @staticmethod
    def verdict(trial, proxy="importance", cost="cost-nll", checkpoint=None):
        found, = [one for one in trial["verdicts"] if one["checkpoint"] == checkpoint
                  and (one["proxy"], one["cost"]) == (proxy, cost)]
        return found

    def costs(self):
        """neox: attention 5 is misjudged by loss and not by KL. demo: what attention 6 costs."""
        for series, layer, kl in (("neox", 5, 0.30), ("demo", 6, 0.24)):
            store = self.store(series + "-costs")
            group, = self.json(store, "--module", "attn")["groups"]
            by = [self.verdict(group["trial"], cost=cost)["misjudged"]
                  for cost in ("cost-nll", "cost-kl")]
            check(layer in by[0] and layer not in by[1], series, by)
            report = self.analyze(store, "--module", "attn", "--sections", "costs").out
            report = " ".join(report.split())
            told = re.search(rf"by loss and not by KL: .*?layer {layer} costs (more|less) than it "
                             r"looks, by \d+ places? \(loss (\S+) \[(\S+), (\S+)\], KL (\S+) "
                             r"\[(\S+), (\S+)\]\)", report)
            check(told and told[1] == ("more" if series == "neox" else "less"), report)
            low, value, high = (float(told[i]) for i in (3, 2, 4))
            check(low < value < high, told[0])
            low, value, high = (float(told[i]) for i in (6, 5, 7))
            check(low < value < high and abs(value - kl) < 0.1, told[0])
            ranked = self.json(store, "--module", "attn", "--by", "cost")
            check(ranked["settings"]["by"] == "cost-nll", ranked["settings"])
            check(len(ranked["groups"][0]["units"]) == len(group["units"]), series)

    def sets_add_up(self):
        """demo's seven lowest attention layers cost 0.28 nats one by one and 0.44 together."""
        out = self.store("demo-costs")
        seven, nothing, _ = self.json(out, "--module", "attn")["sets"]
        last, zero = seven["checkpoints"][-1], nothing["checkpoints"][-1]
        check(seven["name"] == "seven lowest" and seven["drop"] == "attn:0,1,2,4,5,6,7", seven)
        check(abs(last["loss"]["value"] - 0.442) < 1e-3, last)
        check(abs(last["loss_sum"] - 0.283) < 1e-3, last)
        check(last["loss_excess"]["low"] > 0.1, last)
        check(zero["loss"]["value"] == zero["kl"]["value"] == 0 and zero["agree"] == 1, zero)
        report = self.analyze(out, "--module", "attn", "--sections", "costs").out
        report = " ".join(report.split())
        check("Together they cost more in loss than one by one, by 0.159 [" in report, report)
        check("\x1b" not in report, "a name reaches the terminal as it is")
        check(" ?]0;" + 16 * "\u00fc" + " loss " in report, "a name is cut in a character", report)

    def made_up_costs(self):
        """The proxy is right; wrong for layers 2 and 5; right from the middle of training on."""
        settled = {"right": "at every checkpoint", "wrong": "not at the end",
                   "late": "from step 4000 on"}
        for kind, since in settled.items():
            harness.run(self.programs["write_series"], kind + ".h5", 8, 12, 32, 3, kind,
                        cwd=self.folder).expect(0)
            quick = (kind + ".h5", "--module", "attn", "--resamples", 500)
            trial = self.json(*quick)["groups"][0]["trial"]
            report = self.analyze(*quick, "--sections", "costs").out
            report = " ".join(report.split())
            for cost in ("cost-nll", "cost-kl"):
                misjudged = self.verdict(trial, cost=cost, checkpoint=7)["misjudged"]
                check(misjudged == ([2, 5] if kind == "wrong" else []), kind, cost, misjudged)
            check("at least 80 % of its ceiling: importance with loss " + since in report, report)
            early, late = (self.verdict(trial, checkpoint=c)["spearman"] for c in (0, 7))
            check(late["high"] < 0.9 if kind == "wrong" else late["low"] > 0.8, kind, late)
            check(early["high"] < 0.7 if kind == "late" else early["low"] > 0.5, kind, early)
            check("This is one run of training" in report, report)

    def noise(self):
        """Divergences that rounding may have made are marked where products were of bf16 or f16, by
        the largest floor that was measured in that type; of f32 none is."""
        measured = {}
        with open(self.sources + "/tests/bench/results/nvidia-h200-costs-series.csv",
                  encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["quantity"] == "divergence":
                    measured.setdefault(row["dtype"], []).append(float(row["floor"]))
        for dtype, floors in measured.items():
            harness.run(self.programs["write_series"], dtype + ".h5", 4, 12, 32, 3, "faint", dtype,
                        cwd=self.folder).expect(0)
            quick = (dtype + ".h5", "--module", "attn", "--resamples", 500, "--by", "cost-kl")
            result = self.json(*quick)
            floor = result["series"]["kl_noise_floor"]
            report = self.analyze(*quick, "--full").out
            if dtype == "f32":
                check(floor is None and "~" not in report, floor, report)
                continue
            check(max(floors) <= floor < 1.02 * max(floors), dtype, floor, floors)
            units, = [group["units"] for group in result["groups"]]
            below = [unit["layer"] for unit in units if unit["mean"]["value"] < floor]
            check(dtype == "f16" or 0 < len(below) < len(units), below)
            marked = re.findall(r"^ +(\d+) +[\d.e-]+~", report.split("== Attention ==")[1],
                                re.MULTILINE)
            check(sorted(map(int, marked)) == below, marked, below)
            told = " ".join(report.split())
            check((f"~: a divergence below {floor:.2g} nats" in told) == bool(below), told)
            check((f"below which rounding in {dtype} may decide." in told) == bool(below), told)

    def two_runs(self):
        """Against itself nothing differs; against the other series nearly everything does."""
        os.makedirs(self.folder + "/copy", exist_ok=True)
        with open(self.folder + "/" + self.stores["demo"], "rb") as file:
            content = file.read()
        with open(self.folder + "/copy/trace.h5", "wb") as file:
            file.write(content)
        same = self.json(self.stores["demo"], "copy/trace.h5", *QUESTION, "--count", 7)
        same = same["comparison"]
        check(same["paired"] and same["axis"] == "token" and len(same["checkpoints"]) == 4, same)
        group, = same["groups"]
        check(group["jaccard"] == {"value": 1, "low": 1, "high": 1}, group["jaccard"])
        check({unit["difference"]["value"] for unit in group["units"]} == {0}, group["units"])
        neox = self.store("neox-costs")
        other = self.json(self.stores["demo"], neox, *QUESTION)["comparison"]
        check(not other["paired"] and other["layers"] == 8, other)
        check(len(other["checkpoints"]) == 1, other)
        group, = other["groups"]
        check(group["units"][0]["difference"]["low"] > 0.4, group["units"][0])
        check(group["spearman"]["value"] < 0.5, group["spearman"])
        report = self.analyze(self.stores["demo"], neox, *QUESTION).out
        report = " ".join(report.split())
        check("Layers (10 and 8) are aligned by relative depth" in report, report)

    def reproducible(self):
        """The same seed gives the same bytes, another one does not."""
        first = self.analyze(self.stores["demo"], *QUESTION).out
        check(first == self.analyze(self.stores["demo"], *QUESTION).out, "two runs differ")
        other = self.analyze(self.stores["demo"], *QUESTION, "--seed", 1).out
        check(first != other, "the seed does nothing")

    def plain_ascii(self):
        """Nothing else where the locale asks for it; in UTF-8 no line is wider than 80 columns."""
        plain = dict(os.environ, LC_ALL="C")
        out = self.analyze(self.stores["demo"], *QUESTION, env=plain).out
        check(out.isascii(), "not ASCII")
        out = self.analyze(self.stores["demo"], "--full").out
        check(not out.isascii(), "no Unicode")
        wide = [line for line in out.splitlines() if len(line) > 80]
        check(not wide, wide)

    # ---- the documents --------------------------------------------------------------------------

    def excerpt(self, store, options, start):
        """A whole report, or its paragraph that begins with `start`."""
        report = self.analyze(self.store(store), *options.split()).out
        if start:
            paragraph = rf"^{re.escape(start)}.*\n(?:  .*\n)*"
            report = re.search(paragraph, report, re.MULTILINE).group(0)
        return f"```\n{report}```\n"

    def same_report(self, name, here, there):
        """The same words, numbers within 3 %."""
        check(NUMBER.sub("#", here).split() == NUMBER.sub("#", there).split(),
              name, "has\n", there, "\nthe program prints\n", here)
        for a, b in zip(NUMBER.findall(here), NUMBER.findall(there)):
            near = abs(float(a) - float(b)) <= 0.03 * abs(float(b)) + 2e-4
            check(near, name, "has", b, "where the program prints", a, "\n", here)

    def documents(self):
        """The reports in documents are what the program prints."""
        for name, reports in DOCUMENTS.items():
            path = f"{self.sources}/{name}"
            with open(path, encoding="utf-8") as file:
                text = file.read()
            found = REPORT.findall(text)
            check(len(found) == reports, name, "has", len(found), "reports")
            if "bless" in self.programs:
                text = REPORT.sub(lambda m: m[1] + self.excerpt(m[2], m[3], m[4]) + m[6], text)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                continue
            for _, store, options, start, there, _ in found:
                self.same_report(name, self.excerpt(store, options, start), there)

    def coverage(self):
        """What docs/statistics.md says that intervals cover stands in the tables of simulations."""
        def rows(path):
            with open(f"{self.sources}/{path}", encoding="utf-8") as file:
                return file.read()
        tables = rows("tests/statistics/coverage.md") + rows("tests/statistics/coverage_cost.md")
        known = set(tables.splitlines())
        said = re.findall(r"<!-- coverage -->\n(.*?)<!-- end -->", rows("docs/statistics.md"),
                          re.DOTALL)
        check(len(said) == 5, len(said))
        for line in "".join(said).splitlines():
            check(line in known, line, "is in no table of tests/statistics")

    def attributes(self):
        """docs/file-format.md knows every attribute of a store, and which have to agree. The file
        says what made it as --version does, how long a checkpoint took, and sizes in words."""
        with open(self.sources + "/docs/file-format.md", encoding="utf-8") as file:
            rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([\w' ]+) \|", file.read(), re.MULTILINE)
        known = {name: role == "has to agree" for name, role in rows}
        info = harness.run(self.programs["trace-info"], self.stores["demo"], cwd=self.folder)
        told = info.expect(0).out.split("where it came from")[1]
        found = re.findall(r"^  (\w+)( \*)? +\S", told, re.MULTILINE)
        check(len(found) > 9, told)
        for name, agrees in found:
            check(known.get(name) == bool(agrees), name, "in the document:", known.get(name))
        told = " ".join(info.out.split())
        version = harness.run(self.programs["trace-ckpts"], "--version").expect(0).out
        build = ", ".join(words if key in ("compiler",) else f"{key} {words}" for key, words in
                          re.findall(r"^  (\w+) +(.+)$", version, re.MULTILINE))
        check(f" build {build} " in told, build, "is not in", told)
        check(float(re.search(r" seconds_per_checkpoint (\S+) ", told)[1]) > 0, told)
        check("mlp 0 to 9: 30.7 k each" in told and "{" not in told, told)


def main():
    os.environ.pop("COLUMNS", None)
    only = [argument[5:] for argument in sys.argv[1:] if argument.startswith("only=")]
    programs = harness.programs(
        argument for argument in sys.argv[1:] if not argument.startswith("only="))
    names = ("seven", "six", "plan", "budget", "protected", "everything", "answer", "short", "formats", "costs", "sets_add_up", "made_up_costs", "noise", "two_runs",
             "reproducible", "plain_ascii", "documents", "coverage",
             "attributes")
    with harness.scratch() as folder:
        cases = Cases(programs, folder)
        return harness.run_cases([(name, getattr(cases, name)) for name in names], *only)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Tasks as lm-evaluation-harness scores them, against what it logged (logits_cache=False, f32).

    test_tasks.py dump_prompts=PATH trace-eval=PATH series=FOLDER fixture=FOLDER

The fixture has of each task the harness's samples (samples_TASK.jsonl) and, of each model, the
tokens of each request and its log-likelihood (tokens-NAME.jsonl, lls-NAME.jsonl); where it is whole,
results-NAME.json beside them. tests/golden/tasks is a part of a whole one."""
import json
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tools"))
from harness import Failure, check, environment, programs, run, run_cases, scratch  # noqa: E402

ARGS = programs(sys.argv[1:])
# Of each name of the fixture: the checkpoint, its positions, what is left out.
MODELS = {"demo": ("demo/step_6418", 1024, None), "demo-attn6": ("demo/step_6418", 1024, "attn:6"),
          "demo-attn1": ("demo/step_6418", 1024, "attn:1"), "neox": ("neox/step_7697", 512, None)}
# Sums of f32 over few tokens, and relative to the sum over thousands.
NATS, RELATIVE = 1e-4, 1e-6


def fixture(name):
    return os.path.join(ARGS["fixture"], name)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def samples(generated=False):
    folder = ARGS["fixture"]
    if os.path.isdir(fixture("samples-demo")):
        folder = fixture("samples-demo")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.startswith("samples_") and ("greedy" in name) == generated]


def series(name):
    return os.path.join(ARGS["series"], name)


def tokens(name, folder, positions):
    """The tokens of every request, exactly; long texts in windows of the model."""
    wanted = {(task, doc, request): (context, continuation) for
              task, doc, request, context, continuation, *_ in rows(fixture(f"tokens-{name}.jsonl"))}
    out = run(ARGS["dump_prompts"], series(folder), positions, *samples()).expect(0).out
    seen, windows = 0, {}
    for line in out.splitlines():
        task, doc, request, context, predicted, fed = json.loads(line)
        if task == "tr_rolling":
            windows.setdefault(doc, []).append((predicted, fed))
            continue
        check(wanted[task, doc, request] == (context, predicted), task, doc, request, predicted)
        check(len(fed) == context + len(predicted) - 1, "fed", task, doc, request)
        seen += 1
    check(seen == len(wanted), seen, "requests of", len(wanted))
    long = 0
    for doc, parts in windows.items():
        whole = [token for predicted, _ in parts for token in predicted]
        before = parts[0][1][:1] + whole
        end = 0
        for predicted, fed in parts:
            end += len(predicted)
            check(fed == before[end - len(fed):end], "window of document", doc)
            check(len(fed) <= positions and (len(fed) == positions or len(parts) == 1), doc)
        long += len(parts) > 1
    check(long, "no text is longer than the model")
    return f"{seen} requests, {len(windows)} texts, {long} of them long"


class Evaluation:
    """What trace-eval makes of the fixture's tasks, whole and without each drop set."""

    def __init__(self, folder, checkpoint, *drops):
        self.folder = os.path.join(folder, "tasks")
        options = [part for drop in drops for part in ("--drop", drop)]
        options += [part for path in samples() + samples(True) for part in ("--tasks", path)]
        self.command = [ARGS["trace-eval"], series(checkpoint), *options, "-o",
                        os.path.join(folder, "eval.h5"), "--results", self.folder, "--device", "cpu"]
        self.place = os.path.join(self.folder, os.path.basename(checkpoint))
        self.result = run(*self.command, timeout=1200).expect(0)

    def scores(self, task):
        with open(os.path.join(self.place, f"{task}.scores.json"), encoding="utf-8") as file:
            return json.load(file)

    def texts(self, task, index):
        """Of the drop set that the scores have at this place, 0: of the whole model."""
        folder = self.place
        for name in sorted(os.listdir(folder)) if index else ():
            path = os.path.join(folder, name, "results.json")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    drop = json.load(file)["config"]["drop"]
                folder = os.path.join(self.place, name) if drop == self.scores(task)["drop_sets"][index] else folder
        return rows(os.path.join(folder, f"{task}.texts.jsonl"))

    def results(self, drop):
        """The results.json of a drop set, None: of the whole model."""
        for folder, _, files in os.walk(self.place):
            if "results.json" in files:
                with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
                    value = json.load(file)
                if value["config"]["drop"] == (drop or ""):
                    return value["results"]
        raise Failure(f"no results.json of {drop}")


def task_name(path):
    return os.path.basename(path)[len("samples_"):-len(".jsonl")]


def compare_likelihoods(evaluation, name, drop):
    worst, near = 0, 0
    lls = {}
    for row in rows(fixture(f"lls-{name}.jsonl")):
        lls.setdefault(row["task"], {})[row["doc_id"]] = row
    for path in samples():
        task = task_name(path)
        scores = evaluation.scores(task)
        index = scores["drop_sets"].index(drop or "")
        ours, greedy = scores["likelihoods"][index], scores["greedy"][index]
        at = 0
        for sample in rows(path):
            row = lls[task][sample["doc_id"]]
            for ll, is_greedy in zip(row["ll"], row.get("greedy") or [None] * len(row["ll"])):
                bound = max(NATS, RELATIVE * abs(ll))
                difference = abs(ours[at] - ll)
                check(difference <= bound, name, task, sample["doc_id"], ours[at], "for", ll)
                check(is_greedy is None or greedy[at] == is_greedy, "greedy", name, task, at)
                worst, near, at = max(worst, difference / bound), near + 1, at + 1
        check(at == len(ours), task, at, len(ours))
    return near, worst


def compare_texts(evaluation, name, drop):
    """What is generated, letter by letter, and whether it is right."""
    wanted = [row for row in rows(fixture(f"lls-{name}.jsonl")) if row["task"] == "tr_greedy"]
    index = evaluation.scores("tr_greedy")["drop_sets"].index(drop or "")
    found = evaluation.texts("tr_greedy", index)
    check(len(found) == len(wanted) > 0, len(found), "texts of", len(wanted))
    for ours, row in zip(found, wanted):
        check(ours["doc_id"] == row["doc_id"] and ours["text"] == row["text"], name, ours, row)
        check(ours["exact_match"] == bool(row["metrics"]["exact_match"]), name, ours, row)
    return len(found)


def expected(name):
    """{task: {metric: (value, standard error or None)}}: what the harness says, where the fixture
    is whole; else the mean of what it says of each document."""
    whole = fixture(f"results-{name}.json")
    if os.path.exists(whole):
        with open(whole, encoding="utf-8") as file:
            results = json.load(file)
        return {task: {key.split(",")[0]: (value, of.get(key.replace(",", "_stderr,")))
                       for key, value in of.items() if "," in key and "_stderr" not in key}
                for task, of in results.items()}
    found = {}
    for row in rows(fixture(f"lls-{name}.jsonl")):
        for metric, value in row["metrics"].items():
            found.setdefault(row["task"], {}).setdefault(metric, []).append(value)
    for task in found.values():
        for metric, values in task.items():
            mean = lambda x: sum(x) / len(x)  # noqa: E731
            error = None
            if metric.startswith("acc") or metric == "exact_match":
                value = mean(values)
                n = len(values)
                error = math.sqrt(sum((x - value) ** 2 for x in values) / (n - 1) / n)
            elif metric == "perplexity":
                value = math.exp(-mean(values))
            else:
                value = sum(x for x, _ in values) / sum(weight for _, weight in values)
                value = -value / math.log(2) if metric == "bits_per_byte" else math.exp(-value)
            task[metric] = (value, error)
    return found


def compare_metrics(evaluation, name, drop):
    ours, count = evaluation.results(drop), 0
    for task, metrics in expected(name).items():
        for metric, (value, error) in metrics.items():
            mine = ours[task][f"{metric},none"]
            if metric.startswith("acc") or metric == "exact_match":
                check(abs(mine - value) < 1e-12, name, task, metric, mine, "for", value)
                mine = ours[task][f"{metric}_stderr,none"]
                check(abs(mine - error) < 1e-12, name, task, metric, "error", mine, "for", error)
            else:
                check(abs(mine / value - 1) < NATS, name, task, metric, mine, "for", value)
            count += 1
    check(count, "no metrics")
    return count


def compare_means(evaluation, names):
    """The mean over tasks and the share retained, with intervals about as wide as the standard error
    within tasks says, or wider where few documents change, which skews them."""
    with open(os.path.join(evaluation.folder, "differences.json"), encoding="utf-8") as file:
        means = {row["drop"].replace(" ", ":"): row for row in json.load(file)["means"]}
    values = {}
    for name in names:
        per_task = {}
        for row in rows(fixture(f"lls-{name}.jsonl")):
            for metric, value in row["metrics"].items():
                if metric == ("exact_match" if row["task"] == "tr_greedy" else "acc"):
                    per_task.setdefault(row["task"], []).append(value)
        values[name] = list(per_task.values())
    average = lambda x: sum(x) / len(x)  # noqa: E731
    whole = average([average(x) for x in values[names[0]]])
    for name in names:
        found, mine = means[MODELS[name][2] or ""], average([average(x) for x in values[name]])
        check(abs(found["mean"] - mine) < 1e-12, name, found, mine)
        if not MODELS[name][2]:
            continue
        check(abs(found["retained"] - mine / whole) < 1e-12, name, found, mine / whole)
        variance = 0
        for with_all, without in zip(values[names[0]], values[name]):
            d = [(b - mine / whole * a) / whole for a, b in zip(with_all, without)]
            variance += sum((x - average(d)) ** 2 for x in d) / len(d) ** 2 / len(values[name]) ** 2
        width = (found["retained_high"] - found["retained_low"]) / 2 / math.sqrt(variance)
        check(found["retained_low"] <= found["retained"] <= found["retained_high"], name, found)
        check(1.8 < width < 8, name, "interval of", width, "standard errors")  # few documents: skewed


def scores(checkpoint, names):
    with scratch() as folder:
        drops = [MODELS[name][2] for name in names if MODELS[name][2]]
        evaluation = Evaluation(folder, checkpoint, *drops)
        told = []
        for name in names:
            requests, worst = compare_likelihoods(evaluation, name, MODELS[name][2])
            texts = compare_texts(evaluation, name, MODELS[name][2])
            count = compare_metrics(evaluation, name, MODELS[name][2])
            told.append(f"{name} {requests} likelihoods, at worst {worst:.2f} of the bound, "
                        f"{texts} texts and {count} metrics equal")
        compare_means(evaluation, names)
        return "; ".join(told)


def main():
    cases = [(f"tokens of {name}", lambda name=name: tokens(name, *MODELS[name][:2]))
             for name in ("demo", "neox")]
    cases += [("scores of demo, whole and without a sublayer",
               lambda: scores("demo/step_6418", ["demo", "demo-attn6", "demo-attn1"])),
              ("scores of neox", lambda: scores("neox/step_7697", ["neox"]))]
    return run_cases(cases)


sys.exit(main())

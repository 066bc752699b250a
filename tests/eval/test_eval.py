# SPDX-License-Identifier: Apache-2.0
"""What people do to trace-eval: requests that cannot be scored, lines that make no sense, runs that
are killed and go on, several checkpoints, stores that the other programs read.

    test_eval.py trace-eval=PATH trace-analyze=PATH trace-info=PATH series=FOLDER golden=FOLDER
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tools"))
from harness import check, environment, programs, run, run_cases, scratch  # noqa: E402

ARGS = programs(sys.argv[1:])
LAST = os.path.join(ARGS["series"], "demo", "step_6418")


def write(folder, name, lines):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    return path


def choice(number, context="The cat", choices=("sat on the mat.", "ran."), gold=0, task="pets"):
    return {"task": task, "doc_id": number, "type": "multiple_choice", "choices": list(choices),
            "gold": gold, "requests": [{"context": context, "continuation": " " + text}
                                       for text in choices]}


def evaluate(folder, *arguments, code=0):
    return run(ARGS["trace-eval"], "-o", os.path.join(folder, "eval.h5"), "--device", "cpu",
               *arguments).expect(code)


def scores(folder, task, checkpoint="step_6418"):
    with open(os.path.join(folder, "eval.h5.tasks", checkpoint, f"{task}.scores.json"),
              encoding="utf-8") as file:
        return json.load(file)


def results(folder, checkpoint="step_6418"):
    with open(os.path.join(folder, "eval.h5.tasks", checkpoint, "results.json"),
              encoding="utf-8") as file:
        return json.load(file)


def faults():
    """Documents that cannot be scored: a sentence each, and the others are scored."""
    long = " ".join(["harbour"] * 1100)
    bad = {
        1: (choice(1, gold=2), "gold is 2, and the choices are 0 to 1"),
        2: (choice(2, choices=("sat.", "")), "choice 1 is empty"),
        3: (choice(3, context=" \n "), "the context of request 0 is white space only"),
        4: (choice(4, choices=("sat.", long)), "the continuation of request 1 has "),
        5: (choice(5, gold=-1), "gold is -1, and the choices are 0 to 1"),
        6: ({"task": "words", "doc_id": 6, "type": "loglikelihood",
             "requests": [{"context": "The cat", "continuation": ""}]},
            "the continuation of request 0 has no tokens"),
    }
    good = [choice(10), choice(11, gold=1), choice(12, gold=[0, 1])]
    with scratch() as folder:
        path = write(folder, "pets.jsonl", [line for line, _ in bad.values()] + good)
        told = evaluate(folder, LAST, "--tasks", path)
        for number, (line, sentence) in bad.items():
            lines = [text for text in told.err.splitlines()
                     if text.startswith(f"{line['task']}, document {number} is not scored: ")]
            check(len(lines) == 1 and sentence in lines[0], sentence, "of", told)
        found = results(folder)
        check(found["results"]["pets"]["sample_len"] == 3, found)
        check("words" not in found["results"], "a task without documents has numbers")
        alone = write(folder, "good.jsonl", good)
        evaluate(folder, LAST, "--tasks", alone, "-q")
        check(results(folder)["results"]["pets"] == found["results"]["pets"],
              "documents that are not scored change the others")


def nonsense():
    """Lines that mean nothing end the run before any work, by file and line."""
    pair = [{"context": "a", "continuation": " b"}]
    wrong = [
        ("{", "is not valid JSON"),
        ("[1]", "must be a JSON object"),
        ({"doc_id": 0, "type": "translate"}, 'type "translate" is not scored'),
        ({"doc_id": 0, "type": "generate_until"}, 'has neither a text as "context" nor "input_ids"'),
        ({"doc_id": 0, "type": "generate_until", "context": "a", "max_gen_toks": 0},
         '"max_gen_toks" is 0'),
        ({"doc_id": 0, "type": "generate_until", "context": "a", "until": [1]},
         '"until" is no text'),
        ({"doc_id": 0, "type": "generate_until", "input_ids": [1, -2]}, '"input_ids" is no list'),
        ({"doc_id": 0}, 'has no "type"'),
        ({"type": "loglikelihood", "requests": pair}, 'has no "doc_id"'),
        ({"doc_id": 0, "type": "loglikelihood", "requests": pair * 2}, "a loglikelihood has one"),
        ({"doc_id": 0, "type": "loglikelihood", "requests": [{"context": "a"}]}, "request 0 lacks"),
        ({"doc_id": 0, "type": "loglikelihood",
          "requests": [{"context": "a\0b", "continuation": "c"}]}, "request 0 lacks"),
        ({"doc_id": 0, "type": "multiple_choice", "requests": pair, "choices": ["b", "c", "d"],
          "gold": 0}, "1 requests for 3 choices"),
        ({"doc_id": 0, "type": "multiple_choice", "requests": pair, "choices": ["b"]},
         'has no "gold"'),
        ({"doc_id": 0, "type": "multiple_choice", "requests": pair, "choices": ["b"], "gold": "x"},
         '"gold" is no number'),
        ({"doc_id": 0, "arguments": {"gen_args_0": {"arg_0": "a", "arg_1": {"do_sample": True}}}},
         "text is drawn at random"),
        ({"doc_id": 0, "target": "b", "doc": {}, "arguments": {
            "gen_args_0": {"arg_0": "a", "arg_1": " b"}, "gen_args_1": {"arg_0": "c", "arg_1": " b"}}},
         "which choice is right"),
    ]
    with scratch() as folder:
        for line, sentence in wrong:
            path = write(folder, "tasks.jsonl", [choice(5), line])
            told = evaluate(folder, LAST, "--tasks", path, code=2)
            check(sentence in told.err and "tasks.jsonl, line 2" in told.err, sentence, "of", told)
        twice = write(folder, "tasks.jsonl", [choice(5), choice(5)])
        check("is there twice" in evaluate(folder, LAST, "--tasks", twice, code=2).err, "twice")
        fine = write(folder, "tasks.jsonl", [choice(5)])
        for more, sentence in ((("--max-length", "5000"), "more than the model's 1024 positions"),
                               (("--prefix-token", "<nothing>"), 'has no token "<nothing>"'),
                               (("--add-bos", "yes"), "puts nothing before a text"),
                               (("--drop", "attn:10"), "names attn 10, and the model has layers 0 to 9"),
                               (("--drop", "attn:1", "--drop", "attn:1"), "two sets have this name")):
            check(sentence in evaluate(folder, LAST, "--tasks", fine, *more, code=2).err, sentence)
        check(not os.path.exists(os.path.join(folder, "eval.h5.tasks")), "something was written")


def lines():
    """Our own lines give what the harness's samples give."""
    source = os.path.join(ARGS["golden"], "samples_tr_choice.jsonl")
    with open(source, encoding="utf-8") as file:
        samples = [json.loads(line) for line in file]
    made = []
    for sample in samples:
        arguments = sample["arguments"]
        pairs = [arguments[f"gen_args_{i}"] for i in range(len(arguments))]
        made.append({"task": "tr_choice", "doc_id": sample["doc_id"], "type": "multiple_choice",
                     "choices": sample["doc"]["choices"], "gold": int(sample["target"]),
                     "requests": [{"context": pair["arg_0"], "continuation": pair["arg_1"]}
                                  for pair in pairs]})
    with scratch() as folder:
        evaluate(folder, LAST, "--tasks", source)
        wanted, ours = results(folder), write(folder, "ours.jsonl", made)
        again = evaluate(folder, LAST, "--tasks", ours)
        check("1 were already there" in again.err, "the same requests are scored again", again)
        check(results(folder) == wanted, "other results")


def generated(folder, name="prompts", drop=None):
    place = os.path.join(folder, "eval.h5.tasks", "step_6418")
    if drop:
        place = os.path.join(place, next(entry for entry in os.listdir(place) if entry.startswith(drop)))
    with open(os.path.join(place, f"{name}.texts.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def prompts():
    """Prompts are continued: texts and ids, as far as they are to be, alone as together, and what a
    text ends before is cut; the same again costs nothing."""
    some = [{"prompt": "The harbour master saw"}, {"prompt": "At the 2011 count", "max_gen_toks": 3},
            {"prompt": "It measures 31 km from end", "until": ["e", " the"]},
            {"prompt": "<|endoftext|>", "doc_id": 70}]
    with scratch() as folder:
        path = write(folder, "prompts.jsonl", some)
        told = evaluate(folder, LAST, "--generate", path, "--new-tokens", "12", "--drop", "attn:1,2")
        check("new_tokens" in told.out and "p: " not in told.out, told)
        found, without = generated(folder), generated(folder, drop="attn_1_2")
        check([row["doc_id"] for row in found] == [0, 1, 2, 70], found)
        check([len(row["tokens"]) for row in found][:2] == [12, 3], found)
        check(not any(stop in found[2]["text"] for stop in some[2]["until"]), found[2])
        check(found[2]["ended"] and not found[0]["ended"], found)
        check([row["tokens"] for row in found] != [row["tokens"] for row in without], without)
        again = evaluate(folder, LAST, "--generate", path, "--new-tokens", "12", "--drop", "attn:1,2")
        check("1 were already there" in again.err, again)
        evaluate(folder, LAST, "--generate", path, "--new-tokens", "12", "--batch", "1", "--fresh")
        check(generated(folder) == found, "alone", generated(folder))
        longer = write(folder, "longer.jsonl", [
            {"task": "words", "doc_id": 0, "type": "generate_until", "context": some[1]["prompt"],
             "max_gen_toks": 3, "target": [found[1]["text"].upper() + "!", "x"], "ignore_case": True,
             "ignore_punctuation": True},
            {"task": "words", "doc_id": 1, "type": "generate_until", "context": "a b",
             "max_gen_toks": 1024, "target": "b"}])
        told = evaluate(folder, LAST, "--tasks", longer)
        check("words, document 1 is not scored: 1024 new tokens leave no room" in told.err, told)
        check(results(folder)["results"]["words"]["exact_match,none"] == 1, results(folder))
        check(generated(folder, "words")[0]["tokens"] == found[1]["tokens"], "other tokens")


def endings():
    """Every end that generation_config.json names ends a text."""
    with scratch() as folder:
        model = os.path.join(folder, "step_6418")
        os.mkdir(model)
        for name in os.listdir(LAST):
            if name != "generation_config.json":
                os.symlink(os.path.join(os.path.abspath(LAST), name), os.path.join(model, name))
        path = write(folder, "prompts.jsonl", [{"prompt": "The harbour master saw"}])
        evaluate(folder, model, "--generate", path, "--new-tokens", "12")
        tokens = generated(folder)[0]["tokens"]
        last = next(t for i, t in enumerate(tokens) if t not in tokens[:i] and i > 3)
        write(model, "generation_config.json", [{"eos_token_id": [0, last]}])
        evaluate(folder, model, "--generate", path, "--new-tokens", "12")
        row = generated(folder)[0]
        check(row["ended"] and row["tokens"] == tokens[:tokens.index(last) + 1], row, tokens)
        write(model, "generation_config.json", [{"eos_token_id": "end"}])
        told = evaluate(folder, model, "--generate", path, "--new-tokens", "12", code=1)
        check("must be an integer or a list of them" in told.err, told.err)


def speed_of_sublayers(folder, layers):
    """Each kind's milliseconds, and a budget of them."""
    told = evaluate(folder, LAST, "--speed", "24", "--speed-tokens", "8", "--rounds", "3", "--speed-sublayers",
                    "--tokens", os.path.join(ARGS["series"], "demo", "tokens.npy"), "--samples", "2")
    path = os.path.join(folder, "eval.h5.tasks", "step_6418", "speed.json")
    with open(path, encoding="utf-8") as file:
        shape, = json.load(file)["sublayers"]
    times = {(row["module"], row["layer"]): row["decode_ms"] for row in shape["sublayers"]}
    check(sorted(times) == [(m, l) for m in ("attn", "mlp") for l in range(layers)], times)
    check(len(set(times.values())) == 2 and "ms a prompt" in told.out, times, told)
    # Noise on a busy machine may leave a kind nothing; what follows needs something.
    for row in shape["sublayers"]:
        row["decode_ms"] = 0.25 if row["module"] == "attn" else 0.5
    shape["decode_ms"] = 0.75 * layers + 0.5
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"sublayers": [shape]}, file)
    analyze = (ARGS["trace-analyze"], os.path.join(folder, "eval.h5"), "--module", "mlp", "--budget")
    plan = os.path.join(folder, "plan.json")
    told = run(*analyze, f"ms={0.75 * layers - 0.6}", "--speeds", path, "--plan", plan).expect(0)
    with open(plan, encoding="utf-8") as file:
        budget = json.load(file)["budget"]
    check(budget["resource"] == "ms" and budget["whole"] == shape["decode_ms"], budget)
    check(budget["left"] == shape["decode_ms"] - 1.5 and "ms a step" in told.out, budget, told)
    check("needs --speeds" in run(*analyze, "ms=90%").expect(2).err, "no times")
    check("--context tokens" in run(*analyze, "ms=90%", "--speeds", path, "--context", "25").expect(2).err, "25")


def memory_of_long_prompts():
    """Memory is what was asked for: what a heap sets aside for large pages is not touched."""
    with scratch() as folder:
        model = os.path.join(folder, "model")
        shutil.copytree(LAST, model)
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            config = json.load(file) | {"max_position_embeddings": 4096}
        with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        evaluate(folder, model, "--speed", "4000", "--speed-tokens", "2", "--rounds", "1")
        with open(os.path.join(folder, "eval.h5.tasks", "model", "speed.json"), encoding="utf-8") as file:
            row, = json.load(file)["speeds"]
        check(abs(row["peak_bytes"] / row["planned_bytes"] - 1) < 0.01, row)


def speed():
    """Rates in turns, what is counted beside them, and memory as planned."""
    with scratch() as folder:
        told = evaluate(folder, LAST, "--speed", "24,90", "--speed-tokens", "12", "--speed-batch",
                        "3", "--rounds", "2", "--drop", "attn:2-6")
        with open(os.path.join(folder, "eval.h5.tasks", "step_6418", "speed.json"),
                  encoding="utf-8") as file:
            told_json = json.load(file)
        rows, copied = told_json["speeds"], told_json["copy_bytes_per_s"]
        multiplied = told_json["product_flops_per_s"]
        check(not os.path.exists(os.path.join(folder, "eval.h5")), "a text was measured")
        check([(r["left_out"], r["prompt"]) for r in rows] == [
            ("nothing", 24), ("attn 2-6", 24), ("nothing", 90), ("attn 2-6", 90)], rows)
        with open(os.path.join(LAST, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        width = config["num_key_value_heads"] * (hidden // config["num_attention_heads"])
        attention, ffn = 2 * hidden * hidden + 2 * width * hidden, 3 * hidden * config["intermediate_size"]
        for row in rows:
            kept = layers - (5 if row["left_out"] != "nothing" else 0)
            keys = row["prompt"] + 6  # in the middle of the 12
            weights = kept * attention + layers * ffn + config["vocab_size"] * hidden
            count = row["counted"]
            check(count["cache_bytes_of_a_token"] == 2 * kept * width * 4, row)
            check(count["cache_bytes_of_a_step"] == 3 * keys * 2 * kept * width * 4, row)
            check(count["flops_of_a_step_and_text"] == 2 * weights + 4 * kept * hidden * keys, row)
            check(abs(row["peak_bytes"] / row["planned_bytes"] - 1) < 0.03, row)
            for rate in (row["prefill_tokens_per_s"], row["decode_tokens_per_s"]):
                check(0 < rate["low"] <= rate["median"] <= rate["high"], row)
            for what in ("prefill", "decode") if row["left_out"] != "nothing" else ():
                own = row[f"{what}_tokens_per_s"]
                whole = rows[rows.index(row) - 1][f"{what}_tokens_per_s"]
                apart = own["low"] > whole["high"] or own["high"] < whole["low"]
                check((row[f"{what}_ratio"] is not None) == apart, what, row)
                step, other = count, rows[rows.index(row) - 1]["counted"]
                if what == "decode":
                    read = [c["weight_bytes_of_a_step"] + c["cache_bytes_of_a_step"] for c in (step, other)]
                    work, texts = [c["flops_of_a_step_and_text"] for c in (step, other)], 3
                else:
                    read = [c["weight_bytes_of_a_step"] for c in (step, other)]
                    work, texts = [c["flops_of_a_prompt_token"] for c in (step, other)], 3 * row["prompt"]
                fastest = texts / max(read[0] / copied, texts * work[0] / multiplied)
                most = max(read[1] / read[0], work[1] / work[0], fastest / whole["median"])
                check(abs(row[f"{what}_ratio_at_most"] / most - 1) < 1e-9, what, most, row)
        check("Of a copy" in told.out and "models in turns" in told.out, told.out)
        check(max(map(len, told.out.splitlines())) <= 100, "a line is too wide", told.out)
        speed_of_sublayers(folder, layers)
        told = evaluate(folder, LAST, "--speed", "1024", code=2)
        check("is longer than the model's" in told.err, told.err)
        for wrong in ("0", "a", "5,", "5;6", "-1", ",".join("9" * 9)):
            check("lengths of prompts" in evaluate(folder, LAST, "--speed", wrong, code=2).err, wrong)


def many(task):
    return [choice(number, f"The harbour master saw {number} boats, and the ferry", task=task)
            for number in range(80)]


def killed():
    """Whatever ends a run, what is done stays and the same command goes on, to the same numbers."""
    with scratch() as folder:
        paths = [write(folder, f"{task}.jsonl", many(task)) for task in ("a", "b", "c")]
        arguments = [LAST, "--drop", "attn:6"] + [word for path in paths for word in ("--tasks", path)]
        os.mkdir(os.path.join(folder, "whole"))
        evaluate(os.path.join(folder, "whole"), *arguments)
        command = [ARGS["trace-eval"], "-o", os.path.join(folder, "eval.h5"), "--device", "cpu",
                   *arguments]
        first = os.path.join(folder, "eval.h5.tasks", "step_6418", "a.scores.json")
        for ending, code in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
            process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            done = lambda: os.path.exists(first) and len(os.listdir(os.path.dirname(first)))  # noqa: E731
            before = done() or 0
            while process.poll() is None and (done() or 0) <= before:
                time.sleep(0.002)
            process.send_signal(ending)
            process.wait(timeout=120)
            check(process.returncode == code, "exit", process.returncode, "after", ending)
            check(not os.path.exists(first.replace("a.", "c.")), "it was too fast to be stopped")
        again = evaluate(folder, *arguments)
        check(" were already there" in again.err and " 0 were" not in again.err, again)
        for task in ("a", "b", "c"):
            check(scores(folder, task) == scores(os.path.join(folder, "whole"), task), task)


def tree(folder):
    """Every file's bytes by its path."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def ranks():
    """However many ranks: the same files, to the byte, and the same table."""
    with scratch() as folder:
        early = os.path.join(ARGS["series"], "demo", "step_1024")
        paths = [write(folder, f"{task}.jsonl", many(task)[:9]) for task in ("a", "b")]
        texts = write(folder, "texts.jsonl", [{"prompt": "The harbour master", "max_gen_toks": 5}])
        broken = os.path.join(folder, "step_1")
        os.mkdir(broken)
        seen = set()
        for count, more in ((0, ()), (3, ()), (3, ("--fresh",)), (2, ())):
            out = os.path.join(folder, f"{count}", "eval.h5")
            os.makedirs(os.path.dirname(out), exist_ok=True)
            launcher = [ARGS["mpirun"], "-n", count] if count else []
            told = run(*launcher, ARGS["trace-eval"], early, LAST, broken, "--drop", "attn:6",
                       "--generate", texts, *more, "--device", "cpu", "-o", out,
                       *(word for path in paths for word in ("--tasks", path))).expect(1)
            check(told.err.count("step_1 failed") == 1, told)
            check(told.err.count(" 0 were already there") == 1, told)
            together = "4 were scored by several ranks together" in told.err
            check(together == (count == 3), told)  # for two ranks the nine tasks are many
            files = tree(out + ".tasks")
            check(len(files) == 15, sorted(files))
            seen.add((told.out, tuple(sorted(files.items()))))
        check(len(seen) == 1, "what is written depends on the number of ranks")
        usage = run(ARGS["mpirun"], "-n", 2, ARGS["trace-eval"], LAST, "--tasks", out, "--device", "cpu",
                    "-o", out)
        check(usage.code != 0 and usage.err.count("trace-eval: ") == 1, usage)


def parts():
    """What a rank left of a task that several shared is taken, and only what nobody has is scored."""
    with scratch() as folder:
        long = [choice(number, "The cat " * 60, task="pets") for number in range(9, 12)]
        task = write(folder, "pets.jsonl", many("pets")[:9] + long)  # rows of two lengths
        kept = os.path.join(folder, "eval.h5.tasks", LAST.rsplit("/", 1)[1])
        evaluate(folder, LAST, "--tasks", task, "--drop", "attn:6")
        whole = scores(folder, "pets")
        part = dict(whole)
        part["likelihoods"] = [[None] * 18 + [number - 1 for number in row[18:]]
                               for row in whole["likelihoods"]]
        strange = dict(part, identity="0" * 32)
        strange["likelihoods"] = [[1.0] * len(row) for row in whole["likelihoods"]]
        os.remove(os.path.join(kept, "pets.scores.json"))
        write(kept, "pets.part-3.json", [part])
        write(kept, "pets.part-4.json", [strange])
        evaluate(folder, LAST, "--tasks", task, "--drop", "attn:6")
        for found, row in zip(scores(folder, "pets")["likelihoods"], whole["likelihoods"]):
            check(found == row[:18] + [number - 1 for number in row[18:]], (found, row))
        check(not [name for name in os.listdir(kept) if ".part-" in name], os.listdir(kept))


def series():
    """Two checkpoints and two sets, on a text and on a task; what cannot be read is named."""
    with scratch() as folder:
        path = write(folder, "pets.jsonl", [choice(n, f"{n} cats") for n in range(20)])
        broken = os.path.join(folder, "step_1")
        os.mkdir(broken)
        early = os.path.join(ARGS["series"], "demo", "step_1024")
        tokens = os.path.join(ARGS["series"], "demo", "tokens.npy")
        sets = write(folder, "sets.txt", ["two of them: attn:6,7", "an mlp: mlp:3"])
        told = evaluate(folder, early, LAST, broken, "--tasks", path, "--tokens", tokens,
                        "--drop-sets", sets, "--stride", "100", code=1)
        check(told.err.count("step_1 failed") + told.err.count("step_1:") >= 1, told)
        for words in ("|step_1024 |two of them|", "|step_6418 |an mlp     |", "text, stride 100",
                      "Packed: rows of 256 tokens"):
            check(words in told.out, words, "in", told)
        check(max(map(len, told.out.splitlines())) <= 100, "a table is too wide", told.out)
        with open(os.path.join(folder, "eval.h5.tasks", "differences.json"), encoding="utf-8") as file:
            differences = json.load(file)["differences"]
        over_time = [d for d in differences if d["against_checkpoint"] != d["checkpoint"]]
        check(over_time and all(d["checkpoint"] == "step_6418" and not d["drop"] for d in over_time),
              over_time)
        check({d["drop"] for d in differences} == {"", "two of them", "an mlp"}, differences)
        store = os.path.join(folder, "eval.h5")
        check("two of them" in run(ARGS["trace-analyze"], store, "--sections", "costs").expect(0).out, "analyze")
        run(ARGS["trace-info"], store, "--check").expect(0)


def main():
    return run_cases([("requests that cannot be scored", faults), ("lines that make no sense", nonsense),
                      ("our own lines", lines), ("prompts", prompts), ("what ends a text", endings),
                      ("speed", speed), ("memory of long prompts", memory_of_long_prompts),
                      ("killed", killed), ("parts of a task", parts), ("a series", series),
                      *([("ranks", ranks)] if ARGS.get("mpirun") else [])])


sys.exit(main())

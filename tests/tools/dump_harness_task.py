# SPDX-License-Identifier: Apache-2.0
"""Writes tasks of lm-evaluation-harness (0.4.13) as lines of requests for trace-eval --tasks: finished
strings, with the harness's few-shot examples, templates and descriptions in them.

    dump_harness_task.py TASK... [--out FOLDER] [--include FOLDER] [--fewshot N] [--limit N]
        [--chat-template TOKENIZER]

Writes FOLDER/TASK.jsonl. Needs lm_eval and, for its own tasks, their data sets. Tasks of generated text
are left out by name. docs/evaluation.md has the format.
"""
import argparse
import json
import pathlib
import re
import sys

from lm_eval.tasks import TaskManager

KINDS = ("multiple_choice", "loglikelihood", "loglikelihood_rolling")


def tasks_of(names, include):
    """The tasks of these names and of groups among them."""
    return TaskManager(include_path=include, include_defaults=not include).load(names)["tasks"].values()


def golds(gold, choices):
    """The numbers of right choices, whatever a task calls them by."""
    if isinstance(gold, str):
        return [choices.index(gold)] if gold in choices else [-1]
    return [int(one) for one in gold] if isinstance(gold, (list, tuple)) else int(gold)


def choice_line(task, doc, arguments):
    choices = task.doc_to_choice(doc)
    # Where the context holds the option, the right one is what doc_to_text says.
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    return {"choices": choices, "gold": golds(gold, choices),
            "requests": [{"context": context, "continuation": continuation}
                         for context, continuation in arguments]}


def rolling_line(task, doc, arguments):
    (text,), = arguments
    page = task.doc_to_target(doc)  # before it was made ready: what words and bytes are counted in
    page = page if isinstance(page, str) else text
    counted = task.process_results(doc, (0.0,))
    words = counted.get("word_perplexity", (0, len(re.split(r"\s+", page))))[1]
    size = counted.get("byte_perplexity", (0, len(page.encode())))[1]
    return {"text": text, "words": words, "bytes": size}


def line_of(task, doc, instances):
    arguments = [instance.args for instance in instances]
    line = {"task": task.config.task, "doc_id": instances[0].doc_id, "type": task.OUTPUT_TYPE}
    if task.OUTPUT_TYPE == "multiple_choice":
        return line | choice_line(task, doc, arguments)
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return line | rolling_line(task, doc, arguments)
    (context, continuation), = arguments
    return line | {"requests": [{"context": context, "continuation": continuation}]}


def dump(task, out, options):
    if task.OUTPUT_TYPE not in KINDS:
        print(f"{task.config.task} is {task.OUTPUT_TYPE}, which has no likelihoods: left out", file=sys.stderr)
        return
    default = task.get_config("num_fewshot")
    if options.fewshot is not None and default != 0:  # as simple_evaluate does
        task.set_config(key="num_fewshot", value=options.fewshot)
    elif default is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=1234)
    chat = {}
    if options.chat_template:
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(options.chat_template)
        chat = {"apply_chat_template": True, "chat_template": lambda history, add_generation_prompt=True:
                tokenizer.apply_chat_template(history, tokenize=False,
                                              add_generation_prompt=add_generation_prompt)}
    task.build_all_requests(limit=options.limit, rank=0, world_size=1, **chat)
    documents = {}
    for instance in sorted(task.instances, key=lambda one: (one.doc_id, one.idx)):
        documents.setdefault(instance.doc_id, []).append(instance)
    path = pathlib.Path(out, f"{task.config.task}.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for instances in documents.values():
            line = line_of(task, instances[0].doc, instances)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{path}: {len(documents)} documents")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="TASK")
    parser.add_argument("--out", default=".", metavar="FOLDER")
    parser.add_argument("--include", metavar="FOLDER", help="task files of one's own, and no others")
    parser.add_argument("--fewshot", type=int, metavar="N")
    parser.add_argument("--limit", type=int, metavar="N")
    parser.add_argument("--chat-template", metavar="TOKENIZER")
    options = parser.parse_args()
    for task in tasks_of(options.tasks, options.include):
        dump(task, options.out, options)


if __name__ == "__main__":
    main()

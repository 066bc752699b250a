# SPDX-License-Identifier: Apache-2.0
"""Requests of nasty strings through random models, by trace-eval and by lm-evaluation-harness itself.

    check_harness.py --eval build/release/bin/trace-eval --dump build/release/bin/dump_prompts
        [--requests 500] [--seed 1] [--family llama ...]

Ten families, each with another tokenizer (BOS before texts with every other one), in f32. The harness
runs its hf backend on local files with logits_cache=False. Tokens are equal, log-likelihoods within
1e-4, and whether a continuation is greedy is the same unless two tokens are as close as that; five
texts are rolled. Requests that the harness ends over (no context but white space, no tokens, more than
the model has positions) are asked of trace-eval alone, which has to name each. Needs lm_eval.
"""
import argparse
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
from logging import ERROR, getLogger
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

import tokenizer_families
from families import FAMILIES
from family import draw_cases
from reference import load_model, make_model
from tokenizer_strings import Strings

NATS, RELATIVE, TIE = 1e-4, 1e-6, 1e-4
POSITIONS = 130  # few, so that long requests lose their first tokens
TOKENIZERS = {"llama": "llama3", "gpt_neox": "gpt_neox", "gpt2": "gpt2", "qwen2": "qwen2",
              "qwen3": "o200k", "gemma2": "deepseek3", "olmo2": "dolma2", "falcon": "smollm2",
              "mistral": "deepseek_llm", "phi": "bloom"}
POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
END = "<|endoftext|>"


def write_tokenizer(name, begins, folder):
    """Returns the tokens that were added."""
    tokenizer, added = tokenizer_families.FAMILIES[name]()
    if begins:
        end = tokenizer.token_to_id(END)
        template = processors.TemplateProcessing(single=f"{END} $A", pair=f"{END} $A $B",
                                                 special_tokens=[(END, end)])
        tokenizer.post_processor = processors.Sequence([template])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END).save_pretrained(folder)
    return tokenizer.get_vocab_size(), added


def draw_case(family, seed, size):
    case = draw_cases(FAMILIES[family], 3, seed)[seed % 3]
    config = case.config | {"vocab_size": size + 3}
    for key in POSITION_KEYS:
        if key in config:
            config[key] = POSITIONS
    if not any(key in config for key in POSITION_KEYS):
        config["max_position_embeddings"] = POSITIONS
    rope = dict(config.get("rope_parameters") or {})
    if rope.get("rope_type") in ("dynamic", "longrope", "yarn"):  # those go by the positions
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0}
    config.pop("pad_token_id", None)
    return dataclasses.replace(case, config=config, own_head=False)


# ---- requests ----------------------------------------------------------------------------------


def draw_requests(rng, added, lm, count):
    """Requests and what the harness makes of them: `count` of them are scored, the others refused."""
    strings = Strings(rng, [END, *added])
    long = strings.fixed()
    requests, tokens = [], []
    while sum(each is not None for each in tokens) < count:
        context = "".join(strings.piece() for _ in range(rng.choice([0, 1, 3, 9, 40])))
        continuation = "".join(strings.piece() for _ in range(rng.choice([1, 1, 2, 5])))
        if rng.random() < 0.03:
            context = rng.choice(long)[:3000]
        if rng.random() < 0.3:
            context += rng.choice([" ", "  ", "\n", "\t ", "\u3000"])
        if continuation.replace("\0", ""):  # a file with NUL is refused
            requests.append((context.replace("\0", ""), continuation.replace("\0", "")))
            tokens.append(harness_tokens(lm, *requests[-1]))
    return requests, tokens


def harness_tokens(lm, context, continuation):
    """What the harness scores, or None where it ends over it."""
    if context == "":
        tokens = lm.tok_encode(continuation, add_special_tokens=False)
        if not tokens:
            return None
        begin = [lm.prefix_token_id] if tokens[0] != lm.prefix_token_id else tokens[:1]
        before, after = begin, tokens if tokens[0] != lm.prefix_token_id else tokens[1:]
    else:
        before, after = lm._encode_pair(context, continuation)
    if not before or not after or len(after) > lm.max_length:
        return None
    return before, after


def write_requests(path, requests, texts):
    lines = [{"task": "pairs", "doc_id": i, "type": "loglikelihood",
              "requests": [{"context": context, "continuation": continuation}]}
             for i, (context, continuation) in enumerate(requests)]
    lines += [{"task": "texts", "doc_id": i, "type": "loglikelihood_rolling", "text": text}
              for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def ask_harness(lm, kind, arguments):
    instances = [Instance(request_type=kind, doc={}, arguments=each, idx=i) for i, each in enumerate(arguments)]
    return getattr(lm, kind)(instances, disable_tqdm=True)


# ---- a family ----------------------------------------------------------------------------------


class Check:
    def __init__(self, options, family, index, folder):
        self.options, self.family, self.folder = options, family, folder
        rng = random.Random(f"{family} {options.seed}")
        size, added = write_tokenizer(TOKENIZERS[family], index % 2 == 1, folder / "model")
        case = draw_case(family, options.seed + index, size)
        make_model(case, folder / "model")
        self.model = load_model(case.family, folder / "model", torch.float32)
        self.lm = HFLM(pretrained=self.model, tokenizer=AutoTokenizer.from_pretrained(folder / "model"),
                       batch_size=8, logits_cache=False)
        self.requests, self.tokens = draw_requests(rng, added, self.lm, options.requests)
        strings = Strings(rng, [END, *added])
        self.texts = ["a" + "".join(strings.piece() for _ in range(n)).replace("\0", "")
                      for n in (0, 20, 60, 200, 400)]

    def run_ours(self):
        path = self.folder / "requests.jsonl"
        write_requests(path, self.requests, self.texts)
        subprocess.run([self.options.eval, self.folder / "model", "--tasks", path, "-o",
                        self.folder / "eval.h5", "--device", "cpu", "-q", "--max-length",
                        str(self.lm.max_length)], check=True, capture_output=True, text=True)
        out = subprocess.run([self.options.dump, self.folder / "model", str(self.lm.max_length), path],
                             check=True, capture_output=True, text=True).stdout
        self.ours = [json.loads(line) for line in out.splitlines()]
        place = self.folder / "eval.h5.tasks/model"
        return {task: json.loads((place / f"{task}.scores.json").read_text()) for task in ("pairs", "texts")}

    def compare_tokens(self):
        seen = {}
        for task, document, *rest in self.ours:
            if task == "pairs":
                seen[document] = rest
        for i, tokens in enumerate(self.tokens):
            if tokens is None:
                if len(seen[i]) != 1:
                    raise ValueError(f"{self.requests[i]!r} is scored, and the harness ends over it")
                continue
            if len(seen[i]) == 1:
                raise ValueError(f"{self.requests[i]!r} is not scored: {seen[i][0]}; {tokens}")
            _, context, predicted, fed = seen[i]
            before, after = tokens
            whole = (before + after)[-(self.lm.max_length + 1):]
            if (predicted, fed, context) != (after, whole[:-1], len(whole) - len(after)):
                raise ValueError(f"{self.requests[i]!r}: {context} {predicted} for {tokens}")

    def gap(self, tokens):
        """How much likelier than the continuation's tokens, or less, the likeliest others are: what
        decides whether it is greedy."""
        before, after = tokens
        whole = (before + after)[-(self.lm.max_length + 1):]
        with torch.no_grad():
            logits = self.model(torch.tensor([whole[:-1]])).logits[0, -len(after):].double()
        own = logits.gather(1, torch.tensor(after)[:, None])[:, 0]
        logits.scatter_(1, torch.tensor(after)[:, None], -torch.inf)
        return (own - logits.max(dim=1).values).abs().min().item()

    def compare(self):
        scores = self.run_ours()
        self.compare_tokens()
        kept = [i for i, tokens in enumerate(self.tokens) if tokens]
        wanted = ask_harness(self.lm, "loglikelihood", [self.requests[i] for i in kept])
        ours = list(zip(scores["pairs"]["likelihoods"][0], scores["pairs"]["greedy"][0]))
        worst, ties = 0.0, 0
        for i, (ll, is_greedy) in zip(kept, wanted, strict=True):
            mine, greedy = ours[i]
            difference = abs(mine - ll)
            worst = max(worst, difference)
            if not difference <= max(NATS, RELATIVE * abs(ll)):
                raise ValueError(f"{self.requests[i]!r}: {mine} for {ll}")
            if greedy != is_greedy:
                ties += 1
                if self.gap(self.tokens[i]) > TIE:
                    raise ValueError(f"{self.requests[i]!r}: greedy {greedy} for {is_greedy}")
        rolled = ask_harness(self.lm, "loglikelihood_rolling", [(text,) for text in self.texts])
        for mine, ll, text in zip(scores["texts"]["likelihoods"][0], rolled, self.texts):
            if not abs(mine - ll) <= max(NATS, RELATIVE * abs(ll)):
                raise ValueError(f"{text!r} rolled: {mine} for {ll}")
        return len(kept), worst, ties, len(self.requests) - len(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", required=True, type=Path, help="the trace-eval program")
    parser.add_argument("--dump", required=True, type=Path, help="the dump_prompts program")
    parser.add_argument("--requests", type=int, default=500, help="a family (500)")
    parser.add_argument("--seed", type=int, default=1, help="of models and strings (1)")
    parser.add_argument("--family", nargs="*", help="only these")
    options = parser.parse_args()
    options.eval, options.dump = options.eval.resolve(), options.dump.resolve()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for name in ("lm_eval", "lm_eval.models.huggingface"):
        getLogger(name).setLevel(ERROR)
    failed = 0
    for index, family in enumerate(TOKENIZERS):
        if options.family and family not in options.family:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                count, worst, ties, refused = Check(options, family, index, Path(folder)).compare()
                print(f"{family}, tokenizer {TOKENIZERS[family]}: {count} requests with the same tokens, "
                      f"likelihoods within {worst:.1e}, {ties} near ties, {refused} more "
                      "refused by both", flush=True)
            except (ValueError, subprocess.CalledProcessError) as problem:
                failed += 1
                print(f"{family} FAILED: {problem} {getattr(problem, 'stderr', '')}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

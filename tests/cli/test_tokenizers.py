# SPDX-License-Identifier: Apache-2.0
"""trace-ckpts over text, with each kind of tokenizer that published models have: the rows are those
of the right ids, which a second run over these ids shows, because it finds its work done.

test_tokenizers.py NAME=PATH... golden=FOLDER: trace-ckpts."""

import json
import os
import shutil
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

# The folder of the tokenizer, the family of the model, what begins a text.
KINDS = [("json-bpe-llama-prepend", "llama", None), ("json-bpe-llama-metaspace-first", "llama", None),
         ("json-bpe-gemma-never", "llama", None), ("json-unigram-t5-metaspace-always", "llama", None),
         ("spm-bpe-llama", "llama", 1), ("spm-bpe-gemma", "llama", 1),
         ("spm-bpe-nfkc-uds", "llama", 1), ("spm-unigram-bytes", "gpt_neox", 1),
         ("tiktoken-llama3", "llama", None), ("pair-opt", "llama", 400),
         ("gpt2", "llama", None), ("gpt_neox", "gpt_neox", None), ("llama3", "llama", None),
         ("dolma2", "llama", None), ("qwen2", "llama", None), ("bloom", "llama", None)]
END = 7
ROWS = ["--samples", "8", "--seq-len", "32"]


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root

    def folder(self, name, family):
        """A checkpoint with this tokenizer, its strings as a file, and their ids."""
        golden = os.path.join(self.programs["golden"], name)
        folder = f"{self.root}/{name}/step_1"
        for part in ("text", "ids"):
            os.makedirs(f"{self.root}/{name}/{part}")
        tiny.write_checkpoint(folder, family=family, tokenizer=False, vocab_size=1300,
                              eos_token_id=END)
        if os.path.isdir(golden):
            for file in set(os.listdir(golden)) - {"cases.json"}:
                shutil.copyfile(f"{golden}/{file}", f"{folder}/{file}")
        else:
            shutil.copyfile(f"{golden}.json", f"{folder}/tokenizer.json")
        with open(f"{golden}/cases.json" if os.path.isdir(golden) else f"{golden}.cases.json",
                  encoding="utf-8") as file:
            cases = json.load(file)
        pairs = [pair for pair in zip(cases["strings"], cases["ids"]) if pair[0]]
        text = "".join(json.dumps({"text": string}) + "\n" for string, _ in pairs)
        tiny.write(f"{self.root}/{name}/text/rows.jsonl", text)
        return folder, [ids for _, ids in pairs]

    @staticmethod
    def rows(folder, part):
        """The store keeps the file's name, so both have the same."""
        return os.path.join(os.path.dirname(folder), part, "rows.jsonl")

    def trace(self, folder, *more):
        return harness.run(self.programs["trace-ckpts"], "--ckpts", folder, "-o", f"{folder}.h5",
                           *ROWS, *more)

    def check_ids(self, folder, ids):
        """A run over these ids finds what the run over the text has left."""
        tiny.write(self.rows(folder, "ids"), json.dumps({"input_ids": ids}))
        ran = self.trace(folder, "--tokens", self.rows(folder, "ids")).expect(0)
        check(harness.summary(ran)[2] == 1, "the rows differ:", ran)

    def kind(self, name, family, begin):
        folder, documents = self.folder(name, family)
        self.trace(folder, "--text", self.rows(folder, "text")).expect(0)
        self.check_ids(folder, [i for ids in documents for i in ids + [END]])
        if begin is None:
            ran = self.trace(folder, "--text", self.rows(folder, "text"), "--bos").expect(2)
            check("names no token that begins a text" in ran.err, ran)
            return
        self.trace(folder, "--text", self.rows(folder, "text"), "--bos", "--fresh").expect(0)
        self.check_ids(folder, [i for ids in documents for i in [begin] + ids + [END]])

    def bos_without_text(self):
        folder, _ = self.folder("tiktoken-qwen", "llama")
        tiny.write_tokens(self.rows(folder, "ids"), 8, 32)
        ran = self.trace(folder, "--tokens", self.rows(folder, "ids"), "--bos").expect(2)
        check("--bos begins documents of text" in ran.err, ran)


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as root:
        cases = Cases(programs, root)
        rows = [(name, lambda kind=(name, *rest): cases.kind(*kind)) for name, *rest in KINDS]
        return harness.run_cases(rows + [("bos without text", cases.bos_without_text)])


if __name__ == "__main__":
    sys.exit(main())

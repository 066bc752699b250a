# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizer: tiny tokenizers of each pre-tokenizer family, and for each some
strings with the ids that the Hugging Face tokenizers library gives (add_special_tokens=False).

    python tests/golden/make_tokenizer.py [NAME...]

Made with tokenizers 0.23.3, transformers 5.24 and a Python whose unicodedata is Unicode 14 (3.11).
"""
import json
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))

import tokenizer_families as families  # noqa: E402
import tokenizer_files as files  # noqa: E402
from test_tokenizer import as_strings  # noqa: E402
from tokenizer_strings import APOSTROPHES, SPACES, Strings  # noqa: E402

COUNT = 220
NAMES = ["gpt2", "gpt2_prefix", "gpt_neox", "llama3", "dolma2", "qwen2", "smollm2", "bloom"]
PAIRS = ["pair-opt"]


def strings_for(name, added):
    make = Strings(random.Random(f"golden {name}"), added)
    strings = ["", "\0", "a\0b", "1" * 40, " " * 60, "a" * 300, "".join(SPACES)]
    strings += ["We" + a + " x" for a in APOSTROPHES]
    strings += [added_token + " x" for added_token in added[:10]]
    while len(strings) < COUNT:
        strings.append("".join(make.piece() for _ in range(make.rng.randint(1, 3))))
    return strings


def write_json(path, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def make_family(name):
    tokenizer, added = families.FAMILIES[name]()
    document = json.loads(tokenizer.to_str())
    if NAMES.index(name) % 2:
        document = as_strings(document)
    strings = strings_for(name, added)
    ids = [e.ids for e in tokenizer.encode_batch(strings, add_special_tokens=False)]
    write_json(HERE / "tokenizer" / f"{name}.json", document)
    write_json(HERE / "tokenizer" / f"{name}.cases.json", {"strings": strings, "ids": ids})


def make_pair(name):
    """vocab.json and merges.txt, and what stands beside them; ids from transformers."""
    made, _, encode, added = files.pair_files(name)
    folder = HERE / "tokenizer" / name
    folder.mkdir(exist_ok=True)
    for file, content in made.items():
        (folder / file).write_bytes(content)
    strings = strings_for(name, added)
    write_json(folder / "cases.json", {"strings": strings, "ids": encode(strings)})


def main():
    families.SIZE = 400
    for name in sys.argv[1:] or NAMES + PAIRS:
        (make_pair if name in PAIRS else make_family)(name)


if __name__ == "__main__":
    main()

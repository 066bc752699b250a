# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizer: tiny tokenizers of each pre-tokenizer family, and for each some
strings with the ids that the Hugging Face tokenizers library gives (add_special_tokens=False).

    python tests/golden/make_tokenizer.py

Made with tokenizers 0.23.3 and a Python whose unicodedata is Unicode 14 (3.11).
"""
import json
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))

import tokenizer_families as families  # noqa: E402
from test_tokenizer import as_strings  # noqa: E402
from tokenizer_strings import APOSTROPHES, SPACES, Strings  # noqa: E402

COUNT = 220
NAMES = ["gpt2", "gpt2_prefix", "gpt_neox", "llama3", "dolma2", "qwen2", "smollm2", "bloom"]


def strings_for(name, added):
    make = Strings(random.Random(f"golden {name}"), added)
    strings = ["", "\0", "a\0b", "1" * 40, " " * 60, "a" * 300, "".join(SPACES)]
    strings += ["We" + a + " x" for a in APOSTROPHES]
    strings += [added_token + " x" for added_token in added[:10]]
    while len(strings) < COUNT:
        strings.append("".join(make.piece() for _ in range(make.rng.randint(1, 3))))
    return strings


def main():
    families.SIZE = 400
    for index, name in enumerate(NAMES):
        tokenizer, added = families.FAMILIES[name]()
        document = json.loads(tokenizer.to_str())
        if index % 2:
            document = as_strings(document)
        strings = strings_for(name, added)
        ids = [e.ids for e in tokenizer.encode_batch(strings, add_special_tokens=False)]
        for suffix, value in (("", document), (".cases", {"strings": strings, "ids": ids})):
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            (HERE / "tokenizer" / f"{name}{suffix}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Compares our tokenizer with the Hugging Face tokenizers library on random and nasty strings.

    python tests/oracle/test_tokenizer.py ENCODE_LINES [COUNT]

Small tokenizers of every pre-tokenizer family are trained here, saved in both merge spellings, and
both sides encode the same strings, made of code points assigned in Unicode 14.
"""
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import tokenizer_families as families
from tokenizer_strings import Strings

SEED = 20260131


def as_strings(document):
    """The older spelling of merges."""
    document = json.loads(json.dumps(document))
    merges = document["model"]["merges"]
    document["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in merges]
    return document


def encode_ours(program, path, strings):
    data = b"".join(struct.pack("<I", len(b)) + b for b in strings)
    done = subprocess.run([program, path], input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().split("\n")[:-1]


def compare(program, name, tokenizer, document, strings, folder):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    ours = encode_ours(program, path, [s.encode() for s in strings])
    theirs = [" ".join(map(str, e.ids))
              for e in tokenizer.encode_batch(strings, add_special_tokens=False)]
    wrong = [i for i, s in enumerate(strings) if ours[i] != theirs[i]]
    print(f"{name}: {len(strings)} strings, {len(wrong)} differ", flush=True)
    for i in wrong[:5]:
        print(f"  {strings[i]!r:.300}\n    ours   {ours[i][:300]}\n    theirs {theirs[i][:300]}")
    return len(wrong) + (len(ours) != len(strings))


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    failures = 0
    print(f"seed {SEED}, {count} strings for each family")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in families.FAMILIES.items():
            tokenizer, added = make()
            family = "-" not in name  # else a variation of one construct
            document = json.loads(tokenizer.to_str())
            strings = Strings(random.Random(f"{SEED} {name}"), added).make(count if family else count // 4)
            failures += compare(program, name, tokenizer, document, strings, pathlib.Path(folder))
            failures += compare(program, name + "-merges-as-strings", tokenizer,
                                as_strings(document), strings[::10], pathlib.Path(folder))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

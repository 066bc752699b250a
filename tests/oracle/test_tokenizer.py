# SPDX-License-Identifier: Apache-2.0
"""Compares our tokenizer with the library that each kind of file belongs to, on random and nasty
strings: Hugging Face's tokenizers, SentencePiece, tiktoken.

    python tests/oracle/test_tokenizer.py ENCODE_LINES DECODE_IDS [COUNT [NAME...]]

Small tokenizers of every kind are made here (byte-level ones share their merges, and are saved in
both spellings of them), and both sides encode the same strings, of code points assigned in Unicode 14.
Of some of them the ids, and pieces of those that may begin within a character, are decoded, too.
"""
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import tokenizer_families as families
import tokenizer_files as files
from tokenizer_strings import Strings

SEED = 20260131


def as_strings(document):
    """The older spelling of merges."""
    document = json.loads(json.dumps(document))
    merges = document["model"]["merges"]
    document["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in merges]
    return document


def encode_ours(program, path, strings, model_type=None):
    data = b"".join(struct.pack("<I", len(b)) + b for b in strings)
    command = [program, path] + ([model_type] if model_type else [])
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().split("\n")[:-1]


def report(name, strings, ours, theirs):
    theirs = [" ".join(map(str, ids)) for ids in theirs]
    wrong = [i for i, s in enumerate(strings) if ours[i] != theirs[i]]
    print(f"{name}: {len(strings)} strings, {len(wrong)} differ", flush=True)
    for i in wrong[:5]:
        print(f"  {strings[i]!r:.300}\n    ours   {ours[i][:300]}\n    theirs {theirs[i][:300]}")
    return len(wrong) + (len(ours) != len(strings))


def decode_ours(program, path, rows):
    lines = "".join(" ".join(map(str, ids)) + "\n" for ids in rows).encode()
    done = subprocess.run([program, path], input=lines, stdout=subprocess.PIPE, check=True)
    data, texts = done.stdout, []
    while data:
        size = 4 + struct.unpack("<I", data[:4])[0]
        texts.append(data[4:size].decode())
        data = data[size:]
    return texts


def compare_texts(program, name, decode, path, rows):
    """Ids back to text, of whole rows and of what is between two of their tokens."""
    random_pieces = random.Random(f"{SEED} {name} back")
    pieces = []
    for ids in rows:
        begin = random_pieces.randrange(len(ids) + 1)
        pieces += [ids, ids[begin:random_pieces.randrange(begin, len(ids) + 1)]]
    ours, theirs = decode_ours(program, path, pieces), [decode(ids) for ids in pieces]
    wrong = [i for i in range(len(pieces)) if ours[i] != theirs[i]]
    for i in wrong[:5]:
        print(f"  {pieces[i]!r:.300}\n    ours   {ours[i]!r:.300}\n    theirs {theirs[i]!r:.300}")
    print(f"{name}: {len(pieces)} rows of ids back to text, {len(wrong)} differ", flush=True)
    return len(wrong)


def compare(program, name, tokenizer, document, strings, folder):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    ours = encode_ours(program[0], path, [s.encode() for s in strings])
    theirs = [e.ids for e in tokenizer.encode_batch(strings, add_special_tokens=False)]
    # A token that the library changed when it was added comes back changed, and here as it was.
    changed = {token["id"] for token in document["added_tokens"]
               if tokenizer.id_to_token(token["id"]) != token["content"]}
    rows = [[i for i in ids if i not in changed] for ids in theirs[::5]]
    return (report(name, strings, ours, theirs) +
            compare_texts(program[1], name, tokenizer.decode, path, rows))


def compare_family(program, name, make, count, folder):
    tokenizer, added = make()
    document = json.loads(tokenizer.to_str())
    strings = Strings(random.Random(f"{SEED} {name}"), added).make(count)
    return (compare(program, name, tokenizer, document, strings, folder) +
            compare(program, name + "-merges-as-strings", tokenizer, as_strings(document),
                    strings[::20], folder))


MARKED = ["\u2581", "\u2581\u2581", "\u2581the", " \u2581 ", "<0x41>", "<unk>", "\u2047"]


def compare_file(program, name, make, count, folder):
    made, model_type, encode, added = make(name)
    folder = folder / name
    folder.mkdir()
    for file, content in made.items():
        (folder / file).write_bytes(content)
    strings = Strings(random.Random(f"{SEED} {name}"), added + MARKED).make(count)
    path = folder / next(iter(made))
    ours = encode_ours(program[0], path, [s.encode() for s in strings], model_type)
    return report(name, strings, ours, encode(strings))


def main():
    program, count = sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    chosen = sys.argv[4:]
    failures = 0
    print(f"seed {SEED}, {count} random strings of each kind")
    kinds = ([(name, make, compare_family, count) for name, make in families.FAMILIES.items()] +
             [(name, make, compare_file, count) for name, make in files.FILES.items()])
    with tempfile.TemporaryDirectory() as folder:
        for name, make, run, strings in kinds:
            if not chosen or name in chosen:
                failures += run(program, name, make, strings, pathlib.Path(folder))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

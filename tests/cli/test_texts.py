# SPDX-License-Identifier: Apache-2.0
"""Where a text may come from: files, stdin and pipes, packed or not, several at once; and what is
said of little text and of the text of the program.

test_texts.py NAME=PATH...: trace-ckpts, trace-info, trace-analyze, store_json."""

import bz2
import ctypes
import ctypes.util
import gzip
import json
import lzma
import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

WORDS = "".join(f"line {n} of a text that is long enough for rows of sixteen.\n" for n in range(60))


def zstd(data):
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    library.ZSTD_compress.restype = library.ZSTD_compressBound.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = library.ZSTD_compress(room, ctypes.c_size_t(len(room)), data,
                                 ctypes.c_size_t(len(data)), 3)
    return room.raw[:size]


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.folders = tiny.write_series(root, 2)
        tiny.write(root + "/plain.txt", WORDS)
        self.expected = self.digests(self.trace("plain", "--text", root + "/plain.txt").expect(0),
                                     "plain")

    def trace(self, out, *options, stdin=None):
        command = [self.programs["trace-ckpts"], "--ckpts", *self.folders, "--samples", 40,
                   "--seq-len", 16, "--fresh", "-o", f"{self.root}/{out}.h5", *options]
        if stdin is None:
            return harness.run(*command)
        env = dict(harness.environment(), CUDA_VISIBLE_DEVICES="")
        done = subprocess.run(list(map(str, command)), input=stdin, env=env, capture_output=True,
                              check=False)
        return harness.Result(list(map(str, command)), done.returncode, done.stdout.decode(),
                              done.stderr.decode())

    def digests(self, ran, out):
        """tokens_digest, by what trace-info says."""
        told = harness.run(self.programs["trace-info"], f"{self.root}/{out}.h5").expect(0).out
        return re.search(r"tokens_digest \* +(\w+)", told)[1], ran

    def packed(self):
        """The same rows from gzip, zstd, several members, stdin, a pipe, and JSON lines of these."""
        text = WORDS.encode()
        lines = (json.dumps({"text": WORDS}) + "\n").encode()
        half = len(text) // 2
        for name, data in (("a.txt.gz", gzip.compress(text)), ("a.txt.zst", zstd(text)),
                           ("two.txt.gz", gzip.compress(text[:half]) + gzip.compress(text[half:])),
                           ("two.txt.zst", zstd(text[:half]) + zstd(text[half:])),
                           ("odd.name", gzip.compress(text)), ("a.jsonl.zst", zstd(lines)),
                           ("a.jsonl.gz", gzip.compress(lines)), ("b.jsonl", lines)):
            tiny.write(f"{self.root}/{name}", data)
            ran = self.trace("out", "--text", f"{self.root}/{name}").expect(0)
            check(self.digests(ran, "out")[0] == self.expected[0], name, ran)
            label = re.sub(r"\.(gz|zst)$", "", name)
            check(f"calibration: 40 rows of 16 tokens from {label}\n" in ran.err, ran)
        for data in (text, gzip.compress(text), zstd(text), lines, zstd(lines)):
            ran = self.trace("out", "--text", "-", stdin=data).expect(0)
            check(self.digests(ran, "out")[0] == self.expected[0], ran)
            check("calibration: 40 rows of 16 tokens from stdin\n" in ran.err, ran)
        os.mkfifo(self.root + "/pipe")
        with subprocess.Popen(["sh", "-c", f"cat {self.root}/a.txt.zst > {self.root}/pipe"]):
            ran = self.trace("out", "--text", self.root + "/pipe").expect(0)
        check(self.digests(ran, "out")[0] == self.expected[0], ran)

    def damaged(self):
        """What is cut off, damaged, packed otherwise or not there, in one sentence."""
        text = WORDS.encode()
        flipped = bytearray(zstd(text))
        flipped[20] ^= 255
        for name, data, why in (
                ("cut.gz", gzip.compress(text)[:-20], "cannot be unpacked: its gzip stream is cut off"),
                ("cut.zst", zstd(text)[:-20], "cannot be unpacked: its zstd frame is cut off"),
                ("bad.gz", gzip.compress(text)[:12] + b"rubbish" * 9, "cannot be unpacked: "),
                ("more.gz", gzip.compress(text) + b"rubbish", "something else stands behind"),
                ("bad.zst", bytes(flipped), "cannot be unpacked: "),
                ("a.xz", lzma.compress(text), "is compressed; unpack it first: xz -dc "),
                ("a.bz2", bz2.compress(text), "is compressed; unpack it first: bzip2 -dc "),
                ("empty.gz", gzip.compress(b""), "holds no tokens")):
            tiny.write(f"{self.root}/{name}", data)
            ran = self.trace("none", "--text", f"{self.root}/{name}").expect(2)
            check(why in ran.err and ran.err.count("\n") < 4, why, "is not in", ran)
        ran = self.trace("none", "--text", self.root + "/nothing.txt")
        check(ran.code == 3 and "cannot open" in ran.err, ran)

    def several(self):
        """Rows of each text carry its name, in equal shares; the report says how far texts agree."""
        other = WORDS.replace("line", "word")[::-1]
        tiny.write(self.root + "/other.txt", other)
        tiny.write(self.root + "/third.jsonl", json.dumps({"text": other.upper()}) + "\n")
        texts = [word for name in ("plain.txt", "other.txt", "third.jsonl")
                 for word in ("--text", f"{self.root}/{name}")]
        ran = self.trace("several", *texts, "--cost", "mlp", "--cost-samples", 24).expect(0)
        check("calibration: 40 rows of 16 tokens from plain.txt, other.txt, third.jsonl\n" in ran.err,
              ran)
        store = self.root + "/several.h5"
        told = harness.run(self.programs["trace-info"], store).expect(0).out
        for words in ("14 sequences of plain.txt", "13 sequences of other.txt",
                      "13 sequences of third.jsonl"):
            check(words in told, words, "is not in", told)
        self.agreement(store, {"plain.txt": (0, 14), "other.txt": (14, 27), "third.jsonl": (27, 40)})
        again = self.trace("several2", *texts[:2], "--text", self.root + "/./plain.txt").expect(2)
        check("two texts are called plain.txt; rows carry the name of their text" in again.err, again)
        few = self.trace("several2", *texts, "--samples", 2).expect(2)
        check("2 rows do not go round 3 texts" in few.err, few)

    def agreement(self, store, rows):
        """The report's agreement of texts, from the values by row."""
        result = json.loads(harness.run(self.programs["trace-analyze"], store, "--module", "mlp",
                                        "--json", "-").expect(0).out)
        group, = result["groups"]
        check([text["name"] for text in group["texts"]] == list(rows), group["texts"])
        values = harness.Store(self.programs["store_json"], store, "importance_seq").rows
        sequences = rows["third.jsonl"][1]
        for text in group["texts"]:
            first, last = rows[text["name"]]
            check(text["rows"] == last - first, text)
            for unit, mean in zip(group["units"], text["mean"]):
                at = (unit["layer"] * 3 + 1) * sequences
                by_row = [row["importance_seq"][at + first:at + last] for row in values]
                weights = [c["weight"] for c in result["series"]["checkpoints"]]
                expected = sum(w * sum(r) / len(r) for w, r in zip(weights, by_row))
                check(abs(mean - expected) < 1e-12, text["name"], mean, expected)
        told = harness.run(self.programs["trace-analyze"], store, "--module", "mlp").expect(0).out
        check("Texts: " in told, told)
        self.agreement_by_cost(store, rows)

    def agreement_by_cost(self, store, rows):
        """The same by a measured cost, of the rows that costs were measured on."""
        result = json.loads(harness.run(self.programs["trace-analyze"], store, "--module", "mlp",
                                        "--by", "cost-kl", "--json", "-").expect(0).out)
        group, = result["groups"]
        check([text["name"] for text in group["texts"]] == list(rows), group["texts"])
        values = harness.Store(self.programs["store_json"], store, "drop_kl", "base_nll", "nll").rows
        of = [values[0]["nll"].index(loss) for loss in values[0]["base_nll"]]
        check(len(set(of)) == len(of), of)
        for text in group["texts"]:
            first, last = rows[text["name"]]
            picked = [i for i, row in enumerate(of) if first <= row < last]
            check(text["rows"] == len(picked) > 0, text, picked)
            for unit, mean in zip(group["units"], text["mean"]):
                at = (unit["layer"] * 3 + 1) * len(of)
                by_row = [[row["drop_kl"][at + i] for i in picked] for row in values]
                weights = [c["weight"] for c in result["series"]["checkpoints"]]
                expected = sum(w * sum(r) / len(r) for w, r in zip(weights, by_row))
                check(abs(mean - expected) < 1e-12, text["name"], mean, expected)

    def little(self):
        """Fewer than 32 rows: said, with what would be better; and what the program's text is."""
        ran = self.trace("little", "--text", self.root + "/plain.txt", "--samples", 4).expect(0)
        check("calibration: fewer than 32 rows give wide intervals" in ran.err, ran)
        ran = harness.run(self.programs["trace-ckpts"], "--ckpts", *self.folders, "--fresh", "-o",
                          self.root + "/own.h5", "--samples", 3).expect(0)
        told = harness.run(self.programs["trace-info"], self.root + "/own.h5").expect(0).out
        told = " ".join(told.split())
        check("built-in: the program's own text, about 14 thousand tokens" in told, told)
        check("fewer than 32 rows" not in self.expected[1].err, self.expected[1])


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as folder:
        cases = Cases(programs, folder)
        return harness.run_cases([(name, getattr(cases, name))
                                  for name in ("packed", "damaged", "several", "little")])


if __name__ == "__main__":
    sys.exit(main())

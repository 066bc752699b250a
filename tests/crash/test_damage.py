# SPDX-License-Identifier: Apache-2.0
"""Damaged stores.

test_damage.py NAME=PATH... random=N aimed=M unsealed=K [part=IofN] [keep=FOLDER]: trace-ckpts, trace-info, trace-analyze,
trace-export, same_store, write_sample. N damages anywhere in a store, M in the global heaps, trees,
names, strings, scalars and the seal, K of both kinds in a store whose seal another program cut off;
each goes through the four programs. None may crash, hang, or take other values for what was
measured. Then the same of a store of schema 1.0, which has no digests: no crash, no hang. That one is
also read, exported and gone on with."""

import gzip
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

SECONDS = 60
OLD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema-1.0.h5.gz")
SEAL = b"\ntrace-ckpts seal 1\n"


# ---- damages ------------------------------------------------------------------------------------

def all_of(content, pattern, size):
    """Ranges of `size` bytes from every occurrence on."""
    at = content.find(pattern)
    while at >= 0:
        yield range(at, min(at + size, len(content)))
        at = content.find(pattern, at + 1)


def targets(content, strings, scalars):
    """Where a damage does most harm."""
    places = [*all_of(content, b"GCOL", 4096), *all_of(content, b"TREE", 1200),
              *all_of(content, b"SNOD", 64), *all_of(content, b"OHDR", 600), range(0, 64),
              *all_of(content, SEAL, 80)]
    for text in strings:
        places += all_of(content, text.encode(), len(text))
    for number in scalars:
        places += all_of(content, struct.pack("<q", number), 8)
    return places


def change(content, at, draw):
    """One of the ways in which bytes go wrong."""
    how = draw.choice(("bit", "byte", "zeros", "random", "block", "end"))
    if how == "bit":
        content[at] ^= 1 << draw.randrange(8)
    elif how == "byte":
        content[at] = draw.randrange(256)
    elif how in ("zeros", "random"):
        new = bytes(8) if how == "zeros" else bytes(draw.randrange(256) for _ in range(8))
        content[at & ~7:(at & ~7) + 8] = new
    elif how == "block":  # of another place, as file systems lose and misplace them
        other = draw.randrange(0, len(content) - 512)
        content[at & ~511:(at & ~511) + 512] = content[other:other + 512]
    elif draw.random() < 0.2:
        del content[at:]
    else:
        content[at] ^= 0xff


def damaged(clean, places, draw):
    content = bytearray(clean)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = draw.choice(draw.choice(places)) if places else draw.randrange(len(clean))
        change(content, min(at, len(content) - 1), draw)
    return bytes(content)


# ---- the programs -------------------------------------------------------------------------------

class Victim:
    """A store, and what the programs say of it undamaged."""

    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.part = os.path.basename(programs.get("part", "0of1"))
        self.keep = programs.get("keep", root)
        self.bad, self.copy = root + "/bad.h5", root + "/copy.h5"
        folders = tiny.write_series(root + "/series", 3)
        tiny.write_tokens(root + "/ids.jsonl", 3, 12)
        self.trace = [programs["trace-ckpts"], "--ckpts", *folders, "--tokens",
                      root + "/ids.jsonl", "-o"]
        self.clean = root + "/clean.h5"
        harness.run(*self.trace, self.clean).expect(0)
        self.content = tiny.read(self.clean)
        self.truth = self.answers(self.clean)
        self.clean_copy = root + "/clean-copy.h5"
        os.rename(self.copy, self.clean_copy)

    def run(self, *command):
        try:
            done = subprocess.run(command, env=harness.environment(), timeout=SECONDS,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            raise harness.Failure(f"{command[0]} hangs") from None
        check(done.returncode in (0, 1, 2, 3), command[0], "exit", done.returncode, done.stderr)
        check(done.returncode == 0 or done.stderr, command[0], "says nothing")
        return done

    def answers(self, path):
        """What trace-info, trace-analyze and trace-export make of it; None where it is refused."""
        p = self.programs
        info = self.run(p["trace-info"], "--check", path)
        analysis = self.run(p["trace-analyze"], path, "--resamples", "100", "--full")
        export = self.run(p["trace-export"], path, "--to", "hdf5", "-o", self.copy, "--force")
        return [None if done.returncode else done.stdout.replace(path.encode(), b"FILE")
                for done in (info, analysis, export)]

    def resume(self):
        """The run that made it goes on with it, and adds nothing."""
        done = self.run(*self.trace, self.bad)
        shutil.rmtree(self.bad + ".parts", ignore_errors=True)
        return done

    def same(self, path, clean, *options):
        harness.run(self.programs["same_store"], *options, path, clean).expect(0)

    def one(self, content, values_count=True, options=()):
        """How many of the four refuse."""
        tiny.write(self.bad, content)
        answers = self.answers(self.bad)
        resumed = self.resume()
        if values_count:
            for answer, truth in zip(answers[1:], self.truth[1:]):
                check(answer in (None, truth), "another answer:", answer)
            if answers[2] is not None:
                self.same(self.copy, self.clean_copy, *options)
            if resumed.returncode == 0:
                self.same(self.bad, self.clean, *options)
        return sum(answer is None for answer in answers) + (resumed.returncode != 0)


def campaign(victim, clean, places, count, seed, **options):
    wrong, refused = 0, [0] * 5
    numbers = harness.share(range(count), victim.part)
    for done, i in enumerate(numbers, 1):
        draw = random.Random(f"{seed} {i}")
        content = damaged(clean, places, draw)
        try:
            refused[victim.one(content, **options)] += 1
        except harness.Failure as failure:
            wrong += 1
            tiny.write(f"{victim.keep}/wrong-{seed}-{i}.h5", content)
            print(f"{seed} {i}: {failure}", flush=True)
        if done % 20 == 0:
            print(f"  {seed}: {done} of {len(numbers)}, {wrong} wrong", flush=True)
    check(not wrong, wrong, "of", len(numbers), "wrong")
    return f"{len(numbers)} damages, refused by 0 ... 4 of the programs: {refused}"


# ---- schema 1.0 ---------------------------------------------------------------------------------

def old_schema(programs, root):
    """Its rows are read as they are now written, and gone on with to the same store."""
    old, new = root + "/old.h5", root + "/new.h5"
    with gzip.open(OLD) as file:
        tiny.write(old, file.read())
    shape = ("2", "2", "8")
    harness.run(programs["write_sample"], new, "3", *shape).expect(0)
    harness.run(programs["same_store"], "--rows-subset", old, new).expect(0)
    said = harness.run(programs["trace-info"], "--check", old).expect(0).out
    check("schema 1.0 keeps no digests" in said, said)
    harness.run(programs["trace-export"], old, "--to", "hdf5", "-o", root + "/copy.h5").expect(0)
    harness.run(programs["same_store"], "--rows-subset", root + "/copy.h5", new).expect(0)
    harness.run(programs["write_sample"], old, "1", *shape, "2").expect(0)
    harness.run(programs["same_store"], old, new).expect(0)
    said = harness.run(programs["trace-info"], "--check", old).expect(0).out
    check("every value is what was written, and every byte" in said, said)


def main():
    programs = harness.programs(sys.argv[1:])
    counts = {name: int(os.path.basename(programs.get(name, "4")))
              for name in ("random", "aimed", "unsealed")}
    with harness.scratch() as root:
        victim = Victim(programs, root)
        clean = victim.content
        places = targets(clean, ["step_100", "model.safetensors", "tokens_digest"], [100, 200])
        cut = clean[:int(clean[clean.rindex(SEAL) + len(SEAL):][:16], 16)]
        with gzip.open(OLD) as file:
            old = file.read()
        return harness.run_cases([
            ("schema 1.0", lambda: old_schema(programs, root)),
            ("anywhere", lambda: campaign(victim, clean, [], counts["random"], "random")),
            ("aimed", lambda: campaign(victim, clean, places, counts["aimed"], "aimed")),
            ("without seal", lambda: campaign(
                victim, cut, targets(cut, ["step_100"], [100]), counts["unsealed"], "unsealed",
                options=["--rows-subset"])),  # its attributes are anyone's to change
            ("schema 1.0, damaged", lambda: campaign(
                victim, old, targets(old, ["step1000"], [1000]), counts["unsealed"], "old",
                values_count=False))])


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Greedy searches: the golden orders, one engine with drop sets, the same bytes whatever happens.

test_search.py NAME=PATH... kills=K seed=S [whole=1] [only=WORD]: trace-drop, fake_trace_drop, trace-ckpts, trace-info,
trace-analyze, trace-export, store_json, same_store, mpirun, series (the folder of the trained series). whole: all
rounds of every golden search, which takes minutes."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

VARIABLES = ("search_drop", "search_value", "search_value_seq", "search_nll", "search_kl", "nll")
ROWS = 3
RESERVED = 1_100_000_000  # bytes of a device that are not its streams' and weights'
SHAPE = {"num_hidden_layers": 3, "hidden_size": 8, "num_attention_heads": 1, "num_key_value_heads": 1,
         "intermediate_size": 8, "max_position_embeddings": 400}


def close(a, b, within=1e-5):
    return abs(a - b) <= within


class Searched:
    """The search of one checkpoint in a store."""

    def __init__(self, programs, path, name, over=("attn", "mlp")):
        store = harness.Store(programs["store_json"], path, *VARIABLES)
        row = store.row(name)
        self.drop = row["search_drop"]
        rounds, rows = len(self.drop), store.sequences
        count = len(row["search_value"]) // rounds
        layers = range(store.layers)
        self.candidates = [f"{module}:{layer}" for layer in layers for module in over]
        check(count == len(self.candidates), count, "candidates, expected", len(self.candidates))
        self.order = [self.candidates[index] for index in self.drop]
        self.value = [row["search_value"][i * count:(i + 1) * count] for i in range(rounds)]
        each = row["search_value_seq"]
        self.each = [[each[(i * count + c) * rows:(i * count + c + 1) * rows] for c in range(count)]
                     for i in range(rounds)]
        self.nll = [row["search_nll"][i * rows:(i + 1) * rows] for i in range(rounds)]
        self.kl = [row["search_kl"][i * rows:(i + 1) * rows] for i in range(rounds)]

    def chosen(self):
        return [self.value[i][index] for i, index in enumerate(self.drop)]


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.made = 0
        self.folders = [os.path.join(root, f"step_{100 * i}") for i in (1, 2)]
        for seed, folder in enumerate(self.folders):
            tiny.write_checkpoint(folder, seed=seed, **SHAPE)
        # Two micro-batches, the last of which is not a whole one; and one, whose candidates are shared.
        tiny.write_tokens(root + "/ids.jsonl", ROWS, 400)
        tiny.write_tokens(root + "/one.jsonl", 1, 400)

    def path(self, ending="h5"):
        self.made += 1
        return f"{self.root}/{self.made}.{ending}"

    def command(self, out, *options, folders=None, tokens="ids.jsonl"):
        return [self.programs["trace-drop"], "search", *(folders or self.folders), "--tokens",
                os.path.join(self.root, tokens), "-o", out, "--publish", "0", *options]

    def search(self, *options, code=0, launcher=(), threads=1, **where):
        out = self.path()
        ran = harness.run(*launcher, *self.command(out, *options, **where),
                          env=harness.environment(threads), timeout=3000).expect(code)
        return out, ran

    def same(self, a, b):
        harness.run(self.programs["same_store"], a, b).expect(0)

    # ---- truth ---------------------------------------------------------------------------------

    def golden_search(self, series, by, rounds, over="attn,mlp"):
        folder = os.path.join(self.programs["series"], series)
        with open(folder + "/golden.json", encoding="utf-8") as file:
            checkpoints = json.load(file)["checkpoints"]
        name = list(checkpoints)[-1]
        truth = checkpoints[name][f"greedy_{by}"][:rounds]
        out, _ = self.search("--by", by, "--over", over, "--count", len(truth), folders=[os.path.join(folder, name)],
                             tokens=folder + "/tokens.npy")
        found = Searched(self.programs, out, name, over.split(","))
        check(found.order == [step["drop"].replace(".", ":") for step in truth], series, by,
              found.order)
        for value, step in zip(found.chosen(), truth):
            check(close(value, step[by]), series, by, step, "found", value)
        alone = checkpoints[name]["drop_one"]
        for index, candidate in enumerate(found.candidates):
            module, layer = candidate.split(":")
            check(close(found.value[0][index], alone[module][int(layer)][by]), by, candidate)
        module, layer = found.order[0].split(":")
        for column, what in ((found.nll, "nll"), (found.kl, "kl")):
            mean = sum(column[0]) / len(column[0])
            check(close(mean, alone[module][int(layer)][what]), what, mean)

    def golden(self):
        if "whole" in self.programs:
            for series in ("demo", "neox"):
                for by in ("nll", "kl", "js"):
                    self.golden_search(series, by, 8)
            return "both series, nll, kl and js, 8 rounds"
        self.golden_search("neox", "js", 1, over="attn")  # the first is one of them
        return "neox, js, 1 round"

    def one_engine(self):
        """What a search says of a set is what drop sets say of it, to the bit."""
        cases = (("attn,mlp", "js", "set_js"), ("block", "angle", "set_angle"),
                 ("mlp", "nll", "set_nll"), ("attn", "kl", "set_kl"))
        for over, by, what in cases if "whole" in self.programs else cases[:1]:
            folder = self.folders[0]
            out, _ = self.search("--by", by, "--over", over, folders=[folder])
            name = os.path.basename(folder)
            found = Searched(self.programs, out, name, over.split(","))
            sets = self.path("txt")
            lines = []
            for i in range(len(found.drop)):
                for index, candidate in enumerate(found.candidates):
                    if found.value[i][index] is not None:
                        text = " ".join([*found.order[:i], candidate])
                        lines.append(f"{i} {index}: {text}\n")
            with open(sets, "w", encoding="ascii") as file:
                file.writelines(lines)
            traced = self.path()
            harness.run(self.programs["trace-ckpts"], "--ckpts", folder, "--tokens",
                        self.root + "/ids.jsonl", "-o", traced, "--drop-sets", sets, "--set-distances", "--cost-samples",
                        ROWS).expect(0)
            row = harness.Store(self.programs["store_json"], traced, what, "set_nll",
                                "set_kl").row(name)
            for number, line in enumerate(lines):
                i, index = map(int, line.split(":")[0].split())
                part = slice(number * ROWS, (number + 1) * ROWS)
                check(found.each[i][index] == row[what][part], over, by, line)
                if index == found.drop[i]:
                    check(found.nll[i] == row["set_nll"][part], "nll", line)
                    check(found.kl[i] == row["set_kl"][part], "kl", line)
                lowest = min(value for value in found.value[i] if value is not None)
                check(found.value[i][found.drop[i]] == lowest, "not the lowest:", i)

    # ---- which ---------------------------------------------------------------------------------

    def choices(self):
        """Protected layers stay, an order is followed, a count is kept to."""
        name = os.path.basename(self.folders[1])
        out, _ = self.search("--by", "kl", "--order", "attn:2,0 mlp:1", folders=self.folders[1:])
        check(Searched(self.programs, out, name).order == ["attn:2", "attn:0", "mlp:1"], "the order")
        out, ran = self.search("--by", "kl", "--over", "block", "--protect", "first,last")
        check(ran.err.count("1 of 1 rounds") == 2, ran)
        said = harness.run(self.programs["trace-info"], out).expect(0).out
        check("by=kl over=block protect=first,last" in said, said)
        for options, sentence in (
                (("--over", "block,attn"), "--over block stands alone"),
                (("--over", "heads"), '--over takes attn, mlp, attn,mlp or block, not "heads"'),
                (("--count", 7), "--count 7 is more than the 6 candidates"),
                (("--order", "block:1"), "--order: block:1 is no candidate of the search"),
                (("--order", "attn:1", "--count", 2), "--order names 1 of the 2 rounds")):
            _, ran = self.search(*options, code=2)
            check(sentence in ran.err, sentence, ran)

    def price(self):
        out, ran = self.search("--dry-run")
        found = re.search(r"search +6 rounds among 6 candidates, 21 evaluations on 3 rows a "
                          r"checkpoint: at most .* in the blocks (0\.\d+) of a loop", ran.out)
        check(found and not os.path.exists(out), ran)
        out, ran = self.search("--by", "nll")
        done = re.findall(r"(0\.\d+) in the blocks; 21 evaluations", ran.err)
        check(len(done) == 2 and all(float(part) < 0.9 for part in done), ran)

    # ---- the same file -------------------------------------------------------------------------

    def ranks(self):
        whole = "whole" in self.programs
        for by, tokens, counts in (("js", "ids.jsonl", (2, 4) if whole else (2,)),
                                   ("finercut", "one.jsonl", (2, 4) if whole else (4,))):
            options, where = ("--by", by), {"tokens": tokens, "folders": self.folders[:1]}
            first, _ = self.search(*options, threads=2, **where)
            for ranks in counts:
                out, _ = self.search(*options, launcher=[self.programs["mpirun"], "-n", ranks], **where)
                self.same(first, out)
        return "1, 2 and 4 ranks, 1 and 2 threads"

    def search_on_device(self, memory, *options, **where):
        """(its file, what it said)"""
        out = self.path()
        env = harness.environment(1, FAKE_DEVICES="a", FAKE_MEMORY=str(8 * 10**9))
        command = self.command(out, "--by", "js", "--device", "cuda", "--dtype", "f32",
                               "--device-memory", memory, *options, **where)
        command[0] = self.programs["fake_trace_drop"]
        return out, harness.run(*command, env=env).expect(0).err

    def little_memory(self):
        """On a device with room for one candidate, for some, for all, and for streams from round to
        round: the same bytes."""
        def search(memory):
            out, said = self.search_on_device(memory, "--count", 2, folders=self.folders[:1])
            return out, float(re.search(r"([\d.]+) in the blocks", said)[1])

        whole, least = search(4 * 10**9)
        shares = [least]
        for more in (1_200_000, 1_600_000, 2_100_000):
            out, share = search(RESERVED + more)
            self.same(whole, out)
            shares.append(share)
        check(shares[1] > shares[2] > least, "products with more and more memory:", shares)
        return f"{shares} of the products"

    def absent_block(self):
        """Streams are not kept at a block that the model lacks and that is never entered."""
        folder = os.path.join(self.root, "lacking")
        tiny.write_checkpoint(folder, **SHAPE | {"num_hidden_layers": 7, "drop_attn_list": [4],
                                                 "drop_mlp_list": [4]})
        options, where = ("--over", "attn", "--order", "attn:5,3"), {"folders": [folder]}
        whole, _ = self.search_on_device(RESERVED + 1_300_000, *options, **where)
        some, said = self.search_on_device(RESERVED + 2_100_000, *options, **where)
        self.same(whole, some)
        return re.search(r"[\d.]+ in the blocks", said)[0]

    def weights_do_not_fit(self):
        """They are read for every pass, but for those that are dropped: the same bytes."""
        folder = os.path.join(self.root, "deep")
        tiny.write_checkpoint(folder, **SHAPE | {"num_hidden_layers": 6, "intermediate_size": 3000})
        tiny.write_tokens(self.root + "/short.jsonl", 2, 16)
        options, where = ("--over", "mlp", "--count", 2), {"folders": [folder], "tokens": "short.jsonl"}
        whole, said = self.search_on_device(4 * 10**9, *options, **where)
        check("do not fit" not in said, said)
        out, said = self.search_on_device(RESERVED + 2_300_000, *options, **where)
        passes = re.search(r"reading weights, which do not fit and were read for (\d+) passes", said)
        check(passes and int(passes[1]) >= 2, said)
        self.same(whole, out)
        return passes[0]

    def goes_on(self):
        """From a trace; after a stop; and not as another search."""
        options = ("--by", "kl", "--count", "3")
        clean, _ = self.search(*options)
        out = self.path()
        harness.run(self.programs["trace-ckpts"], "--ckpts", *self.folders, "--tokens",
                    self.root + "/ids.jsonl", "-o", out).expect(0)
        ran = harness.run(*self.command(out, *options)).expect(0)
        check("2 were already there" in ran.err, ran)
        self.same(clean, out)
        before = os.stat(out).st_mtime_ns
        harness.run(*self.command(out, *options)).expect(0)
        check(os.stat(out).st_mtime_ns == before, "written again")
        for other, sentence in ((("--by", "js", "--count", "3"), "by=kl over=attn,mlp"),
                                (("--by", "kl", "--count", "2"), "search rounds = 3")):
            ran = harness.run(*self.command(out, *other)).expect(3)
            check(sentence in ran.err and "--fresh" in ran.err, ran)
        # A trace that knows of no search leaves it where it is.
        harness.run(self.programs["trace-ckpts"], "--ckpts", *self.folders, "--tokens",
                    self.root + "/ids.jsonl", "-o", out, "--cost", "attn", "--cost-samples",
                    ROWS).expect(0)
        row = harness.Store(self.programs["store_json"], out, *VARIABLES, "drop_kl").rows[0]
        old = harness.Store(self.programs["store_json"], clean, *VARIABLES).rows[0]
        check(row["drop_kl"][0] is not None, "no costs")
        check(all(row[name] == old[name] for name in VARIABLES), "the search changed")
        self.shown(out)
        self.told(out, *options)

    def told(self, out, *options):
        """trace-analyze's JSON says of a search what trace-drop's says, and has none of a trace; its
        tables come in Markdown and LaTeX, and its numbers as CSV."""
        path, analyze = self.path("json"), self.programs["trace-analyze"]
        harness.run(*self.command(out, *options, "--json", path)).expect(0)
        own = json.loads(tiny.read(path))
        said = json.loads(harness.run(analyze, out, "--json", "-").expect(0).out)["search"]
        check(said == {key: value for key, value in own.items() if key in said}, said, own)
        check([len(one["rounds"]) for one in said["checkpoints"]] == [3, 3], said)
        for form, first in (("markdown", "| 1 | "), ("latex", "1 & ")):
            page = harness.run(analyze, out, "--sections", "search", "--format", form).expect(0).out
            check(first in page, form, page)
        path = self.path("csv")
        harness.run(self.programs["trace-export"], out, "--to", "csv", "--variables", "search_value", "-o",
                    path).expect(0)
        numbers = re.findall(r",search_value,[\d.]+,", tiny.read(path).decode())
        check(len(numbers) == 2 * (6 + 5 + 4), numbers)

    def shown(self, out):
        """The report has a chapter with each round and the orders of both checkpoints, and says so where
        it is not asked for; the figures are there."""
        said = harness.run(self.programs["trace-analyze"], out, "--sections", "search").expect(0).out
        check("== Greedy search ==" in said and said.count(" as the last") == 2, said)
        check(len(re.findall(r"^ +[123]  (?:attn|mlp) [0-2] ", said, re.M)) == 3, said)
        usual = harness.run(self.programs["trace-analyze"], out).expect(0).out
        check(re.search(r"--sections\s[a-z,\s]*search", usual), "not told:", usual)
        folder = self.path("figures")
        harness.run(self.programs["trace-export"], out, "--to", "svg", "-o", folder).expect(0)
        check({"search.svg", "search-order.svg"} <= set(os.listdir(folder)), os.listdir(folder))
        drawn = tiny.read(folder + "/search-order.svg").decode()
        check("Attention" in drawn and "MLP" in drawn and "Round in which" in drawn, drawn)

    def stopped(self):
        """A signal ends a search behind the round that it is in, with its own exit code."""
        clean, _ = self.search("--by", "kl", folders=self.folders[:1])
        out = self.path()
        command = self.command(out, "--by", "kl", "-v", folders=self.folders[:1])
        job = subprocess.Popen(command, env=harness.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in job.stderr:
            if ": round 2 of 6" in line:
                job.send_signal(signal.SIGTERM)
                break
        said = job.communicate()[1]
        if job.returncode == 0:  # the signal came too late
            return "got through"
        check(job.returncode == 75, job.returncode, said)
        done = self.rounds_in(out)
        check(2 <= done < 6, done, "rounds")
        harness.run(*command).expect(0)
        self.same(clean, out)
        return f"after {done} rounds"

    def rounds_in(self, out):
        names = harness.committed(self.programs["store_json"], out)
        parts = [out, *(os.path.join(out + ".parts", part)
                        for part in (os.listdir(out + ".parts") if os.path.isdir(out + ".parts") else ())
                        if part.endswith(".h5") and not part.startswith("."))]
        done = {name: 0 for name in names}
        for part in parts:
            if os.path.exists(part):
                for row in harness.Store(self.programs["store_json"], part, "search_drop").rows:
                    done[row["name"]] = max(done[row["name"]],
                                            sum(index >= 0 for index in row["search_drop"]))
        return sum(done.values())

    def kills(self):
        """kill -9 of a rank at random moments, again and again: no round is lost, and the file is the
        undisturbed one's."""
        draw = random.Random(int(os.path.basename(self.programs["seed"])))
        wanted, killed, through = int(os.path.basename(self.programs["kills"])), 0, 0
        launcher = [self.programs["mpirun"], "-n", "2"]
        start = time.monotonic()
        options, folders = ("--by", "kl"), self.folders[:1]
        clean, _ = self.search(*options, launcher=launcher, folders=folders)
        duration = time.monotonic() - start
        out = self.path()
        command = [*launcher, *self.command(out, *options, folders=folders)]
        while killed < wanted or through == 0:
            done = self.rounds_in(out) if os.path.exists(out) or os.path.isdir(out + ".parts") else 0
            job = subprocess.Popen(command, env=harness.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                check(job.wait(timeout=draw.uniform(0, duration)) == 0, "failed undisturbed")
                self.same(clean, out)
                os.remove(out)
                through += 1
                continue
            except subprocess.TimeoutExpired:
                pass
            with open(f"/proc/{job.pid}/task/{job.pid}/children", encoding="ascii") as file:
                ranks = [int(child) for child in file.read().split()]
            try:
                os.kill(draw.choice([job.pid, *ranks]), signal.SIGKILL)
            except ProcessLookupError:
                pass
            job.wait()
            killed += 1
            end = time.monotonic() + 60
            while any(os.path.exists(f"/proc/{rank}") for rank in ranks) and time.monotonic() < end:
                time.sleep(0.01)
            left = self.rounds_in(out) if os.path.exists(out) or os.path.isdir(out + ".parts") else 0
            check(left >= done, "rounds are gone:", done, left)
            if killed >= wanted:
                ran = harness.run(*command).expect(0)
                check(ran, ran)
                self.same(clean, out)
                through += 1
        return f"{killed} kills, {through} times through"


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as root:
        cases = Cases(programs, root)
        listed = [("golden orders", cases.golden), ("one engine", cases.one_engine),
                  ("choices", cases.choices), ("price", cases.price), ("goes on", cases.goes_on),
                  ("stopped", cases.stopped)]
        if "fake_trace_drop" in programs:
            listed += [("little memory", cases.little_memory),
                       ("an absent block", cases.absent_block),
                       ("weights that do not fit", cases.weights_do_not_fit)]
        if "mpirun" in programs:
            listed += [("ranks", cases.ranks), ("kills", cases.kills)]
        return harness.run_cases(listed, os.path.basename(programs.get("only", "")))


if __name__ == "__main__":
    sys.exit(main())

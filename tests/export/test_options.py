# SPDX-License-Identifier: Apache-2.0
"""trace-export's options: what they choose, where the output goes, and what is refused, each with
its exact sentence.

test_options.py NAME=PATH... [only=TEXT]: trace-export, trace-ckpts, write_sample, edit_store."""

import ast
import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

MEANS = ["similarity", "importance", "update_ratio", "alignment", "stream_norm", "nonfinite",
         "nonfinite_first"]
KNOWN = ("similarity, importance, update_ratio, alignment, stream_norm, token_count, "
         "importance_seq, update_ratio_seq, alignment_seq, xx_seq, xd_seq, dd_seq, "
         "importance_hist, importance_pos, nonfinite, nonfinite_first, nll, importance_token, "
         "span_similarity, cka, cka_debiased, stream_sample, base_nll, drop_nll, drop_kl, drop_agree, "
         "set_nll, set_kl, set_agree, set_js, set_angle, search_drop, search_value, search_value_seq, "
         "search_nll, search_kl")

# Arguments, exit code, sentence; STORE has 7 checkpoints (steps 1000 to 7000) of 3 layers.
REFUSED = [
    ("--to xml", 2, '--to takes one of FORMATS, not "xml"'),
    ("--to csv --layers 3", 2, "--layers 3: STORE has none of these, its layers go from 0 to 2"),
    ("--to csv --layers 0,4-9", 2,
     "--layers 4-9: STORE has none of these, its layers go from 0 to 2"),
    ("--to csv --layers 2-1", 2,
     '--layers takes numbers and ranges such as 0-3,7, not "2-1"'),
    ("--to csv --layers 1,,2", 2, '--layers takes numbers and ranges such as 0-3,7, not ""'),
    ("--to csv --steps x", 2, '--steps takes numbers and ranges such as 0-3,7, not "x"'),
    ("--to csv --steps 500", 2,
     "--steps 500: STORE has none of these, its steps go from 1000 to 7000"),
    ("--to csv --module attn,head", 2,
     '--module takes attn, mlp and block with commas between, not "head"'),
    ("--to csv --variables importance,cosine", 2,
     f'--variables: STORE has no "cosine" for --to csv; it has {KNOWN}'),
    ("--to json --variables name", 2,
     f'--variables: STORE has no "name" for --to json; it has {KNOWN}'),
    ("--to csv --wide --variables importance,nll", 2,
     "--wide needs variables over the same dimensions, and importance and nll are not"),
    ("--to csv --count 2", 2, "--count means nothing to --to csv"),
    ("--to hdf5 --from 1000", 2, "--from means nothing to --to hdf5"),
    ("--to json --level 0.9", 2, "--level means nothing to --to json"),
    ("--to html --count 0", 2, '--count takes a whole number from 1 on, not "0"'),
    ("--to html --count 4", 2, "--count 4 asks for more than the 3 layers of STORE"),
    ("--to notebook --from x", 2, '--from takes a whole number from 0 on, not "x"'),
    ("--to notebook --from 8000", 2,
     "STORE has no complete checkpoint from step 8000 on, but 7 before"),
    ("--to csv --by cost-kl", 2, "--by means nothing to --to csv"),
    ("--to json --below 0.1", 2, "--below means nothing to --to json"),
    ("--to html --by cosine", 2, "--by takes importance, update_ratio, alignment, cost-nll (or "
                                 'cost), cost-kl or cost-agree, not "cosine"'),
    ("--to notebook --below 2.5", 2, '--below takes a number from 0 to 2, not "2.5"'),
    ("--to html --by cost --below -1001", 2,
     '--below takes a number from -1000 to 1000, not "-1001"'),
    ("--to svg --figure ranks --level 1", 2, '--level takes a number from 0.5 to 0.9999, not "1"'),
    ("--to json --wide", 2, "--wide means nothing to --to json"),
    ("--to json --units", 2, "--units means nothing to --to json"),
    ("--to notebook --variables nll", 2, "--variables means nothing to --to notebook"),
    ("--to hdf5 -o -", 2, "--to hdf5 writes a file: name it with -o"),
    ("--to json --comment", 2, "--comment means nothing to --to json"),
    ("--to csv -o STORE", 2, "the output STORE is the store itself"),
    ("--to csv -o STORE --force", 2, "the output STORE is the store itself"),
    ("--to csv -o ROOT", 2, "the output ROOT is a folder"),
    ("--to csv -o ROOT/there", 3, "ROOT/there exists; --force replaces it"),
]


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root, self.store = programs, root, root + "/sample.h5"
        harness.run(programs["write_sample"], self.store, 7, 3, 4, 40).expect(0)
        tiny.write(root + "/there", "precious")

    def export(self, *arguments, store=None, **options):
        return harness.run(self.programs["trace-export"], store or self.store, *arguments,
                           cwd=self.root, **options)

    def rows(self, *arguments, store=None):
        ran = self.export("--to", "csv", "-o", "-", *arguments, store=store).expect(0)
        return list(csv.DictReader(io.StringIO(ran.out, newline="")))

    def refused(self):
        """Every sentence; nothing is written."""
        formats = self.formats()
        before = sorted(os.listdir(self.root)), tiny.read(self.store)
        for arguments, code, sentence in REFUSED:
            given = arguments.replace("STORE", self.store).replace("ROOT", self.root)
            ran = self.export(*given.split()).expect(code)
            exact = (sentence.replace("STORE", self.store).replace("ROOT", self.root)
                     .replace("FORMATS", formats))
            check(ran.err == f"trace-export: {exact}\n", "expected:", exact, "in", ran)
            check(not ran.out, "stdout is not empty:", ran)
            check((sorted(os.listdir(self.root)), tiny.read(self.store)) == before, "changed", ran)

    def formats(self):
        text = self.export("--help").expect(0).out.split("Formats:\n")[1]
        return ", ".join(line.split()[0] for line in text.splitlines() if line.startswith("  "))

    def usage(self):
        to = [self.store, "--to", "csv", "-o"]
        for arguments, sentence in (
                ([], "which FILE?"), ([self.store], "--to what?"),
                ([self.store, self.store], "one FILE, please"),
                ([*to, ""], "--output is empty: where shall it go?"),
                ([*to, "none/x.csv"], "--output none/x.csv: there is no such folder")):
            ran = harness.run(self.programs["trace-export"], *arguments).expect(2)
            check(f"trace-export: {sentence}\n" in ran.err, ran)

    def not_a_store(self):
        path = self.root + "/text.h5"
        tiny.write(path, "no store")
        try:
            ran = self.export("--to", "csv", store=path).expect(3)
            check(ran.err == f"trace-export: cannot open {path} as an HDF5 file: "
                             "file signature not found\n", ran)
            os.remove(path)
            harness.run(self.programs["write_sample"], path, 1, 1, 1, 16).expect(0)
            harness.run(self.programs["edit_store"], path, "version", 99).expect(0)
            ran = self.export("--to", "csv", store=path).expect(3)
            check(ran.err == f"trace-export: {path} has schema version 99, and this program knows "
                             "version 1\n", ran)
            harness.run(self.programs["edit_store"], path, "schema", "other").expect(0)
            ran = self.export("--to", "csv", store=path).expect(3)
            check(ran.err == f"trace-export: {path} is an HDF5 file, but not a trace: its "
                             'attribute schema is not "trace-ckpts"\n', ran)
        finally:
            os.remove(path)

    def chosen(self):
        """Each choice gives what it names, in the store's order, once."""
        rows = self.rows()
        check(len(rows) == 7 * len(MEANS) * 3 * 3, len(rows))
        check(list(dict.fromkeys(row["variable"] for row in rows)) == MEANS, rows[0])
        rows = self.rows("--layers", "2,0-1,1", "--steps", "6000-,2000", "--module", "block,attn",
                         "--variables", "importance")
        check([(row["checkpoint"], row["layer"], row["module"]) for row in rows] ==
              [(f"step{step}", layer, module) for step in (2000, 6000, 7000)
               for layer in "012" for module in ("attn", "block")], rows)
        check(list(rows[0]) == ["model", "checkpoint", "step", "tokens", "layer", "module",
                                "variable", "value", "count"], rows[0])
        check((rows[0]["step"], rows[0]["tokens"]) == ("2000", "2000000"), rows[0])
        rows = self.rows("--variables", "nll,importance_token", "--layers", "1")
        check(list(rows[0])[4:8] == ["layer", "module", "sequence", "position"], rows[0])
        check(len(rows) == 7 * (4 + 3 * 4 * 40), len(rows))
        check(rows[0]["layer"] == "" and rows[0]["sequence"] == "0", rows[0])

    def lines(self):
        """RFC 4180's line ends; the unit row and the comment only when asked for."""
        command = [self.programs["trace-export"], self.store, "--to", "csv", "-o", "-", "-v",
                   "importance,nonfinite", "--wide", "--units", "--comment"]
        text = subprocess.run(command, check=True, capture_output=True).stdout.decode()
        lines = text.split("\r\n")
        check("\n" not in text.replace("\r\n", "") and lines[-1] == "", text[:500])
        comment = [line for line in lines if line.startswith("#")]
        check("# program: sample 1.0 é" in comment and "# micro_batch: 4" in comment, comment)
        check(lines[len(comment)] ==
              "model,checkpoint,step,tokens,layer,module,importance,nonfinite,count", lines[:9])
        check(lines[len(comment) + 1] == ",,1,token,1,,1,token,token", lines[:9])
        check(len(lines) == len(comment) + 2 + 7 * 3 * 3 + 1, len(lines))

    def outputs(self):
        """The default name, no overwriting, --force."""
        default = self.root + "/sample.csv"
        ran = self.export("--to", "csv").expect(0)
        check(ran.err == "wrote sample.csv\n" and not ran.out, ran)
        whole = tiny.read(default)
        ran = self.export("--to", "csv", "--layers", "0").expect(3)
        check(ran.err == "trace-export: sample.csv exists; --force replaces it\n", ran)
        check(tiny.read(default) == whole, "an existing output was touched")
        self.export("--to", "csv", "--layers", "0", "--force").expect(0)
        check(0 < len(tiny.read(default)) < len(whole) / 2, "--force did not replace it")
        os.remove(default)
        ran = self.export("--to", "csv", "-o", "-").expect(0)
        check(ran.out.encode().replace(b"\n", b"\r\n") == whole and not ran.err, ran.err)

    def odd_names(self):
        """Paths with quotes and backslashes are strings for Python; others cannot be named."""
        name = 'a"b\\c é.h5'
        os.link(self.store, f"{self.root}/{name}")
        ran = self.export("--to", "notebook", "-o", "-", store=name).expect(0)
        lines = [line for cell in json.loads(ran.out)["cells"] for line in cell["source"]]
        path, = [line for line in lines if line.startswith("STORE = ")]
        check(ast.literal_eval(path[len("STORE = "):].strip()) == name, path)
        os.rename(f"{self.root}/{name}", os.fsencode(self.root) + b"/\xff.h5")
        ran = subprocess.run([self.programs["trace-export"], b"\xff.h5", "--to", "notebook"],
                             cwd=self.root, capture_output=True, check=False)
        check((ran.returncode, ran.stderr) == (
            2, b"trace-export: a notebook cannot name ?.h5, whose path is not UTF-8\n"), ran)
        os.remove(os.fsencode(self.root) + b"/\xff.h5")

    def full_disk(self):
        ran = harness.run("/bin/sh", "-c",
                          f"'{self.programs['trace-export']}' '{self.store}' --to csv -o - "
                          ">/dev/full").expect(3)
        check(ran.err == "trace-export: cannot write to stdout: No space left on device\n", ran)

    def killed(self):
        """However it ends, OUT is whole or as it was."""
        out = self.root + "/killed.csv"
        big = self.root + "/big.h5"
        harness.run(self.programs["write_sample"], big, 20, 20, 16, 64).expect(0)
        tiny.write(out, "old")
        command = [self.programs["trace-export"], big, "--to", "csv", "--variables", "all", "-o",
                   out, "--force"]
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            job = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            aside = f"{out}.tmp{job.pid}"
            while job.poll() is None and not (os.path.exists(aside) and os.path.getsize(aside)):
                time.sleep(0.001)
            job.send_signal(number)
            job.wait()
            check(job.returncode == -number, "it ended before it was killed")
            check(tiny.read(out) == b"old", "half a file")
            check(os.path.exists(aside) == (number == signal.SIGKILL), number, "left", aside)
            if os.path.exists(aside):
                os.remove(aside)
        os.remove(out)
        os.remove(big)

    def pipes(self):
        """A pipe or a device is written to and stays what it is; some formats need a file."""
        pipe = self.root + "/pipe"
        whole = self.export("--to", "csv", "-o", "-").expect(0).out
        os.mkfifo(pipe)
        for force in ((), ("--force",)):
            reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
            try:
                self.export("--to", "csv", "-o", pipe, *force).expect(0)
                check(reader.communicate(timeout=10)[0] == whole, "the pipe had something else")
            finally:
                reader.kill()
            check(stat.S_ISFIFO(os.stat(pipe).st_mode), "the pipe was replaced")
        ran = self.export("--to", "hdf5", "-o", pipe, "--force").expect(2)
        check(ran.err == f"trace-export: {pipe} is no file, which this format needs\n", ran)
        ran = self.export("--to", "csv", "-o", "/dev/stdout").expect(0)
        check(ran.out == whole, ran)
        os.remove(pipe)
        check(not [name for name in os.listdir(self.root) if ".tmp" in name], "left over")

    def unfinished(self):
        """Failed checkpoints, and parts that wait to be published: said, and left out."""
        store = self.root + "/series.h5"
        folders = tiny.write_series(self.root + "/series", 3)
        path = folders[1] + "/model.safetensors"
        tiny.write(path, tiny.read(path)[:-10])
        tiny.write_tokens(self.root + "/ids.jsonl", 4, 16)
        trace = [self.programs["trace-ckpts"], "--tokens", self.root + "/ids.jsonl", "-o", store,
                 "--ckpts"]
        harness.run(*trace, *folders).expect(1)
        ran = self.export("--to", "csv", "-o", "-", store=store).expect(0)
        check(ran.err == "1 failed checkpoint is left out\n", ran)
        names = {row["checkpoint"] for row in csv.DictReader(io.StringIO(ran.out))}
        check(names == {"step_0", "step_200"}, names)
        ran = self.export("--to", "csv", "--steps", "100", store=store).expect(3)
        check(ran.err == f"trace-export: {store} has no complete checkpoint at --steps 100\n", ran)
        os.mkdir(store + ".parts")
        tiny.write(store + ".parts/step_300-0.h5", "")
        ran = self.export("--to", "csv", "-o", "-", store=store).expect(0)
        check(ran.err == f"1 more checkpoint is committed in {store}.parts, not yet published\n"
                         "1 failed checkpoint is left out\n", ran)


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    names = ("usage", "refused", "not_a_store", "chosen", "lines", "outputs", "odd_names",
             "full_disk", "killed", "pipes", "unfinished")
    with harness.scratch() as root:
        cases = Cases(programs, root)
        return harness.run_cases([(name.replace("_", " "), getattr(cases, name))
                                  for name in names], only)


if __name__ == "__main__":
    sys.exit(main())

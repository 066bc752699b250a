# SPDX-License-Identifier: Apache-2.0
"""What trace-analyze says of files it cannot analyse, and of runs that are not finished. Each case
takes the programs and an empty folder."""

import os
import stat
import subprocess

import harness
import tiny_checkpoint as tiny
from harness import check


def store(programs, root, count=3):
    """A small traced series: its path and the folders of its checkpoints."""
    out, folders = root + "/out.h5", tiny.write_series(root, count)
    tiny.write_tokens(root + "/ids.jsonl", 4, 16)
    trace(programs, root, folders).expect(0)
    return out, folders


def trace(programs, root, folders):
    return harness.run(programs["trace-ckpts"], "--ckpts", *folders, "-o", root + "/out.h5",
                       "--tokens", root + "/ids.jsonl")


def refused(programs, sentence, *arguments, code=3):
    """The program ends with the sentence alone, and writes none of its files."""
    ran = harness.run(programs["trace-analyze"], *arguments).expect(code)
    check(ran.out == "" and ran.err == f"trace-analyze: {sentence}\n", "expected:", sentence,
          "in", ran)
    outputs = [arguments[i + 1] for i, word in enumerate(arguments) if word in ("--json", "--plan")]
    check(not any(map(os.path.exists, outputs)), "a file was written:", outputs)


def no_store(programs, root):
    path = root + "/text.h5"
    tiny.write(path, "step,importance\n0,0.5\n")
    refused(programs, f"cannot open {path} as an HDF5 file: file signature not found", path,
            "--json", root + "/out.json")
    refused(programs, f"cannot open {root}/none.h5: No such file or directory", root + "/none.h5")


def folder(programs, root):
    refused(programs, f"{root} is not a regular file", root)


def another_schema(programs, root):
    path, _ = store(programs, root)
    harness.run(programs["edit_store"], path, "version", 99).expect(0)
    refused(programs, f"{path} has schema version 99, and this program knows version 1", path)
    harness.run(programs["edit_store"], path, "schema", "something").expect(0)
    refused(programs, f'{path} is an HDF5 file, but not a trace: its attribute schema is not '
                      '"trace-ckpts"', path)


def bad_second_file(programs, root):
    path, _ = store(programs, root)
    tiny.write(root + "/text.h5", "text")
    refused(programs, f"cannot open {root}/text.h5 as an HDF5 file: file signature not found", path,
            root + "/text.h5", "--json", root + "/out.json")


def cut_off(programs, root):
    path, _ = store(programs, root)
    tiny.write(path, tiny.read(path)[:-100])
    ran = harness.run(programs["trace-analyze"], path).expect(3)
    check(ran.out == "" and f"cannot open {path} as an HDF5 file: " in ran.err, ran)


def unfinished(programs, root):
    """Analysed as far as it is complete, and it is said."""
    path, _ = store(programs, root)
    os.mkdir(path + ".parts")
    ran = harness.run(programs["trace-analyze"], path).expect(0)
    told = " ".join(ran.out.split())
    check(f"{path}.parts lies beside it: the run is not finished. This is about the checkpoints "
          "that are published." in told, ran)
    check(": 3 complete checkpoints, step 0 to step 200;" in told, ran)


def failed_ones(programs, root):
    """A failed checkpoint is named first and left out."""
    folders = tiny.write_series(root, 3)
    tiny.write_tokens(root + "/ids.jsonl", 4, 16)
    os.remove(folders[1] + "/config.json")
    trace(programs, root, folders).expect(1)
    ran = harness.run(programs["trace-analyze"], root + "/out.h5").expect(0)
    check(": 2 complete checkpoints, step 0 to step 200;" in " ".join(ran.out.split()), ran)
    check("Faults of the data:\n- step_100: " in ran.out, ran)


def no_common_time(programs, root):
    """Two runs that were never at the same step."""
    first, _ = store(programs, root)
    other = root + "/other"
    os.mkdir(other)
    late = tiny.write_series(other, 3)
    for number, name in enumerate(late):
        os.rename(name, f"{other}/step_{90000 + number}")
    tiny.write_tokens(other + "/ids.jsonl", 4, 16)
    trace(programs, other, [f"{other}/step_{90000 + number}" for number in range(3)]).expect(0)
    refused(programs, f"{first} and {other}/out.h5 have no checkpoints in common: none are within "
                      "10 % of each other by steps", first, other + "/out.h5", code=2)


def outputs(programs, root):
    """What is no file is never replaced; of a link, the file behind it is."""
    path, _ = store(programs, root)
    analyze = programs["trace-analyze"]
    os.mkdir(root + "/folder")
    ran = harness.run(analyze, path, "--json", root + "/folder").expect(2)
    check(f"{root}/folder is a folder, not a file to write" in ran.err, ran)
    ran = harness.run(analyze, root + "/no-store.h5", "--json", root + "/folder").expect(2)
    check(f"{root}/folder is a folder, not a file to write" in ran.err, ran)
    ran = harness.run(analyze, path, "--plan", "-", "--module", "attn").expect(2)
    check("--plan takes a file; the report goes to stdout" in ran.err, ran)
    printed = harness.run(analyze, path, "--json", "-").expect(0)
    os.symlink("behind.json", root + "/link.json")
    tiny.write(root + "/behind.json", b"{}")
    tiny.write(root + "/notes.txt", b"mine")
    for place, code, why in (
            ("notes.txt", 3, f"{root}/notes.txt is no JSON; --json does not write over it"),
            ("none/x.json", 2, f"--json {root}/none/x.json: there is no such folder")):
        ran = harness.run(analyze, root + "/no-store.h5", "--json", f"{root}/{place}").expect(code)
        check(why in ran.err, ran)
    check(tiny.read(root + "/notes.txt") == b"mine", "notes.txt")
    harness.run(analyze, path, "--json", root + "/link.json").expect(0)
    check(os.path.islink(root + "/link.json"), "the link is gone")
    check(tiny.read(root + "/behind.json").decode() == printed.out, printed)
    os.mkfifo(root + "/pipe")
    reader = subprocess.Popen(["cat", root + "/pipe"], stdout=subprocess.PIPE)
    harness.run(analyze, path, "--json", root + "/pipe").expect(0)
    try:
        check(reader.communicate(timeout=10)[0][:1] == b"{", ran)
    finally:
        reader.kill()
    check(stat.S_ISFIFO(os.stat(root + "/pipe").st_mode), ran)


CASES = [no_store, folder, another_schema, bad_second_file, cut_off, unfinished, failed_ones,
         no_common_time, outputs]

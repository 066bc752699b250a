# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with a whole job: a function that prepares a folder which holds a
good series (step_0, step_100) and the token file ids.jsonl (2 rows of 16), the arguments, the exit
code and the sentence. ROOT stands for the folder, CKPTS for `--ckpts` and the series."""

import json
import os
import socket
import struct

import tiny_checkpoint as tiny
from checkpoint_faults import FORMATS, LFS, POINTER

USAGE, ENVIRONMENT, FAILED = 2, 3, 1


def nothing(_root):
    pass


def file_is(name, content):
    def prepare(root):
        tiny.write(os.path.join(root, name), content)
    return prepare


def pipe_is(name):
    """A FIFO that nobody writes to, in place of what may be there."""
    def prepare(root):
        path = os.path.join(root, name)
        if os.path.exists(path):
            os.remove(path)
        os.mkfifo(path)
    return prepare


def socket_is(name):
    def prepare(root):
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.join(root, name))
    return prepare


def both(*prepares):
    def prepare(root):
        for one in prepares:
            one(root)
    return prepare


def folder_is(name):
    def prepare(root):
        os.makedirs(os.path.join(root, name))
    return prepare


def removed(*names):
    def prepare(root):
        for name in names:
            os.remove(os.path.join(root, name))
    return prepare


def manifest(text):
    return file_is("series.csv", text)


def npy(descr, shape, data, order=False):
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def tokenizer(folder, **changes):
    def prepare(root):
        tiny.write(os.path.join(root, folder, "tokenizer.json"),
                   json.dumps(dict(tiny.byte_tokenizer(), **changes)))
    return prepare


def no_separator(root):
    for name in ("step_0", "step_100"):
        path = os.path.join(root, name, "config.json")
        config = json.loads(tiny.read(path))
        del config["eos_token_id"]
        tiny.write(path, json.dumps(config))
        path = os.path.join(root, name, "tokenizer.json")
        whole = tiny.byte_tokenizer()
        del whole["model"]["vocab"]["<|endoftext|>"]
        whole["added_tokens"] = []
        tiny.write(path, json.dumps(whole))


def rows(*lists):
    return "".join(json.dumps({"input_ids": ids}) + "\n" for ids in lists)


IDS = "--tokens ROOT/ids.jsonl"
OUT = "-o ROOT/out.h5"
ALL = f"CKPTS {IDS} {OUT}"
TEXT = f"CKPTS --text ROOT/text.txt {OUT}"
CSV = f"-i ROOT/series.csv {IDS} {OUT}"
NO_FILE = " is not a regular file"
NO_WRITER = NO_FILE + ", and nobody writes into it"
TRY = "Try `trace-ckpts --help' or `trace-ckpts --usage' for more information."

FAULTS = [
    # Options.
    ("no checkpoints", nothing, OUT, USAGE,
     "which checkpoints? Give --ckpts DIR... or --input CSV"),
    ("an unknown option", nothing, f"{ALL} --frobnicate", USAGE,
     "unrecognized option '--frobnicate'"),
    ("an unknown option with controls", nothing, f"{ALL} --frob\x1b]0;x\a", USAGE,
     "unrecognized option '--frob?]0;x?'"),
    ("an unknown letter", nothing, f"{ALL} -\x07", USAGE, "invalid option -- '?'"),
    ("the beginning of two options", nothing, f"{ALL} --sp", USAGE, "option '--sp' is ambiguous"),
    ("an argument of a flag", nothing, f"{ALL} --spans=3", USAGE,
     "option '--spans' doesn't allow an argument"),
    ("an option without its value", nothing, "CKPTS --samples", USAGE,
     "option '--samples' requires an argument"),
    ("samples zero", nothing, f"{ALL} --samples 0", USAGE,
     '--samples takes a whole number from 1 on, not "0"'),
    ("samples no number", nothing, f"{ALL} --samples 10x", USAGE,
     '--samples takes a whole number from 1 on, not "10x"'),
    ("samples a fraction", nothing, f"{ALL} --samples 1.5", USAGE,
     '--samples takes a whole number from 1 on, not "1.5"'),
    ("samples beyond 64 bits", nothing, f"{ALL} --samples 99999999999999999999", USAGE,
     '--samples takes a whole number from 1 on, not "99999999999999999999"'),
    ("seq-len negative", nothing, f"{ALL} --seq-len -4", USAGE,
     '--seq-len takes a whole number from 1 on, not "-4"'),
    ("publish negative", nothing, f"{ALL} --publish -1", USAGE,
     '--publish takes a whole number from 0 on, not "-1"'),
    ("an unknown dtype", nothing, f"{ALL} --dtype f8", USAGE,
     '--dtype takes auto, f32, bf16 or f16, not "f8"'),
    ("a dtype of devices", nothing, f"{ALL} --device cpu --dtype bf16", USAGE,
     "--dtype bf16 needs a device; the CPU computes in f32"),
    ("device memory that is no size", nothing, f"{ALL} --device-memory 4X", USAGE,
     '--device-memory takes a size such as 16G, not "4X"'),
    ("device memory of no device", nothing, f"{ALL} --device cpu --device-memory 4G", USAGE,
     "--device-memory needs a device; this is a run on the CPU"),
    ("an unknown device", nothing, f"{ALL} --device tpu", USAGE,
     '--device takes auto, cpu or cuda, not "tpu"'),
    ("text and tokens", nothing, f"{ALL} --text x", USAGE,
     "--text and --tokens exclude each other"),
    ("span tokens without spans", nothing, f"{ALL} --span-tokens 16", USAGE,
     "--span-tokens needs --spans"),
    ("drift tokens without spans", nothing, f"{ALL} --drift-tokens 16", USAGE,
     "--drift-tokens needs --spans"),
    ("too few span tokens to compare", nothing, f"{ALL} --spans --span-tokens 3", USAGE,
     '--span-tokens takes a whole number from 4 on, not "3"'),
    ("more span tokens than tokens", nothing, f"{ALL} --spans --span-tokens 33", USAGE,
     "--span-tokens 33 are more than the calibration's 32 tokens"),
    ("more drift tokens than span tokens", nothing,
     f"{ALL} --spans --span-tokens 8 --drift-tokens 9", USAGE,
     "--drift-tokens 9 are more than the 8 span tokens"),
    ("folders and a manifest", nothing, f"{ALL} -i x.csv", USAGE,
     "--ckpts and --input exclude each other"),
    # A run that goes on.
    ("following checkpoints", nothing, f"{ALL} --follow", USAGE,
     "--follow takes one folder, in which a run's checkpoints appear: --ckpts DIR"),
    ("following and verifying", nothing, f"--ckpts ROOT {IDS} {OUT} --follow --verify", USAGE,
     "--follow traces what is new; --verify looks at what is traced"),
    ("until without following", nothing, f"{ALL} --until 100", USAGE, "--until needs --follow"),
    ("until no step", nothing, f"--ckpts ROOT {IDS} {OUT} --follow --until idle=0", USAGE,
     '--until takes a step above 0, or idle=SECONDS, not "idle=0"'),
    ("following a file", nothing, f"--ckpts ROOT/ids.jsonl {IDS} {OUT} --follow", USAGE,
     "ROOT/ids.jsonl is no folder in which checkpoints could appear"),
    ("following what does not come", folder_is("empty"),
     f"--ckpts ROOT/empty {IDS} {OUT} --follow --until idle=1", ENVIRONMENT,
     "no checkpoint in ROOT/empty was whole within 1 s"),
    # The series.
    ("a path that does not exist", nothing, f"CKPTS ROOT/step_7 {IDS} {OUT}", ENVIRONMENT,
     "cannot find the checkpoint folder ROOT/step_7: No such file or directory"),
    ("plain files only", file_is("README.md", "x"),
     f"--ckpts ROOT/README.md ROOT/ids.jsonl {IDS} {OUT}", USAGE,
     "no checkpoint folder was given, only 2 plain files (the first is README.md)"),
    ("two checkpoints of one name", lambda root: tiny.write_checkpoint(root + "/b/step_0"),
     f"CKPTS ROOT/b/step_0 {IDS} {OUT}", USAGE,
     "b-step_0 and step_0 are both of step 0: not one line of training, but several side by side "
     "(seeds, ingredients of a merge); --separate makes a stage of each line, or a manifest's "
     'column "stage" does'),
    ("the same checkpoint twice", nothing, f"CKPTS ROOT/step_0/ {IDS} {OUT}", USAGE,
     'ROOT/step_0 and ROOT/step_0 have the same name, and a trace knows its checkpoints by name: '
     'give them a "name" in a manifest'),
    ("no checkpoint at all", both(folder_is("x"), folder_is("y")),
     f"--ckpts ROOT/x ROOT/y {IDS} {OUT}", FAILED,
     "none of the 2 checkpoints can be read; the first: ROOT/x holds no checkpoint: there is no "
     + FORMATS),
    # A manifest.
    ("manifest not there", nothing, CSV, ENVIRONMENT,
     "cannot open ROOT/series.csv: No such file or directory"),
    ("manifest empty", manifest(""), CSV, USAGE,
     'ROOT/series.csv: the first line names no column "path"'),
    ("manifest of a header alone", manifest("path,step\n"), CSV, USAGE,
     "ROOT/series.csv names no checkpoint"),
    ("manifest without paths", manifest("folder,step\nstep_0,1\n"), CSV, USAGE,
     'ROOT/series.csv: the first line names no column "path"'),
    ("manifest with two paths", manifest("path,path\nstep_0,step_1\n"), CSV, USAGE,
     "ROOT/series.csv: there are two columns named path"),
    ("manifest with an empty path", manifest("path,step\n,4\n"), CSV, USAGE,
     'ROOT/series.csv: line 2: path must be a folder, it is ""'),
    ("manifest with a step no number", manifest("path,step\nstep_0,four\n"), CSV, USAGE,
     'ROOT/series.csv: line 2: step must be a whole number of at least 0, it is "four"'),
    ("manifest with negative tokens", manifest("path,tokens\nstep_0,-4\n"), CSV, USAGE,
     'ROOT/series.csv: line 2: tokens must be a number of at least 0, it is "-4"'),
    ("manifest with a short row", manifest("path,step\nstep_0\n"), CSV, USAGE,
     "ROOT/series.csv: line 2 has 1 fields, the first line has 2"),
    ("manifest with an open quote", manifest('path,step\n"step_0,1\n'), CSV, USAGE,
     "ROOT/series.csv: the quote opened in line 2 is never closed"),
    ("manifest with a stray quote", manifest('path,step\nstep"_0,1\n'), CSV, USAGE,
     "ROOT/series.csv: stray quote or text after a quote in line 2"),
    ("manifest not UTF-8", manifest(b"path\nstep_\xff\n"), CSV, USAGE,
     "ROOT/series.csv is not UTF-8 text"),
    ("manifest of a folder not there", manifest("path\nstep_7\n"), CSV, ENVIRONMENT,
     "cannot find the checkpoint folder ROOT/step_7: No such file or directory"),
    ("manifest with a name twice", manifest("path,name\nstep_0,a\nstep_100,a\n"), CSV, USAGE,
     'ROOT/step_0 and ROOT/step_100 have the same name, and a trace knows its checkpoints by '
     'name: give them a "name" in a manifest'),
    # Tokens.
    ("tokens not there", removed("ids.jsonl"), ALL, ENVIRONMENT,
     "cannot open ROOT/ids.jsonl: No such file or directory"),
    ("tokens of an unknown kind", file_is("ids.txt", "1 2"),
     f"CKPTS --tokens ROOT/ids.txt {OUT}", USAGE,
     "ROOT/ids.txt: token files end in .npy, .jsonl, .u16, .bin (uint16) or .u32"),
    ("tokens compressed", file_is("ids.jsonl.zst", "x"),
     f"CKPTS --tokens ROOT/ids.jsonl.zst {OUT}", USAGE,
     "ROOT/ids.jsonl.zst is compressed; unpack it first: zstd -d ROOT/ids.jsonl.zst"),
    ("tokens empty", file_is("ids.jsonl", ""), ALL, USAGE, "ROOT/ids.jsonl holds no tokens"),
    ("tokens no JSON", file_is("ids.jsonl", '{"input_ids": [1, 2]}\nrubbish\n'), ALL, USAGE,
     "ROOT/ids.jsonl, line 2 is not valid JSON: line 1 column 7: '[' or '{' expected near "
     "'rubbish'"),
    ("tokens without ids", file_is("ids.jsonl", '{"text": "a"}\n'), ALL, USAGE,
     'ROOT/ids.jsonl, line 1 has no array "input_ids"'),
    ("tokens no integers", file_is("ids.jsonl", rows([1, 2.5])), ALL, USAGE,
     'ROOT/ids.jsonl, line 1: "input_ids" must be integers, item 1 is not'),
    ("a token above the vocabulary", file_is("ids.jsonl", rows([1, 2], [3, 260])), ALL, USAGE,
     "ids.jsonl: row 1, position 1 has token id 260, outside the model's vocabulary of 260"),
    ("a token negative", file_is("ids.jsonl", rows([1, 2], [-1, 2])), ALL, USAGE,
     "ids.jsonl: row 1, position 0 has token id -1, outside the model's vocabulary of 260"),
    ("more samples than rows", nothing, f"{ALL} --samples 3", USAGE,
     "ids.jsonl has 2 rows; 3 were asked for"),
    ("another length than the rows'", nothing, f"{ALL} --seq-len 8", USAGE,
     "ids.jsonl has rows of 16 tokens; a sequence length of 8 was asked for"),
    ("rows above the positions", file_is("ids.jsonl", rows([1] * 40, [2] * 40)), ALL, USAGE,
     "ids.jsonl has rows of 40 tokens, above the model's 32 positions"),
    ("an npy of floats", file_is("ids.npy", npy("<f4", "(2, 4)", bytes(32))),
     f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy has dtype <f4; token ids are int32, int64, uint16 or uint32"),
    ("an npy truncated", file_is("ids.npy", npy("<i4", "(2, 4)", bytes(30))),
     f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy: its shape says 2 x 4 ids of 4 bytes, but 30 bytes follow the header"),
    ("an npy in Fortran order", file_is("ids.npy", npy("<i4", "(2, 4)", bytes(32), True)),
     f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy is in Fortran order; save it with numpy.ascontiguousarray"),
    ("an npy of too many dimensions", file_is("ids.npy", npy("<i4", "(2, 2, 2)", bytes(32))),
     f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy has more than 2 dimensions; token ids are [n] or [rows, length]"),
    ("an npy garbled", file_is("ids.npy", b"\x93NUMPY\x01\x00\x10\x00rubbish rubbish!"),
     f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy: malformed NumPy header: a dictionary was expected"),
    ("raw ids of an odd size", file_is("ids.u16", b"123"),
     f"CKPTS --tokens ROOT/ids.u16 {OUT}", USAGE,
     "ROOT/ids.u16 has 3 bytes, which is no multiple of 2"),
    ("ids with the header of llm.c",
     file_is("ids.bin", struct.pack("<i", 20240520) + bytes(2044)),
     f"CKPTS --tokens ROOT/ids.bin {OUT}", USAGE,
     "ROOT/ids.bin has the header of llm.c; cut it off: tail -c +1025 ROOT/ids.bin > ids.u16"),
    # Text.
    ("text not there", nothing, TEXT, ENVIRONMENT,
     "cannot open ROOT/text.txt: No such file or directory"),
    ("text empty", file_is("text.txt", ""), TEXT, USAGE, "text.txt holds no tokens"),
    ("text not UTF-8", file_is("text.txt", b"abc\xff"), TEXT, USAGE,
     "ROOT/text.txt is not UTF-8 at byte 3"),
    ("text too short for the length", file_is("text.txt", "abc"), f"{TEXT} --seq-len 8", USAGE,
     "text.txt has 4 tokens, which fill 0 rows of 8; 1 were asked for"),
    ("text too short for the samples", file_is("text.txt", "a" * 99), f"{TEXT} --samples 4", USAGE,
     "text.txt has 100 tokens, which fill 3 rows of 32; 4 were asked for"),
    ("seq-len above the positions", nothing, f"CKPTS {OUT} --seq-len 33", USAGE,
     "sequence length 33 is above the model's 32 positions"),
    ("jsonl without text", file_is("text.jsonl", "{}\n"), f"CKPTS --text ROOT/text.jsonl {OUT}",
     USAGE,
     'ROOT/text.jsonl, line 1 has no string "text"'),
    ("tokenizer not there", removed("step_0/tokenizer.json", "step_100/tokenizer.json"),
     f"CKPTS {OUT}", USAGE,
     "ROOT/step_0/tokenizer.json does not exist, so no text can be tokenised; give token ids "
     "with --tokens, or name a tokenizer with --tokenizer (nor has the folder above or another "
     "checkpoint one)"),
    ("tokenizer of Mistral's own alone", both(
        removed("step_0/tokenizer.json", "step_100/tokenizer.json"),
        file_is("step_0/tekken.json", "{}")), f"CKPTS {OUT}", USAGE,
     "ROOT/step_0/tokenizer.json does not exist (tekken.json alone is not read: transformers' "
     "save_pretrained writes one), so no text can be tokenised; give token ids with --tokens, or "
     "name a tokenizer with --tokenizer (nor has the folder above or another checkpoint one)"),
    ("tokenizer empty", file_is("step_0/tokenizer.json", b""), f"CKPTS {OUT}", USAGE,
     "ROOT/step_0/tokenizer.json is empty: its download did not finish"),
    ("tokenizer named and not there", nothing, f"CKPTS --tokenizer ROOT/nowhere.json {OUT}",
     ENVIRONMENT, "cannot open ROOT/nowhere.json: No such file or directory"),
    ("tokenizer named a folder without one", folder_is("empty"),
     f"CKPTS --tokenizer ROOT/empty {OUT}", USAGE, "the folder ROOT/empty has no tokenizer"),
    ("tokenizer and tokens", nothing, f"{ALL} --tokenizer x", USAGE,
     "--tokenizer and --tokens exclude each other"),
    ("tokenizer changing", tokenizer("step_100", normalizer={"type": "NFC"}), f"CKPTS {OUT}",
     USAGE,
     "the tokenizer changes within the series: ROOT/step_100/tokenizer.json differs from "
     "ROOT/step_0/tokenizer.json; give token ids with --tokens"),
    ("tokenizer no JSON", file_is("step_0/tokenizer.json", "garbage"), f"CKPTS {OUT}", USAGE,
     "ROOT/step_0/tokenizer.json is not valid JSON: line 1 column 7: '[' or '{' expected near "
     "'garbage'"),
    ("tokenizer of another model", tokenizer("step_0", model={"type": "WordPiece", "vocab": {}}),
     f"CKPTS {OUT}", USAGE,
     'ROOT/step_0/tokenizer.json: the tokenizer model "WordPiece" is not supported; known: BPE, '
     'Unigram (pass token ids instead)'),
    ("tokenizer an LFS pointer", file_is("step_0/tokenizer.json",
                                         "version https://git-lfs.github.com/spec/v1\n"),
     f"CKPTS {OUT}", USAGE,
     "ROOT/step_0/tokenizer.json" + LFS),
    ("tokenizer above an LFS pointer", both(
        removed("step_0/tokenizer.json"),
        file_is("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n")),
     f"CKPTS {OUT}", USAGE, "ROOT/tokenizer.json" + LFS),
    ("tokens an LFS pointer", file_is("ids.npy", POINTER), f"CKPTS --tokens ROOT/ids.npy {OUT}",
     USAGE, "ROOT/ids.npy" + LFS),
    ("rows of tokens an LFS pointer", file_is("ids.jsonl", POINTER), ALL, USAGE,
     "ROOT/ids.jsonl" + LFS),
    ("text an LFS pointer", file_is("text.txt", POINTER), TEXT, USAGE, "ROOT/text.txt" + LFS),
    ("manifest an LFS pointer", manifest(POINTER), CSV, USAGE, "ROOT/series.csv" + LFS),
    # What is no file, but waits or never ends when it is read.
    ("tokenizer a FIFO", pipe_is("step_0/tokenizer.json"), f"CKPTS {OUT}", USAGE,
     "ROOT/step_0/tokenizer.json" + NO_FILE),
    ("tokenizer named a FIFO", pipe_is("t.json"), f"CKPTS --tokenizer ROOT/t.json {OUT}", USAGE,
     "ROOT/t.json" + NO_FILE),
    ("text a FIFO", pipe_is("text.txt"), TEXT, USAGE, "ROOT/text.txt" + NO_WRITER),
    ("text of lines a FIFO", pipe_is("text.jsonl"), f"CKPTS --text ROOT/text.jsonl {OUT}", USAGE,
     "ROOT/text.jsonl" + NO_WRITER),
    ("text a device", nothing, f"CKPTS --text /dev/zero {OUT}", USAGE, "/dev/zero" + NO_FILE),
    ("text a folder", nothing, f"CKPTS --text ROOT {OUT}", USAGE, "ROOT" + NO_FILE),
    ("tokens a FIFO", pipe_is("ids.npy"), f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy" + NO_FILE),
    ("raw tokens a FIFO", pipe_is("ids.u16"), f"CKPTS --tokens ROOT/ids.u16 {OUT}", USAGE,
     "ROOT/ids.u16" + NO_FILE),
    ("rows of tokens a FIFO", pipe_is("ids.jsonl"), ALL, USAGE, "ROOT/ids.jsonl" + NO_FILE),
    ("tokens a socket", socket_is("ids.npy"), f"CKPTS --tokens ROOT/ids.npy {OUT}", USAGE,
     "ROOT/ids.npy" + NO_FILE),
    ("manifest a FIFO", pipe_is("series.csv"), CSV, USAGE, "ROOT/series.csv" + NO_FILE),
    ("manifest a device", nothing, f"-i /dev/null {IDS} {OUT}", USAGE, "/dev/null" + NO_FILE),
    ("output a FIFO", pipe_is("out.h5"), ALL, ENVIRONMENT, "ROOT/out.h5" + NO_FILE),
    ("a beginning that the tokenizer lacks", nothing, f"CKPTS --bos {OUT}", USAGE,
     "the tokenizer names no token that begins a text"),
    ("no end of sequence", no_separator, f"CKPTS {OUT}", USAGE,
     "the model names no end-of-sequence token (eos_token_id in config.json) to put between "
     "documents; give token ids with --tokens"),
    # Where to.
    ("output below a plain file", nothing, f"CKPTS {IDS} -o ROOT/ids.jsonl/out.h5", USAGE,
     "--output ROOT/ids.jsonl/out.h5: there is no such folder"),
    ("output into no folder", nothing, f"CKPTS {IDS} -o ROOT/x/out.h5", USAGE,
     "--output ROOT/x/out.h5: there is no such folder"),
    ("output a folder", folder_is("out.h5"), ALL, USAGE,
     "ROOT/out.h5 is a folder, not a file to write"),
    ("output no HDF5 file", file_is("out.h5", "something of mine"), ALL, ENVIRONMENT,
     "cannot open ROOT/out.h5 as an HDF5 file: file signature not found"),
    ("output an empty file", file_is("out.h5", ""), ALL, ENVIRONMENT,
     "ROOT/out.h5 is not a trace: it is an empty file"),
]

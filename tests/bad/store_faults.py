# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with the store and with what it remembers: other programs' files, other
versions, changed options, two jobs, full and read-only disks, checkpoints that change behind it.
Each case takes the programs and an empty folder."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time

import harness
import tiny_checkpoint as tiny
from harness import check

ADVICE = "; use another output file, or --fresh to start again"


class Job:
    """A small series over a token file, and the command that traces it into out.h5."""

    def __init__(self, programs, root, count=3):
        self.programs, self.root, self.out = programs, root, root + "/out.h5"
        self.folders = tiny.write_series(root, count)
        tiny.write_tokens(root + "/ids.jsonl", 4, 16)

    def command(self, *more, tokens=True):
        calibration = ["--tokens", self.root + "/ids.jsonl"] if tokens else []
        return [self.programs["trace-ckpts"], "--ckpts", *self.folders, "-o", self.out,
                *calibration, *more]

    def run(self, *more, **options):
        return harness.run(*self.command(*more), **options)

    def store(self, *variables):
        return harness.Store(self.programs["store_json"], self.out, *variables)

    def refused(self, sentence, *more, code=3, **options):
        """The run ends with the sentence, and OUT stays as it was."""
        before = tiny.read(self.out) if os.path.isfile(self.out) else None
        ran = harness.run(*self.command(*more, **options)).expect(code)
        exact = sentence.replace("OUT", self.out)
        check(f"trace-ckpts: {exact}\n" in ran.err, "expected:", exact, "in", ran)
        check(before is None or tiny.read(self.out) == before, "OUT changed")

    def all_there(self, count=None):
        """The command finds everything done."""
        count = count or len(self.folders)
        check(harness.summary(self.run().expect(0)) == (0, 0, count), "something was traced again")


# ---- what lies at OUT ---------------------------------------------------------------------------

def other_schema_version(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    harness.run(programs["edit_store"], job.out, "version", 99).expect(0)
    job.refused("OUT has schema version 99, and this program knows version 1")
    ran = harness.run(programs["trace-info"], job.out).expect(3)
    check(ran.err == f"trace-info: {job.out} has schema version 99, and this program knows "
                     "version 1\n", ran)
    check(harness.summary(job.run("--fresh").expect(0)) == (3, 0, 0), "--fresh must start anew")


def other_programs_file(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    harness.run(programs["edit_store"], job.out, "schema", "something").expect(0)
    job.refused("OUT is an HDF5 file, but not a trace: its attribute schema is not "
                '"trace-ckpts"')


def truncated_store(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    tiny.write(job.out, tiny.read(job.out)[:-100])
    ran = job.run().expect(3)
    check(re.search(r"^trace-ckpts: cannot open \S+/out\.h5 as an HDF5 file: ", ran.err, re.M), ran)


def broken_part(programs, root):
    job = Job(programs, root)
    os.mkdir(job.out + ".parts")
    part = job.out + ".parts/step_0-0.h5"
    tiny.write(part, b"half a part")
    job.refused(f"cannot open {part} as an HDF5 file: file signature not found; remove that part "
                "to trace its checkpoint again, or start again with --fresh")
    os.remove(part)
    check(harness.summary(job.run().expect(0)) == (3, 0, 0), "not all were traced")


# ---- changed options ----------------------------------------------------------------------------

def changed_options(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    has = "OUT has "
    job.refused(has + "sequences = 4, this run has 2" + ADVICE, "--samples", "2")
    job.refused("OUT was traced without importance_token, this run is with it" + ADVICE,
                "--per-token")
    job.refused("OUT was traced without span_similarity, this run is with it" + ADVICE, "--spans")
    job.refused("OUT was traced with nll, this run is without it" + ADVICE, "--no-nll")
    job.refused(has + "sequences = 4, this run has 256" + ADVICE, tokens=False)
    tiny.write_tokens(root + "/ids.jsonl", 4, 8)
    job.refused(has + "seq_len = 16, this run has 8" + ADVICE)
    tiny.write_tokens(root + "/ids.jsonl", 4, 16, seed=1)
    ran = job.run().expect(3)
    check(re.search(r'^trace-ckpts: \S+/out\.h5 has tokens_digest = "[0-9a-f]{32}", this run has '
                    r'"[0-9a-f]{32}"; use another', ran.err, re.M), ran)


def changed_spans(programs, root):
    job = Job(programs, root)
    job.run("--spans", "--span-tokens", "16").expect(0)
    job.refused("OUT was traced with span_similarity, this run is without it" + ADVICE)
    job.refused("OUT has span_tokens = 16, this run has 64" + ADVICE, "--spans")
    job.refused("OUT has drift_tokens = 16, this run has 5" + ADVICE, "--spans", "--span-tokens",
                "16", "--drift-tokens", "5")
    check(harness.summary(job.run("--spans", "--span-tokens", "16").expect(0))[2] == 3,
          "the same options did not go on")


def changed_length(programs, root):
    job = Job(programs, root)
    job.command = lambda *more: [programs["trace-ckpts"], "--ckpts", *job.folders, "-o", job.out,
                                 "--samples", "2", *more]
    job.run("--seq-len", "16").expect(0)
    job.refused("OUT has seq_len = 16, this run has 8" + ADVICE, "--seq-len", "8")


def changed_model(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    shutil.rmtree(job.folders[0])
    tiny.write_checkpoint(job.folders[0], hidden_size=32)
    ran = job.run().expect(3)
    check('has model = "llama layers=2 hidden=16' in ran.err and
          'this run has "llama layers=2 hidden=32' in ran.err, ran)


# ---- what changes behind it ---------------------------------------------------------------------

def changed_checkpoint(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    old = job.store()
    shutil.rmtree(job.folders[1])
    tiny.write_checkpoint(job.folders[1], seed=99)
    ran = job.run().expect(0)
    check("step_100 changed on disk since it was traced and is traced again\n" in ran.err, ran)
    check(harness.summary(ran) == (1, 0, 2), ran)
    new = job.store()
    same = [a["weights_digest"] == b["weights_digest"] for a, b in zip(old.rows, new.rows)]
    check(same == [True, False, True], same)
    job.all_there()


def vanished_checkpoint(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    os.remove(job.folders[1] + "/model.safetensors")
    ran = job.run().expect(0)
    check("step_100 cannot be read now, its row is kept: " in ran.err, ran)
    check([row["status"] for row in job.store().rows] == [1, 1, 1], job.store().rows)


def flipped_byte(programs, root):
    """A byte of a weight, size and mtime kept: only --verify sees it."""
    job = Job(programs, root)
    job.run().expect(0)
    path = job.folders[2] + "/model.safetensors"
    before, content = os.stat(path), bytearray(tiny.read(path))
    content[-1000] ^= 1
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    job.all_there()
    digest = job.store().row("step_200")["weights_digest"]
    ran = job.run("--verify").expect(0)
    check(re.search(r"^step_200: weights digest [0-9a-f]{32}, the store has " + digest +
                    "; it is traced again$", ran.err, re.M), ran)
    check(harness.summary(ran) == (1, 0, 2), ran)
    check(job.store().row("step_200")["weights_digest"] != digest, "the old digest stayed")
    check(harness.summary(job.run("--verify").expect(0)) == (0, 0, 3), "verified, yet traced")


def failed_then_mended(programs, root):
    job = Job(programs, root)
    path = job.folders[1] + "/model.safetensors"
    good = tiny.read(path)
    tiny.write(path, good[:-10])
    check(harness.summary(job.run().expect(1)) == (2, 1, 0), "one must fail")
    info = harness.run(programs["trace-info"], job.out).expect(0)
    told = " ".join(info.out.split())
    check(f"failed step_100: {path}: the header describes 48960 bytes of data, the file has "
          "48950: it is truncated" in told, info)
    check("progress 2 complete, 1 failed" in told, info)
    check(harness.summary(job.run().expect(1)) == (0, 1, 2), "a failed row is tried again")
    tiny.write(path, good)
    check(harness.summary(job.run().expect(0)) == (1, 0, 2), "the mended one must be traced")
    check([row["status"] for row in job.store().rows] == [1, 1, 1], job.store().rows)


def fresh(programs, root):
    job = Job(programs, root)
    job.run().expect(0)
    check(harness.summary(job.run("--fresh").expect(0)) == (3, 0, 0), "--fresh must start anew")


def nan_weights(programs, root):
    """A NaN in layer 1's MLP: counted there, never averaged; the layers before are untouched."""
    job = Job(programs, root)
    job.run().expect(0)
    good = job.store("importance", "nonfinite", "nonfinite_first", "token_count", "nll")
    path = job.folders[1] + "/model.safetensors"
    header, data = tiny.split_header(tiny.read(path))
    begin, end = header["model.layers.1.mlp.down_proj.weight"]["data_offsets"]
    data = data[:begin] + tiny.encode([float("nan")] * ((end - begin) // 4), "F32") + data[end:]
    tiny.write(path, tiny.join_header(tiny.json.dumps(header), data))
    check(harness.summary(job.run().expect(0)) == (1, 0, 2), "one must be traced again")
    bad = job.store("importance", "nonfinite", "nonfinite_first", "token_count", "nll")
    was, row = good.row("step_100"), bad.row("step_100")
    # [layer, module] with modules attn, mlp, block: 4 and 5 are layer 1's mlp and block.
    check(row["nonfinite"] == [0, 0, 0, 0, 64, 64], row)
    check(row["nonfinite_first"] == [-1, -1, -1, -1, 0, 0], row)
    check(row["importance"][:4] == was["importance"][:4], row, was)
    check(row["importance"][4:] == [None, None], row)
    check(row["token_count"][16:] == [0] * 8 and row["token_count"][:16] == [16] * 16, row)
    check(row["nll"] == [None] * 4 and None not in was["nll"], row)
    check(bad.row("step_0") == good.row("step_0"), "another row changed")


def nan_of_one_token(programs, root):
    """A NaN in the embedding of one id: tokens from its first occurrence in a row on see it."""
    job = Job(programs, root, 1)
    path = job.folders[0] + "/model.safetensors"
    header, data = tiny.split_header(tiny.read(path))
    begin = header["model.embed_tokens.weight"]["data_offsets"][0] + 7 * 16 * 4
    data = data[:begin] + tiny.encode([float("nan")], "F32") + data[begin + 4:]
    tiny.write(path, tiny.join_header(tiny.json.dumps(header), data))
    rows = [[1] * 16, [1] * 5 + [7] + [1] * 10, [1] * 16, [1] * 15 + [7]]
    tiny.write(root + "/ids.jsonl", "".join('{"input_ids": %s}\n' % ids for ids in rows))
    job.run().expect(0)
    row = job.store("nonfinite", "nonfinite_first", "token_count", "importance").rows[0]
    check(row["nonfinite"] == [12] * 6, row)
    check(row["nonfinite_first"] == [16 + 5] * 6, row)
    check(row["token_count"] == [16, 5, 16, 15] * 6, row)
    check(None not in row["importance"], row)


# ---- two jobs -----------------------------------------------------------------------------------

def two_jobs(programs, root):
    """The second one on a store is refused while the first one runs."""
    job = Job(programs, root, 40)
    command = [programs["trace-ckpts"], "--ckpts", *job.folders, "-o", job.out]
    first = subprocess.Popen(command, env=harness.environment(), stderr=subprocess.DEVNULL)
    try:
        lock = job.out + ".parts/.lock"
        while first.poll() is None and not (os.path.exists(lock) and tiny.read(lock)):
            time.sleep(0.005)
        os.kill(first.pid, signal.SIGSTOP)
        second = harness.run(*command)
        os.kill(first.pid, signal.SIGCONT)
        second.expect(3)
        check(re.search(r"^trace-ckpts: another job is writing \S+/out\.h5: process %d on \S+$" %
                        first.pid, second.err, re.M), second)
        check(first.wait(timeout=240) == 0, "the first job must not be disturbed")
    finally:
        first.kill()
        first.wait()
    check(len(job.store().rows) == 40, "rows are missing")


# ---- disks --------------------------------------------------------------------------------------

def mounted(folder, options):
    """Mounts a tmpfs; False where that is not allowed."""
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode == 0


def no_temporaries(folder):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    left = [name for name in names if name.startswith(".") and name != ".lock"]
    check(not left, "temporary files are left:", left)


def full_disk(programs, root):
    job = Job(programs, root, 12)
    disk = root + "/disk"
    if os.geteuid() != 0 or not mounted(disk, "size=2600k"):
        return "skipped: mounting a small tmpfs is not allowed here"
    try:
        job.out = disk + "/out.h5"
        tiny.write(disk + "/ballast", bytes(1900 << 10))
        ran = job.run("--publish", "0").expect(3)
        check(re.search(r"^trace-ckpts: .*No space left on device", ran.err, re.M), ran)
        no_temporaries(job.out + ".parts")
        done = harness.committed(programs["store_json"], job.out)
        check(0 < len(done) < 12, "the disk was to fill up half-way:", done)
        os.remove(disk + "/ballast")
        check(harness.summary(job.run().expect(0)) == (12 - len(done), 0, len(done)), done)
        check(len(job.store().rows) == 12, job.store().names)
    finally:
        subprocess.run(["umount", disk], check=True)
    return None


def small_files_only(programs, root):
    """A limit on the size of files: no privilege needed to see a write fail."""
    job = Job(programs, root)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    # Open MPI would share memory through larger files.
    env = harness.environment(PMIX_MCA_gds="hash")
    done = subprocess.run(job.command(), env=env, preexec_fn=limit, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check(done.returncode == 3, done)
    check(re.search(r"^trace-ckpts: .*File too large", done.stderr, re.M), done.stderr)
    check(not os.path.exists(job.out), "half a file was published")
    no_temporaries(job.out + ".parts")
    check(harness.summary(job.run().expect(0)) == (3, 0, 0), "not all were traced")


def read_only_disk(programs, root):
    job = Job(programs, root)
    disk = root + "/disk"
    if os.geteuid() != 0 or not mounted(disk, "size=64k"):
        return "skipped: mounting a read-only tmpfs is not allowed here"
    try:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        job.out = disk + "/out.h5"
        job.refused("cannot create the folder OUT.parts: Read-only file system")
    finally:
        subprocess.run(["umount", disk], check=True)
    return None


def forbidden_folder(programs, root):
    job = Job(programs, root)
    folder = root + "/locked"
    os.mkdir(folder, 0o555)
    if os.access(folder, os.W_OK):
        return "skipped: permission bits do not bind this user"
    job.out = folder + "/out.h5"
    job.refused("cannot create the folder OUT.parts: Permission denied")
    return None


CASES = [other_schema_version, other_programs_file, truncated_store, broken_part, changed_options,
         changed_spans, changed_length, changed_model, changed_checkpoint, vanished_checkpoint, flipped_byte,
         failed_then_mended, fresh, nan_weights, nan_of_one_token, two_jobs, full_disk,
         small_files_only, read_only_disk, forbidden_folder]

# SPDX-License-Identifier: Apache-2.0
"""What a user types and reads: help, the plan, progress, the summary, signals.

test_cli.py NAME=PATH... series=FOLDER [mpirun=PATH]: trace-ckpts, trace-info, trace-analyze, trace-merge,
store_json, same_store."""

import os
import re
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

STOPPED = 75
OPTIONS = ("--ckpts", "--input", "--output", "--text", "--tokens", "--tokenizer", "--samples", "--seq-len",
           "--device", "--dtype", "--device-memory", "--spans", "--span-tokens", "--drift-tokens",
           "--per-token", "--no-nll", "--tokens-per-step", "--name-pattern", "--separate", "--publish",
           "--dry-run", "--fresh", "--verify", "--progress", "--quiet", "--verbose")


def has(result, stream, *patterns):
    for pattern in patterns:
        check(re.search(pattern, stream, re.MULTILINE), "no", repr(pattern), "in", result)


def rank_1(launcher):
    """The process of rank 1, as its environment says, below mpirun."""
    for process in os.listdir("/proc"):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                words = file.read().split(b"\0")
            with open(f"/proc/{process}/stat", "rb") as file:
                parent = int(file.read().rsplit(b")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if b"OMPI_COMM_WORLD_RANK=1" in words and parent == launcher:
            return int(process)
    raise AssertionError("no rank 1 below mpirun")


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.folders = tiny.write_series(root + "/series", 6)
        self.many = tiny.write_series(root + "/many", 36)
        tiny.write_tokens(root + "/ids.jsonl", 4, 16)
        tiny.write(root + "/series/README.md", "notes")

    def command(self, out, *more):
        return [self.programs["trace-ckpts"], "--ckpts", *self.folders,
                self.root + "/series/README.md", "-o", f"{self.root}/{out}.h5", "--tokens",
                self.root + "/ids.jsonl", *more]

    def run(self, out, *more, **options):
        return harness.run(*self.command(out, *more), **options)

    def help(self):
        for program in ("trace-ckpts", "trace-info", "trace-analyze", "trace-export", "trace-merge",
                        "trace-drop"):
            ran = harness.run(self.programs[program], "--help").expect(0)
            has(ran, ran.out, rf"^Usage: .*{program}")
            check(not ran.err, ran)
            ran = harness.run(self.programs[program], "--version").expect(0)
            has(ran, ran.out, rf"^{program} \d+\.\d+\.\d+$", r"^  commit +(none|[\da-f]{12})$",
                r"^  compiler +\S+ [\d.]+$", r"^  MPI +\S+", r"^  CUDA +\S+", r"^  BLAS +\S+",
                r"^  HDF5 +1\.\d+\.\d+")
        ran = harness.run(self.programs["trace-ckpts"], "--help")
        for option in OPTIONS:
            check(option in ran.out, "no", option, "in", ran)
        has(ran, ran.out, r"default: trace\.h5", r"default: 60", r"Exit status: 0 all well, 1")

    def usage(self):
        for program in ("trace-info", "trace-analyze"):
            harness.run(self.programs[program]).expect(2)
            ran = harness.run(self.programs[program], self.root + "/nothing.h5").expect(3)
            check(ran.err == f"{program}: cannot open {self.root}/nothing.h5: No such file or "
                             "directory\n", ran)

    def dry_run(self):
        ran = self.run("dry", "--dry-run", "--ranks", "8", "--nodes", "2", "--rank-rate", "0.5",
                       "--read-rate", "2G").expect(0)
        has(ran, ran.out,
            r"^tracing 6 of 6 checkpoints \(llama layers=2 .*; 12\.2 k parameters\) over 4 x 16 "
            r"tokens on 1 rank, at most [\d.]+ [kM]B each, into ",
            r"^  items +6 for 1 rank; the largest has 4 sequences, 4 at a time$",
            r"^  to read +[\d.]+ kB, [\d.]+ times what is stored \([\d.]+ kB\)$",
            r"^  peak memory +[\d.]+ [kM]B a rank: two slabs of [\d.]+ [kM]B, "
            r"streams, scratch.*$",
            r"^  to compute +[\d.]+ MFLOP with f32 operands: .+$",
            r"^  time +.* at this machine's sgemm rate \([\d.]+ GFLOP/s\), if the disk keeps up$",
            r"^  on 8 ranks +2 nodes, 500 GFLOP/s a rank, 2\.15 GB/s read by a node: \d+ items, .*; ranks "
            r"are idle [\d.]+ % of it; [\d.]+ kB to read, a node at most [\d.]+ times what it needs")
        self.run("dry", "--ranks", "8").expect(2)
        check(not os.path.exists(self.root + "/dry.h5"), "a dry run wrote")
        check(not os.path.exists(self.root + "/dry.h5.parts"), "a dry run made a folder")

    def no_device(self):
        for option in (["--device", "cuda"], ["--device", "cuda", "--dtype", "bf16"]):
            ran = self.run("cuda", *option, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}).expect(3)
            has(ran, ran.err, r"^trace-ckpts: cannot compute on cuda: .+; --device cpu works$")
        for dtype in ("bf16", "f16"):
            ran = self.run("auto", "--dtype", dtype).expect(2)
            has(ran, ran.err, rf"^trace-ckpts: --dtype {dtype} needs a device; the CPU computes in "
                              "f32$")
        check(not os.path.exists(self.root + "/cuda.h5"), "a run without a device wrote")

    def summary_line(self):
        ran = self.run("summary").expect(0)
        has(ran, ran.err,
            r"^skipped 1 plain file \(README\.md\)$",
            r"^6 checkpoints, by step, from step_0 to step_500$",
            r"^calibration: 4 rows of 16 tokens from ids\.jsonl$",
            r"^traced 6 checkpoints in [^:]+: [\d.]+ k? ?tokens/s, [\d.]+ kB read, "
            r"[\d.e-]+ GFLOP/s \(\d+ % of this machine's sgemm rate\), \d+ % waiting for weights$",
            rf"^{re.escape(self.root)}/summary\.h5$")
        check(not ran.out, "stdout is for results:", ran)
        ran = self.run("summary").expect(0)
        has(ran, ran.err, r"^tracing 0 of 6",
            r"^traced 0 checkpoints in [^:]+, 6 were already there$")

    def quiet_and_verbose(self):
        ran = self.run("quiet", "-q").expect(0)
        check(not ran.err and not ran.out, ran)
        ran = self.run("verbose", "-v").expect(0)
        for i in range(6):
            has(ran, ran.err, rf"^step_{100 * i} traced in [\d.]+ s, [\d.]+ s of them "
                              "waiting for weights$")

    def long_tokens(self):
        """256 rows of 32 ids."""
        path = self.root + "/long.u16"
        tiny.write(path, b"".join(bytes([i % 256, 0]) for i in range(256 * 32)))
        return path

    def manifest(self):
        tiny.write(self.root + "/series.csv",
                   "path,step,tokens,stage\n" + "".join(
                       f"series/step_{100 * i},{10 - i},{1000 * i},main\n" for i in range(3)))
        out = self.root + "/manifest.h5"
        harness.run(self.programs["trace-ckpts"], "-i", self.root + "/series.csv", "-o", out,
                    "--tokens", self.root + "/ids.jsonl").expect(0)
        rows = harness.Store(self.programs["store_json"], out).rows
        check([(row["name"], row["step"], row["tokens_seen"], row["stage"]) for row in rows] ==
              [("step_200", 8, 2000, "main"), ("step_100", 9, 1000, "main"),
               ("step_0", 10, 0, "main")], rows)

    def tokens_per_step(self):
        self.run("unknown").expect(0)
        self.run("known", "--tokens-per-step", "24576").expect(0)
        read = [harness.Store(self.programs["store_json"], f"{self.root}/{name}.h5").rows[3]
                for name in ("unknown", "known")]
        check([row["tokens_seen"] for row in read] == [None, 300 * 24576], read)

    def demo(self):
        """The shipped series through all three programs, with a line of progress every second."""
        series, out = self.programs["series"], self.root + "/demo.h5"
        folders = [os.path.join(series, name) for name in os.listdir(series)]
        ran = harness.held([self.programs["trace-ckpts"], "--ckpts", *folders, "-o", out, "--samples",
                            "6", "--seq-len", "256", "--progress", "1", "-v"],
                           r"^step_\d+ traced in ", 1.2).expect(0)
        has(ran, ran.err,
            r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\] \d of 8 checkpoints, "
            r"[\d.]+ k? ?tokens/s, .+ left$")
        ran = harness.run(self.programs["trace-info"], out).expect(0)
        has(ran, ran.out, r"^  series +8 checkpoints, steps 0 to 6418",
            r"^  progress +8 complete", r"^  layers +10, each as attn, mlp and block$",
            r"^  calibration +6 sequences of 256 tokens$", r"^  model \* +llama layers=10")
        ran = harness.run(self.programs["trace-analyze"], out).expect(0)
        has(ran, " ".join(ran.out.split()),
            r"8 complete checkpoints, step 0 to step 6418; 10 layers; 6 sequences of 256 tokens\.")
        has(ran, ran.out, r"^== Attention ==$", r"^== MLP ==$",
            r"^ +0( +[\d.e-]+){6} +\d+%  \S{8}$")

    def idle_cores(self):
        """A rank bound to one of several cores: said once, with the option that helps."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2 or len(cores) != os.cpu_count():
            return "skipped: this needs a machine of two cores or more"
        bound = subprocess.run(self.command("idle"), env=harness.environment(None), check=True,
                               preexec_fn=lambda: os.sched_setaffinity(0, cores[:1]), text=True,
                               stdin=subprocess.DEVNULL, capture_output=True)
        said = [line for line in bound.stderr.splitlines() if "--bind-to none" in line]
        check(len(said) == 1, bound.stderr)
        check(re.fullmatch(rf"\S+: the rank may use 1 of {len(cores)} cores \(1 rank bound by the "
                           r"launcher\); mpirun --bind-to none uses them all", said[0]), said)
        ran = self.run("free", env=harness.environment(None)).expect(0)
        check("--bind-to" not in ran.err, ran)
        return None

    def processor_time(self):
        """Threads that have nothing to do wait and do not spin: with as many of them as cores, and
        with more, a tiny trace takes hardly more processor time than with one."""
        def seconds(threads):
            before = os.times()
            self.run(f"threads-{threads}", "--fresh", "-q",
                     env=harness.environment(threads)).expect(0)
            after = os.times()
            return (after.children_user + after.children_system
                    - before.children_user - before.children_system)

        cores = len(os.sched_getaffinity(0))
        one, all_cores, more = (min(seconds(threads) for _ in range(3))
                                for threads in (1, max(cores, 2), 4 * cores))
        told = (f"{one:.2f} s of processor time with one thread, {all_cores:.2f} s with one for "
                f"each core, {more:.2f} s with four")
        check(max(all_cores, more) < 1.8 * one, told)
        return told

    def stop(self, launcher, number, goes_on=False):
        """A signal in mid-series ends the run with 75; the same command then goes on."""
        out, count = f"{self.root}/stop-{number}-{len(launcher)}.h5", len(self.many)
        command = [*launcher, self.programs["trace-ckpts"], "--ckpts", *self.many, "-o", out,
                   "--tokens", self.long_tokens(), "-v"]
        job = subprocess.Popen(command, env=harness.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seen = []
        for line in job.stderr:
            seen.append(line)
            if line.startswith("step_0 traced in "):
                job.send_signal(number)
        job.wait()
        ran = harness.Result(command, job.returncode, "", "".join(seen)).expect(STOPPED)
        has(ran, ran.err, r"^stopping: finishing what is in flight$",
            rf"^\d+ of {count} checkpoints are done and kept; the same command goes on with the rest; "
            r"a checkpoint has taken a rank [\d.]+ s$")
        traced, failed, _ = harness.summary(ran)
        check(0 < traced < count and not failed, ran)
        check(len(harness.Store(self.programs["store_json"], out).rows) == traced, ran)
        has(ran, ran.err, rf"^traced {traced} checkpoints? in .*, {count - traced} of {count} left for the same command")
        info = harness.run(self.programs["trace-info"], out).expect(0)
        has(info, info.out, rf"^  progress +{traced} of {count} complete, 0 failed$")
        if goes_on:
            again = harness.run(*command).expect(0)
            check(harness.summary(again) == (count - traced, 0, traced), again)

    def stop_launcher(self, number):
        """Open MPI's mpirun ends its ranks soon and exits with 1: what is committed stays."""
        out, count = f"{self.root}/launcher-{number}.h5", len(self.many)
        command = [self.programs["mpirun"], "-n", "2", self.programs["trace-ckpts"], "--ckpts",
                   *self.many, "-o", out, "--tokens", self.long_tokens(), "-v"]
        job = subprocess.Popen(command, env=harness.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seen = []
        for line in job.stderr:
            seen.append(line)
            if line.startswith("step_0 traced in "):
                job.send_signal(number)
        job.wait()
        ran = harness.Result(command, job.returncode, "", "".join(seen))
        found = re.search(r"^(\d+) of (\d+) checkpoints are done and kept", ran.err, re.MULTILINE)
        kept = len(harness.committed(self.programs["store_json"], out))
        if kept == count and not found:
            return  # it was done before mpirun had ended its ranks
        check(found and int(found[2]) == count, ran)
        check(int(found[1]) <= kept and ran.code in (1, STOPPED), kept, ran)
        again = harness.run(*command).expect(0)
        check(harness.summary(again) == (count - kept, 0, kept), again)

    def time_limit(self):
        """Slurm's limit: the run begins no more in time, and the same command goes on."""
        out, count = f"{self.root}/limit.h5", len(self.many)
        command = [self.programs["trace-ckpts"], "--ckpts", *self.many, "-o", out, "--tokens",
                   self.long_tokens()]
        env = {**harness.environment(None), "SLURM_JOB_END_TIME": str(int(time.time()))}
        ran = harness.run(*command, env=env).expect(STOPPED)
        has(ran, ran.err, r"^stopping: the job's time ends in 0\.0 s, and a checkpoint takes ")
        check(harness.summary(ran) == (0, 0, 0), ran)
        for words in (["--time-limit", "0:00"], ["--time-limit", "1:60"], ["--time-limit", "soon"]):
            harness.run(*command, *words, env=env).expect(2)
        ran = harness.run(*command, "--time-limit", "1:00:00", env=env).expect(0)
        check(harness.summary(ran) == (count, 0, 0), ran)
        self.time_limit_of_waiting()

    def time_limit_of_waiting(self):
        """A followed run that waits for a checkpoint ends in time, too, and keeps what it has."""
        folder, out = f"{self.root}/followed", f"{self.root}/followed.h5"
        os.mkdir(folder)
        os.symlink(self.many[0], f"{folder}/{os.path.basename(self.many[0])}")
        command = [self.programs["trace-ckpts"], "--follow", "--ckpts", folder, "-o", out, "--tokens",
                   self.long_tokens()]
        begin = time.monotonic()
        ran = harness.run(*command, "--time-limit", "0:05").expect(STOPPED)
        check(time.monotonic() - begin < 60, "it waited longer than its limit:", ran)
        check(harness.summary(ran) == (1, 0, 0), ran)
        has(ran, ran.err, r"^stopping: the job's time ends in ",
            r"^1 of 1 checkpoints are done and kept; the same command goes on with the rest")
        check(len(harness.Store(self.programs["store_json"], out).rows) == 1, ran)

    def silence(self):
        """A rank that is stopped: it is told, the job ends, and loses what was in flight."""
        if "mpirun" not in self.programs:
            return "skipped: no mpirun"
        out, count = f"{self.root}/silence.h5", len(self.many)
        command = [self.programs["mpirun"], "-n", "2", self.programs["trace-ckpts"], "--ckpts",
                   *self.many, "-o", out, "--tokens", self.long_tokens(), "-v"]
        job = subprocess.Popen([*command, "--stall", "1", "--stall-limit", "3"],
                               env=harness.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seen = []
        for line in job.stderr:
            seen.append(line)
            if line.startswith("step_0 traced in "):
                os.kill(rank_1(job.pid), signal.SIGSTOP)
        job.wait()
        ran = harness.Result(command, job.returncode, "", "".join(seen)).expect(3)
        has(ran, ran.err, r"^rank 1 has said nothing for 1\.\d s; it is at step_\d+$",
            r"^rank 1 has said nothing for 3\.\d s; .+; the job is ended, and the same command goes on$")
        again = harness.run(*command).expect(0)
        traced, failed, there = harness.summary(again)
        check(traced + there == count and not failed and there, again)
        return None

    def signals(self):
        """What schedulers, terminals and limits send."""
        self.stop([], signal.SIGTERM, goes_on=True)
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGXCPU):
            self.stop([], number)
        if "mpirun" in self.programs:
            self.stop([self.programs["mpirun"], "-n", "2"], signal.SIGUSR1, goes_on=True)
            for number in (signal.SIGTERM, signal.SIGINT):
                self.stop_launcher(number)


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    names = ("help", "usage", "dry_run", "no_device", "summary_line", "quiet_and_verbose",
             "manifest", "tokens_per_step", "demo", "idle_cores", "processor_time", "time_limit",
             "silence", "signals")
    with harness.scratch() as root:
        cases = Cases(programs, root)
        return harness.run_cases([(name.replace("_", " "), getattr(cases, name))
                                  for name in names], only)


if __name__ == "__main__":
    sys.exit(main())

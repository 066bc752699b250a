#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""trace-ckpts --follow beside training programs that write checkpoints slowly, each in its own order
(trainer_writers.py): every one is traced once, none before it was whole, none is lost.

    test_follow.py NAME=PROGRAM ... fixtures=FOLDER [only=WRITER,...] [pause=SECONDS] [ranks=N]
                   [mpirun=PROGRAM] [kill=yes]

A row's identity has the sizes and times of the files that were read. So a store that was made
meanwhile is compared with one of the finished run: what was read too early differs.
kill=yes: the tracer is killed behind the first checkpoint and started again."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import harness  # noqa: E402
from trainer_writers import WRITERS  # noqa: E402


class Follower:
    """The tracer, started and read line by line."""

    def __init__(self, command, env):
        with open(os.devnull, "rb") as nothing:
            self.process = subprocess.Popen(command, env=env, stdin=nothing, text=True,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.lines = []
        self.traced = []  # (name, time)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if " traced in " in line:
                self.traced.append((line.split(" traced in ")[0], time.time()))

    def wait(self, what, seconds=60):
        end = time.time() + seconds
        while not what(self) and self.process.poll() is None and time.time() < end:
            time.sleep(0.02)
        harness.check(what(self), "waited in vain:", "\n".join(self.lines))

    def end(self, seconds=60):
        code = self.process.wait(seconds)
        self.reader.join()
        return code


class Case:
    def __init__(self, arguments, name, work):
        self.arguments, self.work = arguments, os.path.join(work, name)
        self.run = os.path.join(self.work, "run")
        os.makedirs(self.run)
        self.writer = WRITERS[name](arguments["fixtures"], self.run)
        self.pause = float(arguments.get("pause", 0.3))
        self.out = os.path.join(self.work, "out.h5")
        self.followers = []
        self.writer.traced = lambda: {name for name, _ in self.traced()}

    def traced(self):
        return [pair for follower in self.followers for pair in follower.traced]

    def command(self, *options, ranks=1):
        launch = [self.arguments["mpirun"], "-n", str(ranks)] if ranks > 1 else []
        tokens = os.path.join(self.work, "tokens.u16")
        with open(tokens, "wb") as file:
            file.write(bytes(part for i in range(512) for part in (i * 7 % 37, 0)))
        command = [*launch, self.arguments["trace-ckpts"], *options, "--tokens", tokens, "--seq-len",
                   "32", "--samples", "16"]
        if self.writer.needs_config:
            path = os.path.join(self.work, "config.json")
            fixture = os.path.join(self.arguments["fixtures"], self.writer.fixture)
            with open(os.path.join(fixture, "expected.json"), encoding="utf-8") as file:
                config = json.load(file)["config"]
            with open(path, "w", encoding="utf-8") as file:
                json.dump(config, file)
            command += ["--config", path]
        return command

    def start(self):
        env = harness.environment(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                                  OMPI_MCA_rmaps_base_oversubscribe="1",
                                  OMPI_MCA_hwloc_base_binding_policy="none")
        ranks = int(self.arguments.get("ranks", 1))
        idle = self.writer.idle + 6 * (ranks > 1)
        self.followers.append(Follower(
            self.command("--follow", "--until", f"idle={idle}", "-v", "--ckpts",
                         self.run, "-o", self.out, ranks=ranks), env))

    def write(self):
        for pause in self.writer.series():
            time.sleep(pause or self.pause)

    def kill_and_resume(self):
        self.followers[0].wait(lambda follower: follower.traced)
        self.followers[0].process.send_signal(signal.SIGKILL)
        self.followers[0].end()
        self.start()

    def follow(self):
        self.start()
        if self.writer.waits:
            self.followers[0].wait(lambda follower: follower.lines)
        writes = threading.Thread(target=self.write)
        writes.start()
        if "kill" in self.arguments:
            self.kill_and_resume()
        writes.join()
        code = self.followers[-1].end()
        harness.check(code == 0, "exit", code, "\n".join(self.followers[-1].lines))

    def check(self):
        lines = "\n".join(line for follower in self.followers for line in follower.lines)
        traced = [name for name, _ in self.traced()]
        harness.check(sorted(traced) == sorted(self.writer.whole), "traced are", traced, "of",
                      self.writer.whole, "\n" + lines)
        harness.check(" failed" not in lines, lines)
        rows = harness.Store(self.arguments["store_json"], self.out).rows
        harness.check(sorted(row["name"] for row in rows) == sorted(set(traced)), rows)
        left = list(zip(self.writer.whole, self.writer.times))
        for name, then in self.traced():
            whole = next(pair for pair in left if pair[0] == name)
            left.remove(whole)
            harness.check(then >= whole[1], name, "was traced before it was whole\n" + lines)
        paths = [os.path.join(self.run, name) for name in sorted(set(self.writer.whole))]
        if all(os.path.exists(path) for path in paths):
            self.compare(paths)

    def compare(self, paths):
        """With the store of the finished run."""
        whole = os.path.join(self.work, "whole.h5")
        harness.run(*self.command("-q", "--ckpts", *paths, "-o", whole)).expect(0)
        told = harness.run(self.arguments["same_store"], self.out, whole)
        harness.check(set(told.out.splitlines()) <= {"/:planned is only in the second"}, told)


def main():
    arguments = dict(argument.split("=", 1) for argument in sys.argv[1:])
    names = arguments.get("only", ",".join(WRITERS)).split(",")
    failures, threads = [], []

    def one(name, work):
        try:
            case = Case(arguments, name, work)
            case.follow()
            case.check()
            print(f"ok      {name}", flush=True)
        except (harness.Failure, subprocess.TimeoutExpired) as failure:
            failures.append(name)
            print(f"FAILED  {name}: {failure}", flush=True)

    with harness.scratch() as work:
        for name in names:
            threads.append(threading.Thread(target=one, args=(name, work)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

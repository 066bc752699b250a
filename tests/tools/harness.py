# SPDX-License-Identifier: Apache-2.0
"""What the tests of the programs share: running one, looking into a store, a folder of one's own.

Programs come as NAME=PATH arguments (trace-ckpts=/path/trace-ckpts ...), see trace_python_test in
tests/tools/CMakeLists.txt."""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor


class Failure(Exception):
    """A test found something wrong; the text says what."""


def check(condition, *told):
    if not condition:
        raise Failure(" ".join(str(part) for part in told))


class Result:
    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def __str__(self):
        command = " ".join(self.command)
        if len(command) > 400:
            command = command[:200] + " ... " + command[-200:]
        return f"{command}\nexit {self.code}\n{self.out}{self.err}"

    def expect(self, code):
        check(self.code == code, f"exit {code} was expected:", self)
        return self


def environment(threads=1, **more):
    """The caller's, with so many threads (None: the program's own choice), in the C locale."""
    env = dict(os.environ, LC_ALL="C.UTF-8", **more)
    env.pop("OMP_NUM_THREADS", None)
    if threads:
        env["OMP_NUM_THREADS"] = str(threads)
    return env


def run(*command, env=None, cwd=None, timeout=240):
    command = [str(part) for part in command]
    env = dict(env or environment())
    if "cuda" not in command:  # a GPU of this machine is no part of the test
        env["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(command, env=env, cwd=cwd, timeout=timeout, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, errors="replace",
                          check=False)
    return Result(command, done.returncode, done.stdout, done.stderr)


def held(command, at, seconds):
    """Runs a command and holds its process for so long after the first line of stderr that matches
    `at`: then it takes that long on any machine."""
    command = [str(part) for part in command]
    with subprocess.Popen(command, env={**environment(), "CUDA_VISIBLE_DEVICES": ""},
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as job:
        seen = []
        for line in job.stderr:
            if re.search(at, line) and not any(re.search(at, one) for one in seen):
                job.send_signal(signal.SIGSTOP)
                time.sleep(seconds)
                job.send_signal(signal.SIGCONT)
            seen.append(line)
    return Result(command, job.returncode, "", "".join(seen))


class Store:
    """A store or part, read through the program store_json."""

    def __init__(self, program, path, *variables):
        whole, = json.loads(run(program, path, "-v", *variables).expect(0).out)
        self.layers, self.sequences, self.seq_len = (
            whole["layers"], whole["sequences"], whole["seq_len"])
        self.rows = whole["rows"]
        self.names = [row["name"] for row in self.rows]

    def row(self, name):
        return self.rows[self.names.index(name)]


def committed(store_json, out):
    """Names of the checkpoints that are in OUT or in a part: what no later run computes again."""
    paths = [out] if os.path.exists(out) else []
    folder = out + ".parts"
    if os.path.isdir(folder):
        paths += [os.path.join(folder, name) for name in os.listdir(folder)
                  if name.endswith(".h5") and not name.startswith(".")]
    stores = json.loads(run(store_json, *paths).expect(0).out) if paths else []
    return {row["name"] for store in stores for row in store["rows"]}


def summary(result):
    """(traced, failed, already there) as the summary says."""
    found = re.search(r"^traced (\d+) checkpoints? in [^,:\n]*(?:, (\d+) failed)?"
                      r"(?:, (\d+) (?:was|were) already there)?", result.err, re.MULTILINE)
    check(found, "no summary line:", result)
    return tuple(int(group or 0) for group in found.groups())


@contextlib.contextmanager
def scratch(keep=False):
    """A folder that is gone afterwards."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="trace-test-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def programs(arguments):
    """NAME=PATH arguments as a dict; the paths made absolute."""
    return {name: os.path.abspath(path) for name, _, path in
            (argument.partition("=") for argument in arguments)}


def share(samples, part):
    """Of samples those that the part "IofN" (I from 0 on) of a campaign takes."""
    first, _, step = part.partition("of")
    return samples[int(first)::int(step)]


def side_by_side(jobs, function, items, every=100):
    """function(item, lane) for each item, as many as `jobs` at a time, no two of them in one lane
    0 ... jobs - 1; what they return. What is wrong is told at once, and fails at the end."""
    lanes, found, wrong = queue.SimpleQueue(), [], []
    for lane in range(jobs):
        lanes.put(lane)

    def one(item):
        lane = lanes.get()
        try:
            found.append(function(item, lane))
        except Failure as failure:
            wrong.append(item)
            print(f"wrong: {item}: {failure}", flush=True)
        finally:
            lanes.put(lane)
        if (len(found) + len(wrong)) % every == 0:
            print(f"    {len(found)} right, {len(wrong)} wrong", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, items))
    check(not wrong, len(wrong), "of", len(items), "wrong:", wrong)
    return found


def run_cases(cases, chosen=""):
    """Runs (name, function) pairs; prints one line each; the exit code for all."""
    failed = 0
    cases = [(name, case) for name, case in cases if chosen in name]
    if not cases:
        print(f"no case is called {chosen!r}")
        return 1
    for name, case in cases:
        start = time.monotonic()
        try:
            note = case()
            print(f"ok      {name}{': ' + note if note else ''}, {time.monotonic() - start:.1f} s",
                  flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAILED  {name}\n    " + str(failure).replace("\n", "\n    "), flush=True)
    print(f"{failed} failed" if failed else "all well")
    return 1 if failed else 0

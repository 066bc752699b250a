# SPDX-License-Identifier: Apache-2.0
"""The recipes of mpi/slurm on a real Slurm of two nodes on this machine: whatever ends the job, it
queues again until all is traced, and the store is the one of an undisturbed run.

test_slurm.py NAME=PATH... recipes=mpi/slurm: trace-ckpts, fake_trace_ckpts, same_store. Exits with 77
where there is no Slurm, or not root."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

CLUSTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cluster.sh")
CHECKPOINTS, ROWS, LENGTH = 120, 512, 32


class Cluster:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.env = {**os.environ, "SLURM_CONF": root + "/slurm/slurm.conf",
                    "PATH": os.path.dirname(programs["trace-ckpts"]) + ":" + os.environ["PATH"],
                    # Two nodes of one host would take each other's shared memory for their own.
                    "OMPI_MCA_btl": "self,tcp",
                    **{name: "1" for name in ("OMPI_ALLOW_RUN_AS_ROOT",
                                              "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMP_NUM_THREADS")}}
        tiny.write(root + "/ids.u16",
                   b"".join(bytes([i % 251, 0]) for i in range(ROWS * LENGTH)))
        self.folders = tiny.write_series(root + "/series", CHECKPOINTS)
        self.options = ["--tokens", root + "/ids.u16", "--seq-len", str(LENGTH), "-v", "--publish", "0"]
        self.whole = root + "/whole.h5"
        harness.run(programs["trace-ckpts"], "-o", self.whole, "--ckpts", *self.folders,
                    *self.options, env=harness.environment(1)).expect(0)

    def call(self, *words):
        return subprocess.run([str(word) for word in words], env=self.env, check=True, text=True,
                              capture_output=True).stdout.strip()

    def submit(self, name, *flags, recipe="cpu", options=()):
        """(job, store, log) of a recipe that is told of nodes of one slot each."""
        out, log = f"{self.root}/{name}.h5", f"{self.root}/{name}.log"
        job = self.call("sbatch", "--parsable", "-o", log, "--ntasks-per-node=1", "--cpus-per-task=1",
                        "--time=10", *flags, f"{self.programs['recipes']}/{recipe}.sbatch", out,
                        *self.folders, *self.options, *options)
        return job, out, log

    def state(self, job):
        return self.call("scontrol", "show", "job", job).split("JobState=")[1].split()[0]

    @contextlib.contextmanager
    def held(self, job):
        """The job's tasks stand still meanwhile, so that it is not over sooner on a fast machine."""
        tasks = self.tasks_of(job)
        for task in tasks:
            os.kill(task, signal.SIGSTOP)
        try:
            yield
        finally:
            for task in tasks:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(task, signal.SIGCONT)

    @staticmethod
    def wait_until(condition, told, seconds=60):
        end = time.time() + seconds
        while not condition():
            check(time.time() < end, *told())
            time.sleep(0.2)

    def wait_for(self, job, log, text, seconds=90):
        """Until the log has the text that often, or the job is over."""
        end = time.time() + seconds
        while time.time() < end:
            if os.path.exists(log) and text in open(log, encoding="utf-8").read():
                return
            time.sleep(0.05)
        said = open(log, encoding="utf-8").read() if os.path.exists(log) else "no log"
        raise harness.Failure(f"job {job} is {self.state(job)} and never said {text!r}: {said[-3000:]}")

    def end_of(self, job, log, seconds=240):
        ends = "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"
        self.wait_until(lambda: self.state(job) in ends,
                        lambda: ["job", job, "is", self.state(job)], seconds)
        said = open(log, encoding="utf-8").read()
        check(self.state(job) == "COMPLETED", self.state(job), said[-3000:])
        return said

    def finish(self, job, out, log):
        said = self.end_of(job, log)
        harness.run(self.programs["same_store"], out, self.whole).expect(0)
        check(not os.path.exists(out + ".parts"), "parts are left")
        return said

    def requeue_now(self, *jobs):
        """A job that queues again waits two minutes before it begins; an operator may hurry it, but
        not so much that Slurm's PMIx still has the first run's folder of the same name."""
        self.wait_until(lambda: all(self.state(job) == "PENDING" for job in jobs),
                        lambda: [*jobs, "were not queued again:", *map(self.state, jobs)])
        time.sleep(4)
        for job in jobs:
            self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    # ---- cases ---------------------------------------------------------------------------------

    def to_its_end(self):
        said = self.finish(*self.submit("whole-job"))
        check("on 2 ranks" in said, said)

    def usr1(self):
        """To a job, and beside it to one of an array of three shards in one file: it alone queues
        again."""
        array, shared, task_log = self.submit("array", "--array=1-3", recipe="array")
        self.wait_for(array, task_log, "step_300 traced")
        self.call("scancel", "--batch", "--signal=USR1", array + "_1")
        job, out, log = self.submit("usr1")
        self.wait_for(job, log, "step_300 traced")
        self.call("scancel", "--batch", "--signal=USR1", job)
        self.wait_for(job, log, "stopping: finishing what is in flight")
        self.requeue_now(job, array + "_1")
        said = self.finish(job, out, log)
        check("were already there" in said, said)
        for task in ("_1", "_2", "_3"):
            self.end_of(array + task, task_log)
        said = self.finish(array + "_3", shared, task_log)
        check("stopping: finishing what is in flight" in said and "shard 3 of 3: 40" in said, said)

    def time_limit(self):
        """One minute of Slurm's, of which less than a checkpoint takes is left: see the recipe."""
        job, out, log = self.submit("limit")
        self.wait_for(job, log, "step_300 traced")
        self.call("scancel", job)
        again = self.call("sbatch", "--parsable", "-o", log + "2", "-N2", "--ntasks-per-node=1",
                          "--time=10", "--wrap",
                          "srun --mpi=pmix trace-ckpts --time-limit 0-00:00:01 -o " + out +
                          " --ckpts " + " ".join(self.folders + self.options) + "; echo status $?")
        self.wait_for(again, log + "2", "status ")
        check("status 75" in open(log + "2", encoding="utf-8").read(), "no 75")
        self.finish(*self.submit("limit"))

    def preemption(self):
        job, out, log = self.submit("preempted")
        self.wait_for(job, log, "step_300 traced")
        with self.held(job):
            other = self.call("sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "--time=1",
                              "-o", "/dev/null", "--wrap", "sleep 2")
            self.wait_until(lambda: "PreemptTime=None" not in self.call("scontrol", "show", "job", job),
                            lambda: ["job", job, "is not preempted:", self.state(job)])
        self.requeue_now(job)
        said = self.finish(job, out, log)
        check("were already there" in said and self.state(other) == "COMPLETED", said)

    def gpus(self):
        """A rank on each of four seeming GPUs (tests/tools/fake_visible.c), two on a node: Slurm says
        which a task sees, USR1 has the job queue again, and the store is that of one rank."""
        out = self.root + "/gpu-whole.h5"
        options = [*self.options, "--device", "cuda", "--dtype", "f32"]
        harness.run(self.programs["fake_trace_ckpts"], "-o", out, "--ckpts", *self.folders, *options,
                    env=harness.environment(1, FAKE_DEVICES="a")).expect(0)
        job, store, log = self.submit("gpus", "--ntasks-per-node=2", "--gpus-per-node=2",
                                      "--export=ALL,PATH=" + self.with_devices(), recipe="gpu",
                                      options=("--dtype", "f32"))
        self.wait_for(job, log, "step_300 traced")
        self.call("scancel", "--batch", "--signal=USR1", job)
        self.wait_for(job, log, "stopping: finishing what is in flight")
        self.requeue_now(job)
        said = self.end_of(job, log)
        for node in ("n1", "n2"):
            check(said.count(f"task on {node} sees 0,1") == 4, said)
        check("on 4 ranks" in said and "1 rank on fake" in said and "2 ranks on fake" not in said, said)
        harness.run(self.programs["same_store"], store, out).expect(0)

    def with_devices(self):
        """A PATH on which trace-ckpts sees the devices of its node that Slurm lets its task see."""
        folder = self.root + "/gpu-bin"
        os.mkdir(folder)
        tiny.write(folder + "/trace-ckpts",
                   '#!/bin/bash\necho "task on $SLURMD_NODENAME sees $CUDA_VISIBLE_DEVICES" >&2\n'
                   'letters=abcd; first=$((${SLURMD_NODENAME#n} * 2 - 2)); FAKE_DEVICES=\n'
                   'for index in ${CUDA_VISIBLE_DEVICES//,/ }; do\n'
                   '  FAKE_DEVICES+=${letters:first + index:1}\ndone\nexport FAKE_DEVICES\n'
                   f'exec {self.programs["fake_trace_ckpts"]} "$@"\n')
        os.chmod(folder + "/trace-ckpts", 0o755)
        return folder + ":" + self.env["PATH"]

    def tasks(self):
        """Tasks that are jobs of their own: one is killed for good, the others do its work."""
        job, out, log = self.submit("tasks", recipe="tasks")
        self.wait_for(job, log, "step_300 traced")
        os.kill(self.tasks_of(job, 1)[0], signal.SIGKILL)
        said = self.finish(job, out, log)
        check("shard 2 of 2 was left by a job that is no more" in said, said)

    def tasks_of(self, job, rank=None):
        """The processes of a job's tasks, or of one of them."""
        wanted = {f"SLURM_JOB_ID={job}".encode()}
        if rank is not None:
            wanted.add(f"SLURM_PROCID={rank}".encode())
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it is over, or no process of ours
                if (os.readlink(f"/proc/{pid}/exe") == os.path.realpath(self.programs["trace-ckpts"])
                        and wanted <= set(tiny.read(f"/proc/{pid}/environ").split(b"\0"))):
                    found.append(int(pid))
        check(found, "job", job, "has no task", "" if rank is None else rank)
        return found

    def killed_rank(self):
        """SIGKILL to a task: the step ends, the job fails, and the same command goes on."""
        job, out, log = self.submit("killed")
        self.wait_for(job, log, "step_300 traced")
        self.call("scancel", "--signal=KILL", job + ".0")
        self.wait_until(lambda: self.state(job) in ("FAILED", "COMPLETED", "CANCELLED"),
                        lambda: ["job", job, "is", self.state(job)])
        said = self.finish(*self.submit("killed"))
        check("were already there" in said, said)


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    missing = [name for name in ("slurmctld", "slurmd", "munged", "unshare")
               if not shutil.which(name) and not os.path.exists("/usr/sbin/" + name)]
    if missing or os.geteuid():
        print("skipped:", ", ".join(missing) + " is missing" if missing else "this needs root")
        return 77
    names = ("to_its_end", "usr1", "time_limit", "preemption", "killed_rank", "gpus", "tasks")
    with harness.scratch() as root:
        subprocess.run([CLUSTER, "start", root + "/slurm"], check=True)
        try:
            cluster = Cluster(programs, root)
            return harness.run_cases([(name.replace("_", " "), getattr(cluster, name))
                                      for name in names], only)
        finally:
            subprocess.run([CLUSTER, "stop", root + "/slurm"], check=True)


if __name__ == "__main__":
    sys.exit(main())

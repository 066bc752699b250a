# SPDX-License-Identifier: Apache-2.0
"""The recipes of mpi/slurm on a real Slurm of two nodes on this machine: whatever ends the job, it
queues again until all is traced, and the store is the one of an undisturbed run.

test_slurm.py NAME=PATH... series=FOLDER recipes=mpi/slurm: trace-ckpts, same_store. Exits with 77
where there is no Slurm, or not root."""

import os
import shutil
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

CLUSTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cluster.sh")
CHECKPOINTS, ROWS, LENGTH = 120, 256, 32


class Cluster:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.env = {**os.environ, "SLURM_CONF": root + "/slurm/slurm.conf",
                    "PATH": os.path.dirname(programs["trace-ckpts"]) + ":" + os.environ["PATH"],
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

    def submit(self, name, *flags, recipe="cpu"):
        """(job, store, log) of a recipe that is told of nodes of one slot each."""
        out, log = f"{self.root}/{name}.h5", f"{self.root}/{name}.log"
        job = self.call("sbatch", "--parsable", "-o", log, "--ntasks-per-node=1", "--cpus-per-task=1",
                        "--time=10", *flags, f"{self.programs['recipes']}/{recipe}.sbatch", out,
                        *self.folders, *self.options)
        return job, out, log

    def state(self, job):
        return self.call("scontrol", "show", "job", job).split("JobState=")[1].split()[0]

    def wait_for(self, job, log, text, seconds=90):
        """Until the log has the text that often, or the job is over."""
        end = time.time() + seconds
        while time.time() < end:
            if os.path.exists(log) and text in open(log, encoding="utf-8").read():
                return
            time.sleep(0.05)
        raise harness.Failure(f"job {job} never said {text!r}")

    def end_of(self, job, log, seconds=240):
        end = time.time() + seconds
        while self.state(job) not in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"):
            check(time.time() < end, "job", job, "is", self.state(job))
            time.sleep(0.3)
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
        end = time.time() + 60
        while any(self.state(job) != "PENDING" for job in jobs):
            check(time.time() < end, *jobs, "were not queued again:", *map(self.state, jobs))
            time.sleep(0.2)
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
        other = self.call("sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "--time=1",
                          "-o", "/dev/null", "--wrap", "sleep 2")
        self.requeue_now(job)
        said = self.finish(job, out, log)
        check("were already there" in said and self.state(other) == "COMPLETED", said)

    def killed_rank(self):
        """SIGKILL to a task: the step ends, the job fails, and the same command goes on."""
        job, out, log = self.submit("killed")
        self.wait_for(job, log, "step_300 traced")
        self.call("scancel", "--signal=KILL", job + ".0")
        end = time.time() + 60
        while self.state(job) not in ("FAILED", "COMPLETED", "CANCELLED"):
            check(time.time() < end, "job", job, "is", self.state(job))
            time.sleep(0.3)
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
    names = ("to_its_end", "usr1", "time_limit", "preemption", "killed_rank")
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

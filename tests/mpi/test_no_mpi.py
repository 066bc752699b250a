#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program without MPI that a launcher started several times says so, once, and stops; one with MPI
starts it only where a launcher started the program.

    test_no_mpi.py serial_trace_ckpts=PATH [trace-ckpts=PATH]
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

import harness
import tiny_checkpoint as tiny
from harness import check

LAUNCHERS = (("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"),
             ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"))


class Cases:
    def __init__(self, program, root):
        self.program, self.root = program, root
        self.folders = tiny.write_series(root, 2)
        tiny.write_tokens(root + "/ids.jsonl", 2, 16)

    def run(self, **variables):
        env = {name: value for name, value in harness.environment().items()
               if not name.startswith(("OMPI_COMM", "PMI_", "PMIX_", "SLURM_"))}
        return harness.run(self.program, "--ckpts", *self.folders, "--tokens",
                           self.root + "/ids.jsonl", "-o", self.root + "/out.h5",
                           env={**env, **variables})

    def stops(self):
        for count, rank in LAUNCHERS:
            ran = self.run(**{count: "4", rank: "0"}).expect(3)
            check(ran.err == "trace-ckpts: this program was built without MPI, but a launcher "
                             f"started it 4 times ({count}): start it once, or build it with MPI\n",
                  ran)
            ran = self.run(**{count: "4", rank: "3"}).expect(3)
            check(not ran.err + ran.out, "another than the first speaks:", ran)
        check(not os.path.exists(self.root + "/out.h5.parts"), "it began all the same")

    def runs(self):
        """Alone, under a launcher of one, and in a batch script of a job of many tasks."""
        for variables in ({}, {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
                          {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}):
            ran = self.run(**variables).expect(0)
            told = "1 rank in a job of 4 tasks (SLURM_NTASKS): srun --mpi=pmix, or mpirun, starts"
            check((told in ran.err) == ("SLURM_NTASKS" in variables), ran)

    def alone_together(self):
        """With MPI, as one of several tasks of a launcher that this MPI knows nothing of."""
        for rank in ("0", "1"):
            ran = self.run(SLURM_STEP_NUM_TASKS="2", SLURM_PROCID=rank).expect(3)
            told = "trace-ckpts: a launcher started this program 2 times (SLURM_STEP_NUM_TASKS), but"
            check(told in ran.err if rank == "0" else not ran.err, ran)
        self.run(SLURM_STEP_NUM_TASKS="2", SLURM_PROCID="1", TRACE_MPI="0").expect(0)

    def by_hand(self):
        """An MPI that cannot start is not missed, unless it is asked for."""
        broken = {"OMPI_MCA_pml": "none-of-them", "OMPI_MCA_mpi_abort_print_stack": "0"}
        self.run(**broken).expect(0)
        ran = self.run(TRACE_MPI="1", **broken)
        # Its own word for what is missing can get lost between its processes on a busy machine.
        told = any(word in ran.err for word in ("none-of-them", "ORTE_ERROR_LOG"))
        check(ran.code != 0 and told, "MPI was not started:", ran)


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as root:
        cases = Cases(programs["serial_trace_ckpts"], root)
        steps = [("stops", cases.stops), ("runs", cases.runs)]
        if "trace-ckpts" in programs:
            with_mpi = Cases(programs["trace-ckpts"], root + "/mpi")
            steps += [("by hand", with_mpi.by_hand), ("alone together", with_mpi.alone_together)]
        return harness.run_cases(steps)


if __name__ == "__main__":
    sys.exit(main())

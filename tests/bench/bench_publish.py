# SPDX-License-Identifier: Apache-2.0
"""Whether time per checkpoint grows with their number: thousands of tiny ones in one run.

bench_publish.py trace-ckpts=PATH [checkpoints=5000] [publish=60]. The checkpoints are hard links to
one of 0.1 M parameters. Prints CSV: for each tenth of the series the time of a checkpoint on average,
by the clock and of the processor, which other work on the machine does not lengthen, from the moments
of -v's lines; then what the last tenth takes over the first."""

import os
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny

SHAPE = {"hidden_size": 48, "intermediate_size": 128, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 4}


def series(root, count):
    """Folders that share the files of one checkpoint, but for their config: 0.1 M parameters."""
    first = root + "/model"
    tiny.write_checkpoint(first, tokenizer=False, **SHAPE)
    folders = []
    for step in range(count):
        folder = f"{root}/series/step_{step}"
        os.makedirs(folder)
        for name in os.listdir(first):
            os.link(f"{first}/{name}", f"{folder}/{name}")
        folders.append(folder)
    with open(root + "/series.csv", "w", encoding="utf-8") as file:
        file.write("path\n" + "".join(folder + "\n" for folder in folders))
    return root + "/series.csv"


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def times(command, tenth):
    """(clock, processor) at which each checkpoint was said to be traced, and at the end; prints what
    those of each tenth took."""
    start, ends, said = time.monotonic(), [], []
    with subprocess.Popen(command, env=harness.environment(), stderr=subprocess.PIPE, text=True,
                          bufsize=1) as job:
        for line in job.stderr:
            now = time.monotonic() - start, processor_seconds(job.pid)
            said.append(line)
            if " traced in " not in line:
                continue
            ends.append(now)
            if len(ends) % tenth == 0:
                print(f"{len(ends) // tenth} of 10," + ",".join(
                    f"{value:.2f}" for value in each(ends[-tenth:])), flush=True)
    if job.returncode:
        raise harness.Failure("".join(said[-5:]))
    return ends, (time.monotonic() - start, now[1])


def each(ends):
    """Milliseconds of a checkpoint, by the clock and of the processor."""
    return [1000 * (last - first) / (len(ends) - 1) for first, last in zip(ends[0], ends[-1])]


def main():
    programs = harness.programs(sys.argv[1:])
    count, publish = (int(os.path.basename(programs.get(name, fallback)))
                      for name, fallback in (("checkpoints", "5000"), ("publish", "60")))
    with harness.scratch() as root:
        tiny.write_tokens(root + "/ids.jsonl", 2, 16)
        manifest, tenth = series(root, count), count // 10
        print("part,clock_ms_per_checkpoint,processor_ms_per_checkpoint", flush=True)
        ends, whole = times([programs["trace-ckpts"], "-i", manifest, "-o", root + "/out.h5", "-v",
                             "--tokens", root + "/ids.jsonl", "--publish", str(publish),
                             "--progress", "0"], tenth)
        print("last over first," + ",".join(f"{b / a:.3f}" for a, b in zip(each(ends[:tenth]), each(ends[-tenth:]))))
        print(f"before the first,{1000 * ends[0][0]:.0f},{1000 * ends[0][1]:.0f}")
        print("behind the last," + ",".join(f"{1000 * (b - a):.0f}"
                                            for a, b in zip(ends[-1], whole)))


if __name__ == "__main__":
    sys.exit(main())

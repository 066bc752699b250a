# SPDX-License-Identifier: Apache-2.0
"""Runs whole what the tests sample, on as many cores as there are and for as long as there is time.

    whole.py OUT SECONDS NAME=PROCESSES... [--first N] [--bin build/release/bin] [--fuzz PATH]
             [--corpora FILE] [--models 34] [--seed 1]

NAME is a fuzz target (config, tokenizer, ...; fuzz: all; others: all but these two), or
    inject   each call on a file fails, once and from then on, and each allocation; one process
    ranks    the same of two ranks
    writers  trace-drop write dies or fails at each call
    damage   2,000 random and 1,000 aimed damages of stores, and 300 of stores without a seal
    configs  random models of each family with changed configurations, beside transformers
    forward  random models of each family as they are, beside transformers
and PROCESSES says how many work at it; all campaigns run at the same time. Prints a line for each,
keeps the logs in OUT/logs.tar.gz, and in OUT/found.tar.gz what a fuzzer crashed on or a store that was
answered wrongly. A fuzzer's input has two seconds. Work is a list of parts, done in its order;
--first leaves out those that an earlier call has done. The fuzz targets come from --fuzz: a build
folder (build/fuzz, which pack.sh makes where it is not there), or the archive that pack.sh makes for machines without
clang. --corpora goes on from OUT/corpora.tar.gz of an earlier call."""

import argparse
import collections
import os
import queue
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = 100   # of a campaign whose work can be cut
PARTS_OF_RANKS = 400  # of which a failure takes seconds of waiting
SLICE = 30    # seconds of a fuzz target, then the next
MOST_READ = ("config", "tokenizer")


class Part:
    """A command that is one piece of a campaign; its log, its exit status and its seconds of CPU."""

    def __init__(self, name, command, seconds=None, variables=()):
        self.name, self.command, self.seconds = name, command, seconds
        self.variables = dict(variables)
        self.code = self.cpu = self.log = None

    def run(self, settings, number):
        """Ends by itself or with the campaign's time, when its code is None."""
        left = settings.end - time.monotonic()
        if self.seconds:
            left = min(left, self.seconds)
        log = settings.work / "logs" / f"{self.name}-{number}.txt"
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [str(word).replace("{seconds}", f"{left:.0f}") for word in self.command], cwd=ROOT,
                env=os.environ | self.variables, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True, preexec_fn=lambda: os.nice(5))
            timer = threading.Timer(left + (15 if self.seconds else 0), kill, [process])
            timer.start()
            _, status, used = os.wait4(process.pid, 0)
            was_late = not timer.is_alive()
            timer.cancel()
            kill(process)  # what it left running
        process.returncode = os.waitstatus_to_exitcode(status)
        self.code = None if was_late else process.returncode
        self.cpu = used.ru_utime + used.ru_stime
        self.log = log.read_text(errors="replace")


def kill(process):
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass


class Campaign:
    """`processes` threads that take one part after another; `describe` makes a line of those done."""

    def __init__(self, name, processes, parts, describe):
        self.name, self.processes, self.describe = name, processes, describe
        self.waiting, self.done = queue.SimpleQueue(), []
        self.count = 0
        for part in parts:
            self.waiting.put((self.count, part))
            self.count += 1

    def work(self, settings):
        while settings.end - time.monotonic() > 2:
            try:
                number, part = self.waiting.get_nowait()
            except queue.Empty:
                return
            part.run(settings, number)
            self.done.append(part)

    def start(self, settings):
        threads = [threading.Thread(target=self.work, args=[settings])
                   for _ in range(self.processes)]
        for thread in threads:
            thread.start()
        return threads

    def line(self):
        cpu = sum(part.cpu for part in self.done)
        return f"{self.name}: {self.describe(self)}, {cpu:.0f} s of CPU"


# ---- fuzz targets ---------------------------------------------------------------------------------

def target_names():
    text = (ROOT / "tests/fuzz/CMakeLists.txt").read_text()
    return re.findall(r"^trace_fuzz_target\((\w+) ", text, re.MULTILINE)


def unpack(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def find_targets(settings):
    """The folder with bin/fuzz_* and lib/, and what has to stand before a command."""
    if settings.fuzz.is_file():
        unpack(settings.fuzz, settings.work / "fuzz")
        settings.fuzz = settings.work / "fuzz"
    elif not (settings.fuzz / "bin/fuzz_config").exists():
        subprocess.run([ROOT / "tests/campaign/pack.sh"], check=True)
    if settings.corpora:
        unpack(settings.corpora, settings.work)
    # clang 14's AddressSanitizer does not bear addresses of 32 random bits.
    settings.fixed = ["setarch", "-R"] if subprocess.run(["setarch", "-R", "true"],
                                                         check=False).returncode == 0 else []
    os.environ |= {"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
                   "ASAN_OPTIONS": "handle_abort=1:allocator_may_return_null=1:detect_leaks=1"}
    probe = subprocess.run([*target(settings, "name"), "-runs=1", "tests/fuzz/corpus/name"], cwd=ROOT,
                           env=os.environ | libraries(settings), capture_output=True, check=False)
    if b"LeakSanitizer has encountered a fatal error" in probe.stderr:  # as in some containers
        os.environ["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"].replace("leaks=1", "leaks=0")
    elif probe.returncode:
        sys.exit(f"the fuzz targets do not run here: {probe.stderr.decode(errors='replace')}")


def libraries(settings):
    return {"LD_LIBRARY_PATH": str(settings.fuzz / "lib")}


def target(settings, name):
    return [*settings.fixed, settings.fuzz / f"bin/fuzz_{name}", "-timeout=2", "-rss_limit_mb=2048"]


def fuzz_part(settings, name):
    """Half a minute of one. Its processes share what they find."""
    corpus, found = settings.work / "corpora" / name, settings.work / "found" / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    return Part(name, [*target(settings, name), "-max_total_time={seconds}", "-max_len=16384",
                       "-use_value_profile=1", "-reload=1", "-print_final_stats=1",
                       f"-artifact_prefix={found}/", corpus, f"tests/fuzz/corpus/{name}"],
                seconds=SLICE, variables=libraries(settings))


def fuzz_parts(settings, names):
    rounds = 1 + int(settings.seconds * os.cpu_count() / SLICE / len(names))
    return [fuzz_part(settings, name) for _ in range(rounds) for name in names]


def still_found(settings, name):
    """What still fails alone; a loaded machine is slow by itself."""
    kinds = collections.Counter()
    for path in sorted((settings.work / "found" / name).iterdir()):
        if len(kinds) < 20 and not path.name.startswith("slow-unit"):
            ran = subprocess.run([*target(settings, name), path], cwd=ROOT, capture_output=True,
                                 env=os.environ | libraries(settings), check=False)
            path.with_suffix(".txt").write_bytes(ran.stderr[-6000:])
            kinds[path.name.split("-")[0] + (" again" if ran.returncode else " once")] += 1
    return dict(kinds)


def describe_fuzz(settings):
    def describe(campaign):
        lines = []
        for name in dict.fromkeys(part.name for part in campaign.done):
            parts = [part for part in campaign.done if part.name == name]
            runs = sum(int(n) for part in parts
                       for n in re.findall(r"stat::number_of_executed_units: *(\d+)", part.log))
            lines.append(f"\n  {name}: {runs} inputs, {sum(part.cpu for part in parts):.0f} s of CPU, "
                         f"found {still_found(settings, name) or 'nothing'}, "
                         f"ended with {dict(collections.Counter(part.code for part in parts))}")
        return "".join(lines) + "\n  in all"
    return describe


# ---- what tests sample ----------------------------------------------------------------------------

def named(settings, *names):
    return [f"{name}={settings.bin / name}" for name in names]


def preloaded(settings, name):
    found = sorted(settings.bin.parent.rglob(f"lib{name}.so"))
    if not found:
        sys.exit(f"no lib{name}.so below {settings.bin.parent}")
    return f"{name}={found[0]}"


def test_parts(settings, name, script, *arguments, parts=PARTS):
    return [Part(name, [sys.executable, f"tests/crash/{script}", *arguments, f"part={i}of{parts}"])
            for i in range(settings.first, parts)]


def inject(settings, name="inject", *more, parts=PARTS):
    return test_parts(settings, name, "test_fail_at.py",
                      *named(settings, "trace-ckpts", "trace-export", "same_store"),
                      preloaded(settings, "fail_at"), "samples=0", "seconds=120", *more, parts=parts)


def ranks(settings):
    return inject(settings, "ranks", f"mpirun={shutil.which('mpirun')}", "only=2 ranks",
                  parts=PARTS_OF_RANKS)


def writers(settings):
    return [Part("writers", [sys.executable, "tests/crash/test_drop_deaths.py",
                             *named(settings, "trace-drop"), preloaded(settings, "die_at"),
                             preloaded(settings, "fail_at"), "samples=0", f"only={form}"])
            for form in ("smaller", "zeroed", "llm-drop", "block-configs", "mergekit")]


def damage(settings):
    return test_parts(settings, "damage", "test_damage.py",
                      *named(settings, "trace-ckpts", "trace-info", "trace-analyze", "trace-export",
                             "same_store", "write_sample"),
                      "random=2000", "aimed=1000", "unsealed=300", f"keep={settings.work}/found")


def families():
    sys.path.insert(0, str(ROOT / "tests/oracle"))
    from families import FAMILIES
    return sorted({row.model_type for row in FAMILIES.values()})


def oracle_variables(settings):
    """Where Python's HDF5 has no filter for zstd, ours is one."""
    try:
        import hdf5plugin  # noqa: F401
        return {}
    except ImportError:
        (settings.work / "python/hdf5plugin.py").touch()
        return {"PYTHONPATH": f"{settings.work}/python:" + os.environ.get("PYTHONPATH", ""),
                "HDF5_PLUGIN_PATH": str(settings.bin.parent / "lib/hdf5/plugin")}


def oracle_parts(settings, name, script):
    variables = oracle_variables(settings)
    return [Part(name, [sys.executable, f"tests/oracle/{script}", "--trace", settings.bin / "trace-ckpts",
                        "--count", settings.models, "--seed", settings.seed, "--family", family],
                 variables=variables) for family in families()[settings.first:]]


def configs(settings):
    return oracle_parts(settings, "configs", "campaign.py")


def forward(settings):
    return oracle_parts(settings, "forward", "test_forward.py")


def describe_parts(campaign):
    """How many ended, which went wrong, and what their last lines count."""
    ended = [part for part in campaign.done if part.code is not None]
    wrong = [part for part in campaign.done if part.code]
    text = (f"{len(ended)} of {campaign.count} parts ended, {len(campaign.done) - len(ended)} cut off, "
            f"{len(wrong)} wrong")
    for name, count in sorted(tally(campaign.done).items()):
        text += f"\n  {name}: {count}"
    for part in wrong[:20]:
        text += "\n  WRONG: " + " ".join(str(word) for word in part.command[-3:])
    return text + "\n  in all"


PROGRESS = re.compile(r"^  (.*): (\d+) of \d+, (\d+) wrong$", re.MULTILINE)
ENDED = re.compile(r"^ok      (.*?): (\d+) (?:failures|damages|calls)", re.MULTILINE)
VERDICT = re.compile(r"^[\w.-]+ \d+ \([^)]*\): .*?: ([^:\n]*)$", re.MULTILINE)


def tally(parts):
    """What was tried, by case; of parts that were cut off what they said last."""
    tried = collections.Counter()
    for part in parts:
        last = {case: int(count) for case, count, _ in PROGRESS.findall(part.log)}
        last.update({case: int(count) for case, count in ENDED.findall(part.log)})
        tried.update(last)
        tried.update(VERDICT.findall(part.log))
    return tried


CAMPAIGNS = {"inject": inject, "ranks": ranks, "writers": writers, "damage": damage,
             "configs": configs, "forward": forward}


def make_campaign(settings, word):
    name, _, processes = word.partition("=")
    if name in CAMPAIGNS:
        return Campaign(name, int(processes), CAMPAIGNS[name](settings), describe_parts)
    names = {"fuzz": target_names(), "others": [n for n in target_names() if n not in MOST_READ]}
    chosen = names.get(name, [name])
    if not set(chosen) <= set(target_names()):
        sys.exit(f"no campaign is called {name}")
    if not hasattr(settings, "fixed"):
        find_targets(settings)
    return Campaign(name, int(processes), fuzz_parts(settings, chosen), describe_fuzz(settings))


def pack(settings, name):
    with tarfile.open(settings.out / f"{name}.tar.gz", "w:gz") as tar:
        tar.add(settings.work / name, name)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("seconds", type=int)
    parser.add_argument("campaigns", nargs="+", metavar="NAME=PROCESSES")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--fuzz", type=Path, default=ROOT / "build/fuzz")
    parser.add_argument("--corpora", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--models", type=int, default=34)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    settings.bin, settings.fuzz = settings.bin.resolve(), settings.fuzz.resolve()
    settings.out.mkdir(parents=True, exist_ok=True)
    return settings


def main():
    settings = options()
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
                   "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
                   "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                   "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none"}
    with tempfile.TemporaryDirectory(prefix="campaign-") as work:
        settings.work = Path(work)
        for folder in ("logs", "found", "corpora", "python", "tmp"):
            (settings.work / folder).mkdir()
        os.environ["TMPDIR"] = f"{work}/tmp"
        campaigns = [make_campaign(settings, word) for word in settings.campaigns]
        settings.end = time.monotonic() + settings.seconds
        for threads in [campaign.start(settings) for campaign in campaigns]:
            for thread in threads:
                thread.join()
        lines = [campaign.line() for campaign in campaigns]
        (settings.out / "summary.txt").write_text("\n".join(lines) + "\n")
        print("\n".join(lines))
        for name in ("logs", "found", "corpora"):
            pack(settings, name)


if __name__ == "__main__":
    main()

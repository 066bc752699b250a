# SPDX-License-Identifier: Apache-2.0
"""The files that the programs write, as people keep them: modes, links; long lists of
inputs; a full disk behind stdout; names that would speak to a terminal.

test_files.py NAME=PATH... [mpirun=PATH]: trace-ckpts, trace-info, trace-analyze, trace-export."""

import os
import pty
import stat
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check


def on_a_terminal(*command):
    """What a program prints there."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL,
                              env=harness.environment(TERM="dumb")) as started:
            os.close(theirs)
            printed = bytearray()
            try:
                while block := screen.read(65536):
                    printed += block
            except OSError:  # its other end was closed
                pass
        check(started.returncode == 0, command, printed)
    return bytes(printed)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.folders = tiny.write_series(root + "/series", 4)
        tiny.write_tokens(root + "/ids.jsonl", 4, 16)
        self.store = root + "/store.h5"
        self.trace(self.store, *self.folders).expect(0)

    def trace(self, out, *folders_and_more, before=()):
        return harness.run(*before, self.programs["trace-ckpts"], "--ckpts", *folders_and_more,
                           "-o", out, "--tokens", self.root + "/ids.jsonl", cwd=self.root)

    def analyze(self, *more):
        return harness.run(self.programs["trace-analyze"], self.store, "--module", "mlp", *more)

    def export(self, *more):
        return harness.run(self.programs["trace-export"], self.store, *more)

    def writers(self):
        """(name, what writes that file), of every kind of output beside the store."""
        formats = ("csv", "hdf5", "html", "json", "notebook", "python")
        yield from ((f"out.{to}", lambda path, to=to: self.export("--to", to, "-o", path,
                                                                  "--force"))
                    for to in formats if to in self.formats())
        yield "result.json", lambda path: self.analyze("--json", path)
        yield "plan.json", lambda path: self.analyze("--plan", path)

    def formats(self):
        return harness.run(self.programs["trace-export"], "--help").out

    def modes(self):
        """What is replaced keeps its mode; what is new heeds the umask."""
        out = self.root + "/mode.h5"
        before = os.umask(0o027)
        try:
            self.trace(out, *self.folders[:1]).expect(0)
            check(mode(out) == 0o640, oct(mode(out)))
            for number, wanted in enumerate((0o600, 0o664, 0o444)):
                os.chmod(out, wanted)
                self.trace(out, *self.folders[:number + 2]).expect(0)
                check(mode(out) == wanted, oct(mode(out)), "is not", oct(wanted))
            for name, write in self.writers():
                path = f"{self.root}/mode-{name}"
                write(path).expect(0)
                check(mode(path) == 0o640, name, oct(mode(path)))
                os.chmod(path, 0o604)
                write(path).expect(0)
                check(mode(path) == 0o604, name, oct(mode(path)))
        finally:
            os.umask(before)

    def links(self):
        """Of a link, what it points to is written, there or not, and lock and parts lie there."""
        os.makedirs(self.root + "/real/deep")
        os.symlink("real", self.root + "/way")
        for number, spelled in enumerate(("way/out.h5", "real/deep/../out.h5",
                                          self.root + "/way/out.h5")):
            link, real = f"{self.root}/latest{number}.h5", self.root + "/real/out.h5"
            os.symlink(spelled, link)
            self.trace(link, *self.folders[:2]).expect(0)
            ran = self.trace(link, *self.folders).expect(0)
            check(os.readlink(link) == spelled, "the link became a file")
            check(harness.summary(ran) == (2, 0, 2), ran)
            check(not os.path.exists(link + ".parts"), "parts lie beside the link")
            ran = harness.run(self.programs["trace-info"], real).expect(0)
            check("4 complete, 0 failed" in ran.out, ran)
            os.remove(real)
        for name, write in self.writers():
            for there in (False, True):
                link, real = f"{self.root}/link-{name}", f"{self.root}/real/{name}"
                os.symlink("way/" + name, link)
                if there:
                    tiny.write(real, "{}")
                write(link).expect(0)
                check(os.path.islink(link) and os.path.getsize(real) > 100, name)
                os.remove(link)
                os.remove(real)

    def link_circle(self):
        os.symlink("circle.h5", self.root + "/circle.h5")
        ran = self.trace(self.root + "/circle.h5", *self.folders).expect(3)
        check(ran.err == f"trace-ckpts: cannot follow the link {self.root}/circle.h5: Too many "
                         "levels of symbolic links\n", ran)

    def parts_of_links(self):
        """A job that writes the file holds its lock under every name; its parts are seen."""
        link, parts = self.root + "/second.h5", self.root + "/store.h5.parts"
        os.symlink("store.h5", link)
        os.mkdir(parts)
        tiny.write(parts + "/step_9-0.h5", "")
        told = f"1 more checkpoint committed in {parts}, not yet published\n"
        for name in (self.store, link):
            ran = harness.run(self.programs["trace-info"], name).expect(0)
            check(told in ran.out, ran)
        os.remove(parts + "/step_9-0.h5")
        os.rmdir(parts)

    def long_command(self):
        """Checkpoints by glob that no environment variable holds; under mpirun by a manifest."""
        folder = self.root + "/" + "long" * 20
        os.mkdir(folder)
        paths = [f"{folder}/step_{step}" for step in range(1500)]
        for path in paths:
            os.symlink(self.folders[0], path)
        check(len(" ".join(paths)) > 128 << 10, "the command is short")
        ran = self.trace(self.root + "/long.h5", *paths, "--dry-run").expect(0)
        check("tracing 1500 of 1500 checkpoints" in ran.out, ran)
        tiny.write(self.root + "/long.csv", "path\n" + "".join(path + "\n" for path in paths))
        if "mpirun" in self.programs:
            ran = harness.run(self.programs["mpirun"], "-n", "2", self.programs["trace-ckpts"], "-i",
                              self.root + "/long.csv", "-o", self.root + "/long.h5", "--tokens",
                              self.root + "/ids.jsonl", "--dry-run").expect(0)
            check("tracing 1500 of 1500 checkpoints" in ran.out, ran)

    def full_stdout(self):
        """What could not be printed is told, by --help too."""
        trace = f"--ckpts {self.folders[0]} --tokens {self.root}/ids.jsonl -o {self.root}/full.h5"
        commands = {"trace-info": (self.store, f"{self.store} --check", "--help", "--version"),
                    "trace-ckpts": (trace + " --dry-run", "--help", "--version"),
                    "trace-analyze": (self.store, "--help"),
                    "trace-export": (f"{self.store} --to csv -o -", "--help")}
        for program, lines in commands.items():
            for line in lines:
                for full in ("/dev/full", "&-"):
                    ran = harness.run("/bin/sh", "-c",
                                      f"'{self.programs[program]}' {line} >{full}").expect(3)
                    told = f"{program}: cannot write to stdout"
                    check(ran.err.splitlines()[-1].startswith(told), ran)

    def hostile_names(self):
        """Names of checkpoints, stages, files and folders that hold controls."""
        evil = b"\x1b]0;owned\x07\xc2\x9b31m\r\x7f"
        root = os.fsencode(self.root) + b"/" + evil
        os.mkdir(root)
        folders = []
        for number, folder in enumerate(self.folders):
            folders.append(root + b"/" + evil + b"-step_%d" % number)
            os.symlink(folder, folders[-1])
        os.mkdir(root + b"/" + evil + b"\nfake-step_9")
        folders.append(root + b"/" + evil + b"\nfake-step_9")
        store, programs = root + b"/" + evil + b"\x9b.h5", self.programs
        commands = [
            ("trace-ckpts", 1, b"-v", b"--ckpts", *folders, b"-o", store, b"--tokens",
             os.fsencode(self.root) + b"/ids.jsonl"),
            ("trace-ckpts", 0, b"--dry-run", b"--ckpts", *folders, b"-o", store, b"--tokens",
             os.fsencode(self.root) + b"/ids.jsonl"),
            ("trace-info", 0, b"--check", store), ("trace-info", 3, root),
            ("trace-analyze", 0, store, b"--plan", root + b"/plan", b"--module", b"mlp"),
            ("trace-analyze", 2, store, b"--json", root),
            ("trace-export", 0, store, b"--to", b"csv", b"-o", root + b"/\x9b" + evil),
            ("trace-export", 3, store, b"--to", b"csv", b"-o", root + b"/\x9b" + evil)]
        for program, code, *arguments in commands:
            ran = subprocess.run([programs[program], *arguments], cwd=root, capture_output=True,
                                 env=harness.environment(), stdin=subprocess.DEVNULL, check=False)
            printed = ran.stdout + ran.stderr
            check(ran.returncode == code, program, ran)
            text = printed.decode()  # or it is not UTF-8
            found = sorted({c for c in text if ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160})
            check(not found, program, found, ran)
            check("owned" in text or program == "trace-analyze", "nothing was named:", ran)
            check(not any(line.startswith("fake-step_9 failed") for line in text.splitlines()), ran)
        for to in (b"csv", b"json"):
            printed = on_a_terminal(programs["trace-export"], store, b"--to", to, b"-o", b"-").decode()
            found = {c for c in printed if ord(c) < 32 and c not in "\r\n" or 127 <= ord(c) < 160}
            check(not found and "owned" in printed, to, sorted(found), printed[:500])

    def pipes(self):
        """One that nobody reads is refused at once; one that is read is written."""
        pipe = self.root + "/pipe"
        os.mkfifo(pipe)
        told = f"cannot write {pipe}: it is a pipe that nobody reads"
        check(told in self.export("--to", "csv", "-o", pipe).expect(3).err)
        check(told in self.analyze("--json", pipe).expect(3).err)
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            self.export("--to", "csv", "-o", pipe).expect(0)
            check(reader.stdout.read().startswith(b"model,"), "nothing came through")


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    names = ("modes", "links", "link_circle", "parts_of_links", "long_command", "full_stdout",
             "hostile_names", "pipes")
    with harness.scratch() as root:
        cases = Cases(programs, root)
        return harness.run_cases([(name.replace("_", " "), getattr(cases, name))
                                  for name in names], only)


if __name__ == "__main__":
    sys.exit(main())

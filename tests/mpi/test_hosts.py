# SPDX-License-Identifier: Apache-2.0
"""Several hosts, by network namespaces with names and addresses of their own, over TCP alone: the same
bytes as on one, and a link that is cut ends the job with a sentence.

test_hosts.py NAME=PATH... : trace-ckpts, same_store, mpirun. By hand, as root; exits with 77 where
namespaces cannot be made. Open MPI starts its daemons through a script in place of ssh."""

import contextlib
import os
import re
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

NET, HOSTS = "10.213.77", 2
STALL = 45  # seconds of silence that end the job, should mpirun not have ended it before

AGENT = """#!/bin/sh
# ssh's place: HOST COMMAND...
host=$1
shift
exec ip netns exec "trace-$host" unshare --uts sh -c "hostname trace-$host && $*"
"""


def ip(*words, may_fail=False):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    check(may_fail or not done.returncode, "ip", *words, done.stderr)
    return not done.returncode


class Net:
    """A bridge, and hosts behind it; the launcher is at .1."""

    def __enter__(self):
        self.__exit__()
        ip("link", "add", "trace-br", "type", "bridge")
        ip("addr", "add", f"{NET}.1/24", "dev", "trace-br")
        ip("link", "set", "trace-br", "up")
        self.hosts = [f"{NET}.{11 + i}" for i in range(HOSTS)]
        for i, host in enumerate(self.hosts):
            ip("netns", "add", f"trace-{host}")
            ip("link", "add", f"trace-v{i}", "type", "veth", "peer", "name", "eth0", "netns",
               f"trace-{host}")
            ip("link", "set", f"trace-v{i}", "master", "trace-br", "up")
            for words in (("addr", "add", f"{host}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
                          ("link", "set", "lo", "up")):
                ip("-n", f"trace-{host}", *words)
        return self

    def __exit__(self, *_):
        for i in range(HOSTS):
            ip("netns", "del", f"trace-{NET}.{11 + i}", may_fail=True)
            ip("link", "del", f"trace-v{i}", may_fail=True)
        ip("link", "del", "trace-br", may_fail=True)

    def link(self, i, state):
        ip("link", "set", f"trace-v{i}", state)


class Cases:
    def __init__(self, programs, root, net):
        self.programs, self.root, self.net = programs, root, net
        self.folders = tiny.write_series(root + "/series", 25, hidden_size=64,
                                         intermediate_size=256, num_hidden_layers=3)
        tiny.write_tokens(root + "/ids.jsonl", 256, 32)
        tiny.write(root + "/agent", AGENT)
        os.chmod(root + "/agent", 0o755)
        self.whole = root + "/whole.h5"
        harness.run(*self.command(self.whole)).expect(0)

    def command(self, out, *options):
        return [self.programs["trace-ckpts"], "--ckpts", *self.folders, "-o", out, "--tokens",
                self.root + "/ids.jsonl", "-v", *options]

    def launcher(self):
        hosts = ",".join(host + ":2" for host in self.net.hosts)
        settings = {"plm_rsh_agent": self.root + "/agent", "oob_tcp_if_include": f"{NET}.0/24",
                    "btl_tcp_if_include": f"{NET}.0/24", "btl": "self,tcp", "pml": "ob1",
                    "hwloc_base_binding_policy": "none", "rmaps_base_oversubscribe": "1",
                    "plm": "rsh", "orte_tmpdir_base": self.root, "oob_tcp_keepalive_time": "10", "oob_tcp_keepalive_intvl": "5",
                    "oob_tcp_keepalive_probes": "3"}
        words = [word for pair in settings.items() for word in ("--mca", *pair)]
        return [self.programs["mpirun"], "--allow-run-as-root", "-n", "4", "-H", hosts, *words]

    def same_bytes(self):
        out = self.root + "/hosts.h5"
        ran = harness.run(*self.launcher(), *self.command(out)).expect(0)
        check("on 4 ranks" in ran.err, ran)
        harness.run(self.programs["same_store"], out, self.whole).expect(0)

    def cut_link(self):
        """Of the host that rank 0 is not on, and of its own."""
        for host in (1, 0):
            out = f"{self.root}/cut{host}.h5"
            command = [*self.launcher(), *self.command(out, "--stall-limit", str(STALL))]
            with open(out + ".log", "w", encoding="utf-8") as log:
                job = subprocess.Popen(command, env=harness.environment(), stderr=log, stdout=log)
            try:
                said = self.wait_for(job, out + ".log", "step_300 traced")
                self.net.link(host, "down")
                start = time.monotonic()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.wait(timeout=90)
                took = time.monotonic() - start
            finally:
                self.net.link(host, "up")
                job.kill()
                job.wait()
            with open(out + ".log", encoding="utf-8") as log:
                said = log.read()
            check(job.returncode and took < 60, f"exit {job.returncode} after {took:.0f} s", said)
            check(re.search(r"said nothing for|lost|unable|abort|terminated", said), said)
            print(f"        cut off host {host + 1}: exit {job.returncode} after {took:.0f} s")
            ran = self.again(out)
            check("were already there" in ran.err, ran)
            harness.run(self.programs["same_store"], out, self.whole).expect(0)

    def again(self, out):
        """The same command, as soon as the hosts find each other again, and what the cut left has ended
        and holds no lock any more."""
        end = time.monotonic() + 60
        while True:
            ran = harness.run(*self.launcher(), *self.command(out))
            if ran.code == 0 or time.monotonic() > end:
                return ran.expect(0)
            check(re.search("another job is writing|unable to reliably start", ran.err), ran)
            time.sleep(2)

    def wait_for(self, job, path, text):
        end = time.monotonic() + 120
        while time.monotonic() < end and job.poll() is None:
            with open(path, encoding="utf-8") as log:
                if text in log.read():
                    return
            time.sleep(0.02)
        with open(path, encoding="utf-8") as log:
            raise harness.Failure(f"never said {text!r}: " + log.read())


def main():
    programs = harness.programs(sys.argv[1:])
    if os.geteuid() or not ip("netns", "add", "trace-try", may_fail=True):
        print("skipped: network namespaces cannot be made here")
        return 77
    ip("netns", "del", "trace-try")
    with harness.scratch() as root, Net() as net:
        cases = Cases(programs, root, net)
        return harness.run_cases([("same bytes", cases.same_bytes), ("cut link", cases.cut_link)],
                                 os.path.basename(programs.get("only", "")))


if __name__ == "__main__":
    sys.exit(main())

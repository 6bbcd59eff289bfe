"""What a mail system and the machine use: CPU time, memory, disk writes; and waiting for a port."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

SBIN = "/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", "")
TICK = os.sysconf("SC_CLK_TCK")
now = time.monotonic


class Target:
    """CPU time and memory of the MTA under test."""

    def __init__(self, cgroup=None, pid=None):
        self.cgroup = Path(cgroup) if cgroup else None
        if self.cgroup and not self.cgroup.is_absolute():
            self.cgroup = Path("/sys/fs/cgroup/cpuacct/bench") / self.cgroup
        self.pid = pid

    def pids(self):
        if self.cgroup:
            try:
                return [int(p) for p in (self.cgroup / "cgroup.procs").read_text().split()]
            except OSError:
                return []
        if not self.pid:
            return []
        kids = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path(f"/proc/{entry}/stat").read_text()
                except OSError:
                    continue
                kids.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
        tree, todo = [], [self.pid]
        while todo:
            p = todo.pop()
            tree.append(p)
            todo.extend(kids.get(p, ()))
        return tree

    def cpu_ms(self):
        """(user ms, system ms) since the cgroup or the processes began."""
        if self.cgroup:
            v1 = self.cgroup / "cpuacct.usage_user"
            if v1.exists():
                return (int(v1.read_text()) / 1e6, int((self.cgroup / "cpuacct.usage_sys").read_text()) / 1e6)
            stat = dict(line.split() for line in (self.cgroup / "cpu.stat").read_text().splitlines())
            return int(stat["user_usec"]) / 1e3, int(stat["system_usec"]) / 1e3
        user = system = 0
        for p in self.pids():
            try:
                f = Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            user += int(f[11]) + int(f[13])
            system += int(f[12]) + int(f[14])
        return user * 1e3 / TICK, system * 1e3 / TICK

    def memory(self):
        """(PSS MiB, RSS MiB, processes) now."""
        pss = rss = n = 0
        for p in self.pids():
            try:
                text = Path(f"/proc/{p}/smaps_rollup").read_text()
            except OSError:
                continue
            n += 1
            pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
            rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M)[1])
        return pss / 1024, rss / 1024, n


class MemorySampler(threading.Thread):
    """Peak memory, sampled (every sample walks all page tables: keep it rare)."""

    def __init__(self, target, interval):
        super().__init__(daemon=True)
        self.target, self.interval = target, interval
        self.peak = (0.0, 0.0, 0)
        self.done = threading.Event()

    def sample(self):
        self.peak = tuple(map(max, self.peak, self.target.memory()))

    def run(self):
        while self.interval and not self.done.wait(self.interval):
            self.sample()

    def finish(self):
        self.done.set()
        if self.is_alive():
            self.join()
        self.sample()
        return self.peak


def machine_cpu():
    """(busy, iowait, stolen) seconds of the whole machine; stolen = by its host."""
    f = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(f) - f[3] - f[4] - f[7]) / TICK, f[4] / TICK, f[7] / TICK


def disk_writes():
    """(write requests, sectors, flushes) summed over whole disks."""
    tot = [0, 0, 0]
    for line in Path("/proc/diskstats").read_text().splitlines():
        f = line.split()
        if Path(f"/sys/block/{f[2]}").exists() and not f[2].startswith(("loop", "ram")):
            tot[0] += int(f[7])
            tot[1] += int(f[9])
            tot[2] += int(f[18]) if len(f) > 18 else 0
    return tot


def own_cpu(ru):
    return ru.ru_utime + ru.ru_stime


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def inner_mean(values):
    """The mean of measurements that were made in turn, and its error.

    The dearest and the cheapest quarter do not count: something else ran then.
    """
    values = sorted(values)
    inner = values[len(values) // 4 : len(values) - len(values) // 4]
    return statistics.mean(inner), statistics.stdev(inner) / len(inner) ** 0.5


def run_load(command, seconds):
    """What the command said and its status; if it is given up, or we end, the processes it has started end with it."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        out, err = process.communicate(timeout=seconds)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # smtp-source and smtp-sink with it
        process.wait()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def tool(name):
    path = shutil.which(name, path=SBIN)
    if not path:
        sys.exit(f"{name} not found: apt-get install postfix")
    return path


def wait_port(host, port, timeout, want_banner=False):
    """Wait until host:port accepts (and greets with 220); seconds taken or None."""
    start = now()
    while now() - start < timeout:
        try:
            with socket.create_connection((host, port), 1) as s:
                if not want_banner:
                    return now() - start
                s.settimeout(timeout)
                if s.recv(512).startswith(b"220"):
                    took = now() - start
                    s.sendall(b"QUIT\r\n")
                    return took
        except OSError:
            pass
        time.sleep(0.001)
    return None

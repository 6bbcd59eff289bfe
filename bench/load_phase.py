"""The load phase: smtp-source on one side, smtp-sink on the other."""

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import time

from accounting import MemorySampler, disk_writes, machine_cpu, now, own_cpu, tool, wait_port

F_SETPIPE_SZ = 1031


class Sink:
    """smtp-sink -c as a subprocess; counts messages from its counter output."""

    def __init__(self, port, extra=()):
        r, w = os.pipe()
        fcntl.fcntl(w, F_SETPIPE_SZ, 1 << 20)
        os.set_blocking(r, False)
        self.fd = r
        self.tail = b""
        self.count = 0
        if os.getuid() == 0:  # smtp-sink insists on giving up root
            extra = ["-u", "nobody", *extra]
        self.proc = subprocess.Popen(
            [tool("smtp-sink"), "-c", *extra, f"127.0.0.1:{port}", "1024"], stdout=w, stderr=subprocess.DEVNULL
        )
        os.close(w)
        if wait_port("127.0.0.1", port, 5) is None:
            self.stop()
            sys.exit(f"smtp-sink did not start on port {port}")

    def poll(self):
        """Read what smtp-sink has printed; the number of messages so far."""
        while True:
            try:
                data = os.read(self.fd, 1 << 20)
            except BlockingIOError:
                break
            if not data:
                break
            found = re.findall(rb"mesg=(\d+)\r", self.tail + data)
            if found:
                self.count = int(found[-1])
            self.tail = data[-64:]
        return self.count

    def stop(self):
        self.proc.send_signal(signal.SIGKILL)
        _, _, ru = os.wait4(self.proc.pid, 0)
        self.proc.returncode = 0
        os.close(self.fd)
        return own_cpu(ru)


def load(args, target):
    host, port = args.mta
    cmd = [
        tool("smtp-source"),
        "-s",
        str(args.sessions),
        "-m",
        str(args.messages),
        "-l",
        str(args.length),
        "-f",
        args.sender,
        "-t",
        args.rcpt,
    ]
    if args.mode == "reuse":
        cmd.append("-d")
    cmd += args.source_arg + [f"inet:{host}:{port}"]
    sink = None if args.accept_only else Sink(args.sink_port, args.sink_arg)
    sampler = MemorySampler(target, args.pss_interval)
    cpu0, mach0, disk0 = target.cpu_ms(), machine_cpu(), disk_writes()
    sampler.start()
    start = now()
    deadline = start + args.timeout
    source = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    pidfd = os.pidfd_open(source.pid)
    accept_s = relay_s = None
    source_cpu, status = 0.0, None
    seen_at_accept = 0
    while True:
        got = sink.poll() if sink else 0
        t = now()
        if relay_s is None and sink and got >= args.messages:
            relay_s = t - start
        # sleeps 5 ms, or less when smtp-source ends meanwhile
        if accept_s is None:
            if select.select([pidfd], [], [], 0.005)[0]:
                accept_s = now() - start
                _, st, ru = os.wait4(source.pid, 0)
                source_cpu, status = own_cpu(ru), os.waitstatus_to_exitcode(st)
                seen_at_accept = sink.poll() if sink else 0
                cpu_accept = target.cpu_ms()
                if status:
                    break
        else:
            time.sleep(0.005)
        if accept_s is not None and (not sink or relay_s is not None):
            break
        if t > deadline:
            break
    end = now()
    mach1, disk1 = machine_cpu(), disk_writes()
    if accept_s is None:  # timed out while still sending
        source.kill()
        _, _, ru = os.wait4(source.pid, 0)
        source_cpu, status = own_cpu(ru), "timeout"
    error = source.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
    peak = sampler.finish()
    time.sleep(args.settle)  # let the MTA finish its bookkeeping
    cpu1 = target.cpu_ms()
    res = {"messages": args.messages, "sessions": args.sessions, "length": args.length, "mode": args.mode}
    if sink:
        delivered = sink.poll()
        res["delivered"] = delivered
        res["sink_cpu_ms_per_msg"] = round(sink.stop() * 1e3 / max(1, delivered), 4)
    wall = end - start
    user, system = cpu1[0] - cpu0[0], cpu1[1] - cpu0[1]
    if accept_s is not None and not status:
        res["accept_s"] = round(accept_s, 3)
        res["accept_rate"] = round(args.messages / accept_s, 1)
        res["cpu_ms_per_msg_accept"] = round((sum(cpu_accept) - sum(cpu0)) / args.messages, 3)
        if sink:
            res["relayed_by_accept_end"] = seen_at_accept
    if sink:
        if relay_s is not None:
            res["relay_s"] = round(relay_s, 3)
            res["relay_rate"] = round(args.messages / relay_s, 1)
            res["relay_mb_s"] = round(args.messages * args.length / relay_s / 1e6, 2)
        else:
            res["relay_rate"] = None
    res |= {
        "cpu_ms_per_msg": round((user + system) / args.messages, 3),
        "cpu_user_ms_per_msg": round(user / args.messages, 3),
        "cpu_sys_ms_per_msg": round(system / args.messages, 3),
        "source_cpu_ms_per_msg": round(source_cpu * 1e3 / args.messages, 4),
        "mta_cores": round((user + system) / 1e3 / wall, 2),
        "machine_busy_cores": round((mach1[0] - mach0[0]) / wall, 2),
        "machine_iowait_cores": round((mach1[1] - mach0[1]) / wall, 2),
        "machine_steal_cores": round((mach1[2] - mach0[2]) / wall, 2),
        "disk_writes_per_msg": round((disk1[0] - disk0[0]) / args.messages, 2),
        "disk_kb_per_msg": round((disk1[1] - disk0[1]) / 2 / args.messages, 1),
        "disk_flushes_per_msg": round((disk1[2] - disk0[2]) / args.messages, 2),
        "pss_mb": round(peak[0], 1),
        "rss_mb": round(peak[1], 1),
        "procs": peak[2],
    }
    if status:
        res["source_status"], res["source_error"] = status, error
    return res

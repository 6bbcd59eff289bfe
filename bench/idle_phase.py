"""The idle phase: connections that are held and do nothing; and the time of a start."""

import resource
import selectors
import socket
import subprocess
import time

from accounting import now, wait_port


def idle(args, target):
    """Open args.idle connections at most 100 at a time; count what they get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = args.idle + 100
    if soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(hard, want)))
    before = target.memory()
    cpu0 = sum(target.cpu_ms())
    sel = selectors.DefaultSelector()
    held, greeted, refused, closed = {}, 0, 0, 0
    replies = {}
    pending = opened = 0
    start = last = now()
    greeted_at = 0.0
    while True:
        while opened < args.idle and pending < args.idle_window:
            s = socket.socket()
            s.setblocking(False)
            opened += 1
            pending += 1
            # more than 28,000 connections would need more source addresses
            s.bind((f"127.0.0.{1 + opened % args.idle_sources}", 0))
            try:
                s.connect(args.mta)
            except BlockingIOError:
                pass
            except OSError:
                refused += 1
                pending -= 1
                s.close()
                continue
            sel.register(s, selectors.EVENT_READ)
            held[s] = False
        for key, _ in sel.select(0.2):
            s = key.fileobj
            last = now()
            try:
                data = s.recv(512)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not held[s]:
                pending -= 1
                code = data[:3].decode(errors="replace") or "closed"
                if code == "220":
                    held[s] = True
                    greeted += 1
                    greeted_at = now() - start
                    continue
                replies[code] = replies.get(code, 0) + 1
            else:
                closed += 1  # had its banner and was dropped later
                greeted -= 1
            sel.unregister(s)
            del held[s]
            s.close()
        if opened >= args.idle and pending == 0:
            break
        if now() - last > 5 and pending:  # the rest waits in the listen queue: open them all
            if args.idle_window < args.idle and opened < args.idle:
                args.idle_window = args.idle + 1
                last = now()
            else:
                break
        if now() - start > args.timeout:
            break
    time.sleep(1)
    after = target.memory()
    cpu1 = sum(target.cpu_ms())
    time.sleep(2)
    cpu2 = sum(target.cpu_ms())
    for s in held:
        s.close()
    return {
        "idle_asked": args.idle,
        "idle_opened": opened,
        "idle_greeted": greeted,
        "idle_no_banner": pending,
        "idle_refused": refused,
        "idle_other_replies": replies,
        "idle_dropped": closed,
        "idle_greet_s": round(greeted_at, 2),
        "idle_pss_before_mb": round(before[0], 1),
        "idle_pss_mb": round(after[0], 1),
        "idle_rss_mb": round(after[1], 1),
        "idle_procs": after[2],
        "idle_pss_kb_per_conn": round((after[0] - before[0]) * 1024 / max(1, greeted), 1),
        "idle_cpu_ms_per_conn": round((cpu1 - cpu0) / max(1, greeted), 3),
        "idle_cpu_ms_per_s": round((cpu2 - cpu1) / 2, 1),
    }


def startup(args):
    host, port = args.mta
    start = now()
    proc = subprocess.Popen(
        args.startup_cmd, shell=True, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    took = wait_port(host, port, args.timeout, want_banner=True)
    return {"startup_s": round(now() - start, 3) if took is not None else None, "startup_pid": proc.pid}

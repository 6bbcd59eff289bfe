"""Deferred mail, 4 KiB each: how long its listing and its removal take, and what it occupies.

Gatepost gets all of it over SMTP. Postfix gets a part over SMTP; the rest are copies of those queue files, and of their
defer logs, under names of their own made as Postfix makes them: taking in all would be most of the run's time. (Copies
made in one go lie closer together: Postfix lists them a fifth faster than mail that came in, and deletes them as fast.)
"""

import os
import pwd
import re
import select
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from accounting import run_load, tool
from servers import PORT, Gatepost, Postfix, Server

MAIN_CF = """\
defer_transports = smtp
minimal_backoff_time = 8000s
maximal_backoff_time = 8000s
queue_run_delay = 8000s
"""
BY_SMTP = 2000
"""Messages that Postfix takes in by itself."""
LIST_ROUNDS = 7
PATIENCE = 120
"""Seconds for one command. Postfix's count as so many if it needs more: deleting is slow on a busy disk."""
Sizes = tuple[int, int]


class Missing(Exception):
    """What was to be measured did not come about."""


def occupied(folder: Path) -> Sizes:
    """(octets on disk, files and folders) under `folder`."""
    octets = inodes = 0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            octets += Path(parent, name).lstat().st_blocks * 512
            inodes += 1
    return octets, inodes


def inject(server: Server, messages: int) -> None:
    command = [tool("smtp-source"), "-d", "-s", "50", "-m", str(messages), "-l", "4096"]
    command += ["-f", "sender@bench.test", "-t", "rcpt@example.test", f"inet:127.0.0.1:{PORT[server.name]}"]
    done = run_load(command, 180)
    if done.returncode:
        raise Missing(f"smtp-source to {server.name}: {done.stderr.strip()[-300:]}")


def wait_until(reached: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            raise Missing(what)
        time.sleep(0.5)


def files_in(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def multiply(queue: Path, messages: int) -> None:
    """Copies of Postfix's deferred messages and their defer logs until there are `messages`."""
    originals = [path.name for path in files_in(queue / "deferred")]
    if not originals:
        raise Missing("postfix deferred nothing")
    owner = pwd.getpwnam("postfix").pw_uid
    for number in range(messages - len(originals)):
        name = originals[number % len(originals)]
        temporary = queue / "deferred" / "copy"
        shutil.copy2(queue / "deferred" / name[0] / name, temporary)
        # A short queue ID: microseconds, then the number of the inode.
        copy = f"{number * 17 % 1000000:05X}{temporary.stat().st_ino:X}"
        targets = [queue / kind / copy[0] / copy for kind in ("deferred", "defer")]
        for target in targets:
            if not target.parent.exists():
                target.parent.mkdir(mode=0o700)
                shutil.chown(target.parent, owner)
        temporary.rename(targets[0])
        shutil.copy2(queue / "defer" / name[0] / name, targets[1])
        for target in targets:
            os.chown(target, owner, -1)


def postfix_queue(server: Postfix, messages: int) -> None:
    by_smtp = min(BY_SMTP, messages)
    present = len(files_in(server.queue / "deferred"))
    if present < by_smtp:
        inject(server, by_smtp - present)
        wait_until(lambda: len(files_in(server.queue / "deferred")) == by_smtp, "postfix did not defer all")
    multiply(server.queue, messages)


def gatepost_queue(server: Gatepost, messages: int) -> None:
    inject(server, messages - number_deferred(server))
    wait_until(lambda: number_deferred(server) == messages, "gatepost did not defer all")


def number_deferred(server: Gatepost) -> int:
    status = subprocess.run(server.command("status"), capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"^deferred: (\d+)$", status, re.M)
    return int(found[1]) if found else 0


def timed(command: list[str], output: Path) -> tuple[float, str]:
    """Seconds that the command took, and the end of what it said."""
    with open(output, "wb") as out:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        descriptor = os.pidfd_open(process.pid)
        try:
            # Popen.wait with a limit looks every 50 ms only.
            over = select.select([descriptor], [], [], PATIENCE)[0]
            took = time.monotonic() - begin
        finally:
            os.close(descriptor)
            process.kill()
            status = process.wait()
    if not over:
        raise subprocess.TimeoutExpired(command, PATIENCE)
    said = output.read_bytes()[-300:].decode(errors="replace")
    if status:
        raise Missing(f"{command[0]} failed: {said}")
    return took, said


def filled(server: Server, messages: int, fill: Callable[..., None]) -> dict[str, float]:
    """octets, inodes: of a message, beyond what the first tenth of them takes."""
    fill(server, messages // 10)
    os.sync()
    tenth = occupied(server.queue)
    fill(server, messages)
    os.sync()
    full = occupied(server.queue)
    rest = messages - messages // 10
    return {"octets": (full[0] - tenth[0]) / rest, "inodes": (full[1] - tenth[1]) / rest}


def listing(server: Server, messages: int) -> float:
    took, said = timed(server.command("postqueue", "-p"), server.base / "out")
    if not re.search(rf"Kbytes in {messages} Requests", said):
        raise Missing(f"{server.name} does not list {messages} messages: {said[-100:]}")
    return took


def deletion(server: Server, messages: int) -> float:
    try:
        took, said = timed(server.command("postsuper", "-d", "ALL"), server.base / "out")
    except subprocess.TimeoutExpired:
        if server.name == "postfix":
            return float(PATIENCE)
        raise
    if f"Deleted: {messages} messages" not in said:
        raise Missing(f"{server.name} does not delete {messages} messages: {said[-100:]}")
    return took


def deferred(base: Path, messages: int) -> dict[str, dict[str, float]]:
    """octets, inodes, and listing, deletion: seconds; for each mail system. Raises Missing, NotStarted, OSError.

    They list in turn: a host that is slow for a minute is so for both.
    """
    found = {}
    servers: list[Server] = []
    try:
        for kind, fill in ((Postfix, postfix_queue), (Gatepost, gatepost_queue)):
            server = kind(base / f"{kind.name}-deferred", MAIN_CF)
            servers.append(server)
            server.start()
            found[server.name] = filled(server, messages, fill)
        times = [[listing(server, messages) for server in servers] for _ in range(LIST_ROUNDS)]
        for server, took in zip(servers, zip(*times, strict=True), strict=True):
            found[server.name] |= {"listing": statistics.median(took), "deletion": deletion(server, messages)}
    finally:
        for server in servers:
            server.stop()
            shutil.rmtree(server.base, ignore_errors=True)
    return found

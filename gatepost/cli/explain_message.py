"""What became of one message: the log's lines about it, the session that it came by, and where it is now."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gatepost.audit.explain.meaning import meaning
from gatepost.config.settings import Settings
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError
from gatepost.control.listing import external
from gatepost.mail.queue_id import valid_queue_id
from gatepost.queue.store import Listed

_SHORT = re.compile(r"[0-9A-F]{6,20}")


def is_queue_id(text: str) -> bool:
    """Ours or Postfix's, whose short ones may have fewer digits."""
    return valid_queue_id(text) or _SHORT.fullmatch(text) is not None


USUAL_LOGS = ("/var/log/mail.log", "/var/log/maillog")
"""Where syslog has mail, if maillog_file is not set."""

OPEN_KEPT = 20_000
"""Connections of which the beginning is remembered while the log is read."""

_CLIENT = re.compile(r"(?P<tag>\S+\[\d+\]): (?P<id>\w+): client=(?P<client>[^,\s]+)")


class History(msgspec.Struct):
    """`lines`: the log's, of the session and of the message. `queued` is None if it is in the queue no more."""

    queue_id: str
    log: str
    lines: list[str]
    queued: Listed | None = None
    queue_error: str = ""


def history(settings: Settings, queue_id: str, log: str) -> History:
    """Of the message; `log` is the log's path, empty for the usual one."""
    path = log or settings.maillog_file or next((name for name in USUAL_LOGS if Path(name).exists()), "")
    found = History(queue_id, path, _lines(path, queue_id) if path else [])
    try:
        with queue_session(settings) as session:
            found.queued = next((item for item in session.listing() if item.queue_id == queue_id), None)
    except ControlError as error:
        found.queue_error = str(error)
    return found


def _lines(path: str, queue_id: str) -> list[str]:
    """The lines about it. Of the session: the connection before the message, and its end."""
    mark = f" {queue_id}: ".encode()
    connects: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    end = b""
    try:
        with open(path, "rb") as log:
            for line in log:
                if mark in line:
                    client = _CLIENT.search(line.decode("utf-8", "replace"))
                    if client is not None:
                        end = f"{client['tag']}: disconnect from {client['client']} ".encode()
                        lines.append(connects.get(f"{client['tag']}: connect from {client['client']}".encode(), b""))
                    lines.append(line)
                elif b": connect from " in line:
                    # Without time and host, which come first and have no brackets with a colon behind.
                    if len(connects) > OPEN_KEPT:
                        del connects[next(iter(connects))]
                    connects[line.rstrip()[line.rfind(b" ", 0, line.index(b"]: ")) + 1 :]] = line
                elif end and end in line:
                    lines.append(line)
                    end = b""
    except OSError:
        return []
    return [line.decode("utf-8", "replace").rstrip("\n") for line in lines if line]


def history_report(found: History, now: float) -> Iterator[str]:
    """All of it, in words."""
    yield f"Message {found.queue_id}"
    yield ""
    if found.lines:
        for line in found.lines:
            yield f"  {line}"
            for said in meaning(line):
                if not said.startswith("Written by "):
                    yield f"    -> {said}"
    elif found.log:
        yield f"  {found.log} says nothing of it (older logs are not looked into; --log FILE names another)."
    else:
        yield "  There is no log file to look into: maillog_file is not set; --log FILE names one."
    yield ""
    yield from _now(found, now)


def _now(found: History, now: float) -> Iterator[str]:
    item = found.queued
    if item is None:
        if found.queue_error:
            yield f"Now: not known, for the queue cannot be read: {found.queue_error}"
        elif any(line.endswith(f"{found.queue_id}: removed") for line in found.lines):
            yield "Now: it has left the queue; all recipients are settled."
        else:
            yield "Now: it is not in the queue."
        return
    yield f"Now: {_PLACES.get(item.queue, item.queue)}"
    if item.queue == "deferred" and item.next_attempt:
        when = time.strftime("%A %H:%M:%S", time.localtime(item.next_attempt))
        late = "" if item.next_attempt > now else " (that is due)"
        yield f"  next attempt: {when}{late}; at once with `postqueue -i {item.queue_id}`"
    for address, reason in item.recipients:
        yield f"  <{external(address)}> waits" + (f": {reason}" if reason else ", and was not tried yet")
        yield f"    `gatepost route {external(address)}` tells where it goes"


_PLACES = {
    "incoming": "it has just come in, and waits for its first attempt",
    "active": "it is being delivered",
    "deferred": "it could not be delivered, and waits for another attempt",
    "hold": "it is on hold, until somebody releases it (`postsuper -H`)",
    "corrupt": "it is damaged, and was put aside",
}

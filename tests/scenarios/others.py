"""Sessions that have nothing to do with a fault, one after the other while it lasts: it must not be theirs."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from tests.scenarios.server import Client, Gatepost, temporary_folder, until

DISCARDING = """\
myhostname = mail.ours.example
mydestination = ours.example
local_recipient_maps =
local_transport = discard:
alias_maps =
mynetworks =
"""
"""main.cf of a server that takes and discards all mail for its domain."""

ONE_WORKER = f"""\
{DISCARDING}smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_hard_error_limit = 1000
smtpd_soft_error_limit = 1000
gatepost_smtpd_processes = 1
"""
"""The same with one worker, however often a client errs."""


class World(Protocol):
    """A server, and what it depends on."""

    def stop(self) -> None: ...


AWorld = TypeVar("AWorld", bound=World)


@contextlib.contextmanager
def lasting(world: Callable[[Path], AWorld]) -> Iterator[AWorld]:
    """A world in a folder of its own, stopped at the end."""
    with temporary_folder() as folder:
        made = world(folder)
        yield made
        made.stop()


class Others:
    """Sends mail to `recipient` again and again until stopped. `done` counts what was taken."""

    def __init__(self, server: Gatepost, recipient: str, sender: str = "ann@others.example") -> None:
        self._server = server
        self._sender, self._recipient = sender, recipient
        self._end = threading.Event()
        self.done = 0
        self.faults: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                client = Client(self._server.port, self._server.host)
                client.say("EHLO others.example")
                reply = client.send(self._sender, self._recipient)
                client.close()
            except OSError as error:
                reply = repr(error)
            if not re.match("250 2.0.0 Ok: queued as ", reply):
                self.faults.append(reply)
            self.done += 1

    def go_on(self, messages: int = 3) -> None:
        """Wait until so many more have been taken; none was refused up to now."""
        wanted = self.done + messages + 1  # the one under way may have begun before
        until(lambda: self.done >= wanted, "mail of other sessions")
        assert not self.faults, self.faults

    def stop(self) -> None:
        self._end.set()
        self._thread.join(30)


def descriptors(pid: int) -> int:
    """How many files and connections a process has open, but for the record of decisions (begun at a refusal)."""
    return sum("/decisions/" not in link for link in _links(pid))


class Workers:
    """The workers of one kind as they are now: they must live on, and let go again what they open."""

    def __init__(self, server: Gatepost, kind: str = "smtpd") -> None:
        self._server, self._kind = server, kind
        self._open = {pid: descriptors(pid) for pid in server.workers(kind)}
        assert self._open, f"no {kind} worker"

    def are_as_before(self, more: int = 0) -> None:
        """The same processes, with no more open than then. `more`: connections that may stay, and those of others."""
        assert set(self._server.workers(self._kind)) == set(self._open), "a worker has ended"
        for pid, before in self._open.items():
            limit = before + more
            try:
                until(lambda pid=pid, limit=limit: descriptors(pid) <= limit, "as before")  # type: ignore[misc]
            except AssertionError:
                raise AssertionError(f"{before} descriptors before, now {_links(pid)}") from None


def _links(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(path.readlink()))
    return found

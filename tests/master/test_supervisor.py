"""master itself: it outlives what its host cannot give, and tells what a start waits for."""

import os
import signal
import socket

import pytest

from gatepost.master import supervisor
from gatepost.master.leash import READY
from gatepost.master.supervisor import Place, Supervisor


class World:
    """A master with these workers; it is stopped once all serve, or by `stop`."""

    def __init__(self, *places: Place) -> None:
        self.warnings: list[str] = []
        self.master = Supervisor(
            info=lambda text: None,
            warn=self.warned,
            in_child=lambda: None,
            on_reload=lambda: None,
            on_rotate=lambda: -1,
            on_serving=self.stop,
            places=list(places),
        )
        self.stop_at_warning = False

    def warned(self, text: str) -> None:
        self.warnings.append(text)
        if self.stop_at_warning:
            self.stop()

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def run(self) -> None:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
        before = [signal.getsignal(number) for number in numbers]
        try:
            self.master.run()
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def serves(leash: socket.socket) -> None:
    leash.send(READY)
    leash.recv(1)


def never_serves(leash: socket.socket) -> None:
    leash.recv(1)


@pytest.mark.parametrize("part", ["fork", "socketpair"])
def test_a_worker_that_cannot_be_forked_now_is_forked_later(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os if part == "fork" else socket
    real = getattr(owner, part)
    failures = [BlockingIOError(11, "Resource temporarily unavailable")]

    def scarce(*arguments: int) -> object:
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(owner, part, scarce)
    world = World(Place("one", serves), Place("two", serves))
    world.run()
    assert world.warnings == ["cannot start one: Resource temporarily unavailable; trying again in 0.1 seconds"]


def test_who_does_not_serve_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_WAIT", 0.05)
    world = World(Place("one", serves), Place("two", never_serves))
    world.stop_at_warning = True
    world.run()
    assert len(world.warnings) == 1
    assert world.warnings[0].endswith("after the start: two") or world.warnings[0].endswith("after the start: one, two")

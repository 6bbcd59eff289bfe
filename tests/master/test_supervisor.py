"""master itself: it outlives what its host cannot give, and tells what a start waits for."""

import os
import signal
import socket
from pathlib import Path

import pytest

from gatepost.control.client import ControlClient, QueueManagerDown
from gatepost.master import supervisor
from gatepost.master.leash import AWAY, BACK, READY, STOP
from gatepost.master.supervisor import Place, Supervisor, restart_pause
from tests.scenarios.server import until


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
            on_outage=lambda reason: None,
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


def test_a_signal_that_comes_as_soon_as_it_is_caught_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    real = signal.signal
    sent: list[int] = []

    def caught(number: signal.Signals, handler: object) -> object:
        before = real(number, handler)  # type: ignore[arg-type]
        if number == signal.SIGINT and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return before

    world = World(Place("one", never_serves))
    with monkeypatch.context() as patched:
        patched.setattr(signal, "signal", caught)
        patched.setattr(supervisor, "START_WAIT", 1.0)
        world.stop_at_warning = True  # or it would wait for a signal for ever
        world.run()
    assert world.warnings == []


def test_who_does_not_serve_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_WAIT", 0.05)
    world = World(Place("one", serves), Place("two", never_serves))
    world.stop_at_warning = True
    world.run()
    assert len(world.warnings) == 1
    assert world.warnings[0].endswith("after the start: two") or world.warnings[0].endswith("after the start: one, two")


@pytest.mark.parametrize(
    ("before", "served", "pause"),
    [
        pytest.param(0, 0, 0.1, id="it has died for the first time"),
        pytest.param(0.1, 0, 0.2, id="it cannot begin"),
        pytest.param(40, 0.5, 60, id="it dies as soon as it serves"),
        pytest.param(0.1, 5, 0.2, id="it died of something else, too"),
        pytest.param(0.8, 5, 1, id="it dies of something that comes each few seconds"),
        pytest.param(60, 5, 1, id="it could not begin for long, then it could"),
        pytest.param(60, 31, 0.1, id="it has served for long"),
    ],
)
def test_the_pause_before_a_worker_is_started_again(before: float, served: float, pause: float) -> None:
    assert restart_pause(before, served) == pause


def test_a_worker_that_had_served_is_soon_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SERVED_PAUSE", 1e-9)
    begun, heard = tmp_path / "begun", tmp_path / "heard"

    def dies_once(leash: socket.socket) -> None:
        if begun.exists():
            os.kill(os.getppid(), signal.SIGTERM)
            serves(leash)
            return
        begun.touch()
        leash.send(READY)
        until(heard.exists, "master to know that it serves")
        raise SystemExit("a message of a kind that nobody thought of")

    place = Place("one", dies_once, pause=40.0)
    world = World(place)
    world.master.on_serving = heard.touch
    world.run()
    assert place.pause == 1e-9


class Queue:
    """The awaited worker, which comes to an end at its first start. At its second it waits until somebody was told that
    it is away, if anybody is to be told; else it has master stop.
    """

    def __init__(self, mark: Path, *, serves_first: bool, told: Path | None) -> None:
        self._mark = mark
        self._serves_first = serves_first
        self._told = told

    def __call__(self, leash: socket.socket) -> None:
        if self._mark.exists():
            if self._told is None:
                os.kill(os.getppid(), signal.SIGTERM)
            else:
                until(self._told.exists, "an answer")
            serves(leash)
            return
        self._mark.touch()
        if self._serves_first:
            leash.send(READY)
        raise SystemExit("the disk is gone")


class Waiting:
    """A worker that notes what it is told, asks for the queue manager when it is away, and has master stop when it is
    back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._words = folder / "words"
        self.told = folder / "told"

    @property
    def heard(self) -> tuple[bytes, str]:
        return self._words.read_bytes(), self.told.read_text() if self.told.exists() else ""

    def __call__(self, leash: socket.socket) -> None:
        leash.send(READY)
        words = b""
        while STOP not in words:
            words += leash.recv(1)
            if words.endswith(AWAY):
                client = ControlClient(str(self._folder))
                try:
                    list(client.ask("list"))
                except QueueManagerDown as down:
                    self.told.write_text(str(down))
                client.close()
            elif words.endswith(BACK):
                os.kill(os.getppid(), signal.SIGTERM)
        self._words.write_bytes(words)


@pytest.mark.parametrize(
    ("served", "pause", "back", "told"),
    [
        (False, 0.3, 60.0, "qmgr: fatal: the disk is gone"),
        (True, 0.3, 60.0, ""),
        (True, 2.5, 60.0, "qmgr: fatal: the disk is gone"),
        (True, 0.3, 0.1, "the queue manager is starting; the log may tell what takes so long"),
    ],
    ids=["it cannot begin", "it is back in a moment", "it is away for long", "it begins slowly"],
)
def test_who_needs_the_queue_manager_is_told_when_it_is_away(
    tmp_path: Path, served: bool, pause: float, back: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_PAUSE", (pause, 60.0))
    monkeypatch.setattr(supervisor, "BACK_WAIT", back)
    waiting = Waiting(tmp_path)
    queue = Queue(tmp_path / "mark", serves_first=served, told=waiting.told if told else None)
    world = World(Place("qmgr", queue, awaited=True), Place("one", waiting))
    world.master.on_serving = lambda: None
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "control"))
        control.listen()
        control.setblocking(False)
        world.master.control = control
        world.run()
    expected = (AWAY + BACK + STOP, f"mail system is down: {told}") if told else (STOP, "")
    assert waiting.heard == expected

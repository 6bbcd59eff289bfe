"""master: forks the workers, starts them again with a pause that grows, reload, stop, log rotation (master(8)).

It runs no event loop, no thread and holds no database handle, so that it can fork at any time and its memory, with
every module imported, is shared with the workers. It touches no mail.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gatepost.master.early_signals import release_signals
from gatepost.master.leash import AWAY, BACK, DRAIN, LOG, STOP, MasterEnd, tell_last_words
from gatepost.master.outage import PATIENCE, turn_away

RESTART_PAUSE = (0.1, 60.0)
"""Seconds before a crashed worker is started again: at first, and at most; doubled each time, forgotten after STEADY.
"""

SERVED_PAUSE = 1.0
"""At most, for one that has served as many seconds: it is of use, and what it dies of (a message, a client) may come
again and again. Postfix throttles only what has served nobody.
"""

STEADY = 30.0
"""Seconds of service after which a worker's earlier crashes no longer count."""

STOP_WAIT = 20.0
"""Seconds that stopping workers get before they are killed."""

START_WAIT = 10.0
"""Seconds after which the log tells which workers do not serve yet."""

BACK_WAIT = 10.0
"""Seconds of starting after which an awaited worker that has ended before is not waited for any longer (as long as mail
waits, queue_link.RECONNECT_WAIT): it may be mending a damaged file.
"""

Entry = Callable[[socket.socket], None]
"""What a worker does: runs in the child with its end of the leash, and returns when it is over."""


def restart_pause(before: float, served: float) -> float:
    """Seconds to wait with a worker that has ended after `served` seconds of service; `before`: what it was last time,
    0 at first.
    """
    first, most = RESTART_PAUSE
    if served > STEADY or not before:
        return first
    return min(before * 2, SERVED_PAUSE if served >= SERVED_PAUSE else most)


@dataclass(slots=True)
class Place:
    """One worker that must exist: `name` for the log (smtpd[0]); `entry` its work; `late` ends after the others;
    `awaited`: while it is away the others wait for it.
    """

    name: str
    entry: Entry
    late: bool = False
    awaited: bool = False
    pid: int = 0
    leash: MasterEnd | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    serving: bool = False
    serving_since: float = 0.0


@dataclass(slots=True)
class Leaving:
    """A worker of an earlier configuration that finishes what it has."""

    name: str
    leash: MasterEnd


@dataclass(slots=True)
class Supervisor:
    """`info` and `warn` write to the log as master; `in_child` runs first in every child (closes what is master's).
    `on_serving` is called once, when all serve; `on_outage` with the reason, if before that the awaited worker has
    failed to start some times. `control`: where requests to that one come in.
    """

    info: Callable[[str], None]
    warn: Callable[[str], None]
    in_child: Callable[[], None]
    on_reload: Callable[[], None]
    on_rotate: Callable[[], int]
    on_serving: Callable[[], None]
    on_outage: Callable[[str], None]
    places: list[Place] = field(default_factory=list)
    leaving: dict[int, Leaving] = field(default_factory=dict)
    control: socket.socket | None = None
    outage: str = ""  # why the awaited worker cannot start
    stopping: bool = False
    _wakeup: tuple[int, int] = (-1, -1)
    _told: bool = False
    _slow_at: float = 0.0  # when the log is told of a slow start; 0: it has been

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; returns when every worker has ended."""
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = (read, write)
        self._slow_at = time.monotonic() + START_WAIT
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)  # first: once it is caught, a signal must be heard
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        release_signals()
        try:
            self._serve(read)
        finally:
            signal.set_wakeup_fd(-1)
            os.close(read)
            os.close(write)

    def _serve(self, wakeup: int) -> None:
        while True:
            now = time.monotonic()
            for place in self.places:
                if not place.pid and now >= place.due and not self.stopping:
                    self._start(place)
            if self.stopping and self._stop_step(now):
                return
            if self._slow_at and now >= self._slow_at:
                self._slow_at = 0.0
                self._tell_slow()
            watched = {p.leash.sock.fileno(): p for p in self.places if p.leash is not None and not p.serving}
            late = self._late_at()
            if late is not None and now >= late:
                self._set_outage("the queue manager is starting; the log may tell what takes so long")
            control = self.control if self.outage else None
            asked = [] if control is None else [control.fileno()]
            readable, _, _ = select.select([wakeup, *watched, *asked], [], [], self._timeout(now))
            for descriptor in readable:
                if descriptor == wakeup:
                    self._signals(os.read(wakeup, 512))
                elif control is not None and descriptor in asked:
                    turn_away(control, self.outage)
                else:
                    self._hear(watched[descriptor])
            self._reap()

    def _timeout(self, now: float) -> float | None:
        if self.stopping:
            return 0.2
        waits = [place.due - now for place in self.places if not place.pid]
        if self._slow_at and not self._told:
            waits.append(self._slow_at - now)
        if (late := self._late_at()) is not None:
            waits.append(late - now)
        return max(0.0, min(waits)) if waits else None

    def _tell_slow(self) -> None:
        names = [place.name for place in self.places if not place.serving]
        if not self._told and names and not self.stopping:
            self.warn(f"not serving yet, {START_WAIT:.0f} seconds after the start: {', '.join(names)}")

    def _hear(self, place: Place) -> None:
        assert place.leash is not None
        place.leash.hear()
        place.serving, place.serving_since = place.leash.ready, time.monotonic()
        if place.awaited and place.serving:
            self._set_outage("")
        if not self._told and all(p.serving for p in self.places):
            self._told = True
            self.on_serving()

    def _late_at(self) -> float | None:
        """When it has taken too long for an awaited worker to come back; None: it is not on its way."""
        for place in self.places:
            if place.awaited and place.pid and place.pause and not place.serving and not self.outage:
                return place.started + BACK_WAIT
        return None

    def _set_outage(self, reason: str) -> None:
        before, self.outage = self.outage, reason
        if bool(before) != bool(reason):
            for leash in self._leashes():
                leash.tell(AWAY if reason else BACK)

    def _leashes(self) -> list[MasterEnd]:
        held = [place.leash for place in self.places if place.leash is not None]
        return held + [gone.leash for gone in self.leaving.values()]

    # --- children -------------------------------------------------------------------------------------------------

    def _start(self, place: Place) -> None:
        now = time.monotonic()
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            self._cannot_start(place, error, now)
            return
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self._cannot_start(place, error, now)
            return
        if pid == 0:
            self._child(place, ours, theirs)
        theirs.close()
        place.pid, place.leash = pid, MasterEnd(ours)
        place.started, place.serving = now, False
        if self.outage:
            place.leash.tell(AWAY)

    def _cannot_start(self, place: Place, error: OSError, now: float) -> None:
        """The host has no process or descriptor to spare now. The others serve on."""
        place.pause = restart_pause(place.pause, 0.0)
        place.due = now + place.pause
        self.warn(f"cannot start {place.name}: {error.strerror}; trying again in {place.pause:.1f} seconds")
        if place.awaited and place.pause >= PATIENCE:
            self._set_outage(f"cannot start {place.name}: {error.strerror}")

    def _child(self, place: Place, ours: socket.socket, theirs: socket.socket) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
                # A terminal's Ctrl-C reaches all of the group; only master decides what it means.
                signal.signal(number, signal.SIG_DFL if number in (signal.SIGTERM, signal.SIGCHLD) else signal.SIG_IGN)
            for descriptor in self._wakeup:
                os.close(descriptor)
            ours.close()
            for leash in self._leashes():
                leash.close()
            self.in_child()
            place.entry(theirs)
            status = 0
        except SystemExit as exc:  # it has told the log why
            status = exc.code if isinstance(exc.code, int) else 1
            if isinstance(exc.code, str):
                tell_last_words(theirs, f"fatal: {exc.code}")
        except BaseException as exc:  # the last line of a child: what it dies of must be seen
            import traceback

            self.warn(f"{place.name}: {type(exc).__name__}: {exc}; {traceback.format_exc(limit=-3)}")
            tell_last_words(theirs, f"{type(exc).__name__}: {exc}")
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        gone = self.leaving.pop(pid, None)
        if gone is not None:
            gone.leash.close()
            return
        place = next((p for p in self.places if p.pid == pid), None)
        if place is None:
            return
        served, words = False, ""
        if place.leash is not None:
            place.leash.hear()
            served, words = place.leash.ready, place.leash.last_words
            place.leash.close()
        place.pid, place.leash = 0, None
        if self.stopping:
            return
        now = time.monotonic()
        place.pause = restart_pause(place.pause, now - place.serving_since if place.serving else 0.0)
        place.due = now + place.pause
        if status:
            what = (
                f"killed by signal {os.WTERMSIG(status)}"
                if os.WIFSIGNALED(status)
                else f"exit status {os.WEXITSTATUS(status)}"
            )
            self.warn(f"process {place.name} pid {pid} {what}")
            if place.pause > SERVED_PAUSE:
                self.warn(f"{place.name}: bad command startup -- throttling")
            # It will not be back in a moment: it could not begin, or has died too often.
            if place.awaited and (place.pause >= PATIENCE or (not served and os.WIFEXITED(status))):
                self._set_outage(f"{place.name}: {words or what}")
                if place.pause >= PATIENCE and not self._told:
                    self.on_outage(self.outage)

    def replace(self, places: list[Place]) -> None:
        """New workers for a new configuration; the present ones finish what they have."""
        for place in self.places:
            if place.pid and place.leash is not None:
                place.leash.tell(DRAIN)
                self.leaving[place.pid] = Leaving(place.name, place.leash)
        self.places = places

    # --- signals --------------------------------------------------------------------------------------------------

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                if not self.stopping:
                    self.info(f"terminating on signal {number}")
                    self._stop()
            elif number == signal.SIGHUP:
                self.rotate()
                self.on_reload()
            elif number == signal.SIGUSR1:
                self.rotate()

    def rotate(self) -> None:
        """Open the log anew and give it to every worker."""
        descriptor = self.on_rotate()
        if descriptor < 0:
            return
        for leash in self._leashes():
            leash.tell(LOG, descriptor)

    def _stop(self) -> None:
        self.stopping = True
        self._stop_since = time.monotonic()
        for place in self.places:
            if place.leash is not None and not place.late:
                place.leash.tell(STOP)
        for gone in self.leaving.values():
            gone.leash.tell(STOP)

    _stop_since: float = 0.0
    _late_told: bool = False

    def _stop_step(self, now: float) -> bool:
        """True when all have ended. The queue manager goes last, so that the others can report to it."""
        alive = [p for p in self.places if p.pid]
        early = [p for p in alive if not p.late]
        if not alive and not self.leaving:
            return True
        if not early and not self.leaving and not self._late_told:
            self._late_told = True
            for place in alive:
                if place.leash is not None:
                    place.leash.tell(STOP)
        if now - self._stop_since > STOP_WAIT:
            for pid in [p.pid for p in alive] + list(self.leaving):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return False

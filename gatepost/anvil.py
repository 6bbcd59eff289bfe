"""Client rates and connection counts, in memory (anvil(8)).

It has no clock of its own. Times are whole seconds, as Postfix's: a time unit is over once more than its seconds have
passed.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from gatepost.maillog import lines

Event = Literal["connect", "mail", "rcpt", "newtls", "auth", "newtls_stat"]
"""`newtls_stat` is none: it asks how many `newtls` there have been."""

EVENTS: tuple[tuple[Event, str], ...] = (
    ("connect", "connection"),
    ("mail", "message"),
    ("rcpt", "recipient"),
    ("newtls", "newtls"),
    ("auth", "auth"),
)
"""What is counted per time unit, and its name in the statistics."""

Client = tuple[str, str]
"""The service (a listener's name in master.cf) and the client's address."""


class Counts(msgspec.Struct, array_like=True):
    """What one client of one service has done. `since`: when the present time unit began, monotonic seconds."""

    connections: int = 0
    since: int = 0
    rates: dict[str, int] = msgspec.field(default_factory=dict)


class Peak(msgspec.Struct):
    """The highest value since the last statistics, who had it and when (wall-clock seconds)."""

    value: int = 0
    client: Client = ("", "")
    when: float = 0.0


class Anvil:
    """Counts per (service, client). Entries without connections go once their time unit is over.

    `time_unit`: anvil_rate_time_unit, seconds. `clock`: wall-clock seconds, for the statistics only.
    """

    def __init__(self, time_unit: int, clock: Callable[[], float]) -> None:
        self.time_unit = time_unit
        self._clock = clock
        self._counts: dict[Client, Counts] = {}
        self._swept = 0
        self._peaks = {event: Peak() for event, _ in EVENTS}
        self._most_connections = Peak()
        self._most_clients = Peak()

    def count(self, what: Event, service: str, client: str, now: float) -> tuple[int, int]:
        """Note one event. `now`: monotonic seconds.

        Returns (simultaneous connections, events of this kind in this time unit).
        """
        key = (service, client)
        counts = self._of(key, int(now))
        if what == "newtls_stat":
            return counts.connections, counts.rates.get("newtls", 0)
        rate = counts.rates[what] = counts.rates.get(what, 0) + 1
        peak = self._peaks[what]
        if rate > peak.value:
            self._raise(peak, rate, key)
        if what == "connect":
            counts.connections += 1
            if counts.connections > self._most_connections.value:
                self._raise(self._most_connections, counts.connections, key)
        return counts.connections, rate

    def disconnect(self, service: str, client: str, connections: int = 1) -> None:
        """So many of this client's connections are over."""
        counts = self._counts.get((service, client))
        if counts is not None:
            counts.connections = max(0, counts.connections - connections)

    def resume(self, service: str, client: str, connections: int, now: float) -> None:
        """Connections that are open, and have been counted among the rates by an earlier anvil."""
        self._of((service, client), int(now)).connections += connections

    def _of(self, key: Client, second: int) -> Counts:
        if second - self._swept > self.time_unit:
            self._sweep(second)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = Counts(since=second)
            most = self._most_clients
            if len(self._counts) > most.value:
                if second != self._swept:
                    self._sweep(second)
                if len(self._counts) > most.value:
                    self._raise(most, len(self._counts), key)
        elif counts.since + self.time_unit < second:
            counts.since = second
            counts.rates.clear()
        return counts

    def _raise(self, peak: Peak, value: int, client: Client) -> None:
        peak.value, peak.client, peak.when = value, client, self._clock()

    def _sweep(self, second: int) -> None:
        self._swept = second
        old = [
            key
            for key, counts in self._counts.items()
            if not counts.connections and counts.since + self.time_unit < second
        ]
        for key in old:
            del self._counts[key]

    def statistics(self) -> list[str]:
        """The log lines about the time since they were last asked for; what has not happened has none."""
        told: list[str] = []
        for event, name in EVENTS:
            peak = self._peaks[event]
            if peak.value:
                told.append(lines.peak_rate(name, peak.value, self.time_unit, *peak.client, peak.when))
                peak.value = 0
            if event == "connect" and self._most_connections.value:
                peak = self._most_connections
                told.append(lines.peak_count(name, peak.value, *peak.client, peak.when))
                peak.value = 0
        if self._most_clients.value:
            told.append(lines.peak_cache(self._most_clients.value, self._most_clients.when))
            self._most_clients.value = 0
        return told

    # The rates pass from a queue manager to its successor; which connections are open, the workers tell themselves.

    def saved(self) -> bytes:
        """For `restore` in another process of this host."""
        return msgspec.msgpack.encode([(*key, counts.since, counts.rates) for key, counts in self._counts.items()])

    def restore(self, saved: bytes, now: float) -> None:
        """Take over what is left of `saved`. Raises msgspec.MsgspecError for what is no such thing."""
        second = int(now)
        for service, client, since, rates in msgspec.msgpack.decode(saved, type=list[_Saved]):
            if since <= second <= since + self.time_unit:
                self._counts[service, client] = Counts(0, since, rates)


_Saved = tuple[str, str, int, dict[str, int]]

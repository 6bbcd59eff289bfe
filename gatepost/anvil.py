"""Client rates and connection counts, in memory (anvil(8)). No clock of its own: `now` is monotonic seconds."""

import msgspec


class _Counts(msgspec.Struct):
    """What one (service, client) has done: simultaneous connections, and events in the current time unit."""

    connections: int = 0
    since: float = 0.0
    rates: dict[str, int] = msgspec.field(default_factory=dict)


class Anvil:
    """Counts per (service, client). Entries without connections go once their time unit is over."""

    def __init__(self, time_unit: float) -> None:
        self.time_unit = time_unit
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._swept = 0.0

    def count(self, what: str, service: str, client: str, now: float) -> tuple[int, int]:
        """Note one event (connect, disconnect, mail, rcpt, auth, newtls).

        Returns (simultaneous connections, events of this kind in this time unit).
        """
        if now - self._swept > self.time_unit:
            self._sweep(now)
        key = (service, client)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = _Counts(since=now)
        if now - counts.since >= self.time_unit:
            counts.since = now
            counts.rates.clear()
        if what == "disconnect":
            counts.connections = max(0, counts.connections - 1)
            return counts.connections, 0
        if what == "connect":
            counts.connections += 1
        rate = counts.rates[what] = counts.rates.get(what, 0) + 1
        return counts.connections, rate

    def forget(self, service_clients: dict[tuple[str, str], int]) -> None:
        """A worker is gone: its connections are no more."""
        for key, connections in service_clients.items():
            counts = self._counts.get(key)
            if counts is not None:
                counts.connections = max(0, counts.connections - connections)

    def _sweep(self, now: float) -> None:
        self._swept = now
        old = [
            key
            for key, counts in self._counts.items()
            if not counts.connections and now - counts.since >= self.time_unit
        ]
        for key in old:
            del self._counts[key]

"""The address verification service (verify(8)): questions in, answers at once or when a probe has told, probes out.

One per system. Probes of one address that are wanted at the same time are one probe; nobody who asks is held up by
another's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from gatepost.net.stepping import carry_out
from gatepost.verify.cache import AddressCache
from gatepost.verify.entry import NOTHING, PROBE_TTL, Entry, Rules, Status

Outcome = Literal["ok", "bad", "unknown", "trouble"]

_OUTCOMES: dict[Status, Outcome] = {
    Status.OK: "ok",
    Status.DEFERRED: "unknown",
    Status.BOUNCED: "bad",
    Status.UNKNOWN: "unknown",
}


class Answer(msgspec.Struct, frozen=True):
    """An answer: `outcome` as in restrictions.ports.Verification, with its reason."""

    outcome: Outcome
    reason: str


SendProbe = Callable[[str], Awaitable[bool]]
"""Puts a probe of the address into the queue; False: it could not. Its result comes to Verifier.told."""


class Verifier:
    """`clock` gives wall-clock seconds; `log_cleanup` gets the entries kept and dropped by each cleanup.

    `cleanup_interval`: seconds, 0: never. The cache is looked into from the first question on.
    """

    def __init__(
        self,
        rules: Rules,
        cache: AddressCache,
        send: SendProbe,
        clock: Callable[[], float],
        log_cleanup: Callable[[int, int], None],
        cleanup_interval: int,
    ) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._waiting: dict[str, list[asyncio.Future[Entry]]] = {}
        self._in_flight: dict[str, int] = {}  # probes without a result, and when they were sent
        self._cleaner: asyncio.Task[None] | None = None
        self._used = self._closing = False
        self.configure(rules, cache, send, log_cleanup, cleanup_interval)

    def configure(
        self,
        rules: Rules,
        cache: AddressCache,
        send: SendProbe,
        log_cleanup: Callable[[int, int], None],
        cleanup_interval: int,
    ) -> None:
        """Go on under another configuration."""
        self._rules = rules
        self.cache = cache
        self._send = send
        self._log_cleanup = log_cleanup
        self._cleanup_interval = cleanup_interval
        if self._cleaner is not None:
            self._cleaner.cancel()
            self._cleaner = None
        if self._used:
            self._start_cleaning()

    async def verify(self, address: str, wait: float) -> Answer:
        """What is known of the address; while nothing is, a probe's result, waited for `wait` seconds at most."""
        if not self._used:
            self._used = True
            self._start_cleaning()
        known, entry = self.cache.at_hand(address)
        if not known:
            entry = await self.cache.load(address)
        now = int(self._clock())
        judgement = self._rules.judge(entry, now)
        entry = judgement.entry
        if judgement.forget:
            self.cache.put(address, None)
        if judgement.probe:
            self._probe(address, entry, now)
            present = self.cache.at_hand(address)[1]  # some is known at once
            if present is not None and present.status is not Status.UNKNOWN:
                entry = present
        if entry.status is Status.UNKNOWN and wait > 0 and not self._closing:
            entry = await self._result(address, entry, wait)
        return Answer(_OUTCOMES[entry.status], entry.text)

    def told(self, address: str, status: Status, text: str) -> None:
        """A probe of the address has come to its end."""
        self._in_flight.pop(address, None)
        known, before = self.cache.at_hand(address)
        if known:
            self._learn(address, before, status, text)
        else:
            carry_out(self._told_of(address, status, text), self._tasks)

    async def _told_of(self, address: str, status: Status, text: str) -> None:
        self._learn(address, await self.cache.load(address), status, text)

    def _learn(self, address: str, before: Entry | None, status: Status, text: str) -> None:
        entry = self._rules.learnt(before, status, text, int(self._clock()))
        if entry is None:
            return
        self.cache.put(address, entry)
        for future in self._waiting.pop(address, ()):
            if not future.done():
                future.set_result(entry)

    def dismiss(self) -> None:
        """Let nobody wait any more: what is not known yet is answered so."""
        self._closing = True
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(NOTHING)
        self._waiting.clear()

    def close(self) -> None:
        """Write what is still to be written."""
        if self._cleaner is not None:
            self._cleaner.cancel()
        self.cache.close()

    # --- probes ---------------------------------------------------------------------------------------------------

    def _probe(self, address: str, entry: Entry, now: int) -> None:
        if now - self._in_flight.get(address, 0) <= PROBE_TTL:
            return
        if len(self._in_flight) > 10_000:
            self._in_flight = {a: sent for a, sent in self._in_flight.items() if now - sent <= PROBE_TTL}
        self._in_flight[address] = now
        kept = self._rules.probing(entry, now)
        if kept is not None:
            self.cache.put(address, kept)
        carry_out(self._sent(address, entry), self._tasks)

    async def _sent(self, address: str, entry: Entry) -> None:
        if await self._send(address):
            return
        # It may be tried again at once: there is nothing to wait for.
        self._in_flight.pop(address, None)
        known, present = self.cache.at_hand(address)
        if known and present is not None and present.probed:
            self.cache.put(address, entry if entry.updated else None)

    async def _result(self, address: str, entry: Entry, wait: float) -> Entry:
        future: asyncio.Future[Entry] = self._loop.create_future()
        self._waiting.setdefault(address, []).append(future)
        timer = self._loop.call_later(wait, self._give_up, address, future, entry)
        try:
            return await future
        finally:
            timer.cancel()

    def _give_up(self, address: str, future: "asyncio.Future[Entry]", entry: Entry) -> None:
        if not future.done():
            future.set_result(entry)
        waiting = [other for other in self._waiting.get(address, ()) if other is not future]
        if waiting:
            self._waiting[address] = waiting
        else:
            self._waiting.pop(address, None)

    # --- cleanup --------------------------------------------------------------------------------------------------

    def _start_cleaning(self) -> None:
        if self._cleanup_interval:
            self._cleaner = self._loop.create_task(self._clean())

    async def _clean(self) -> None:
        interval, cache = self._cleanup_interval, self.cache
        last = await cache.last_cleanup()
        while True:
            await asyncio.sleep(max(0.0, last + interval - self._clock()))
            last = int(self._clock())
            self._log_cleanup(*await cache.clean(self._rules, last))

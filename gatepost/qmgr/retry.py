"""When mail to one destination is tried again, where gatepost_retry_schedule_maps says so.

`5m 10m 30m 1h 4h; expire 2d`: so long after the first attempt comes the second, and so on; the last wait is repeated;
after `expire` the mail is returned. The times count from the arrival of the message, so that nothing need be written
down of each recipient, and a late attempt does not put off all that follow.
"""

import math
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from gatepost.config.values import parse_time
from gatepost.mail.address import fold
from gatepost.mail.envelope import Message
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.backoff import Backoff
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.table import LookupTemporaryFailure

PARAMETER = "gatepost_retry_schedule_maps"

MANY_WAITING = 200_000
"""Recipients of which it is remembered that they are due later than others of their message."""

EARLY = 1.0
"""Seconds by which a recipient may be tried before its time."""

PlaceOf = Callable[[Message, str], Awaitable[tuple[str, str]]]
"""Domain and next hop of a recipient (address) of a message. Raises LookupTemporaryFailure."""

Waiting = dict[int, tuple[float, RecipientStatus]]
"""Recipients by number: when they are due (wall clock), and why they wait."""


class Schedule(msgspec.Struct, frozen=True):
    """`waits` between attempts, and the lifetime (`expire`; None: as without a schedule), in seconds."""

    waits: tuple[int, ...]
    expire: int | None = None

    def next_attempt(self, arrival: float, now: float) -> float:
        """The next time of the schedule. One that is nearer than half its wait has had its attempt, a little late."""
        if now < arrival:  # the clock was set back
            return now + self.waits[0]
        point = arrival
        for wait in self.waits:
            point += wait
            if point >= now + wait / 2:
                return point
        last = self.waits[-1]
        return point + last * max(1, math.ceil((now + last / 2 - point) / last))


def parse_schedule(text: str) -> Schedule:
    """`WAIT [WAIT...][; expire TIME]`, units as everywhere (s m h d w; none: seconds). Raises ValueError."""
    waits_text, _, rest = text.partition(";")
    waits = tuple(parse_time(word, "s") for word in waits_text.replace(",", " ").split())
    if not waits or 0 in waits:
        raise ValueError(f'bad retry schedule: "{text}" (expected WAIT [WAIT...][; expire TIME])')
    words = rest.split()
    if not words:
        return Schedule(waits)
    if len(words) != 2 or words[0].lower() != "expire":
        raise ValueError(f'bad retry schedule: "{text}" (expected "expire TIME" after the semicolon)')
    return Schedule(waits, parse_time(words[1], "s"))


def schedule_keys(domain: str) -> Iterator[str]:
    """The recipient's domain, then its parents as `.parent`."""
    domain = fold(domain)
    yield domain
    dot = domain.find(".", 1)
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(".", dot + 1)


async def _its_domain(message: Message, address: str) -> tuple[str, str]:
    domain = address.rpartition("@")[2]
    return domain, domain


class RetrySchedules:
    """The tables. Keys: the recipient's domain, `.parent` of each parent domain, the next hop, `*`.

    `warn` takes the text of a log warning. What a table cannot tell, or tells badly, leaves the usual back-off.
    """

    def __init__(self, maps: Maps, warn: Callable[[str], None]) -> None:
        self._maps = maps
        self.place_of: PlaceOf = _its_domain
        """Set by the Router."""
        self._warn = warn
        self._parsed: dict[str, Schedule | None] = {}
        self.mixed: dict[str, Waiting] = {}
        """By queue ID: recipients that are not due yet when the message is."""
        self._waiting = 0

    async def find(self, domain: str, nexthop: str) -> tuple[Schedule | None, Hit | None]:
        """The schedule and the entry that has it; without a domain only the next hop counts (content filters). Raises
        LookupTemporaryFailure.
        """
        maps = self._maps
        for number, key in enumerate((*schedule_keys(domain), fold(nexthop), "*")):
            hit = await maps.find(key, full_key=not number)
            if hit is not None:
                return self._schedule(hit), hit
        return None, None

    def _schedule(self, hit: Hit) -> Schedule | None:
        if hit.value not in self._parsed:
            if len(self._parsed) > 1000:
                self._parsed.clear()
            try:
                self._parsed[hit.value] = parse_schedule(hit.value)
            except ValueError as error:
                self._warn(f"{PARAMETER}: {hit.table}: {hit.key}: {error}")
                self._parsed[hit.value] = None
        return self._parsed[hit.value]

    async def conclude(self, entry: ActiveMessage, backoff: Backoff, unset: float, now: float) -> bool:
        """Of the deferred recipients those whose time is over become bounced ones; the others' next attempt is set.

        `now` is wall-clock time, `unset` what it were had the clock not been set since the message came. True if some
        have expired.
        """
        message = entry.message
        waiting = self._recall(message.queue_id)
        usual = now + backoff.next_attempt(message, unset) - unset
        due: Waiting = {}
        kept: list[RecipientStatus] = []
        found: dict[tuple[str, str], Schedule | None] = {}
        scheduled = False
        expired = backoff.expired(message, unset)
        for status in entry.deferred:
            schedule = await self._of(entry, status.index, found)
            if schedule is None or schedule.expire is None:
                over = expired
            else:
                over = unset >= message.arrival + schedule.expire
            if over:
                entry.bounced.append(status)
                continue
            kept.append(status)
            when = usual
            if schedule is not None:
                scheduled = True
                when = now + schedule.next_attempt(message.arrival, unset) - unset
            before, _ = waiting.get(status.index, (0.0, status))
            due[status.index] = (before if before > now + EARLY else when, status)
        some_expired = len(kept) < len(entry.deferred)
        entry.deferred = kept
        if not scheduled:
            return some_expired
        first = entry.next_attempt = min(when for when, _ in due.values())
        self._remember(message.queue_id, {index: each for index, each in due.items() if each[0] > first + EARLY})
        return some_expired

    def _remember(self, queue_id: str, waiting: Waiting) -> None:
        if waiting:
            if self._waiting >= MANY_WAITING:
                self.revive()  # at worst an attempt too many
            self.mixed[queue_id] = waiting
            self._waiting += len(waiting)

    def _recall(self, queue_id: str) -> Waiting:
        waiting = self.mixed.pop(queue_id, {})
        self._waiting -= len(waiting)
        return waiting

    async def _of(
        self, entry: ActiveMessage, index: int, found: dict[tuple[str, str], Schedule | None]
    ) -> Schedule | None:
        try:
            place = await self.place_of(entry.message, entry.message.recipients[index].address)
            if place not in found:
                found[place] = (await self.find(*place))[0]
            return found[place]
        except LookupTemporaryFailure:
            return None

    def not_due(self, queue_id: str, now: float) -> Waiting:
        """The recipients of a message that are to wait on though it is being tried; `now`: wall-clock seconds."""
        waiting = {index: each for index, each in self.mixed.get(queue_id, {}).items() if each[0] > now + EARLY}
        if not waiting:
            self._recall(queue_id)
        return waiting

    def shift(self, seconds: float) -> None:
        """The clock has been set: what waits, waits no longer and no shorter."""
        for waiting in self.mixed.values():
            waiting.update({index: (when + seconds, status) for index, (when, status) in waiting.items()})

    def revive(self) -> None:
        """All is tried that is tried now (postqueue -f)."""
        self.mixed.clear()
        self._waiting = 0

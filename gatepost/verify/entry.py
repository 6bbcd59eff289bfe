"""What is known of an address, and for how long that counts (verify(8)). Pure: times are wall-clock seconds."""

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from gatepost.config.settings import Settings

PROBE_TTL = 1000
"""Seconds after which a probe without a result counts as lost."""

IN_PROGRESS = "Address verification in progress"


class Status(IntEnum):
    """What the last probe has told."""

    OK = 0
    DEFERRED = 1
    BOUNCED = 2
    UNKNOWN = 3  # none has told anything yet


class Entry(msgspec.Struct, frozen=True, gc=False):
    """`probed`: when the probe was sent that is under way, 0: none is. `updated`: when the status was learnt, 0: never.

    `text`: why; for an address that is good, what its server said.
    """

    status: Status
    probed: int
    updated: int
    text: str


NOTHING = Entry(Status.UNKNOWN, 0, 0, IN_PROGRESS)


class Judgement(msgspec.Struct, frozen=True):
    """What to answer with `entry` now; whether to `probe` the address; whether the cache should `forget` it."""

    entry: Entry
    probe: bool
    forget: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The parameters address_verify_*, without that prefix, in seconds."""

    positive_expire_time: int
    positive_refresh_time: int
    negative_cache: bool
    negative_expire_time: int
    negative_refresh_time: int

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """Raises ConfigError for a bad value."""
        return cls(
            settings.address_verify_positive_expire_time,
            settings.address_verify_positive_refresh_time,
            settings.address_verify_negative_cache,
            settings.address_verify_negative_expire_time,
            settings.address_verify_negative_refresh_time,
        )

    def judge(self, entry: Entry | None, now: int) -> Judgement:
        """An answer that is old enough is refreshed in the background; only what has expired is not given any more."""
        forget = False
        if entry is None or self.expired(entry, now):
            forget = entry is not None and not self.negative_cache
            entry = NOTHING
        refresh = self.positive_refresh_time if entry.status is Status.OK else self.negative_refresh_time
        probe = now - entry.probed > PROBE_TTL and entry.updated + refresh < now
        return Judgement(entry, probe, forget)

    def expired(self, entry: Entry, now: int) -> bool:
        """May it go? Not while a probe is under way that may renew it."""
        if now - entry.probed <= PROBE_TTL:
            return False
        expire = self.positive_expire_time if entry.status is Status.OK else self.negative_expire_time
        return entry.updated + expire < now

    def probing(self, entry: Entry, now: int) -> Entry | None:
        """What to keep of the address while it is probed; None: nothing, lest the cache fill with garbage."""
        if entry.updated or self.negative_cache:
            return msgspec.structs.replace(entry, probed=now)
        return None

    def learnt(self, before: Entry | None, status: Status, text: str, now: int) -> Entry | None:
        """What to keep of a probe's result; None: nothing. A failure does not overrule what was good: it may pass."""
        failed = status is not Status.OK
        if failed and (not self.negative_cache or (before is not None and before.status is Status.OK)):
            return None
        return Entry(status, 0, now, text)

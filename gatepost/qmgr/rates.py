"""Messages per time to one destination: `N/s`, `N/min`, `N/h` or `N/day`, smoothed (gatepost_destination_rates).

One delivery is started each 1/N of the time; what was missed can be caught up with for a tenth of a second only. So in
any span of time not more starts than the rate allows in that span and a tenth of a second, and one.
"""

import re
from dataclasses import dataclass

TOLERANCE = 0.1
"""Seconds by which a delivery may be ahead of its time, after others were late."""

MANY = 1000
"""Accounts that are kept before it is looked which of them say nothing any more."""

_UNITS = {
    "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400,
}  # fmt: skip
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*/\s*([a-z]+)\Z")


@dataclass(frozen=True, slots=True)
class Rate:
    """`interval`: seconds from one delivery to the next. `text`: as configured; `source`: where, for explanations."""

    interval: float
    text: str
    source: str = ""


def parse_rate(text: str, source: str = "") -> Rate | None:
    """`none` and 0 mean no limit: None. Raises ValueError for anything that is no rate."""
    cleaned = text.strip().lower()
    if cleaned in ("none", "0"):
        return None
    found = _RATE.match(cleaned)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"bad rate: {text} (expected N/s, N/min, N/h, N/day or none)")
    number = float(found[1])
    if not number:
        return None
    return Rate(_UNITS[found[2]] / number, cleaned, source)


class Account:
    """What a destination has had of its rate: its next delivery is due at `due` (monotonic seconds).

    An account that is due is as good as none, so idle ones can be forgotten.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0.0

    def opens_at(self) -> float:
        """When the next delivery may start."""
        return self.due - TOLERANCE

    def at(self, rate: Rate, now: float) -> "Account":
        """With this rate from now on, however low it was before, and though a clock was set back meanwhile."""
        self.due = min(self.due, now + rate.interval + TOLERANCE)
        return self

    def take(self, rate: Rate, now: float) -> None:
        """A delivery starts."""
        self.due = max(self.due, now) + rate.interval


class Accounts:
    """Those of a transport's destinations, by name."""

    __slots__ = ("_accounts", "_limit")

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._limit = MANY

    def __len__(self) -> int:
        return len(self._accounts)

    def dues(self, after: float) -> list[tuple[str, float]]:
        """Those that are due later than that (monotonic seconds)."""
        return [(name, account.due) for name, account in self._accounts.items() if account.due > after]

    def of(self, name: str, now: float) -> Account:
        """That of a destination; `now`: monotonic seconds."""
        accounts = self._accounts
        account = accounts.get(name)
        if account is None:
            if len(accounts) >= self._limit:
                self._accounts = accounts = {name: account for name, account in accounts.items() if account.due > now}
                self._limit = max(MANY, 2 * len(accounts))
            account = accounts[name] = Account()
        return account

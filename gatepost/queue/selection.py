"""Which messages of a listing are meant: by sender, recipient, reason, size, age and queue.

`Selection.matches` decides. `narrowed` gives the queue file a condition that leaves out most of the others without a
message being made of them; what it lets pass is looked at again.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import Message
from gatepost.queue.store import Listed

Test = Callable[[str], bool]
Condition = tuple[str, list[str | float]]
"""An SQL expression on the columns of rows.FROM, and its arguments."""

_TEXT = "CAST(m.envelope AS TEXT)"
_ENVELOPE_LIKE = f"{_TEXT} LIKE ? ESCAPE '\\'"
_FIELDS = [field.name for field in msgspec.structs.fields(Message)]
_ARRIVAL, _SIZE = (_FIELDS.index(name) for name in ("arrival", "data_size"))


class Selection(msgspec.Struct, frozen=True):
    """What is empty or None does not matter; all the rest must be so.

    `senders`, `recipients`: address patterns: an address, `@domain`, or either with `*` for any text; letter case does
    not count; `<>` is the null sender. A message is meant if its sender matches one of `senders`, and one of its open
    recipients one of `recipients`. `reason`: part of the text that says why a recipient waits. `larger`, `smaller`:
    than so many octets, as listings give them. `before`, `after`: of the arrival, wall-clock seconds. `queues`: names;
    what is in the corrupt queue, of which not all can be told, is meant only if that is among them.
    """

    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    reason: str = ""
    larger: int | None = None
    smaller: int | None = None
    before: float | None = None
    after: float | None = None
    queues: frozenset[str] = frozenset()

    def matches(self, item: Listed) -> bool:
        """Is this message meant?"""
        if item.queue not in self.queues if self.queues else item.queue == "corrupt":
            return False
        if self.larger is not None and item.size <= self.larger:
            return False
        if self.smaller is not None and item.size >= self.smaller:
            return False
        if self.before is not None and item.arrival >= self.before:
            return False
        if self.after is not None and item.arrival <= self.after:
            return False
        if self.senders and not _any_match(self.senders, [item.sender]):
            return False
        if self.recipients and not _any_match(self.recipients, [address for address, _ in item.recipients]):
            return False
        return not self.reason or self._reason_given(item)

    def _reason_given(self, item: Listed) -> bool:
        wanted = self.reason.lower()
        return any(wanted in _lower(why) for _, why in item.recipients)

    def narrowed(self) -> Condition:
        """For the queue file; empty: no condition. The active queue is no place in it, so `matches` looks at queues.

        It raises apsw.SQLError where an envelope is damaged.
        """
        parts: list[str] = []
        arguments: list[str | float] = []
        for patterns, beyond in ((self.senders, ""), (self.recipients, "m.recipients > 100 OR ")):
            likes = [_like(pattern) for pattern in patterns]
            if likes and all(likes):
                parts.append(f"({beyond}{' OR '.join([_ENVELOPE_LIKE] * len(likes))})")
                arguments += likes
        if like := _like(self.reason):
            parts.append("(m.recipients > 100 OR w.state LIKE ? ESCAPE '\\')")  # the others' are in another table
            arguments.append(like)
        for place, comparison, limit in (
            (_SIZE, ">", self.larger),
            (_SIZE, "<", self.smaller),
            (_ARRIVAL, "<", self.before),
            (_ARRIVAL, ">", self.after),
        ):
            if limit is not None:
                parts.append(f"{_TEXT} ->> {place} {comparison} ?")
                arguments.append(limit)
        return " AND ".join(parts), arguments


def _any_match(patterns: tuple[str, ...], addresses: list[str]) -> bool:
    return any(address_test(pattern)(address) for pattern in patterns for address in addresses)


@lru_cache(maxsize=64)
def address_test(pattern: str) -> Test:
    """Whether an address (internal form) is the one that a pattern means."""
    if pattern == "<>":
        return lambda address: not address
    wanted = pattern.lower()
    if '"' in wanted:
        test = _plain(wanted)
        return lambda address: test(quote_822_local(address))
    return _plain(wanted)


def _plain(wanted: str) -> Test:
    if "*" in wanted:
        text = ".*".join(map(re.escape, wanted.split("*")))
        whole = re.compile(f".*{text}" if wanted.startswith("@") else text, re.S).fullmatch
        return lambda address: whole(address.lower()) is not None
    if wanted.startswith("@"):
        return lambda address: address.lower().endswith(wanted)
    return lambda address: address.lower() == wanted


@lru_cache(maxsize=4096)
def _lower(text: str) -> str:
    return text.lower()


def _like(pattern: str) -> str:
    """An SQL pattern for JSON that has such a text; empty if it would not be safe to say so."""
    if not pattern.isascii() or '"' in pattern or pattern == "<>":
        return ""
    literal = max(pattern.split("*"), key=len)
    written = msgspec.json.encode(literal).decode()[1:-1]
    return "%" + re.sub(r"([%_\\])", r"\\\1", written) + "%" if written else ""

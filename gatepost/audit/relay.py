"""Does a restriction list end for everybody, and how? What lint can tell without asking a table or a server.

`gatepost prove` follows all lists of a listener, with their tables; `audit.strangers` answers for it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gatepost.restrictions import compile as _registers  # noqa: F401 - without it `find` knows no restriction
from gatepost.restrictions.registry import find
from gatepost.tables.braces import split_items

_STOPS = frozenset(("reject", "defer", "reject_unauth_destination", "defer_unauth_destination"))


class End(NamedTuple):
    """open: whoever comes that far may send anywhere. closed: nobody gets past its end with a foreign destination."""

    open: bool
    closed: bool


def end_of_list(text: str, classes: Mapping[str, str]) -> End:
    """Of one restriction list; `classes` by name."""
    return _end(split_items(text), classes, frozenset())


def _end(items: list[str], classes: Mapping[str, str], within: frozenset[str]) -> End:
    words = iter(items)
    warn = False
    for word in words:
        name = word.lower()
        if name == "warn_if_reject":
            warn = True
            continue
        entry = find(word)
        if entry is not None and entry.argument:
            next(words, "")
        if name == "permit":
            return End(open=True, closed=False)
        if name in _STOPS and not warn:
            return End(open=False, closed=True)
        if name not in _STOPS and word in classes and word not in within:
            inner = _end(split_items(classes[word]), classes, within | {word})
            if inner.closed or inner.open:
                return inner
        warn = False
    return End(open=False, closed=False)

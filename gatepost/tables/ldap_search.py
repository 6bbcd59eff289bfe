"""What an LDAP lookup makes of the entries it finds: values, and the entries that they refer to (ldap_table(5)).

Nothing here knows the library: `Search` is what asks the server.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from gatepost.tables.query_template import ResultCollector

_DN_SPECIAL = frozenset('"#+,;<=>\\ \t')
_FILTER_SPECIAL = frozenset("*()\\\0")

SCOPES = {"base": 0, "one": 1, "sub": 2}


class Request(NamedTuple):
    """One search."""

    base: str
    scope: int
    filter: str
    attributes: tuple[str, ...]


# The attributes of each entry that was found; None if the base does not exist.
Entries = Iterable[Mapping[str, Sequence[bytes]]] | None
Search = Callable[[Request], Entries]


class SearchFailure(Exception):
    """size_limit or recursion_limit is exceeded, or the configured base is not there."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The names of a table's result attributes, lower case."""

    terminal: tuple[str, ...] = ()
    leaf: tuple[str, ...] = ()
    ordinary: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    all: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        everything = (*self.terminal, *self.leaf, *self.ordinary, *self.special)
        object.__setattr__(self, "all", tuple(dict.fromkeys(everything)))


def quote_dn(text: str) -> str:
    """For the inside of a DN (RFC 2253): `\\XX` for what has a meaning there."""
    return "".join(f"\\{ord(char):02X}" if char in _DN_SPECIAL else char for char in text)


def quote_filter(text: str) -> str:
    """For the inside of a filter (RFC 2254)."""
    return "".join(f"\\{ord(char):02x}" if char in _FILTER_SPECIAL else char for char in text)


class Expansion:
    """One lookup: entries in, results into the collector, further searches on the way."""

    def __init__(
        self,
        search: Search,
        attributes: Attributes,
        collector: ResultCollector,
        *,
        size_limit: int,
        recursion_limit: int,
    ) -> None:
        self._search = search
        self._attributes = attributes
        self._collector = collector
        self._size_limit = size_limit
        self._recursion_limit = recursion_limit

    def run(self, request: Request, *, base_needed: bool) -> None:
        """Search, and take what comes.

        Raises SearchFailure, also if `base_needed` and it does not exist, ResultTooLong and what the search raises.
        """
        entries = self._search(request)
        if entries is None and base_needed:
            raise SearchFailure(f"search base '{request.base}' not found")
        self._entries(entries or (), 1)

    def _entries(self, entries: Iterable[Mapping[str, Sequence[bytes]]], depth: int) -> None:
        for number, entry in enumerate(entries, 1):
            if 0 < self._size_limit < number:
                raise SearchFailure(f"query size limit ({self._size_limit}) exceeded")
            self._entry({name.lower(): values for name, values in entry.items()}, depth)

    def _entry(self, entry: dict[str, Sequence[bytes]], depth: int) -> None:
        names = self._attributes
        is_terminal = any(entry.get(name) for name in names.terminal)
        is_group = not is_terminal and any(entry.get(name) for name in names.special)
        for name, values in entry.items():
            if name in names.terminal:
                wanted = is_terminal or name in names.ordinary
            elif name in names.leaf:
                wanted = not is_terminal and not is_group
            else:
                wanted = not is_terminal
            if not wanted:
                continue
            if name in names.special and name not in names.ordinary:
                for value in values:
                    self._follow(name, value.decode("utf-8", "replace"), depth)
            else:
                for value in values:
                    self._collector.add(value.decode("utf-8", "replace"))

    def _follow(self, name: str, reference: str, depth: int) -> None:
        if depth >= self._recursion_limit:
            raise SearchFailure(f"recursion limit exceeded for special attribute {name}={reference}")
        if is_url(reference):
            request = url_request(reference, self._attributes.all)
            if not request.attributes:
                return
        else:
            request = Request(reference, SCOPES["base"], "(objectClass=*)", self._attributes.all)
        self._entries(self._search(request) or (), depth + 1)


def is_url(text: str) -> bool:
    return text.lower().startswith(("ldap://", "ldaps://", "ldapi://"))


def url_request(url: str, attributes: tuple[str, ...]) -> Request:
    """The search that a LDAP URL asks for (RFC 4516), for those attributes that the table wants, too."""
    rest = url.partition("://")[2].partition("/")[2]
    base, names, scope, filter_text, *_ = [*rest.split("?"), "", "", "", ""]
    wanted = [unquote(name).lower() for name in names.split(",") if name]
    if wanted and "*" not in wanted:
        attributes = tuple(dict.fromkeys(filter(None, (_both(one, two) for one in wanted for two in attributes))))
    return Request(
        unquote(base), SCOPES.get(scope.lower(), SCOPES["base"]), unquote(filter_text) or "(objectClass=*)", attributes
    )


def _both(one: str, two: str) -> str:
    """The attribute to ask for where a URL names `one` and the table `two`; nothing if they are not the same.

    If just one of them has options (`mail;lang-de`), it is that one.
    """
    if one == two:
        return one
    if (";" in one) != (";" in two) and one.partition(";")[0] == two.partition(";")[0]:
        return one if ";" in one else two
    return ""

"""Domains that stand in two address classes: Postfix warns of them for every message (trivial-rewrite(8))."""

from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from gatepost.audit.place import place
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.tables.braces import split_items
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure

_PAIRS = (
    ("mydestination", "virtual_alias_domains"),
    ("mydestination", "virtual_mailbox_domains"),
    ("virtual_alias_domains", "virtual_mailbox_domains"),
    ("relay_domains", "virtual_alias_domains"),
    ("relay_domains", "virtual_mailbox_domains"),
)


def in_two_classes(lists: Mapping[str, MatchList], settings: Settings) -> Iterator[ConfigError]:
    """Domains written in one list that are also in another; tables are asked, not listed."""
    for first, second in _PAIRS:
        if first == "relay_domains" and lists[first].text == lists["mydestination"].text:
            continue  # its default before compatibility_level 2; mydestination counts first
        for here, there in ((first, second), (second, first)):
            for domain in _names(lists[here]):
                if here == second and domain in _names(lists[first]):
                    continue  # told already, the other way round
                if _is_in(lists[there], domain, subdomains=there == "relay_domains"):
                    text = f"domain {domain} is also in {there}; a domain belongs to one address class only"
                    yield place(ConfigError(text), settings, here)


def _names(matches: MatchList) -> list[str]:
    words = split_items(matches.text.lower())
    return [word for word in words if word[0] not in "!/.#[" and ":" not in word]


def _is_in(matches: MatchList, domain: str, *, subdomains: bool) -> bool:
    try:
        found = _now(matches.match_name(domain) if subdomains else matches.match_string(domain))
    except LookupTemporaryFailure:
        return False  # told elsewhere
    return bool(found)


def _now(question: Coroutine[Any, Any, bool]) -> bool:
    """The answer if there is one without waiting: a table on another host is not asked here."""
    try:
        question.send(None)
    except StopIteration as end:
        return bool(end.value)
    question.close()
    return False

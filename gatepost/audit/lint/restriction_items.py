"""The items of restriction lists with their arguments, as restrictions.compile takes them apart."""

from collections.abc import Iterator
from typing import NamedTuple

from gatepost.audit.lint.subject import RESTRICTION_LISTS, Place, Subject
from gatepost.config.values import split_list
from gatepost.restrictions import compile as _registers  # noqa: F401 - without it `find` knows no restriction
from gatepost.restrictions.registry import Restriction, find
from gatepost.tables.braces import split_items

BARE_TABLE = {
    "smtpd_client_restrictions": "check_client_access",
    "smtpd_helo_restrictions": "check_helo_access",
    "smtpd_sender_restrictions": "check_sender_access",
    "smtpd_relay_restrictions": "check_recipient_access",
    "smtpd_recipient_restrictions": "check_recipient_access",
    "smtpd_etrn_restrictions": "check_etrn_access",
}
"""What a table without a restriction before it means in a list; in the others it is an error."""


class ListItem(NamedTuple):
    """One restriction. `name` is folded, and the new name where there is an old one; `written` as in the list.

    `argument` None: it is missing. `warned`: after warn_if_reject. `restriction` None: a class, a bare table (then
    `argument` is the table and `name` empty), or nothing that is known.
    """

    name: str
    written: str
    argument: str | None
    warned: bool
    restriction: Restriction | None

    @property
    def table(self) -> str:
        """The table that it asks; empty: none."""
        asks = not self.name or (self.restriction is not None and self.restriction.argument == "table")
        return (self.argument or "") if asks else ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.written, self.argument if self.name else "")))


def list_items(text: str) -> list[ListItem]:
    """The restrictions of a list's text."""
    words = split_items(text)
    items: list[ListItem] = []
    position, warned = 0, False
    while position < len(words):
        word = words[position]
        position += 1
        if word.lower() == "warn_if_reject":
            warned = True
            continue
        following = words[position] if position < len(words) else None
        if ":" in word:
            items.append(ListItem("", word, word, warned, None))
        else:
            entry = find(word)
            argument = following if entry is not None and entry.argument else None
            if entry is not None and entry.argument == "number" and not (argument or "").isdigit():
                argument = None
            position += argument is not None
            items.append(ListItem(entry.name if entry else word.lower(), word, argument, warned, entry))
        warned = False
    return items


def class_names(place: Place) -> list[str]:
    """smtpd_restriction_classes."""
    return split_list(place.text("smtpd_restriction_classes"))


def restriction_lists(subject: Subject) -> Iterator[tuple[Place, str, list[ListItem]]]:
    """(listener, parameter, items) of every restriction list and class of every listener."""
    for place in subject.servers:
        for parameter in (*RESTRICTION_LISTS, *class_names(place)):
            yield place, parameter, list_items(place.text(parameter))


def flat(place: Place, items: list[ListItem], within: frozenset[str] = frozenset()) -> Iterator[ListItem]:
    """The items, those of classes in their place."""
    classes = class_names(place)
    for item in items:
        if item.restriction is None and item.written in classes and item.written not in within:
            yield from flat(place, list_items(place.text(item.written)), within | {item.written})
        else:
            yield item

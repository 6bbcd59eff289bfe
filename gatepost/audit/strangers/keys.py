"""What a lookup table can be asked with an answer, and what it may answer: as far as it can be listed."""

from collections.abc import Iterable

import msgspec

from gatepost.tables.cidr import CidrTable
from gatepost.tables.combined import PipeTable, RandomTable, UnionTable
from gatepost.tables.literal import EnvironTable, FailTable, InlineTable, StaticTable
from gatepost.tables.maps import Maps
from gatepost.tables.network import Network, parse_network
from gatepost.tables.pattern_tables import PatternTable
from gatepost.tables.table import LookupTemporaryFailure, Table
from gatepost.tables.text_tables import TextTable


class Unknown(msgspec.Struct, frozen=True):
    """A table whose keys nobody can list. `values`: what it may answer, with the place; None: anything."""

    table: str
    values: tuple[tuple[str, str], ...] | None = None


class Content(msgspec.Struct):
    """What tables hold: keys as they are written, networks of cidr tables, and tables that cannot be listed."""

    keys: set[str] = msgspec.field(default_factory=set)
    networks: list[Network] = msgspec.field(default_factory=list)
    unknown: list[Unknown] = msgspec.field(default_factory=list)

    def add(self, table: Table) -> None:
        """A table's content. One that fails now answers 451, which lets nobody in."""
        try:
            self._add(table)
        except LookupTemporaryFailure:
            return

    def _add(self, table: Table) -> None:
        if isinstance(table, TextTable | InlineTable):
            self.keys.update(table.entries)
        elif isinstance(table, CidrTable):
            rules = table.source[1]
            self.networks += [rule.network for rule in rules.rules] if rules is not None else []
        elif isinstance(table, PatternTable):
            self.unknown.append(Unknown(table.name, _pattern_values(table)))
        elif isinstance(table, RandomTable):
            self.unknown.append(Unknown(table.name, tuple((value, table.name) for value in table.values)))
        elif isinstance(table, UnionTable):
            for part in table.tables:
                self._add(part)
        elif isinstance(table, PipeTable):
            # What the first finds is the key for the next: only its own keys can lead to an answer.
            self._add(table.tables[0])
            if isinstance(table.tables[0], StaticTable | CidrTable | TextTable | InlineTable):
                return
            self.unknown.append(Unknown(table.name))
        elif not isinstance(table, StaticTable | FailTable | EnvironTable):
            self.unknown.append(Unknown(table.name))
        if isinstance(table, EnvironTable):
            self.unknown.append(Unknown(table.name))

    def networks_of_keys(self) -> Iterable[Network]:
        """The keys that are addresses, or whole octets of them, as networks (access(5): 10, 10.1, 2001:db8)."""
        for key in self.keys:
            network = network_of_key(key)
            if network is not None:
                yield network


def content_of(maps: Maps) -> Content:
    """All tables of a list."""
    content = Content()
    for table in maps.tables:
        content.add(table)
    return content


def network_of_key(key: str) -> Network | None:
    """The addresses that a key of an indexed table is found for."""
    try:
        if ":" in key:
            groups = key.rstrip(":").split(":")
            if "" in groups or len(groups) == 8:
                return parse_network(key)
            return parse_network(f"{':'.join(groups)}::/{16 * len(groups)}")
        octets = key.split(".")
        if len(octets) > 4 or not all(octet.isdigit() for octet in octets):
            return None
        return parse_network(f"{'.'.join(octets + ['0'] * (4 - len(octets)))}/{8 * len(octets)}")
    except ValueError:
        return None


def _pattern_values(table: PatternTable) -> tuple[tuple[str, str], ...]:
    path, rules = table.source
    values = []
    for rule in rules.rules if rules is not None else ():
        if rule.replacement is not None:
            text = "".join(part if isinstance(part, str) else f"${part}" for part in rule.replacement.parts)
            values.append((text, f"{path or table.name}, line {rule.line}"))
    return tuple(values)

"""What is linted: a configuration as its services see it, and the tables that it names."""

from collections.abc import Iterator
from functools import cached_property

from gatepost.audit.lint.finding import Remark
from gatepost.audit.lint.table_rows import Row, table_rows
from gatepost.audit.lists import compile_list
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.tables.braces import split_items
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables

AGENTS = frozenset(("smtp", "lmtp", "local", "virtual", "error", "discard", "pipe"))
"""Programs of delivery transports."""

RESTRICTION_LISTS = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions",
)


class Place:
    """main.cf, or a line of master.cf with its `-o`. Values that cannot be worked out count as empty: another check
    tells of them."""

    def __init__(self, settings: Settings, service: Service | None, path: str) -> None:
        self.settings = settings
        self.service = service
        self._path = path

    def text(self, parameter: str) -> str:
        """The expanded value."""
        try:
            return self.settings.text(parameter).strip()
        except ConfigError:
            return ""

    def items(self, parameter: str) -> list[str]:
        """The items of a list."""
        return split_items(self.text(parameter))

    def yes(self, parameter: str) -> bool:
        """A parameter that is `yes` or `no`."""
        return self.text(parameter).lower() == "yes"

    def number(self, parameter: str) -> int:
        """A number, or a time in seconds; 0 for what is none."""
        try:
            value = self.settings.value(parameter)
        except ConfigError:
            return 0
        return value if isinstance(value, int) else 0

    def sets(self, parameter: str) -> bool:
        """Is it set in this very place: for a line of master.cf by its `-o`?"""
        if self.service is not None:
            return parameter in self.service.overrides
        return self.settings.defined(parameter)

    def remark(self, parameter: str, message: str, remedy: str) -> Remark:
        """At the line that sets the parameter, else at that of the service, else at main.cf."""
        where = self.settings.where(parameter)
        if where is None:
            where = (self.service.path, self.service.line) if self.service is not None else (self._path, 0)
        return Remark(where[0], where[1], parameter, message, remedy)


class Subject:
    """One configuration and its tables."""

    def __init__(self, configuration: Configuration, tables: Tables) -> None:
        self.configuration = configuration
        self.tables = tables
        self.main = Place(configuration.settings, None, configuration.main.path)
        self._rows: dict[str, list[Row] | None] = {}
        self._lists: dict[tuple[str, str], MatchList | None] = {}

    def place(self, service: Service) -> Place:
        """A line of master.cf."""
        return Place(self.configuration.settings_for(service), service, self.configuration.main.path)

    @cached_property
    def listeners(self) -> list[Place]:
        """The `inet ... smtpd` lines."""
        return [self.place(each) for each in self.services("smtpd") if each.type == "inet"]

    @cached_property
    def transports(self) -> dict[str, Place]:
        """The lines of delivery agents, by the names of their transports."""
        return {each.name: self.place(each) for each in self.configuration.master if each.program in AGENTS}

    @cached_property
    def servers(self) -> list[Place]:
        """Where mail comes in: the listeners, or main.cf if master.cf has none."""
        return self.listeners or [self.main]

    @cached_property
    def clients(self) -> list[Place]:
        """Where mail goes out by SMTP: main.cf, and the lines of smtp(8) that have `-o` of their own."""
        own = [each for each in self.transports.values() if each.service is not None and each.service.overrides]
        return [self.main, *(each for each in own if each.service is not None and each.service.program == "smtp")]

    @cached_property
    def places(self) -> list[Place]:
        """main.cf, and every line of master.cf that has `-o` of its own."""
        return [self.main, *(self.place(each) for each in self.configuration.master if each.overrides)]

    @cached_property
    def unused(self) -> list[str]:
        """Names that main.cf sets and nothing uses."""
        return self.configuration.unused()

    def services(self, *programs: str) -> list[Service]:
        """The lines of master.cf that run these programs."""
        return [each for each in self.configuration.master if each.program in programs]

    def set_values(self) -> Iterator[tuple[Place, str, str]]:
        """(place, parameter, expanded value) of all that is set, in main.cf and by `-o`."""
        for parameter in self.configuration.main.settings:
            yield self.main, parameter, self.main.text(parameter)
        for place in self.places[1:]:
            assert place.service is not None
            for parameter in place.service.overrides:
                yield place, parameter, place.text(parameter)

    def rows(self, spec: str) -> list[Row] | None:
        """What is in a table; None if that cannot be listed."""
        if spec not in self._rows:
            self._rows[spec] = table_rows(self.tables, spec)
        return self._rows[spec]

    def match_list(self, place: Place, parameter: str) -> MatchList | None:
        """A parameter as a match list; None if it cannot be compiled."""
        key = (parameter, place.text(parameter))
        if key not in self._lists:
            try:
                self._lists[key] = compile_list(parameter, place.settings, self.tables)
            except ConfigError:
                self._lists[key] = None
        return self._lists[key]

"""What is wrong with parameters about destinations: retry schedules, rates, providers, health of next hops."""

from collections.abc import Callable, Container, Iterator

from gatepost.audit.place import place
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.qmgr import retry
from gatepost.qmgr.rates import parse_rate
from gatepost.qmgr.retry import parse_schedule
from gatepost.tables.entry_place import entry_place
from gatepost.tables.literal import InlineTable, StaticTable
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure, Table
from gatepost.tables.text_tables import TextTable

_VALUES: dict[str, Callable[[str], object]] = {
    retry.PARAMETER: parse_schedule,
    "gatepost_destination_rates": parse_rate,
}
"""Parameters whose tables have values with a syntax, and what reads it."""


def bad_values(settings: Settings, tables: Tables) -> Iterator[ConfigError]:
    """Entries that cannot be read, each at its line, or at the parameter. Raises ConfigError for a bad table."""
    for parameter, parse in _VALUES.items():
        for table in tables.maps(parameter, settings.text(parameter)).tables:
            for key, value in _entries(table):
                try:
                    parse(value)
                except ValueError as error:
                    where = entry_place(table, key) if key else None
                    if where is None:
                        yield place(ConfigError(f"{key}: {error}" if key else str(error)), settings, parameter)
                    else:
                        path, line = where
                        yield ConfigError(f"{key}: {error}", path=path, line=line, parameter=parameter)


def unknown_transports(settings: Settings, known: Container[str]) -> Iterator[ConfigError]:
    """Items of gatepost_provider_limit_transports that are no transports of smtp(8) or lmtp(8) (`known`)."""
    parameter = "gatepost_provider_limit_transports"
    for name in split_list(settings.text(parameter)):
        if name not in known:
            text = f"master.cf has no transport {name} that is run by smtp or lmtp; it has no effect"
            yield place(ConfigError(text), settings, parameter)


def _entries(table: Table) -> list[tuple[str, str]]:
    """Keys and values, as far as the table can list them; what it cannot is noticed when it is looked up."""
    if isinstance(table, StaticTable):
        return [("", table.value)]
    if isinstance(table, TextTable | InlineTable):
        try:
            return list(table.entries.items())
        except LookupTemporaryFailure:
            return []  # told already
    return []

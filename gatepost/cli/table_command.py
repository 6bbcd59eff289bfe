"""What postmap(1) and postalias(1) have in common: the command line, as Postfix reads it, and what it asks for."""

import getopt
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gatepost.cli.report import Report
from gatepost.config.configuration import Configuration
from gatepost.config.host_facts import ThisHost
from gatepost.config.main_cf import MainCf
from gatepost.config.master_cf import MasterCf
from gatepost.master.foundation import table_environment
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.table_files import Duplicates, Manner, TableFile, table_file


class CommandError(Exception):
    """The command ends with `fatal: TEXT` and exit status 1."""


class Program(NamedTuple):
    """Its name, its options as in getopt(3), the syntax of its sources, what stands between key and value."""

    name: str
    options: str
    letters: str
    syntax: str
    separator: str

    def warn(self, text: str) -> None:
        """Tell a warning."""
        print(f"{self.name}: warning: {text}", file=sys.stderr)

    def usage(self) -> CommandError:
        """The command line makes no sense."""
        return CommandError(
            f"usage: {self.name} [-{self.letters}] [-c config_dir] [-d key] [-q key] [map_type:]file..."
        )


POSTMAP = Program("postmap", "Nbc:d:fFhimnopq:rsuUvw", "bfFhimnNoprsuUvw", "postmap", "\t")
POSTALIAS = Program("postalias", "Nc:d:finopq:rsuvw", "Nfinoprsuvw", "aliases", ":\t")


@dataclass(slots=True)
class Options:
    """The command line. `delete`, `query`: a key, or `-` for keys on standard input."""

    tables: list[str]
    delete: str | None = None
    query: str | None = None
    sequence: bool = False
    incremental: bool = False
    fold: bool = True
    files: bool = False
    headers: bool = False
    body: bool = False
    mime: bool = False
    nulls: bool | None = None
    as_owner: bool = True
    same_mode: bool = True
    utf8: bool = True
    force_utf8: bool = False
    duplicates: Duplicates = Duplicates.WARN

    @property
    def message(self) -> bool:
        """Is standard input a message whose lines are the keys?"""
        return self.headers or self.body


_FLAGS: dict[str, tuple[str, object]] = {
    "-s": ("sequence", True),
    "-i": ("incremental", True),
    "-f": ("fold", False),
    "-F": ("files", True),
    "-h": ("headers", True),
    "-b": ("body", True),
    "-m": ("mime", True),
    "-N": ("nulls", True),
    "-n": ("nulls", False),
    "-o": ("as_owner", False),
    "-p": ("same_mode", False),
    "-r": ("duplicates", Duplicates.REPLACE),
    "-u": ("utf8", False),
    "-U": ("force_utf8", True),
    "-w": ("duplicates", Duplicates.IGNORE),
}


def read_options(program: Program, arguments: list[str]) -> Options:
    """The options, which end at the first argument that is none. Raises CommandError."""
    try:
        given, rest = getopt.getopt(arguments, program.options)
    except getopt.GetoptError as error:
        wrong = "option requires an argument" if "requires" in error.msg else "invalid option"
        print(f"{program.name}: {wrong} -- '{error.opt}'", file=sys.stderr)
        raise program.usage() from None
    options = Options(rest)
    for name, value in given:
        if name in _FLAGS:
            if name == "-s" and (options.query is not None or options.delete is not None):
                raise CommandError("specify only one of -s or -q or -d")
            setattr(options, *_FLAGS[name])
        elif name in ("-q", "-d"):
            if options.sequence or options.query is not None or options.delete is not None:
                raise CommandError("specify only one of -s -q or -d")
            setattr(options, "query" if name == "-q" else "delete", value)
    if (options.message or options.mime) and options.query != "-":
        raise CommandError('specify -b -h or -m only with "-q -"')
    if options.mime and not options.message:
        program.warn("ignoring -m option without -b or -h")
    return options


class TableCommand:
    """One run of the command."""

    def __init__(self, program: Program, options: Options, directory: str) -> None:
        """Reads main.cf of this directory. Raises ConfigError."""
        self.program = program
        self.options = options
        self.configuration = Configuration(
            directory, MainCf.read(f"{directory}/main.cf"), MasterCf.parse(b"", ""), ThisHost()
        )
        settings = self.settings = self.configuration.settings
        self.report = Report(program.name, settings)
        self.warn = self.report.warning
        self.environment: TableEnvironment = table_environment(settings, self.warn)
        self.default_type = settings.default_database_type
        self.utf8 = settings.smtputf8_enable and options.utf8 and (options.force_utf8 or not options.message)
        self.manner = Manner(
            program.syntax,
            self._fold(),
            options.duplicates,
            self.utf8,
            options.nulls,
            settings.lmdb_map_size,
            self.warn,
        )

    def split(self, table: str) -> tuple[str, str]:
        """Type and name of a table as it was given."""
        kind, colon, name = table.partition(":")
        return (kind, name) if colon else (self.default_type, table)

    def file(self, kind: str, name: str) -> TableFile | None:
        """The file of a table of this type; None if the type has none that could be written."""
        return table_file(kind, name, self.manner)

    def _fold(self) -> Callable[[str], str]:
        if not self.options.fold:
            return str
        if self.options.utf8:
            return self.environment.fold
        return lambda key: "".join(char.lower() if char.isascii() else char for char in key)

"""postmap(1), postalias(1) and newaliases(1): make, ask, list and change lookup tables."""

import sys

from gatepost.cli.options import ManualPage
from gatepost.cli.table_command import POSTALIAS, POSTMAP, CommandError, Program, TableCommand, read_options
from gatepost.cli.table_query import Questions, keys_of_input
from gatepost.cli.table_update import make, remove
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import ThisHost
from gatepost.config.main_cf import MainCf
from gatepost.config.master_cf import MasterCf
from gatepost.config.values import split_list
from gatepost.tables.source import decode
from gatepost.tables.table_files import TableFileError

_DESCRIPTION = """\
Without -q, -s or -d: makes a table of each file, as Postfix's command does. lmdb and cdb tables get an index beside
their source, which Postfix reads, too. hash, btree and the other types have none here: Gatepost reads their text, and
the command looks through it and tells what is wrong.

With -q: asks the tables, of whatever type, in turn, and prints the first value. The key is taken as it is: a domain's
parents, a user without extension and so on are not tried.

TABLE is [TYPE:]FILE; without TYPE it is of default_database_type.
"""
_OPTIONS = (
    ("-i", "put the entries on standard input into the table (of hash and the like: into its text)"),
    ("-s", "list all entries"),
    ("-f", "do not fold keys to lower case"),
    ("-r", "entries that are there already are replaced without a word"),
    ("-w", "entries that are there already stay, without a word"),
    ("-n", "no octet 0 behind keys and values in an index"),
    ("-N", "an octet 0 behind keys and values in an index"),
    ("-o", "stay root for a source that is not root's"),
    ("-p", "a new index is readable for all, whatever the source's permissions"),
    ("-u", "no UTF-8: keys and values may be any octets"),
    ("-v", "accepted; no effect"),
)
_MORE_OPTIONS = (
    ("-F", "values are names of files, whose content is what counts"),
    ("-h", "with -q -: standard input is a message; its headers are the keys"),
    ("-b", "with -q -: the lines of its body are the keys"),
    ("-m", "with -h or -b: look into the parts of the message"),
    ("-U", "with -h or -b: UTF-8 is demanded all the same"),
)


def postmap(arguments: list[str], directory: str) -> int:
    """Run postmap; the exit status."""
    return _run(POSTMAP, arguments, directory)


def postalias(arguments: list[str], directory: str) -> int:
    """Run postalias; the exit status."""
    return _run(POSTALIAS, arguments, directory)


def newaliases(arguments: list[str], directory: str) -> int:
    """Run newaliases: postalias with the tables of alias_database; the exit status."""
    if "--help" in arguments:
        return _help_newaliases()
    if any(not argument.startswith("-") for argument in arguments):
        print("newaliases: fatal: alias initialization mode requires no recipient", file=sys.stderr)
        return 64
    try:
        main = MainCf.read(f"{directory}/main.cf")
        settings = Configuration(directory, main, MasterCf.parse(b"", ""), ThisHost()).settings
        tables = split_list(settings.alias_database)
    except ConfigError as error:
        return _fatal("newaliases", str(error))
    return _run(POSTALIAS, tables, directory) if tables else 0


def _run(program: Program, arguments: list[str], directory: str) -> int:
    if "--help" in arguments:
        print(_page(program).format_help(), end="")
        return 0
    try:
        options = read_options(program, arguments)
        if not options.tables and not options.sequence:
            raise program.usage()
        command = TableCommand(program, options, directory)
    except (CommandError, ConfigError) as error:
        return _fatal(program.name, str(error))
    try:
        return 0 if _done(command) else 1
    except (CommandError, TableFileError) as error:
        return _failed(command, str(error))
    except ConfigError as error:
        return _failed(command, str(error) if error.path else error.message)
    finally:
        command.report.close()


def _failed(command: TableCommand, text: str) -> int:
    sys.stdout.flush()
    command.report.fatal(text)
    return 1


def _fatal(program: str, text: str) -> int:
    print(f"{program}: fatal: {text}", file=sys.stderr)
    return 1


def _done(command: TableCommand) -> bool:
    """Do what is asked for; False: nothing was found."""
    options = command.options
    if options.delete is not None:
        return remove(command, _lines() if options.delete == "-" else [options.delete])
    if options.query is not None:
        questions = Questions(command)
        return questions.many(keys_of_input(command)) if options.query == "-" else questions.one(options.query)
    if options.sequence:
        return Questions(command).list_all()
    for table in options.tables:
        make(command, table)
    return True


def _lines() -> list[str]:
    return [decode(line.removesuffix(b"\n")) for line in sys.stdin.buffer]


def _page(program: Program) -> ManualPage:
    more = program is POSTMAP
    page = ManualPage(
        program.name,
        f"make, ask and change {'lookup tables' if more else 'alias databases'}",
        f"[-{program.letters}] [-c DIR] [-d KEY] [-q KEY] TABLE...",
        _DESCRIPTION if more else f"As postmap, for sources in the form of aliases(5).\n\n{_DESCRIPTION}",
        "0: done, or found. 1: not done, or not found; standard error tells what went wrong.",
    )
    page.add_argument("-q", metavar="KEY", help="print the value of KEY; - for keys on standard input, one a line")
    page.add_argument("-d", metavar="KEY", help="take the entry out; - for keys on standard input")
    for option, text in (*_OPTIONS, *_MORE_OPTIONS) if more else _OPTIONS:
        page.add_argument(option, action="store_true", help=text)
    page.add_argument("TABLE", nargs="*", help="[TYPE:]FILE")
    return page


def _help_newaliases() -> int:
    page = ManualPage(
        "newaliases",
        "make the alias databases",
        "[-c DIR]",
        "Runs postalias with the tables of alias_database. Gatepost reads alias files itself, so this only tells what "
        "is wrong in them, except for lmdb and cdb tables, which get their index.",
        "0: done. 1: not done; standard error tells why.",
    )
    print(page.format_help(), end="")
    return 0

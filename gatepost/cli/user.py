"""gatepost user: who may log in, and with which password (the table of gatepost_sasl_users)."""

import getpass
import sys

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.sasl.passwords import new_verifiers
from gatepost.sasl.user_file import UserFile, UserFileError

DESCRIPTION = """\
Keeps the file of gatepost_sasl_users, from which `smtpd_sasl_type = gatepost` knows who may log in. It must be one
whose text Gatepost reads itself (texthash, hash, btree and the like), and the first table that is named there.

add: a new user. passwd: a new password. remove: the user can no longer log in. list: the names.

The password is asked for, or (--stdin) taken from the first line of standard input; it is never an argument, where
others could see it. What is stored is an argon2 hash and what SCRAM-SHA-256 needs, neither of which tells the password.
The file is written as a whole, readable for its owner only if it is new; a running server takes it up by itself.
"""
EXIT_STATUS = "0: done. 1: it could not be done. 64: wrong command line."
TYPES = ("texthash", "hash", "btree", "dbm", "sdbm")
"""Tables whose text is read."""


class _Failure(Exception):
    """What is told, and ends the command."""


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost user",
        "who may log in",
        "[-c DIR] add | passwd [--stdin] NAME\n[-c DIR] remove NAME\n[-c DIR] list",
        DESCRIPTION,
        EXIT_STATUS,
    )
    parser.add_argument("what", choices=("add", "passwd", "remove", "list"), metavar="add | passwd | remove | list")
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="login name, with or without a domain")
    parser.add_argument("--stdin", action="store_true", help="the password is the first line of standard input")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run the command; the exit status."""
    try:
        options = _parser().parse_intermixed_args(arguments)
        if (options.what == "list") == bool(options.name):
            raise CommandLineError("NAME is needed" if options.what != "list" else "list takes no NAME")
    except CommandLineError as error:
        print(f"gatepost user: fatal: {error}", file=sys.stderr)
        return 64
    try:
        _run(options.what, options.name, options.stdin, directory)
    except (_Failure, UserFileError, ConfigError) as error:
        print(f"gatepost user: fatal: {error}", file=sys.stderr)
        return 1
    return 0


def _run(what: str, name: str, from_input: bool, directory: str) -> None:
    file = UserFile(path_of_users(Configuration.read(directory))).read()
    if what == "list":
        print("".join(f"{known}\n" for known in file.names()), end="")
        return
    if what == "add" and file.has(name):
        raise _Failure(f"there is a user {name} already (try: gatepost user passwd {name})")
    if what != "add" and not file.has(name):
        raise _Failure(f"there is no user {name}")
    if what == "remove":
        file.remove(name)
    else:
        try:
            file.put(name, new_verifiers(_password(from_input)))
        except ValueError as error:
            raise _Failure(f"not a password: {error}") from None
    file.write()


def path_of_users(configuration: Configuration) -> str:
    """The file of gatepost_sasl_users, which may stand in main.cf or behind -o of a listener. Raises ConfigError."""
    every = [configuration.settings, *map(configuration.settings_for, configuration.master)]
    for settings in every:
        for table in split_list(settings.gatepost_sasl_users)[:1]:
            kind, _, path = table.partition(":")
            if kind not in TYPES or not path.startswith("/"):
                raise ConfigError(f"{table}: not a file that this command writes", parameter="gatepost_sasl_users")
            return path
    raise ConfigError("no table is named", parameter="gatepost_sasl_users")


def _password(from_input: bool) -> str:
    """Raises _Failure."""
    if from_input:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Once more: ")
    except EOFError:
        raise _Failure("no password was given") from None
    if password != again:
        raise _Failure("these are two passwords")
    return password

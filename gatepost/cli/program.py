"""gatepost: one program, a subcommand a file. Linked under a Postfix command's name it acts as that command."""

import importlib
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

from gatepost.config.errors import ConfigError

# Subcommand -> (module, its function). Each takes (arguments, config_directory) and returns an exit status.
COMMANDS = {
    "start": ("gatepost.cli.start", "main"),
    "stop": ("gatepost.cli.stop", "stop"),
    "reload": ("gatepost.cli.stop", "reload"),
    "logrotate": ("gatepost.cli.stop", "logrotate"),
    "status": ("gatepost.cli.stop", "status"),
    "check": ("gatepost.cli.check", "main"),
    "lint": ("gatepost.cli.lint", "main"),
    "networks": ("gatepost.cli.networks", "main"),
    "prove": ("gatepost.cli.prove", "main"),
    "explain": ("gatepost.cli.explain", "main"),
    "smtpd-check": ("gatepost.cli.smtpd_check", "main"),
    "route": ("gatepost.cli.route", "main"),
    "tls-finger": ("gatepost.cli.tls_finger", "main"),
    "user": ("gatepost.cli.user", "main"),
    "postconf": ("gatepost.cli.postconf_page", "main"),
    "mailq": ("gatepost.cli.postqueue", "mailq"),
    "postqueue": ("gatepost.cli.postqueue", "main"),
    "postsuper": ("gatepost.cli.postsuper", "main"),
    "postcat": ("gatepost.cli.postcat", "main"),
    "postmap": ("gatepost.cli.postmap", "postmap"),
    "postalias": ("gatepost.cli.postmap", "postalias"),
    "newaliases": ("gatepost.cli.postmap", "newaliases"),
}
LINKS = frozenset(("postconf", "mailq", "postqueue", "postsuper", "postcat", "postmap", "postalias", "newaliases"))
"""Names under which the program may be linked."""

USAGE = 64
"""EX_USAGE of sysexits(3)."""

HELP = """\
usage: gatepost [-c DIR] COMMAND ...

Runs a mail transfer agent from main.cf and master.cf in DIR (else: $MAIL_CONFIG, /etc/gatepost, /etc/postfix).

  start [--foreground] [--single-process]   start the mail system
  stop                                      stop it; what is under way is finished first
  reload                                    take over a changed configuration; sessions under way go on with theirs
  logrotate                                 set maillog_file aside and begin a new one
  status                                    is it running, and how much mail waits
  check [-q]                                say what is wrong with the configuration, and what it comes to
  lint [--json] [--list] [--explain NAME]   what in the configuration does not do what it says
  networks [ADDRESS...]                     which clients mynetworks trusts, and why
  explain --client ADDR --from A --to B     why would a session be accepted or refused
  prove [--json]                            can a stranger relay? who can?
  smtpd-check [--zone FILE] [--directory DIR]   try restriction lists on a script of sessions (standard input)
  route [--sender ADDR] ADDR...             where mail for an address goes, with which limits, and why
  tls-finger [-q] [-C] [-l LEVEL] HOST [MATCH...]   what a server's TLS is like, as posttls-finger(1)
  user add | passwd | remove | list [--stdin] [NAME]   who may log in (gatepost_sasl_users)
  postconf [-n] [-d] [-h] [-x] [-o N=V] [-P] [-M] [NAME ...]   show parameters, as postconf(1)
  mailq | postqueue -p | -j                 list the queue
  postqueue -f | -i ID | -s SITE            try deferred mail now
  postsuper -d | -e | -f | -h | -H | -r ID | ALL [QUEUE]   delete, expire, hold, release, requeue
  postcat -q ID                             show a queued message
  postmap [-q KEY] [-s] [-i] [-d KEY] TABLE...  make, ask, list and change lookup tables
  postalias | newaliases                    the same for alias databases

gatepost COMMAND --help tells more of each. Linked under the name of one of Postfix's commands (postconf, mailq,
postmap, ...) it acts as that command.
"""


class _NoDirectory(Exception):
    """`-c` without its value."""


def default_directory() -> str:
    """$MAIL_CONFIG, else /etc/gatepost if it is there, else /etc/postfix."""
    named = os.environ.get("MAIL_CONFIG")
    if named:
        return named
    return "/etc/gatepost" if Path("/etc/gatepost/main.cf").exists() else "/etc/postfix"


def take_directory(arguments: list[str]) -> tuple[str, list[str]]:
    """`-c DIR` or `-cDIR`, before or after the subcommand; and the other arguments. What follows `--` is left alone."""
    directory, rest = default_directory(), []
    items = iter(arguments)
    for item in items:
        if item == "-c":
            directory = next(items, "")
            if not directory:
                raise _NoDirectory
        elif item.startswith("-c"):
            directory = item[2:]
        else:
            rest.append(item)
            if item == "--":
                rest += items
    return os.path.abspath(directory), rest  # noqa: PTH100 - a name, not a file to be resolved


def command_of(program: str, arguments: list[str]) -> tuple[str, list[str], str]:
    """The subcommand (empty: none), its arguments and the configuration directory."""
    name = Path(program).name
    directory, rest = take_directory(arguments)
    if name in LINKS:
        return name, rest, directory
    if not rest:
        return "", [], directory
    return rest[0], rest[1:], directory


def run(program: str, arguments: list[str]) -> int:
    """Run the command; its exit status."""
    _write_utf8()
    try:
        command, rest, directory = command_of(program, arguments)
    except _NoDirectory:
        return _wrong("-c: no directory given")
    if command in ("", "help", "--help", "-h"):
        print(HELP, end="", file=sys.stdout if command else sys.stderr)
        return 0 if command else USAGE
    if command == "--version":
        from importlib.metadata import version  # loads much

        print(f"gatepost {version('gatepost')}")
        return 0
    if command not in COMMANDS:
        return _wrong(f"unknown command: {command}")
    module, function = COMMANDS[command]
    entry: Callable[[list[str], str], int] = getattr(importlib.import_module(module), function)
    try:
        status = entry(rest, directory)
        sys.stdout.flush()
        return status
    except ConfigError as error:
        print(f"gatepost {command}: fatal: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _wrong(text: str) -> int:
    print(f"gatepost: fatal: {text} (try: gatepost help)", file=sys.stderr)
    return USAGE


def _write_utf8() -> None:
    """Addresses and reasons are UTF-8, whatever the terminal's locale says."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def main() -> None:
    """The entry point of the installed program."""
    sys.exit(run(sys.argv[0], sys.argv[1:]))


if __name__ == "__main__":
    main()

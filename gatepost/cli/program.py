"""gatepost: one program, a subcommand a file. Linked under a Postfix command's name it acts as that command."""

import importlib
import os
import sys
from collections.abc import Callable
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
    "postconf": ("gatepost.cli.postconf", "main"),
    "mailq": ("gatepost.cli.postqueue", "mailq"),
    "postqueue": ("gatepost.cli.postqueue", "main"),
    "postsuper": ("gatepost.cli.postsuper", "main"),
    "postcat": ("gatepost.cli.postcat", "main"),
}

HELP = """\
usage: gatepost [-c DIR] COMMAND ...

Runs a mail transfer agent from main.cf and master.cf in DIR (default: $MAIL_CONFIG, else /etc/gatepost, else /etc/postfix).

  start [--foreground] [--single-process]   start the mail system
  stop                                      stop it; what is under way is finished first
  reload                                    take over a changed configuration; sessions under way go on with theirs
  logrotate                                 set maillog_file aside and begin a new one
  status                                    is it running, and how much mail waits
  check                                     say what is wrong with the configuration, and what it comes to
  postconf [-n] [-d] [-h] [-x] [-o N=V] [-P] [-M] [NAME ...]   show parameters, as postconf(1)
  mailq | postqueue -p | -j | -f            list the queue; try all deferred mail now
  postsuper -d | -h | -H ID | ALL [QUEUE]   delete, put on hold, release from hold
  postcat -q ID                             show a queued message

gatepost COMMAND --help tells more of each. Linked as postconf, mailq, postqueue, postsuper or postcat it acts as that command.
"""


def default_directory() -> str:
    """$MAIL_CONFIG, else /etc/gatepost if it is there, else /etc/postfix."""
    named = os.environ.get("MAIL_CONFIG")
    if named:
        return named
    return "/etc/gatepost" if Path("/etc/gatepost/main.cf").exists() else "/etc/postfix"


def take_directory(arguments: list[str], everywhere: bool) -> tuple[str, list[str]]:
    """`-c DIR` (or `-cDIR`) before the subcommand, or after it if `everywhere`."""
    directory, rest = default_directory(), []
    items = iter(arguments)
    for item in items:
        if item == "-c":
            directory = next(items, "") or directory
        elif item.startswith("-c") and len(item) > 2 and not item.startswith("--"):
            directory = item[2:]
        else:
            rest.append(item)
            if item == "--" or (not everywhere and not item.startswith("-")):
                rest += list(items)
    return os.path.abspath(directory), rest  # noqa: PTH100 - a name, not a file to be resolved


def command_of(program: str, arguments: list[str]) -> tuple[str, list[str], str]:
    """The subcommand, its arguments and the configuration directory."""
    name = Path(program).name
    directory, rest = take_directory(arguments, everywhere=True)
    if name in COMMANDS and name not in ("start", "stop", "reload", "status", "check"):
        return name, rest, directory
    if not rest:
        return "", [], directory
    return rest[0], rest[1:], directory


def run(program: str, arguments: list[str]) -> int:
    command, rest, directory = command_of(program, arguments)
    if command in ("", "help", "--help", "-h"):
        print(HELP, end="")
        return 0 if command else 64
    if command == "--version":
        from importlib.metadata import version

        print(f"gatepost {version('gatepost')}")
        return 0
    if command not in COMMANDS:
        print(f"gatepost: fatal: unknown command: {command} (try: gatepost help)", file=sys.stderr)
        return 64
    module, function = COMMANDS[command]
    entry: Callable[[list[str], str], int] = getattr(importlib.import_module(module), function)
    try:
        return entry(rest, directory)
    except ConfigError as error:
        print(f"gatepost {command}: fatal: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def main() -> None:
    sys.exit(run(sys.argv[0], sys.argv[1:]))


if __name__ == "__main__":
    main()

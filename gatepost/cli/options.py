"""Command line parsers whose --help reads like a manual page: name, synopsis, description, options, exit status."""

import argparse
from typing import NoReturn

_WIDTH = 76
"""Of the text, in characters; four blanks stand before it."""


class CommandLineError(Exception):
    """The command line makes no sense; the text is for people."""


class _Formatter(argparse.HelpFormatter):
    """Of a given width: asking for the terminal's takes 2 ms, and argparse makes a formatter for each option."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20, width=_WIDTH)


class ManualPage(argparse.ArgumentParser):
    """An ArgumentParser with the sections of a manual page. `-h` is no help: postcat and postsuper use it otherwise."""

    def __init__(self, name: str, purpose: str, synopsis: str, description: str, exit_status: str) -> None:
        super().__init__(prog=name, usage=synopsis, formatter_class=_Formatter, add_help=False, allow_abbrev=False)
        self._sections = [
            ("NAME", f"{name} - {purpose}"),
            ("SYNOPSIS", "\n".join(f"{name} {line}".rstrip() for line in synopsis.split("\n"))),
            ("DESCRIPTION", description),
        ]
        self._exit_status = exit_status
        self.add_argument(
            "-c", metavar="DIR", help="where main.cf is (else: $MAIL_CONFIG, /etc/gatepost, /etc/postfix)"
        )
        self.add_argument("--help", action="help", help="show this")

    def format_help(self) -> str:
        """As man(1) would show it."""
        formatter = _Formatter(self.prog)
        formatter.add_arguments(self._actions)
        options = formatter.format_help().rstrip()
        name, synopsis, (_, description) = self._sections
        sections = [name, synopsis, ("DESCRIPTION", _filled(description))]
        sections += [("OPTIONS", options), ("EXIT STATUS", _filled(self._exit_status))]
        return "\n\n".join(f"{title}\n{_indented(text)}" for title, text in sections) + "\n"

    def error(self, message: str) -> NoReturn:
        """What parse_args does with a wrong command line. Raises CommandLineError."""
        raise CommandLineError(message)


def _filled(text: str) -> str:
    import textwrap  # only for those who want help

    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(textwrap.fill(paragraph, _WIDTH) for paragraph in paragraphs)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))

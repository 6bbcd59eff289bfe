"""Command line parsers whose --help reads like a manual page: name, synopsis, description, options, exit status."""

import argparse
from typing import NoReturn


class ManualPage(argparse.ArgumentParser):
    """An ArgumentParser with the sections of a manual page. A wrong command line ends with status 64 (EX_USAGE)."""

    def __init__(self, name: str, purpose: str, description: str, exit_status: str, **settings: bool) -> None:
        super().__init__(
            prog=name,
            description=description.strip(),
            epilog=f"EXIT STATUS\n{_indented(exit_status)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,  # type: ignore[arg-type]
        )
        self._purpose = purpose

    def format_help(self) -> str:
        """As man(1) would show it."""
        formatter = self._get_formatter()
        synopsis = self.format_usage().removeprefix("usage: ").strip()
        for group in self._action_groups:
            formatter.add_arguments(group._group_actions)
        options = formatter.format_help().strip("\n")
        sections = [
            ("NAME", f"{self.prog} - {self._purpose}"),
            ("SYNOPSIS", synopsis),
            ("DESCRIPTION", self.description or ""),
            ("OPTIONS", options),
        ]
        texts = [f"{title}\n{_indented(text)}" for title, text in sections if text]
        return "\n\n".join([*texts, self.epilog or ""]) + "\n"

    def error(self, message: str) -> NoReturn:
        self.exit(64, f"{self.format_usage()}{self.prog}: fatal: {message}\n")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))


def parser_of(command: str, purpose: str, description: str, exit_status: str, **settings: bool) -> ManualPage:
    """The parser of `gatepost COMMAND`. `-c DIR` is taken before it comes here, but is shown."""
    parser = ManualPage(f"gatepost {command}", purpose, description, exit_status, **settings)
    parser.add_argument("-c", metavar="DIR", help="configuration directory ($MAIL_CONFIG, /etc/gatepost, /etc/postfix)")
    return parser

"""gatepost check: what is wrong with a configuration, and what it comes to."""

import sys
from collections.abc import Iterable, Iterator

from gatepost.audit.lists import ranges_in_words
from gatepost.audit.strangers.report import in_short
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.terminal import show
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.prove import Proof, ProvedListener, prove

DESCRIPTION = """\
Reads main.cf, master.cf and the tables they name as `gatepost start` would, and tells what is wrong and what the
configuration comes to: who may relay, from which networks, on which addresses.

Errors keep the mail system from starting. Faults do not: mail that comes that far is answered with a temporary
error, as Postfix does; `gatepost reload` refuses them. Remarks tell what has no effect.
"""
EXIT_STATUS = "0: it would start (there may be faults and remarks). 1: it would not. 64: wrong command line."


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost check",
        "what is wrong with the configuration, and what it comes to",
        "[-c DIR] [-q]",
        DESCRIPTION,
        EXIT_STATUS,
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only what is wrong")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run the check; the exit status."""
    try:
        options = _parser().parse_args(arguments)
    except CommandLineError as error:
        print(f"gatepost check: fatal: {error}", file=sys.stderr)
        return 64
    try:
        configuration = Configuration.read(directory)
    except ConfigError as error:
        _section("Errors: the mail system would not start", [str(error)])
        return 1
    proof = prove(configuration)
    _section("Errors: the mail system would not start", proof.errors)
    _section("Faults: it starts, but what comes that far is answered 451; reload refuses them", proof.faults)
    _section("Remarks", proof.remarks)
    _section("Set, but not supported yet: no effect", not_honoured(configuration))
    _section("Set, and supported in part", map(str, configuration.partly_honoured()))
    _section("Unused", unused(configuration))
    if not options.quiet:
        _meaning(configuration, proof)
        print("Would start." if not proof.errors else "Would not start.")
    return 1 if proof.errors else 0


def _section(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        show([f"{title}:", *(f"  {line}" for line in lines), ""])


def not_honoured(configuration: Configuration) -> Iterator[str]:
    """Parameters that Postfix would honour, with their place. Those that keep it from starting are errors already."""
    refused = {(error.path, error.line, error.parameter) for error in configuration.refusals()}
    for error in configuration.not_honoured():
        if (error.path, error.line, error.parameter) not in refused:
            yield f"{error.path}, line {error.line}: {error.parameter}"


def unused(configuration: Configuration) -> Iterator[str]:
    """In postconf's words."""
    for name in configuration.unused():
        setting = configuration.main.settings[name]
        yield f"{setting.path}, line {setting.line}: unused parameter: {name}={setting.value}"


def _meaning(configuration: Configuration, proof: Proof) -> None:
    for listener in proof.listeners:
        _section(
            f"Listener {listener.service.name} ({listener.service.path}, line {listener.service.line})",
            _about(listener),
        )
    if configuration.directory and not proof.listeners and not proof.errors:
        print("No listener: no mail comes in over SMTP.\n")


def _about(listener: ProvedListener) -> Iterator[str]:
    settings = listener.settings
    yield "addresses: " + (", ".join(map(str, listener.addresses)) or "none")
    yield from in_short(listener.answer, listener.lists["mynetworks"])
    yield f"mynetworks ({_origin(listener)}): {ranges_in_words(listener.lists['mynetworks'])}"
    for parameter in ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"):
        if text := " ".join(settings.text(parameter).replace(",", " ").split()):
            yield f"{parameter}: {text}"
    if relayhost := settings.text("relayhost"):
        yield f"relayhost: {relayhost}"


def _origin(listener: ProvedListener) -> str:
    where = listener.settings.where("mynetworks")
    if where is None:
        return f"unset, mynetworks_style = {listener.settings.mynetworks_style}"
    return f"{where[0]}, line {where[1]}"

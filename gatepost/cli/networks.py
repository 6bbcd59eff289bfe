"""gatepost networks: which clients mynetworks trusts, in ranges and numbers, and why an address is in or out."""

import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from gatepost.audit.address_set import AddressSet
from gatepost.audit.lint.finding import Finding
from gatepost.audit.lint.run import checks, lint
from gatepost.audit.lint.subject import Subject
from gatepost.audit.networks import Decision, Entry, Kind, TrustedNetworks, network_of
from gatepost.audit.trusted_views import TrustedView, trusted_views
from gatepost.cli.lint import lint_subject
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.terminal import WIDTH, Paint, filled
from gatepost.config.errors import ConfigError
from gatepost.tables.network import address_text, parse_network

DESCRIPTION = """\
Explains mynetworks, the list of clients that may relay: each item as a range, how many addresses it decides for, what
is left out of it, and where it comes from. Items are tried in order, and the first that matches decides.

With addresses it tells of each whether it is trusted, and which item decided. Tables are read as they are now.
"""
EXIT_STATUS = """\
0: shown; with addresses: all of them are trusted. 1: one of them is not. 3: that cannot be told of one, because it
depends on a table that cannot be listed, or on the client's name. 2: the configuration cannot be read. 64: wrong
command line."""
_INDENT = 22
_MAPPED = parse_network("::ffff:0:0/96")
_KNOWN = (
    ("127.0.0.0/8", "this host itself"),
    ("::1/128", "this host itself"),
    ("::ffff:0:0/96", "IPv4 written as IPv6: such clients count as IPv4"),
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("169.254.0.0/16", "of one link only"),
    ("100.64.0.0/10", "between providers and their customers"),
    ("fc00::/7", "private"),
    ("fe80::/10", "of one link only"),
)


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost networks",
        "which clients mynetworks trusts, and why",
        "[-c DIR] [--json] [ADDRESS...]",
        DESCRIPTION,
        EXIT_STATUS,
    )
    parser.add_argument("--json", action="store_true", help="one JSON array, for programs: an object for each value")
    parser.add_argument("addresses", metavar="ADDRESS", nargs="*", help="an IPv4 or IPv6 address")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Explain; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        addresses = [_address(text) for text in options.addresses]
    except CommandLineError as error:
        print(f"gatepost networks: fatal: {error}", file=sys.stderr)
        return 64
    try:
        subject = lint_subject(directory)
        views = trusted_views(subject)
    except ConfigError as error:
        print(f"gatepost networks: fatal: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([_as_json(view, addresses) for view in views], indent=2, ensure_ascii=False))
    elif addresses:
        _print_answers(views, addresses)
    else:
        _print_views(subject, views)
    decisions = [view.networks.decide(*address) for view in views for address in addresses]
    if any(decision.trusted is False for decision in decisions):
        return 1
    return 3 if any(decision.trusted is None for decision in decisions) else 0


def _address(text: str) -> tuple[int, int]:
    network = network_of(text)
    if network is None or network.prefix != network.bits:
        raise CommandLineError(f"{text} is no IP address")
    if _MAPPED.contains(network):  # as the server does, before it asks the list
        return 32, network.net & 0xFFFFFFFF
    return network.bits, network.net


def _print_views(subject: Subject, views: list[TrustedView]) -> None:
    paint = Paint.for_output()
    for number, view in enumerate(views):
        if number:
            print()
        for line in _explained(view, paint, alone=len(views) == 1):
            print(line.rstrip())
    remarks = _remarks(subject)
    if remarks:
        print()
        for finding in remarks:
            text = f"{finding.message} ({finding.check}): {finding.remedy}"
            for line in textwrap.wrap(
                text, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
            ):
                print(paint.yellow(line))


def _remarks(subject: Subject) -> list[Finding]:
    """What lint has to say of mynetworks."""
    others = [check.name for check in checks().values() if check.family != "address_lists"]
    return [finding for finding in lint(subject, others) if finding.parameter in ("mynetworks", "mynetworks_style")]


def _explained(view: TrustedView, paint: Paint, *, alone: bool) -> Iterator[str]:
    yield paint.bold(f"mynetworks{_place(view)}")
    if not alone:
        yield from filled(f"of {', '.join(view.listeners) or 'main.cf, and of no listener'}", 2)
    if view.where is None:
        text = f"It is not set: mynetworks_style = {view.style} makes it of this host's addresses, "
        yield from filled(text + (", ".join(view.interfaces) or "of which there are none"), 2)
    yield ""
    entries = view.networks.entries
    for position, entry in enumerate(entries):
        shown = ("!" if entry.negated else "") + entry.text
        first, *others = list(_about(entry, entries[:position])) or [""]
        if len(shown) + 4 > _INDENT:
            yield f"  {shown}"
            others = [first, *others]
        else:
            yield f"  {_coloured(shown.ljust(_INDENT - 2), entry, paint)}{first}"
        yield from (" " * _INDENT + line for line in others)
    if entries:
        yield ""
    yield from filled(_total(view.networks), 0)


def _coloured(text: str, entry: Entry, paint: Paint) -> str:
    if entry.problem or (not entry.decides and not entry.open):
        return paint.red(text)
    return paint.yellow(text) if entry.negated or entry.open else paint.green(text)


def _place(view: TrustedView) -> str:
    return f" ({view.where[0]}:{view.where[1]})" if view.where is not None else ""


def _about(entry: Entry, before: tuple[Entry, ...]) -> Iterator[str]:
    """What an item is and does, in lines."""
    texts: list[str] = []
    if entry.kind is Kind.NETWORK:
        texts += entry.addresses.in_words()
    texts.append(_deed(entry, before))
    if entry.path:
        texts.append(f"from {entry.path}")
    for text in texts:
        yield from filled(text, width=WIDTH - _INDENT)


def _deed(entry: Entry, before: tuple[Entry, ...]) -> str:
    if entry.problem:
        return f"an error: {entry.problem}. Clients that come so far are answered 451"
    if entry.kind is Kind.NAME:
        what = "left out" if entry.negated else "trusted"
        return f"clients whose name in DNS is this, or below it, are {what}"
    if entry.kind is Kind.TABLE and not entry.listed:
        what = "left out" if entry.negated else "trusted"
        return f"a table that cannot be listed: any client may be in it, and be {what}"
    own, all_ = entry.decides.count(), entry.addresses.count()
    names = " and clients by their names" if entry.open else ""
    listed = "as the table is now: " if entry.listed else ""
    if not own and all_:
        return f"{listed}no effect: {', '.join(map(_shown, _takers(entry, before)))} before it"
    verb = "left out" if entry.negated else "trusted"
    if own == all_:
        meaning = _known(entry) if not entry.listed and not entry.negated else ""
        return f"{listed}{_count(entry.decides)}{names} {verb}{meaning}"
    takers = _takers(entry, before)
    out = ", ".join(each.text for each in takers if each.negated is not entry.negated)
    earlier = ", ".join(_shown(each) for each in takers if each.negated is entry.negated)
    text = f"{listed}{own:,} of {_count(entry.addresses)}{names} {verb}" if own < 1 << 33 else f"{listed}{verb}"
    return text + (f", without {out}" if out else "") + (f"; {earlier} has the others already" if earlier else "")


def _takers(entry: Entry, before: tuple[Entry, ...]) -> list[Entry]:
    """Items that have taken some of its addresses before it."""
    return [each for each in before if each.decides & entry.addresses]


def _known(entry: Entry) -> str:
    networks = list(entry.addresses.networks())
    for text, meaning in _KNOWN:
        if len(networks) == 1 and parse_network(text).contains(networks[0]):
            return f": {meaning}"
    return ""


def _count(addresses: AddressSet) -> str:
    """`255 addresses`; large numbers of IPv6 addresses as powers of two."""
    parts = []
    for bits, family in ((32, ""), (128, "IPv6 ")):
        number = addresses.count(bits)
        if number:
            parts.append(f"{_number(number)} {family}address{'es' * (number != 1)}")
    return " and ".join(parts) or "no address"


def _number(number: int) -> str:
    if number < 1 << 33:
        return f"{number:,}"
    power = number.bit_length() - 1
    return f"2^{power}" if number == 1 << power else f"more than 2^{power}"


def _total(networks: TrustedNetworks) -> str:
    text = f"Trusted: {_count(networks.trusted) if networks.trusted else 'nobody'}."
    if networks.perhaps:
        text += " Others as tables or names say."
    if networks.perhaps_not & networks.trusted:
        text += " Some of these may be left out by tables or names."
    families = [name for bits, name in ((32, "IPv4"), (128, "IPv6")) if networks.failing.ranges(bits)]
    if families:
        text += f" {' and '.join(families)} clients that come as far as an error are answered 451."
    return text


def _print_answers(views: list[TrustedView], addresses: list[tuple[int, int]]) -> None:
    paint = Paint.for_output()
    for view in views:
        if len(views) > 1:
            print(paint.bold(f"{', '.join(view.listeners) or 'main.cf'}{_place(view)}"))
        for address in addresses:
            decision = view.networks.decide(*address)
            verdict = {True: paint.green("trusted"), False: paint.red("not trusted"), None: paint.yellow("it depends")}
            print(f"{address_text(*address)}: {verdict[decision.trusted]}")
            print("\n".join(filled(_why(decision, view), 2)))


def _why(decision: Decision, view: TrustedView) -> str:
    entries = view.networks.entries
    texts = []
    for number in decision.doubts if decision.trusted is None else ():
        texts.append(f"{_shown(entries[number])} may match it")
    if decision.position >= 0:
        entry = entries[decision.position]
        if decision.failing:
            texts.append(f"{_shown(entry)} is an error ({entry.problem}), and the client is answered 451")
        else:
            texts.append(f"{_shown(entry)} {'leaves it out' if entry.negated else 'takes it in'}")
        if entry.path:
            texts[-1] += f" ({entry.path})"
    else:
        texts.append("it is in no other" if texts else "it is in none of " + _all(entries))
    return "; ".join(texts)


def _all(entries: tuple[Entry, ...]) -> str:
    shown = [_shown(entry) for entry in entries if not entry.negated]
    return (", ".join(shown[:8]) + (", ..." if shown[8:] else "")) or "them: nobody is trusted"


def _shown(entry: Entry) -> str:
    return ("!" if entry.negated else "") + entry.text


def _as_json(view: TrustedView, addresses: list[tuple[int, int]]) -> dict[str, Any]:
    networks = view.networks
    return {
        "value": view.text,
        "path": view.where[0] if view.where else "",
        "line": view.where[1] if view.where else 0,
        "mynetworks_style": "" if view.where else view.style,
        "listeners": list(view.listeners),
        "items": [_entry_as_json(entry) for entry in networks.entries],
        "trusted": _ranges(networks.trusted),
        "trusted_ipv4": networks.trusted.count(32),
        "trusted_ipv6": networks.trusted.count(128),
        "depends": bool(networks.perhaps or networks.perhaps_not),
        "failing": _ranges(networks.failing),
        "addresses": [_answer_as_json(address, view) for address in addresses],
    }


def _entry_as_json(entry: Entry) -> dict[str, Any]:
    return {
        "item": _shown(entry),
        "kind": entry.kind.value,
        "networks": _ranges(entry.addresses),
        "decides": _ranges(entry.decides),
        "count": entry.decides.count(),
        "open": entry.open,
        "file": entry.path,
        "problem": entry.problem,
    }


def _answer_as_json(address: tuple[int, int], view: TrustedView) -> dict[str, Any]:
    decision = view.networks.decide(*address)
    item = _shown(view.networks.entries[decision.position]) if decision.position >= 0 else ""
    return {
        "address": address_text(*address),
        "trusted": decision.trusted,
        "item": item,
        "failing": decision.failing,
        "why": _why(decision, view),
    }


def _ranges(addresses: AddressSet) -> list[str]:
    return [str(network) for network in addresses.networks()]

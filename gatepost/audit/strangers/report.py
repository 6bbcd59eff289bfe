"""What came of an inquiry, in words."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gatepost.audit.address_set import AddressSet
from gatepost.audit.strangers.inquiry import Answer, Way
from gatepost.tables.match_list import MatchList
from gatepost.tables.network import Network

Where = Callable[[str], str]
"""A parameter's place: `main.cf, line 12`, or nothing."""

_HEADS = {
    "proved": "PROVED: no stranger can relay.",
    "refuted": "REFUTED: a stranger can relay.",
    "depends": "DEPENDS: whether a stranger can relay is not decided by the configuration alone.",
}
_SHOWN = 12
_BY_NETWORKS = "permit_mynetworks"


def text_report(answer: Answer, trusted: MatchList, where: Where) -> Iterator[str]:
    """The lines for one listener. `trusted` is mynetworks, whose networks people know their addresses by."""
    yield _HEADS[answer.outcome]
    if answer.way is not None and answer.outcome == "refuted":
        yield from _refutation(answer, answer.way, where)
    if answer.conditions:
        yield "It depends on:"
        yield from _items(answer.conditions)
    yield "Who else can relay:" if answer.outcome == "refuted" else "Who can relay:"
    yield from _items(who_can(answer, trusted))
    if answer.notes and answer.outcome != "refuted":
        yield "Assumed:"
        yield from _items(answer.notes)


def in_short(answer: Answer | None, trusted: MatchList) -> Iterator[str]:
    """Who may relay, in two lines. Without an answer: why there is none."""
    if answer is None:
        yield "Whether a stranger can relay, `gatepost prove` tells: a server has to be asked."
        return
    yield _HEADS[answer.outcome].partition(": ")[2].capitalize()
    who = who_can(answer, trusted)
    more = f"; and {len(who) - _SHOWN} more" if len(who) > _SHOWN else ""
    yield f"{'Who else' if answer.outcome == 'refuted' else 'Who'} can relay: {'; '.join(who[:_SHOWN])}{more}"


def in_a_sentence(answer: Answer) -> tuple[str, str]:
    """A refutation: the parameter that lets strangers in (empty: none does), and how."""
    steps = answer.way.steps if answer.way is not None else ()
    step = next((step for step in reversed(steps) if step.parameter), None)
    how = f" by {step.restriction}" if step is not None else ""
    parameter = step.parameter if step is not None else ""
    if step is not None and step.restriction == _BY_NETWORKS:
        parameter = "mynetworks"  # which is what must be changed
    example = answer.example
    if example is None:
        return parameter, f"strangers can relay{how}"
    return parameter, (
        f"strangers can relay{how}: mail from <{example.sender}> to <{example.recipient}> is accepted from "
        f"{example.client_name}[{example.client_address}]"
    )


def who_can(answer: Answer, trusted: MatchList) -> list[str]:
    """Everybody who is trusted by what he is."""
    who = list(ranges_in_words(answer.addresses, [network for _, network in trusted.networks()]))
    who += [f"clients whose verified name is {name}" for name in answer.names]
    who += answer.others
    if answer.xclient:
        ranges = ", ".join(ranges_in_words(answer.xclient, []))
        who.append(f"hosts that may say they are another client (XCLIENT): {ranges}")
    return who or ["nobody"]


def _refutation(answer: Answer, way: Way, where: Where) -> Iterator[str]:
    example = answer.example
    if example is not None:
        yield "This session is accepted:"
        yield f"  client     {example.client_name}[{example.client_address}]"
        if example.helo is not None:
            yield f"  EHLO       {example.helo}"
        yield f"  MAIL FROM  <{example.sender}>"
        yield f"  RCPT TO    <{example.recipient}>"
    if not way.steps:
        yield "Nothing in the lists refuses it: the destination counts as our own (relay_domains and its kin)."
        return
    yield "It gets in by:"
    for step in way.steps:
        place = where(step.parameter) if step.parameter else ""
        named = f" in {step.parameter}" if step.parameter else ""
        yield f"  {step.restriction}{named}{f' ({place})' if place else ''}"
        if step.restriction == _BY_NETWORKS:
            yield f"    mynetworks ({where('mynetworks')})"
        elif step.why:
            yield f"    {step.why}"
    if example is not None:
        yield "The session was played through the restrictions as the server evaluates them: accepted."


def _items(texts: Iterable[str]) -> Iterator[str]:
    texts = list(texts)
    for text in texts[:_SHOWN]:
        yield f"  {text}"
    if len(texts) > _SHOWN:
        yield f"  and {len(texts) - _SHOWN} more"


def ranges_in_words(addresses: AddressSet, networks: Iterable[Network]) -> Iterator[str]:
    """The addresses by the networks that people wrote, with what is missing there, and how many they are."""
    left = addresses
    for network in sorted(set(networks), key=lambda network: network.prefix):
        whole = AddressSet.of(network)
        inside = whole & left
        missing = (whole - addresses).in_words()
        if inside and len(missing) <= 3:
            without = f" without {', '.join(missing)}" if missing else ""
            yield f"{network}{without}: {_counted(inside.count())}"
            left -= whole
    for network in left.networks():
        yield f"{network}: {_counted(AddressSet.of(network).count())}"


def _counted(count: int) -> str:
    if count == 1:
        return "1 address"
    if count >= 1 << 64 and count & (count - 1) == 0:
        return f"2^{count.bit_length() - 1} addresses"
    return f"{count:,} addresses"


def json_report(name: str, answer: Answer, trusted: MatchList, where: Where) -> dict[str, Any]:
    """The same for programs."""
    way = answer.way if answer.outcome == "refuted" else None
    example = answer.example
    return {
        "listener": name,
        "outcome": answer.outcome,
        "example": None
        if example is None
        else {
            "client_name": example.client_name,
            "client_address": example.client_address,
            "helo": example.helo,
            "sender": example.sender,
            "recipient": example.recipient,
        },
        "by": [
            {
                "restriction": step.restriction,
                "parameter": step.parameter,
                "where": where(step.parameter) if step.parameter else "",
                "why": step.why,
            }
            for step in (way.steps if way is not None else ())
        ],
        "conditions": answer.conditions,
        "who_can_relay": {
            "networks": [
                {"network": str(network), "addresses": AddressSet.of(network).count()}
                for network in answer.addresses.networks()
            ],
            "names": answer.names,
            "others": answer.others,
            "xclient": [str(network) for network in answer.xclient.networks()],
        },
        "assumed": answer.notes,
        "paths": answer.paths,
    }

"""Checks of the DNS lists that restrictions ask."""

from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.restriction_items import ListItem, restriction_lists
from gatepost.audit.lint.subject import Place, Subject
from gatepost.restrictions.dns_list import BadPattern, DnsList

DEAD = {
    "sorbs.net": "closed in June 2024",
    "njabl.org": "closed in March 2013",
    "ahbl.org": "closed in 2014; it listed everybody from January 2015",
    "ordb.org": "closed in December 2006; it listed everybody in 2008",
    "dsbl.org": "closed in 2008",
    "spamcannibal.org": "closed; it listed everybody in 2018",
    "rfc-ignorant.org": "closed in November 2012",
    "five-ten-sg.com": "closed",
    "opm.blitzed.org": "closed in 2006",
    "proxies.relays.monkeys.com": "closed in 2003",
    "relays.osirusoft.com": "closed in 2003; it listed everybody",
    "mail-abuse.org": "closed; what became of it needs a contract",
    "orbs.org": "closed in 2001",
    "csma.biz": "closed",
    "cbl.abuseat.org": "closed; zen.spamhaus.org holds it",
    "ix.dnsbl.manitu.net": "closed in January 2025",
    "bl.emailbasura.org": "closed",
    "dnsbl.inps.de": "closed",
    "no-more-funn.moensted.dk": "closed",
    "dnsbl.burnt-tech.com": "closed",
    "virbl.dnsbl.bit.nl": "closed",
}
"""Zones, their parent domains included, and what became of them."""

REGISTRATION = {
    "b.barracudacentral.org": "register the addresses of your resolvers with Barracuda",
    "ivmsip.invaluement.com": "it takes a subscription to invaluement",
    "ivmuri.invaluement.com": "it takes a subscription to invaluement",
    "sip.invaluement.com": "it takes a subscription to invaluement",
    "multi.surbl.org": "register with SURBL, or use its free service in small numbers",
    "multi.uribl.com": "register with URIBL, or use its free service in small numbers",
}
"""Zones that ask for a registration, and what to do."""

_OF_DOMAINS = ("dbl.spamhaus.org", "multi.surbl.org", "multi.uribl.com", "black.uribl.com", "fresh.fmb.la")
_OF_ADDRESSES = (
    "zen.spamhaus.org",
    "sbl.spamhaus.org",
    "xbl.spamhaus.org",
    "pbl.spamhaus.org",
    "sbl-xbl.spamhaus.org",
    "bl.spamcop.net",
    "b.barracudacentral.org",
    "psbl.surriel.com",
)


def _lists(subject: Subject) -> Iterator[tuple[Place, str, ListItem, str]]:
    """(place, parameter, restriction, zone) of each DNS list."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            if item.restriction is not None and item.restriction.argument == "domain" and item.argument:
                yield place, parameter, item, item.argument.partition("=")[0].lower().rstrip(".")


def _zones(subject: Subject) -> Iterator[tuple[Place, str, str]]:
    for place, parameter, _, zone in _lists(subject):
        yield place, parameter, zone
    for word in subject.main.items("postscreen_dnsbl_sites"):
        yield subject.main, "postscreen_dnsbl_sites", word.partition("*")[0].partition("=")[0].lower().rstrip(".")


@check("dns-list-dead", Severity.ERROR, "a DNS list that is closed")
def dns_list_dead(subject: Subject) -> Iterator[Remark]:
    """A closed list answers nothing, which costs time at every client, until its domain is sold or its owner lists
    everybody to be rid of the queries: then all mail is refused. Take it out."""
    for place, parameter, zone in _zones(subject):
        for name, fate in DEAD.items():
            if zone == name or zone.endswith("." + name):
                yield place.remark(parameter, f"{zone}: {fate}", "take it out")


@check("dns-list-needs-registration", Severity.NOTE, "a DNS list that answers registered users only")
def dns_list_registration(subject: Subject) -> Iterator[Remark]:
    """These lists answer nothing, or a code for `refused`, to resolvers that they do not know. Register, and use a
    resolver of your own: all who share a public one count as one user."""
    for place, parameter, zone in _zones(subject):
        if zone in REGISTRATION:
            yield place.remark(parameter, f"{zone} answers registered users only", REGISTRATION[zone])


@check("dns-list-error-codes-count", Severity.WARNING, "a DNS list whose answer `you may not ask` counts as listed")
def dns_list_codes(subject: Subject) -> Iterator[Remark]:
    """Spamhaus answers 127.255.255.254 to public resolvers and 127.255.255.255 when asked too often. A
    reject_rbl_client without a pattern takes each answer for a listing, and then refuses every client. Count the
    listings only: `zen.spamhaus.org=127.0.0.[2..11]`, `dbl.spamhaus.org=127.0.1.[2..99]`."""
    for place, parameter, item, zone in _lists(subject):
        if zone.endswith("spamhaus.org") and item.name.startswith("reject") and "=" not in (item.argument or ""):
            codes = "127.0.1.[2..99]" if zone.startswith("dbl.") else "127.0.0.[2..11]"
            message = f"{zone} refuses all clients when your resolver may not ask it"
            yield place.remark(parameter, message, f"write {zone}={codes}")


@check("dns-list-of-other-kind", Severity.ERROR, "a list of domains asked for an address, or the other way round")
def dns_list_kind(subject: Subject) -> Iterator[Remark]:
    """reject_rbl_client asks with the client's address, reject_rhsbl_... with a domain. A list of domains asked for
    an address answers with an error code (dbl.spamhaus.org: 127.0.1.255 for every client), which counts as listed:
    all mail is refused. A list of addresses asked for a domain never finds anything."""
    for place, parameter, item, zone in _lists(subject):
        if item.name == "reject_rbl_client" and zone in _OF_DOMAINS:
            message = f"{zone} lists domains, and {item.written} asks for an address"
            yield place.remark(parameter, message, f"write reject_rhsbl_sender {item.argument}")
        elif item.name.startswith("reject_rhsbl") and zone in _OF_ADDRESSES:
            message = f"{zone} lists addresses, and {item.written} asks for a domain"
            yield place.remark(parameter, message, f"write reject_rbl_client {item.argument}")


@check("dns-list-permits-widely", Severity.WARNING, "any answer of a list of good clients permits")
def dns_list_permits(subject: Subject) -> Iterator[Remark]:
    """list.dnswl.org answers 127.0.0.255 to everybody when a resolver asks too often: without a pattern,
    permit_dnswl_client then permits every client, past all checks behind it. Write
    `list.dnswl.org=127.0.[0..255].[1..3]`."""
    for place, parameter, item, zone in _lists(subject):
        if item.name == "permit_dnswl_client" and zone.endswith("dnswl.org") and _counts(item, "127.0.0.255"):
            message = f"{zone} may answer 127.0.0.255 for everybody, and all are permitted"
            yield place.remark(parameter, message, f"write {zone}=127.0.[0..255].[1..3]")


def _counts(item: ListItem, answer: str) -> bool:
    try:
        return DnsList.parse(item.argument or "").counts(answer)
    except BadPattern:
        return False


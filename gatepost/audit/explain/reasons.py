"""Why a restriction answered as it did, in words that need no knowledge of Postfix."""

from collections.abc import Callable

from gatepost.audit.explain.words import Text, asked_about, not_asked, text_of
from gatepost.audit.lists import ranges_in_words
from gatepost.audit.networks import trusted_networks
from gatepost.restrictions.context import Context
from gatepost.restrictions.registry import Restriction
from gatepost.restrictions.verdict import DUNNO, PERMIT, DeferIfPermit, DeferIfReject, Verdict
from gatepost.tables.network import parse_address

Where = Callable[[str], str]
"""A parameter's place: `main.cf, line 12`."""

_DESTINATIONS = "mydestination, virtual_alias_domains, virtual_mailbox_domains and relay_domains"
_BY_DESTINATION = frozenset(("permit_auth_destination", "reject_unauth_destination", "defer_unauth_destination"))


def reason(entry: Restriction, argument: object, ctx: Context, verdict: Verdict, where: Where) -> str:
    """One sentence without a full stop."""
    name = entry.name
    if name == "permit_mynetworks":
        return _of_networks(ctx, verdict, where)
    if name in _BY_DESTINATION:
        return _of_destination(ctx, permitted=verdict is not DUNNO if name.startswith("permit") else verdict is DUNNO)
    if entry.argument in ("table", "certificates"):
        return _of_table(name, ctx, verdict)
    if isinstance(verdict, DeferIfPermit) and name not in ("defer_if_permit", "check_policy_service"):
        return "that cannot be looked up now; if nothing else refuses the mail, the client is to come back later"
    if isinstance(verdict, DeferIfReject) and name == "permit_mx_backup":
        return "something that might have permitted the mail cannot be looked up now: refusals become temporary"
    return _said(name, argument, ctx, verdict)


def _said(name: str, argument: object, ctx: Context, verdict: Verdict) -> str:
    text: Text | None = text_of(name)
    if text is None:
        return ""
    said = text.passes if verdict is DUNNO else text.decides
    if callable(said):
        return said(ctx, argument)
    return said


def _of_networks(ctx: Context, verdict: Verdict, where: Where) -> str:
    address, matches = ctx.client.address, ctx.parts.mynetworks
    place = where("mynetworks")
    parsed = parse_address(address)
    if parsed is not None:
        networks = trusted_networks(matches)
        decision = networks.decide(*parsed)
        if decision.position >= 0 and not decision.doubts:
            item = networks.entries[decision.position]
            if item.negated and verdict is DUNNO:
                return f"{address} is taken out by !{item.text} in mynetworks ({place})"
            if verdict is PERMIT:
                return f"{address} is in {item.text}, which mynetworks trusts ({place})"
    if verdict is PERMIT:
        return f"{ctx.client.name}[{address}] is in mynetworks ({place})"
    return f"{address} is in none of {ranges_in_words(matches)} (mynetworks, {place})"


def _of_destination(ctx: Context, *, permitted: bool) -> str:
    recipient = ctx.recipient or ""
    if not recipient:
        return "there is no single recipient to look at"
    domain = recipient.rpartition("@")[2]
    if permitted:
        return f"this server takes mail for {domain}"
    if "%" in recipient or "!" in recipient or recipient.count("@") > 1:
        return f"<{recipient}> hides another address, or is in none of {_DESTINATIONS}"
    return f"{domain} is in none of {_DESTINATIONS}"


def _of_table(name: str, ctx: Context, verdict: Verdict) -> str:
    subject = asked_about(name, ctx)
    if not subject:
        return not_asked(name)
    if verdict is DUNNO:
        return f"the table says nothing about {subject}"
    if verdict is PERMIT:
        return f"the table lets {subject} pass"
    return f"an entry of the table is about {subject}"

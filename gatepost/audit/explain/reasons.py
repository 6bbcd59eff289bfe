"""Why a restriction answered as it did, in words that need no knowledge of Postfix."""

from collections.abc import Callable

from gatepost.audit.lists import ranges_in_words
from gatepost.audit.networks import trusted_networks
from gatepost.restrictions.context import Context
from gatepost.restrictions.registry import Restriction
from gatepost.restrictions.verdict import DUNNO, PERMIT, Verdict
from gatepost.tables.maps import Maps
from gatepost.tables.network import parse_address

Where = Callable[[str], str]
"""A parameter's place: `main.cf, line 12`."""

_DESTINATIONS = "mydestination, virtual_alias_domains, virtual_mailbox_domains and relay_domains"
_BY_DESTINATION = frozenset(("permit_auth_destination", "reject_unauth_destination", "defer_unauth_destination"))


def reason(entry: Restriction, argument: object, ctx: Context, verdict: Verdict, where: Where) -> str:
    """One sentence without a full stop; empty if the verdict says it all."""
    name = entry.name
    if name == "permit_mynetworks":
        return _of_networks(ctx, verdict, where)
    if name in _BY_DESTINATION:
        return _of_destination(ctx, permitted=verdict is not DUNNO if name.startswith("permit") else verdict is DUNNO)
    if isinstance(argument, Maps) and verdict is DUNNO:
        return f"no entry for {_asked(name, ctx)}, or one that has no opinion"
    special = _SPECIAL.get(name)
    if special is not None:
        return special(ctx, verdict)
    if verdict is DUNNO and name.startswith("reject_"):
        return "nothing to object to"
    return ""


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
    domain = recipient.rpartition("@")[2] or recipient
    if permitted:
        return f"{domain} is a domain that this server takes mail for"
    if "%" in recipient or "!" in recipient or recipient.count("@") > 1:
        return f"<{recipient}> hides another address, or is in none of {_DESTINATIONS}"
    return f"{domain} is in none of {_DESTINATIONS}"


def _asked(name: str, ctx: Context) -> str:
    client = ctx.client
    if "client" in name:
        return f"{client.name} or {client.address}" if client.name != "unknown" else client.address
    if "helo" in name:
        return ctx.helo_name or "a client without HELO"
    if "sender" in name:
        return f"<{ctx.sender or ''}>"
    if "recipient" in name:
        return f"<{ctx.recipient or ''}>"
    return ctx.reply_name


def _sasl(ctx: Context, verdict: Verdict) -> str:
    if verdict is PERMIT:
        return f"the client has logged in as {ctx.facts.sasl_username}"
    if not ctx.params.smtpd_sasl_auth_enable:
        return "nobody can log in here (smtpd_sasl_auth_enable = no)"
    return "the client has not logged in"


def _client_name(ctx: Context, verdict: Verdict) -> str:
    client = ctx.client
    if verdict is DUNNO:
        return f"the name {client.name} leads back to {client.address}"
    return f"no name of {client.address} leads back to it"


def _certificate(ctx: Context, verdict: Verdict) -> str:
    return "" if ctx.facts.fingerprints else "the client has shown no certificate"


def _interface(ctx: Context, verdict: Verdict) -> str:
    own = "is" if verdict is PERMIT else "is not"
    return f"{ctx.client.address} {own} an address of this server"


def _everybody(ctx: Context, verdict: Verdict) -> str:
    return "it holds for everybody"


def _helo(ctx: Context, verdict: Verdict) -> str:
    return f"HELO name {ctx.helo_name}" if ctx.helo_name is not None else "the client has said no HELO"


_SPECIAL: dict[str, Callable[[Context, Verdict], str]] = {
    "permit_sasl_authenticated": _sasl,
    "reject_unknown_client_hostname": _client_name,
    "permit_tls_clientcerts": _certificate,
    "permit_tls_all_clientcerts": _certificate,
    "permit_inet_interfaces": _interface,
    "permit": _everybody,
    "reject": _everybody,
    "defer": _everybody,
    "reject_invalid_helo_hostname": _helo,
    "reject_non_fqdn_helo_hostname": _helo,
    "reject_unknown_helo_hostname": _helo,
}

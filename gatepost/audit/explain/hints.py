"""The smallest changes of a configuration that would alter an answer, with a warning where one would open the relay."""

from collections.abc import Iterator, Sequence

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.recorder import Event


def hints(event: Event | None, asked: Asked, reply: str, before: Sequence[Event] = ()) -> Iterator[str]:
    """What an operator could do about a refusal; `event` is the restriction that refused, if one did."""
    if event is None:
        if "User unknown" in reply or "address rejected" in reply:
            yield f"make <{asked.recipient}> a user: an entry in the table that the reply names"
        return
    name = event.restriction.partition(" ")[0]
    if name in ("reject_unauth_destination", "defer_unauth_destination"):
        yield from _relaying(asked, any(" is taken out by !" in event.reason for event in before))
    elif event.entries:
        entry = event.entries[-1]
        place = f" ({entry.place})" if entry.place else ""
        yield f"take the entry {entry.key} out of {entry.table}{place}, or write DUNNO for it"
    elif name == "reject" or name == "defer":
        yield f"put a restriction that permits this client before `{name}` in {event.parameter or 'the class'}"
    elif name.startswith(("reject_", "check_policy_service")):
        yield f"take {event.restriction} out of {event.parameter or 'its class'}"
        yield f"or let this client pass before it: check_client_access inline:{{{asked.client.address}=OK}}"
        if event.parameter in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions"):
            yield "  (behind reject_unauth_destination only: before it, the client could send anywhere)"


def _relaying(asked: Asked, taken_out: bool) -> Iterator[str]:
    address = asked.client.address
    domain = (asked.recipient or "").rpartition("@")[2]
    if taken_out:
        yield f"{address} has been taken out of mynetworks by name. Leave that as it is if it is a router: strangers"
        yield "  may come to this server with its address, and all of them could send anywhere."
        yield "if the client is a person: let it log in (smtpd_sasl_auth_enable, permit_sasl_authenticated)"
    else:
        yield f"if the client is one of yours: add {address} to mynetworks (it may then send anywhere),"
        yield "  or let it log in (smtpd_sasl_auth_enable, permit_sasl_authenticated)"
    yield f"if this server is to take mail for {domain}: add {domain} to relay_domains (to pass it on)"
    yield "  or to mydestination (to keep it)"
    yield "  Never for domains of others, such as those of big providers: anybody could send to them through you"

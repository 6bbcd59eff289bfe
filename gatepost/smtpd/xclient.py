"""XCLIENT and XFORWARD (XCLIENT_README, XFORWARD_README): a trusted front end tells who the client really is."""

from collections.abc import Callable

import msgspec

from gatepost.mail.hostname import valid_hostaddr, valid_hostname, valid_mailhost_addr
from gatepost.mail.reply import Reply
from gatepost.protocol import xtext
from gatepost.protocol.smtp_server import Command
from gatepost.protocol.smtp_server_tokens import words
from gatepost.restrictions.facts import NAME_OK, NAME_PERMANENT, NAME_TEMPORARY, Client
from gatepost.smtpd import replies
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.smtpd.words import neutral_helo, printable

UNAVAILABLE = "[UNAVAILABLE]"
TEMPUNAVAIL = "[TEMPUNAVAIL]"

_XCLIENT_NAMES = frozenset(["NAME", "ADDR", "PROTO", "HELO", "REVERSE_NAME", "PORT", "LOGIN", "DESTADDR", "DESTPORT"])
_XFORWARD_NAMES = frozenset(["NAME", "ADDR", "PROTO", "HELO", "SOURCE", "PORT", "IDENT"])


class Identity(msgspec.Struct):
    """What an XCLIENT line says, by attribute; None: nothing. Values are decoded and checked."""

    name: tuple[str, int] | None = None
    reverse_name: tuple[str, int] | None = None
    address: str | None = None
    port: str | None = None
    protocol: str | None = None
    helo: str | None = None
    login: str | None = None
    server_address: str | None = None
    server_port: str | None = None


def _attributes(command: Command, kind: str, known: frozenset[str], syntax: Reply) -> list[tuple[str, str, str]]:
    """(attribute, decoded value, value as given) of each word; raises Refused."""
    found = words(command.argument)
    if not found:
        raise Refused(syntax)
    pairs = []
    for word in found:
        attribute, _, value = word.text.partition("=")
        if not value:
            raise Refused(Reply(501, "5.5.4", "Error: attribute=value expected"))
        try:
            decoded = printable(xtext.decode(value))
        except xtext.XtextError:
            raise _bad(attribute.upper(), value) from None
        name = attribute.upper()
        if name not in known:
            raise Refused(Reply(501, "5.5.4", f"Bad {kind} attribute name: {printable(attribute)}"))
        pairs.append((name, decoded, value))
    return pairs


def _bad(attribute: str, value: str) -> Refused:
    return Refused(Reply(501, "5.5.4", f"Bad {attribute} syntax: {printable(value)}"))


# XCLIENT.


def check_xclient(session: Session, command: Command) -> Command:
    return command


async def restrict_xclient(session: Session, command: Command) -> Reply | None:
    # Postfix looks at the transaction first: a front end must not change the client under it.
    if session.transaction is not None:
        return replies.IN_TRANSACTION
    if not command.argument.strip():
        return replies.SYNTAX_XCLIENT
    client, hosts = session.facts.client, session.env.lists.xclient_hosts
    if not hosts or not await hosts.match_host(client.name, client.address):
        return replies.NOT_AUTHORIZED
    return None


async def proceed_xclient(session: Session, command: Command) -> Reply | None:
    identity = Identity()
    for attribute, value, given in _attributes(command, "XCLIENT", _XCLIENT_NAMES, replies.SYNTAX_XCLIENT):
        _SETTERS[attribute](session, identity, value, given)
    _assume(session, identity)
    # The session starts anew; the command itself is not counted as good (as in Postfix).
    await session.greet()
    return None


def _set_name(session: Session, identity: Identity, value: str, given: str) -> None:
    identity.name = _host_name("NAME", value)
    if identity.name[1] == NAME_OK:
        identity.reverse_name = identity.name


def _set_reverse_name(session: Session, identity: Identity, value: str, given: str) -> None:
    identity.reverse_name = _host_name("REVERSE_NAME", value)


def _host_name(attribute: str, value: str) -> tuple[str, int]:
    if value.upper() == UNAVAILABLE:
        return "unknown", NAME_PERMANENT
    if value.upper() == TEMPUNAVAIL:
        return "unknown", NAME_TEMPORARY
    if not valid_hostname(value):
        raise _bad(attribute, value)
    return value, NAME_OK


def _set_address(session: Session, identity: Identity, value: str, given: str) -> None:
    if value.upper() == UNAVAILABLE:
        identity.address = "unknown"
        return
    identity.address = _address(session, "ADDR", value)


def _address(session: Session, attribute: str, value: str) -> str:
    bare = valid_mailhost_addr(value)
    if bare is None or (":" in bare and not session.params.ipv6):
        raise _bad(attribute, value)
    return bare


def _set_port(session: Session, identity: Identity, value: str, given: str) -> None:
    identity.port = _port("PORT", value, "unknown")


def _port(attribute: str, value: str, unknown: str) -> str:
    if value.upper() == UNAVAILABLE:
        return unknown
    if not (value.isascii() and value.isdecimal()) or len(value) > 5:
        raise _bad(attribute, value)
    return value


def _set_protocol(session: Session, identity: Identity, value: str, given: str) -> None:
    if value.upper() not in ("SMTP", "ESMTP"):
        raise _bad("PROTO", value)
    identity.protocol = value.upper()


def _set_helo(session: Session, identity: Identity, value: str, given: str) -> None:
    if value.upper() == UNAVAILABLE:
        identity.helo = ""
    else:
        identity.helo = neutral_helo(value)


def _set_login(session: Session, identity: Identity, value: str, given: str) -> None:
    identity.login = "" if value.upper() == UNAVAILABLE else value


def _set_server_address(session: Session, identity: Identity, value: str, given: str) -> None:
    identity.server_address = "unknown" if value.upper() == UNAVAILABLE else _address(session, "DESTADDR", value)


def _set_server_port(session: Session, identity: Identity, value: str, given: str) -> None:
    identity.server_port = _port("DESTPORT", value, "unknown")


_SETTERS: dict[str, Callable[[Session, Identity, str, str], None]] = {
    "NAME": _set_name,
    "REVERSE_NAME": _set_reverse_name,
    "ADDR": _set_address,
    "PORT": _set_port,
    "PROTO": _set_protocol,
    "HELO": _set_helo,
    "LOGIN": _set_login,
    "DESTADDR": _set_server_address,
    "DESTPORT": _set_server_port,
}


def _assume(session: Session, identity: Identity) -> None:
    facts = session.facts
    old = facts.client
    name, status = identity.name or (old.name, old.name_status)
    reverse, reverse_status = identity.reverse_name or (old.reverse_name, old.reverse_name_status)
    limited = session.rate_limited
    session.set_client(
        Client(name, identity.address or old.address, identity.port or old.port, status, reverse, reverse_status)
    )
    # What was counted at connect is given back at the end for the same client.
    session.rate_limited = limited
    session.reset()
    facts.helo_name = identity.helo or None
    facts.protocol = identity.protocol or "SMTP"
    facts.sent_ahead = False
    facts.connected_from = session.peer
    facts.sasl_method = "XCLIENT" if identity.login else ""
    facts.sasl_username = identity.login or ""
    facts.sasl_sender = None
    if identity.server_address is not None:
        facts.server_address = identity.server_address
    if identity.server_port is not None:
        facts.server_port = identity.server_port


# XFORWARD.


def check_xforward(session: Session, command: Command) -> Command:
    return command


async def restrict_xforward(session: Session, command: Command) -> Reply | None:
    if session.transaction is not None:
        return replies.IN_TRANSACTION
    if not command.argument.strip():
        return replies.SYNTAX_XFORWARD
    # After XCLIENT the client is a stranger, but the connection still is the front end's.
    return None if session.may_xforward() else replies.NOT_AUTHORIZED


def proceed_xforward(session: Session, command: Command) -> Reply:
    forwarded = session.forwarded or Client("unknown", "unknown")
    for attribute, value, _ in _attributes(command, "XFORWARD", _XFORWARD_NAMES, replies.SYNTAX_XFORWARD):
        unknown = value.upper() == UNAVAILABLE
        if attribute == "NAME":
            forwarded.name = "unknown" if unknown else value
        elif attribute == "ADDR":
            forwarded.address = "unknown" if unknown else _forwarded_address(value)
        elif attribute == "SOURCE":
            if value.upper() not in ("LOCAL", "REMOTE") and not unknown:
                raise _bad("SOURCE", value)
            session.forwarded_local = None if unknown else value.upper() == "LOCAL"
        elif attribute == "PORT":
            forwarded.port = _port("PORT", value, "unknown")
        elif attribute == "IDENT":
            session.forwarded_id = "" if unknown else value
    forwarded.namaddr = f"{forwarded.name}[{forwarded.address}]"
    session.forwarded = forwarded
    return replies.OK


def _forwarded_address(value: str) -> str:
    bare = valid_mailhost_addr(value)
    if bare is None and valid_hostaddr(value):
        bare = value
    if bare is None:
        raise _bad("ADDR", value)
    return bare

"""HELO and EHLO (RFC 5321 4.1.1.1), and what EHLO offers."""

from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.smtp_server import Command
from gatepost.smtpd import replies
from gatepost.smtpd.parameters import EHLO_KEYWORDS, SILENT_DISCARD
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.smtpd.words import neutral_helo
from gatepost.tables.table import LookupTemporaryFailure

_XCLIENT = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
_XFORWARD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"


def check_helo(session: Session, command: Command) -> str:
    return _name(command, replies.SYNTAX_HELO)


def check_ehlo(session: Session, command: Command) -> str:
    return _name(command, replies.SYNTAX_EHLO)


def _name(command: Command, syntax: Reply) -> str:
    # More words than one are put together (Outlook Express has sent such names).
    name = command.argument
    if " " in name or "\t" in name or not name:
        name = " ".join(name.split())
        if not name:
            raise Refused(syntax)
    return name


async def restrict_helo(session: Session, name: str) -> Reply | None:
    facts = session.facts
    before = facts.helo_name
    facts.helo_name = name
    refusal = await session.env.policy.helo(facts)
    if refusal is not None:
        facts.helo_name = before
    return refusal


def proceed_helo(session: Session, name: str) -> Reply:
    session.reset()
    session.facts.helo_name = neutral_helo(name)
    # As Postfix: a client that once said EHLO stays an ESMTP client, else the pipelining test would misjudge it.
    return Reply(250, "", session.params.myhostname)


async def proceed_ehlo(session: Session, name: str) -> Reply:
    session.reset()
    session.facts.helo_name = neutral_helo(name)
    session.facts.protocol = "ESMTP"
    return Reply(250, "", "\n".join([session.params.myhostname, *await _offers(session)]))


async def _offers(session: Session) -> list[str]:
    params, client, lists = session.params, session.facts.client, session.env.lists
    discard = params.discard_ehlo
    if discard and SILENT_DISCARD not in discard:
        named = " ".join(keyword for keyword in EHLO_KEYWORDS if keyword in discard)
        session.env.log.info(lines.discarding_keywords(named))
    size = f"SIZE {params.message_size_limit}" if params.message_size_limit > 0 else "SIZE"
    offers = ["PIPELINING", size]
    if not params.disable_vrfy_command:
        offers.append("VRFY")
    offers.append("ETRN")
    try:
        keyword = "XCLIENT"
        if lists.xclient_hosts and await lists.xclient_hosts.match_host(client.name, client.address):
            offers.append(_XCLIENT)
        keyword = "XFORWARD"
        if session.forwarder is None:
            raise LookupTemporaryFailure("smtpd_authorized_xforward_hosts")
    except LookupTemporaryFailure:
        session.env.log.warning(lines.unknown_offer(keyword, client.namaddr))
        raise
    if session.forwarder:
        offers.append(_XFORWARD)
    offers += ("ENHANCEDSTATUSCODES", "8BITMIME", "DSN")
    if params.smtputf8_enable:
        offers.append("SMTPUTF8")
    offers.append("CHUNKING")
    if discard:
        offers = [offer for offer in offers if offer.partition(" ")[0] not in discard]
    return offers

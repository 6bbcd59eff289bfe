"""RSET, NOOP, VRFY, ETRN, QUIT."""

from typing import NamedTuple

from gatepost.mail.hostname import valid_hostname, valid_mailhost_literal
from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.smtp_server import Command
from gatepost.protocol.smtp_server_tokens import words
from gatepost.smtpd import replies
from gatepost.smtpd.commands_mail import any_address
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.tables.table import LookupTemporaryFailure


def check_rset(session: Session, command: Command) -> None:
    if command.argument.strip():
        raise Refused(replies.SYNTAX_RSET)


def proceed_rset(session: Session, _: None) -> Reply:
    session.reset()
    return replies.OK


def check_nothing(session: Session, command: Command) -> None:
    # RFC 5321 4.1.1.9: NOOP's argument is to be ignored; Postfix ignores that of QUIT too.
    return None


def proceed_noop(session: Session, _: None) -> Reply:
    return replies.OK


def proceed_quit(session: Session, _: None) -> Reply:
    return replies.BYE


class Vrfy(NamedTuple):
    """What is asked about, as it was given; with SMTPUTF8 its domain may be outside ASCII (RFC 6531 3.7.4.2)."""

    text: str
    smtputf8: bool


def check_vrfy(session: Session, command: Command) -> Vrfy:
    params = session.params
    if params.disable_vrfy_command:
        raise Refused(replies.VRFY_DISABLED)
    found = words(command.argument)
    utf8 = params.smtputf8_enable and "SMTPUTF8" not in params.discard_ehlo
    if not found:
        raise Refused(replies.SYNTAX_VRFY_UTF8 if utf8 else replies.SYNTAX_VRFY)
    declared = utf8 and len(found) > 1 and found[-1].text.upper() == "SMTPUTF8"
    if declared:
        found.pop()
    return Vrfy(" ".join(word.text for word in found), declared)


async def restrict_vrfy(session: Session, asked: Vrfy) -> Reply | None:
    facts = session.facts
    address = await any_address(session, asked.text, "VRFY", asked.smtputf8)
    if address is None:
        return replies.BAD_RECIPIENT
    facts.recipient = address
    refusal = await session.env.policy.vrfy(facts)
    facts.recipient = session.recipient
    return refusal


def proceed_vrfy(session: Session, asked: Vrfy) -> Reply:
    return Reply(252, "2.0.0", asked.text)


def check_etrn(session: Session, command: Command) -> str:
    if session.params.smtpd_helo_required and session.facts.helo_name is None:
        raise Refused(replies.SEND_HELO_FIRST_ETRN)
    if session.transaction is not None:
        raise Refused(replies.IN_TRANSACTION_ETRN)
    found = words(command.argument)
    if len(found) != 1:
        raise Refused(replies.SYNTAX_ETRN)
    name = found[0].text
    if name[0] in "@#":
        name = name[1:]
    if not valid_hostname(name) and not valid_mailhost_literal(name):
        raise Refused(replies.BAD_ETRN)
    return name


async def restrict_etrn(session: Session, name: str) -> Reply | None:
    facts = session.facts
    facts.etrn_name = name
    refusal = await session.env.policy.etrn(facts)
    facts.etrn_name = None
    if refusal is not None:
        return refusal
    return await _flush(session, name)


async def _flush(session: Session, name: str) -> Reply | None:
    """Have deferred mail for this domain tried, if fast flush serves it."""
    env = session.env
    served = env.lists.fast_flush
    try:
        # Postfix has no list for address literals, whatever fast_flush_domains says.
        if served is None or name.startswith("[") or not await served.match_name(name):
            env.log.warning(lines.etrn_rejected(name, session.facts.client.namaddr))
            return Reply(459, "", f"<{name}>: service unavailable", "none")
        if await env.flush(name):
            return None
    except LookupTemporaryFailure:
        pass
    env.log.warning("unable to talk to fast flush service")
    return replies.ETRN_UNABLE


def proceed_etrn(session: Session, name: str) -> Reply:
    return replies.ETRN_STARTED

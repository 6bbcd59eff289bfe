"""AUTH (RFC 4954): the command, and the dialogue that may follow it."""

from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.smtp_server import Command, Response
from gatepost.protocol.smtp_server_tokens import words
from gatepost.sasl.server import Challenge, Failed, Step, Success, no_binding
from gatepost.smtpd import replies
from gatepost.smtpd.authentication import Dialogue, ListenerSasl, challenge, peers
from gatepost.smtpd.session import Session
from gatepost.smtpd.words import printable

_SHOWN = 100
"""Octets of a user name, or of what is to be a mechanism, that the log shows."""


def check_auth(session: Session, command: Command) -> list[str]:
    return [word.text for word in words(command.argument)]


async def restrict_auth(session: Session, given: list[str]) -> Reply | None:
    limit = session.params.smtpd_client_auth_rate_limit
    if limit > 0 and await session.too_many("auth", limit):
        return Reply(450, "4.7.1", f"Error: too many AUTH commands from {session.facts.client.address}")
    facts, sasl = session.facts, session.env.sasl
    if session.params.smtpd_helo_required and facts.helo_name is None:
        return replies.SEND_HELO_FIRST
    if sasl is None or not sasl.is_active(facts) or "AUTH" in session.params.discard_ehlo:
        return replies.NO_AUTH
    if session.transaction is not None:
        return replies.IN_TRANSACTION
    if facts.sasl_username:
        return replies.ALREADY_AUTHENTICATED
    return None if 1 <= len(given) <= 2 else replies.SYNTAX_AUTH


async def proceed_auth(session: Session, given: list[str]) -> Reply | None:
    facts, sasl = session.facts, session.env.sasl
    assert sasl is not None
    dialogue = session.dialogue
    if dialogue is None:
        dialogue = session.dialogue = Dialogue()
    dialogue.mechanism = given[0]
    initial = given[1] if len(given) > 1 else None
    step, exchange = await sasl.server.start(given[0], initial, sasl.options_for(facts), peers(facts, session.binding))
    if isinstance(step, Challenge):
        dialogue.exchange = exchange
    return await _judged(session, sasl, dialogue, step)


async def respond(session: Session, response: Response) -> None:
    """The client has answered a challenge: the next one, or the end, which counts the command as good or bad."""
    sasl, dialogue = session.env.sasl, session.dialogue
    assert sasl is not None and dialogue is not None and dialogue.exchange is not None
    reply = await _responded(session, sasl, dialogue, response)
    if reply is None:
        return
    await session.answer(reply)
    if reply.code < 400:
        session.counts["auth"][0] += 1
        return
    session.errors += 1
    if session.errors >= session.params.smtpd_hard_error_limit and not session.closing:
        await session.too_many_errors()


async def _responded(session: Session, sasl: ListenerSasl, dialogue: Dialogue, response: Response) -> Reply | None:
    log, namaddr = session.env.log, session.facts.client.namaddr
    if response.too_long:
        dialogue.abandon()
        # Postfix shows how it begins, which may be a password.
        log.warning(lines.request_too_long(namaddr, sasl.response_limit, ""))
        return replies.RESPONSE_TOO_LONG
    if response.text == "*":
        dialogue.abandon()
        log.warning(lines.authentication_aborted(namaddr, printable(dialogue.mechanism)))
        return replies.AUTH_ABORTED
    assert dialogue.exchange is not None
    step = await dialogue.exchange.step(response.text)
    return await _judged(session, sasl, dialogue, step)


async def _judged(session: Session, sasl: ListenerSasl, dialogue: Dialogue, step: Step) -> Reply | None:
    """The reply at the end of the dialogue; None: it goes on."""
    if isinstance(step, Challenge):
        await session.answer(challenge(printable(step.text)))
        session.protocol.read_response(sasl.response_limit)
        return None
    dialogue.exchange = None
    if isinstance(step, Success):
        facts = session.facts
        facts.sasl_method = dialogue.mechanism
        facts.sasl_username = dialogue.claimed = printable(step.username)
        return replies.AUTHENTICATED
    return _failed(session, dialogue, step)


def _failed(session: Session, dialogue: Dialogue, failed: Failed) -> Reply:
    log = session.env.log
    if failed.warning:
        log.warning(failed.warning)
    reason = printable(failed.reason) or "(reason unavailable)"
    claimed = printable(dialogue.heard(failed.username)).encode()[:_SHOWN].decode(errors="ignore")
    namaddr = session.facts.client.namaddr
    log.warning(lines.authentication_failed(namaddr, printable(dialogue.mechanism)[:_SHOWN], reason, claimed))
    if failed.temporary:
        return Reply(454, "4.7.0", f"Temporary authentication failure: {reason}", "none")
    return Reply(535, "5.7.8", f"Error: authentication failed: {reason}", "none")


def forget(session: Session) -> None:
    """The client is nobody again (STARTTLS)."""
    facts = session.facts
    facts.sasl_method = facts.sasl_username = ""
    facts.sasl_sender = None
    session.binding = no_binding
    if session.dialogue is not None:
        session.dialogue.abandon()
        session.dialogue = None

"""STARTTLS (RFC 3207), the handshake on a port that begins with one, and what may be said before it."""

from functools import partial

from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.net.tls_pump import TlsFailure
from gatepost.protocol.smtp_server import Command
from gatepost.smtpd import replies
from gatepost.smtpd.commands_auth import forget
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.smtpd.tls import ListenerTls
from gatepost.tls.channel_binding import channel_binding

BEFORE_TLS = frozenset(("EHLO", "HELO", "NOOP", "QUIT", "STARTTLS", "XCLIENT"))
"""What is obeyed in plaintext where TLS is required."""


async def unwelcome(session: Session) -> bool:
    """Has the client no certificate where it must have one? Whatever it says, it gets told so, and that is the end."""
    if session.unwelcome is None:
        return False
    await session.answer(session.unwelcome)
    return True


async def refused_before_tls(session: Session, name: str, key: str) -> bool:
    """Is the command `name` refused because TLS is required? Then it has been answered, and counted as `key`."""
    if session.facts.encrypted or session.access_denied is not None or name in BEFORE_TLS:
        return False
    session.started(key)
    await session.answer(replies.MUST_STARTTLS)
    session.errors += 1
    return True


def check_starttls(session: Session, command: Command) -> ListenerTls:
    tls = session.env.tls
    if command.argument.strip():
        raise Refused(replies.SYNTAX_STARTTLS)
    if session.facts.encrypted:
        raise Refused(replies.TLS_ACTIVE)
    if tls is None or not tls.offered or "STARTTLS" in session.params.discard_ehlo:
        raise Refused(replies.NOT_IMPLEMENTED)
    return tls


async def proceed_starttls(session: Session, tls: ListenerTls) -> Reply | None:
    context = tls.context()
    if context is None:
        return replies.TLS_UNAVAILABLE
    client = session.facts.client
    if await _too_many_before(session):
        session.env.log.warning(lines.refusing_starttls("STARTTLS", client.namaddr, session.env.service))
        return Reply(454, "4.7.0", f"Error: too many new TLS sessions from {client.namaddr}")
    await session.answer(replies.TLS_READY)
    # RFC 3207 4.2: what was said so far does not count any more.
    session.reset()
    forget(session)
    session.facts.helo_name = None
    if await _shake_hands(session, tls):
        session.counts["starttls"][0] += 1
    return None


async def wrap(session: Session) -> bool:
    """The handshake with which a connection begins (smtpd_tls_wrappermode); False: that was the end of it."""
    env, namaddr = session.env, session.facts.client.namaddr
    tls = env.tls
    assert tls is not None
    if tls.context() is None:
        env.log.warning(lines.wrapper_dropped(namaddr, env.service))
    elif await _too_many_before(session):
        env.log.warning(lines.refusing_starttls("TLS service", namaddr, env.service))
    elif await _shake_hands(session, tls):
        if session.unwelcome is None:
            return True
        # There is a greeting in the place of which it can stand.
        await session.answer(session.unwelcome)
    if not session.closing:
        session.close()
    return False


async def _too_many_before(session: Session) -> bool:
    """Has the client had more new TLS sessions than it may have (smtpd_client_new_tls_session_rate_limit)?"""
    limit = session.params.smtpd_client_new_tls_session_rate_limit
    if limit <= 0 or not await session.is_rate_limited():
        return False
    env = session.env
    counted = await env.rates.rate("newtls_stat", env.service, session.facts.client.address)
    return counted is not None and counted > limit


async def _shake_hands(session: Session, tls: ListenerTls) -> bool:
    """False: the connection is at its end, or has failed; all is said."""
    env, facts, limit = session.env, session.facts, session.params.smtpd_client_new_tls_session_rate_limit
    namaddr = facts.client.namaddr
    context, upgrade = tls.context(), session.upgrade
    assert context is not None and upgrade is not None
    tls.begins(namaddr)
    shaken = await upgrade(context, float(session.params.smtpd_starttls_timeout))
    if isinstance(shaken, TlsFailure):
        tls.failed(shaken, namaddr)
        if limit <= 0 or not await session.too_many("newtls", limit):
            session.lost("lost connection")
        session.closing = True
        return False
    secured = tls.established(shaken, namaddr)
    too_many = limit > 0 and not shaken.reused and await session.too_many("newtls", limit)
    facts.encrypted = True
    facts.encryption = secured.encryption
    facts.fingerprints = secured.fingerprints
    facts.ccert_name = secured.ccert_name
    facts.ccert_trusted = secured.trusted
    session.tls_lines = secured.received
    session.binding = partial(channel_binding, shaken.ssl_object)
    if too_many:
        text = f"{session.params.myhostname} Error: too many new TLS sessions from {namaddr}"
        await session.answer(Reply(421, "4.7.0", text))
        return False
    if tls.requires_certificate and not secured.trusted:
        why = "Client certificate not trusted" if secured.present else "No client certificate presented"
        env.log.info(lines.tls_abort(namaddr, why))
        session.unwelcome = Reply(421, "4.7.1", f"{session.params.myhostname} Error: {why}")
    return True

"""What the SMTP client makes of a server's greeting and of its answer to EHLO; warnings about strange replies."""

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import SMTP_PORT
from gatepost.delivery.smtp_delivery import Failure, refused
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.ipc.messages import DeliveryRequest
from gatepost.protocol.smtp_reply import SmtpReply


class Handshake:
    """`log`, `warn`: lines of the mail log. `prefix`: smtp or lmtp."""

    def __init__(self, params: SmtpParams, log: Log, warn: Log, prefix: str = "smtp") -> None:
        self._params = params
        self._prefix = prefix
        self._log = log
        self._warn = warn

    def refused(self, session: SmtpSession, reply: SmtpReply) -> Failure:
        """The failure that a refusal of the greeting, of EHLO or HELO stands for (smtp_skip_5xx_greeting)."""
        text = f"host {session.target.namaddr} refused to talk to me: {reply.one_line}"
        failure = refused(session.target, reply, text)
        if session.core.greeting is None and self._params.skip_5xx_greeting and reply.code // 100 == 5:
            return Failure("4" + failure.dsn[1:], failure.text, failure.reply, failure.remote_mta)
        return failure

    def looped(self, session: SmtpSession, nexthop: str) -> Failure | None:
        """Did we connect to ourselves? Another port than 25 may be another server on this host."""
        target, name = session.target, self._params.myhostname.lower()
        if target.port != SMTP_PORT:
            return None
        greeting = session.core.greeting
        if greeting is not None and greeting.text[4:].partition(" ")[0].lower() == name:
            self._warn(f"host {target.namaddrport} greeted me with my own hostname {self._params.myhostname}")
        if session.core.capabilities.hostname.lower() != name:
            return None
        self._warn(f"host {target.namaddrport} replied to HELO/EHLO with my own hostname {self._params.myhostname}")
        return Failure("5.4.6" if target.best else "4.4.6", f"mail for {nexthop} loops back to myself")

    def work_around(self, session: SmtpSession, request: DeliveryRequest, now: float) -> None:
        """PIX firewalls lose a message whose end is in the packet of what is before. Only mail that is old waits."""
        params = self._params
        old = request.arrival <= now - params.pix_workaround_threshold_time
        if old and "delay_dotcrlf" in session.core.pix:
            session.dot_delay = params.pix_workaround_delay_time
        words = [word for word in ("disable_esmtp", "delay_dotcrlf") if word in session.core.pix]
        shown = " ".join(word for word in words if old or word != "delay_dotcrlf")
        self._log(f"{request.queue_id}: enabling PIX workarounds: {shown} for {session.target.namaddrport}")

    def warn_about(self, session: SmtpSession, queue_id: str) -> None:
        """Log what was strange in the server's replies, and forget it."""
        core, where = session.core, session.target.namaddrport
        for argument in core.warnings:
            self._warn(f'bad EHLO SIZE limit "{argument}" from {where}')
        for kind, text in core.oddities:
            if kind == "long line":
                self._warn(f"{where}: response longer than 2048: {text}...")
            elif kind == "filter":
                self._warn(f"{queue_id}: {text}")
            elif kind == "refused":
                self._warn(f"host {where} said: {text}")
            elif kind == "long reply":
                self._warn(f"{where}: multi-line response longer than 2048 {text}...")
            elif core.capabilities.pipelining:
                self._out_of_step(session, queue_id, text)
        core.warnings.clear()
        core.oddities.clear()

    def _out_of_step(self, session: SmtpSession, queue_id: str, text: str) -> None:
        """A line that is no reply: where commands are sent ahead, replies may be taken for those of other commands."""
        kind, verb = ("LMTP", "lhlo") if self._prefix == "lmtp" else ("ESMTP", "ehlo")
        self._warn(f"{queue_id}: non-{kind} response from {session.target.namaddrport}: {text}")
        if self._params.helpful_warnings:
            parameter = f"{self._prefix}_discard_{verb}_keyword_address_maps"
            what = f"turn off command pipelining for {session.target.address} with the {parameter} parameter"
            self._warn(f"to prevent loss of mail, {what}")


def port_hint(params: SmtpParams, prefix: str) -> str:
    """What is said of a next hop with port 465, where TLS comes first; empty if it does. `prefix`: smtp or lmtp."""
    if params.tls_wrappermode or not params.helpful_warnings:
        return ""
    wanted = f'"{prefix}_tls_wrappermode = yes", and "{prefix}_tls_security_level = encrypt" (or stronger)'
    return f"SMTPS wrappermode (TCP port 465) requires setting {wanted}"

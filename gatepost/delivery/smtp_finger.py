"""Asking a server about its TLS, as posttls-finger(1) does: all that a delivery does, but for the mail."""

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_connect import Connector
from gatepost.delivery.smtp_delivery import Failure
from gatepost.delivery.smtp_demand import Demand
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_session import LocalDataError, NoTls, SessionLost, SmtpSession
from gatepost.delivery.smtp_tables import NO_TABLES
from gatepost.delivery.smtp_tls import ClientHandshake, SmtpTls
from gatepost.delivery.smtp_tls_policy import Policies, TlsPolicy
from gatepost.net.connect import ConnectFailure
from gatepost.net.tls_pump import TlsTransport
from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Stage
from gatepost.protocol.smtp_reply import ReplyReader, SmtpReply
from gatepost.tls.certificate import fingerprint
from gatepost.tls.der import public_key_info
from gatepost.tls.values import BadTlsValue

if TYPE_CHECKING:
    from cryptography import x509


class Finger:
    """`say` takes what there is to tell; `chat`: also what is said in the session."""

    def __init__(
        self, params: SmtpParams, tls: SmtpTls, core: type[SmtpClientProtocol], say: Log, *, chat: bool
    ) -> None:
        self._tls = FingerTls(tls)
        self._say = say
        self._chat = chat
        self._gone = asyncio.Event()
        told = type("ToldProtocol", (_Told, core), {"tell": staticmethod(say if chat else _nothing)})

        def made(*arguments: object, **options: object) -> SmtpClientProtocol:
            protocol: _Told = told(*arguments, **options)
            protocol.farewell = ReplyReader()
            protocol.gone = self._gone.set
            return protocol

        self._connector = Connector(params, made, say, say, NO_TABLES, self._tls)
        self._patience = params.quit_timeout

    @property
    def policies(self) -> Policies:
        """What is wanted of a server."""
        return self._tls.policies

    @property
    def reused(self) -> bool:
        """Was an earlier TLS session resumed?"""
        return self._tls.reused

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates that the server has shown, in DER."""
        return self._tls.chain

    async def ask(self, target: Target, policy: TlsPolicy, nexthop: str) -> bool:
        """Is this server as the policy wants it? Raises ConnectFailure."""
        self._gone.clear()
        self._tls.verdict, self._tls.chain = None, ()
        session = await self._connector.open(target, Demand(policy=policy, nexthop=nexthop))
        if session is None:
            raise ConnectFailure("the source address cannot be taken")
        if self._chat:
            self._say(f"Connected to {target.namaddrport}")
        try:
            reply = await session.handshake()
        except NoTls:
            return False
        except (SessionLost, LocalDataError) as lost:
            self._say(f"lost connection with {target.namaddrport}: {lost}")
            return False
        if reply is None and (session.fault is None or not session.fault.reply):
            await self._leave(session)
            session.quit()
        else:
            self._tell_of_refusal(session, reply)
            session.abort()
        if session.encrypted and not self.chain:
            self._say("Server is anonymous")
        return session.encrypted and self._tls.verdict is None if policy.level else reply is None

    def _tell_of_refusal(self, session: SmtpSession, reply: SmtpReply | None) -> None:
        if session.fault is not None:
            self._say(f"STARTTLS rejected: {session.fault.reply}")
        elif reply is not None:
            kind = "SMTP service not available" if session.core.greeting is None else "EHLO rejected"
            self._say(f"{kind}: {reply.one_line}")

    async def _leave(self, session: SmtpSession) -> None:
        """Say goodbye, and hear what the server says to that."""
        session.waits_for_bye = True
        session.quit()
        try:
            await asyncio.wait_for(self._gone.wait(), self._patience)
        except TimeoutError:
            self._say("conversation timed out while sending QUIT")


class FingerTls(SmtpTls):
    """As that of a transport, but sessions go on whoever the server turns out to be: that is what we want to know."""

    def __init__(self, tls: SmtpTls) -> None:
        super().__init__(tls.params, tls.policies, tls.contexts, tls.sessions, tls.log, tls.warn)
        self.chain: tuple[bytes, ...] = ()
        self.verdict: Failure | None = None
        self.reused = False

    def starttls(self, policy: TlsPolicy) -> str:
        wanted = super().starttls(policy)
        return "must" if wanted == "may" else wanted

    def handshake(self, policy: TlsPolicy, target: Target, nexthop: str) -> ClientHandshake:
        return _Handshake(self, policy, target, nexthop)


class _Handshake(ClientHandshake):
    def judge(self, transport: TlsTransport) -> Failure | None:
        assert isinstance(self._tls, FingerTls)
        self._tls.verdict = super().judge(transport)
        self._tls.chain = transport.peer_chain
        self._tls.reused = transport.reused
        return None


class _Told(SmtpClientProtocol):
    """Tells what is said, on both sides."""

    tell: Callable[[str], object]
    farewell: ReplyReader
    gone: Callable[[], object]

    def receive_data(self, data: bytes) -> None:
        if self.stage is not Stage.CLOSED:
            super().receive_data(data)
            return
        self.farewell.receive_data(data)
        while (reply := self.farewell.next_reply()) is not None:
            self._tell_reply(reply)
            self.gone()

    def data_to_send(self) -> bytes:
        return self._told(super().data_to_send())

    def quit(self) -> bytes:
        return self._told(super().quit())

    def _told(self, data: bytes) -> bytes:
        for line in data.decode("utf-8", "replace").splitlines():
            self.tell(f"> {line}")
        return data

    def _take_reply(self, reply: SmtpReply) -> None:
        self._tell_reply(reply)
        super()._take_reply(reply)

    def _tell_reply(self, reply: SmtpReply) -> None:
        for line in reply.text.split("\n"):
            self.tell(f"< {line}")


def _nothing(text: str) -> None:
    """Where chat is not wanted."""


def chain_text(chain: tuple[bytes, ...], digest: str) -> str:
    """The certificates in PEM, each with its names and fingerprints, as posttls-finger shows them."""
    from cryptography import x509

    out = ["", "---", "Certificate chain"]
    for number, der in enumerate(chain):
        try:
            certificate = x509.load_der_x509_certificate(der)
            out.append(f"{number:2} subject: {_one_line(certificate.subject)}")
            out.append(f"    issuer: {_one_line(certificate.issuer)}")
            out.append(f"   cert digest={fingerprint(der, digest)}")
            out.append(f"   pkey digest={fingerprint(public_key_info(der), digest)}")
        except (ValueError, BadTlsValue) as error:
            out.append(f"{number:2} {error}")
        out.append(ssl.DER_cert_to_PEM_cert(der).rstrip())
    return "\n".join(out)


def _one_line(name: "x509.Name") -> str:
    return "".join(f"/{part.rfc4514_attribute_name}={part.value!s}" for part in name)

"""The SMTP and LMTP clients log in: as whom, with which mechanism, and what it means if they may not (SASL_README).

Who we are for a server is found by the sender (smtp_sender_dependent_authentication), the name of the server, or the
next hop as it is written. A password goes to the server that it was found for; a session is used again only where it
would be found again (`share`).
"""

import asyncio
from collections.abc import Callable

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure
from gatepost.delivery.smtp_sasl_cache import LoginFailures
from gatepost.delivery.smtp_sasl_params import SaslParams
from gatepost.delivery.smtp_sasl_session import LoginSession
from gatepost.delivery.smtp_session import LocalDataError
from gatepost.ipc.messages import DeliveryRequest
from gatepost.protocol.smtp_client_login import CONCEALED
from gatepost.protocol.smtp_reply import SmtpReply
from gatepost.rewrite.address_classes import LocalDomains
from gatepost.sasl.client import (
    MUTUAL_AUTH_FAILED,
    NO_MECHANISM,
    ClientExchange,
    ClientFailure,
    Credentials,
    challenge_of,
    choose,
)
from gatepost.sasl.client_mechanisms import maker
from gatepost.sasl.client_scram import Keys
from gatepost.sasl.security import SecurityOptions
from gatepost.tables.address_find import find_address
from gatepost.tables.table import LookupTemporaryFailure

_SHORTEST = 4  # a password that is shorter may well be a part of the server's own words


class SmtpLogin:
    """The logins of one transport. `nonce`: printable text, never the same again; `failures`: None without
    smtp_sasl_auth_cache_name. `warn` writes warnings to the mail log.
    """

    def __init__(
        self,
        params: SaslParams,
        local_domains: LocalDomains,
        failures: LoginFailures | None,
        nonce: Callable[[], str],
        warn: Log,
    ) -> None:
        self._params = params
        self._local_domains = local_domains
        self._failures = failures
        self._nonce = nonce
        self._warn = warn
        self._keys = Keys()

    def share(self, request: DeliveryRequest, site: str) -> str:
        """Sessions may be used for another message if this is the same for both: they were found the same password.

        What a server's other next hops, or other senders, log in with is none of this message's business.
        """
        return f"\0{site}\0{request.sender}" if self._params.by_sender else f"\0{site}"

    async def knows(self, target: Target, request: DeliveryRequest, site: str) -> bool:
        """Is there a password for this server? If a table cannot tell, there may be one."""
        try:
            return await self._credentials(target, request, site) is not None
        except LookupTemporaryFailure:
            return True

    def close(self) -> None:
        if self._failures is not None:
            self._failures.close()

    async def log_in(self, session: LoginSession, request: DeliveryRequest) -> Failure | None:
        """Log in if the server offers it and there is a password for it; why there will be no mail, or None.

        Raises SessionLost, and LocalDataError where a table cannot tell.
        """
        if not session.login.offered_logins:
            return None
        target = session.target
        try:
            offered = await self._offered(session.login.offered_logins, target)
            credentials = await self._credentials(target, request, session.demand.nexthop)
        except LookupTemporaryFailure:
            self._warn(f"{request.queue_id}: {self._params.passwords.parameter} lookup error")
            raise LocalDataError("login") from None
        if credentials is None:
            return None
        if not offered:
            text = (
                f"SASL authentication failed: server {target.namaddr} offered no compatible authentication mechanisms"
                " for this type of connection security"
            )
            return Failure("4.7.0", text)
        cached = self._failures.find(target.host, credentials) if self._failures is not None else None
        if cached is not None:
            dsn, said = cached
            text = f"SASL [CACHED] authentication failed; server {target.host} said: {said}"
            return Failure(self._softened(dsn), text, said, target.host)
        try:
            reply = await self._carry_out(session, offered, credentials)
        except ClientFailure as failure:
            if failure.warning:
                self._warn(failure.warning)
            text = f"SASL authentication failed; cannot authenticate to server {target.namaddr}: {failure.words}"
            return Failure("4.7.0", text, sasl=failure.words)
        if reply.code // 100 == 2:
            session.login.logged_in()
            session.adds_auth = self._params.dummy_mail_auth
            return None
        return self._refused(target, reply, credentials)

    async def _carry_out(self, session: LoginSession, offered: str, credentials: Credentials) -> SmtpReply:
        """The reply that ends the exchange. Raises ClientFailure, SessionLost, LocalDataError."""
        binding = _binding(session)
        name = choose(offered, self._options(session), binding=binding is not None)
        if not name:
            raise ClientFailure(NO_MECHANISM, "SASL authentication failure: No worthy mechs found")
        make = maker(self._keys, self._nonce, authzid=self._params.authzid, binding=binding, offered=offered)
        exchange = ClientExchange(name, credentials, make)
        reply = await session.say(exchange.command())
        while reply.code // 100 == 3:
            challenge = challenge_of(reply.text)
            if exchange.costly(challenge):
                # Others' mail must not wait for this.
                answer = await asyncio.get_running_loop().run_in_executor(None, exchange.answer, challenge)
            else:
                answer = exchange.answer(challenge)
            reply = await session.say(answer)
        if reply.code // 100 == 2 and not exchange.proven:
            # Postfix would believe it. RFC 5802 section 5: the client MUST know the server by its signature.
            raise ClientFailure(MUTUAL_AUTH_FAILED, "SASL authentication failure: ServerSignature missing")
        return reply

    def _options(self, session: LoginSession) -> SecurityOptions:
        plain, encrypted, verified = self._params.options
        if not session.encrypted:
            return plain
        return verified if session.demand.policy.verified else encrypted

    async def _offered(self, lines: tuple[str, ...], target: Target) -> str:
        """The mechanisms that the filter lets through. Raises LookupTemporaryFailure."""
        offered = ""
        for words in lines:
            let_through = words if self._params.mechanism_filter is None else await self._let_through(words)
            if offered:
                if let_through.lower() != offered.lower():
                    offered = f"{offered} {let_through}".rstrip()
            elif let_through:
                offered = let_through
            elif words:
                self._warn(f"{target.namaddrport} offered no supported AUTH mechanisms: '{words}'")
            else:
                self._warn(f"{target.namaddrport} offered null AUTH mechanism list")
        return offered

    async def _let_through(self, words: str) -> str:
        wanted = self._params.mechanism_filter
        assert wanted is not None
        return " ".join([word for word in words.split() if await wanted.match_string(word)])

    async def _credentials(self, target: Target, request: DeliveryRequest, site: str) -> Credentials | None:
        """`site`: the next hop, or fallback relay, that led to this server, as it is written. Raises
        LookupTemporaryFailure.
        """
        params = self._params
        value: str | None = None
        if params.by_sender and request.sender:
            found = await find_address(
                params.passwords,
                request.sender,
                recipient_delimiter=params.delimiters.recipient_delimiter,
                is_local=self._local_domains.is_local_domain,
                owner_request_special=params.delimiters.owner_request_special,
                double_bounce_sender=params.delimiters.double_bounce_sender,
            )
            value = found.value if found is not None else None
        for key in (target.host, site):
            if value is None and (hit := await params.passwords.find(key)) is not None:
                value = hit.value
        return None if value is None else Credentials.parse(value, params.delimiter)

    def _refused(self, target: Target, reply: SmtpReply, credentials: Credentials) -> Failure:
        said = self._concealed(reply.text.replace("\n", "?"), credentials)
        if reply.code == 535 and self._failures is not None:
            self._failures.store(target.host, credentials, reply.dsn, said.partition("?535")[0])
        dsn = self._softened(reply.dsn) if reply.code // 100 == 5 else reply.dsn
        return Failure(dsn, f"SASL authentication failed; server {target.namaddr} said: {said}", said, target.host)

    def _softened(self, dsn: str) -> str:
        """With smtp_sasl_auth_soft_bounce no mail comes back because a password is wrong."""
        return "4" + dsn[1:] if self._params.soft_bounce and dsn[0] == "5" else dsn

    @staticmethod
    def _concealed(text: str, credentials: Credentials) -> str:
        """Servers should not repeat passwords, but some repeat what they do not understand."""
        password = credentials.password.decode("utf-8", "replace")
        return text.replace(password, CONCEALED) if len(password) >= _SHORTEST else text


def _binding(session: LoginSession) -> tuple[str, bytes] | None:
    """What ties a login to this very TLS session (RFC 5929), so that nobody in between can hand it on.

    With TLS 1.3 it would be tls-exporter (RFC 9266), which Python's ssl cannot tell; servers need not know others.
    """
    ssl_object = session.ssl_object
    if ssl_object is None or ssl_object.version() == "TLSv1.3":
        return None
    octets = ssl_object.get_channel_binding("tls-unique")
    return None if octets is None else ("tls-unique", octets)

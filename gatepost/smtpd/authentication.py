"""What a listener asks and offers of SASL (smtpd_sasl_*), and how far a session has come with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.reply import Reply
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.sasl.security import MECHANISMS, SecurityOptions, allowed, security_options
from gatepost.sasl.server import BackEndUnavailable, Binding, Exchange, Kept, Peers, SaslServer
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables

_GUESSED = ("PLAIN", "LOGIN", "CRAM-MD5")
"""Mechanisms that are offered while the back end, which would know, cannot be asked."""


@dataclass(slots=True)
class ListenerSasl:
    """`tls_only`: nothing is offered, and nothing obeyed, without TLS. `response_limit` in octets.

    `broken_clients`: `AUTH=` is said as well (broken_sasl_auth_clients).
    """

    server: SaslServer
    options: SecurityOptions
    tls_options: SecurityOptions
    tls_only: bool
    mechanism_filter: MatchList | None
    exceptions: MatchList | None
    broken_clients: bool
    response_limit: int

    @classmethod
    def of(cls, settings: Settings, tables: Tables, server: SaslServer) -> "ListenerSasl":
        """Raises ConfigError where Postfix would not start."""
        parents = split_list(settings.parent_domain_matches_subdomains)

        def compiled(parameter: str) -> MatchList | None:
            text = getattr(settings, parameter)
            return MatchList.compile(parameter, text, tables, match_parent=parameter in parents) or None

        plain, tls = "smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"
        return cls(
            server,
            security_options(getattr(settings, plain), plain),
            security_options(getattr(settings, tls), tls),
            settings.smtpd_tls_auth_only or tls_enforced(settings),
            compiled("smtpd_sasl_mechanism_filter"),
            compiled("smtpd_sasl_exceptions_networks"),
            settings.broken_sasl_auth_clients,
            settings.smtpd_sasl_response_limit,
        )

    def is_active(self, facts: SessionFacts) -> bool:
        return facts.encrypted or not self.tls_only

    def options_for(self, facts: SessionFacts) -> SecurityOptions:
        return self.tls_options if facts.encrypted else self.options

    async def offers(self, facts: SessionFacts, binding: Binding) -> tuple[str, ...]:
        """The lines of EHLO that name mechanisms. Raises LookupTemporaryFailure."""
        names = await self._offered(facts, binding)
        if not names:
            return ()
        offer = f"AUTH {' '.join(names)}"
        return (offer, f"AUTH={offer[5:]}") if self.broken_clients else (offer,)

    async def _offered(self, facts: SessionFacts, binding: Binding) -> Sequence[str]:
        client = facts.client
        if not self.is_active(facts):
            return ()
        if self.exceptions is not None and await self.exceptions.match_host(client.name, client.address):
            return ()
        options = self.options_for(facts)
        try:
            names = await self.server.mechanisms(options, peers(facts, binding))
        except BackEndUnavailable:
            # Postfix hangs up. Then there would be no mail from strangers either; without any AUTH, a client that
            # goes on would have its mail refused for good. So it is told to come back when it tries.
            names = tuple(name for name in _GUESSED if allowed(MECHANISMS[name], options))
        if self.mechanism_filter is None:
            return names
        return [name for name in names if await self.mechanism_filter.match_string(name)]


def tls_enforced(settings: Settings) -> bool:
    """smtpd_tls_security_level = encrypt, or what that was called before."""
    level = settings.smtpd_tls_security_level.lower()
    return level == "encrypt" if level else bool(settings.smtpd_enforce_tls)


def peers(facts: SessionFacts, binding: Binding) -> Peers:
    """Those of the session, for the back end. `binding`: to its TLS."""
    client: Client = facts.client
    return Peers(
        client.address,
        client.port,
        facts.server_address,
        facts.server_port,
        facts.encrypted,
        facts.ccert_name if facts.ccert_trusted else "",
        binding,
    )


class Dialogue(msgspec.Struct, eq=False):
    """The AUTH of a session that is under way, or the last one. `claimed`: whom the client said to be, if heard."""

    mechanism: str = ""
    exchange: Exchange | None = None
    claimed: str | None = None

    def heard(self, username: str | Kept | None) -> str:
        """For the log, after a failure."""
        if not isinstance(username, Kept):
            self.claimed = username
        return "(unavailable)" if self.claimed is None else self.claimed

    def abandon(self) -> None:
        """The client is gone, or has given up."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abort()


CHALLENGE_CODE = 334


def challenge(text: str) -> Reply:
    return Reply(CHALLENGE_CODE, "", text)

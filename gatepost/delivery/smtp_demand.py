"""What a delivery demands of its session: which TLS policy, and as whom we are there.

A session that has been kept serves another delivery only if that one demands the very same: mail that must be
encrypted, or must reach a verified server, never goes where another policy was content with less.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.delivery.smtp_tls_policy import NO_TLS, BadPolicy, Level, TlsPolicy

if TYPE_CHECKING:
    from gatepost.delivery.smtp_tls import SmtpTls


class Demand(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """`nexthop`: as the transport has it. `login`: tells some credentials from others, without being any."""

    policy: TlsPolicy = NO_TLS
    nexthop: str = ""
    login: str = ""

    @cached_property
    def key(self) -> str:
        """Sessions under the same key are as good as each other; empty if nothing is demanded.

        Where the server has to prove its name, or is told which one we want, the nexthop counts as well.
        """
        if self.policy is NO_TLS and not self.login:
            return ""
        named = self.policy.verified or self.policy.servername
        return f"\0{self.policy.key}\0{self.nexthop if named else ''}\0{self.login}"

    def in_plaintext(self) -> "Demand":
        """For a second try after TLS has failed; where TLS is a must nothing changes."""
        if self.policy.required:
            return self
        return msgspec.structs.replace(self, policy=msgspec.structs.replace(self.policy, level=Level.NONE))


NOTHING = Demand()

NOT_FOR_SOCKETS = "opportunistic TLS encryption is not appropriate for unix-domain destinations"


def too_weak(params: SmtpTlsParams, policy: TlsPolicy) -> str:
    """Why no session is opened under this policy at all; empty: one is."""
    if not params.wrappermode or policy.required:
        return ""
    return f'{params.prefix}_tls_wrappermode requires "{params.prefix}_tls_security_level = encrypt" (or stronger)'


class Demands:
    """Of one delivery, for the servers of one next hop. `tls` None: no TLS. `login`: as in Demand."""

    def __init__(self, tls: "SmtpTls | None", nexthop: str, warn: Log, login: str = "") -> None:
        self._tls = tls
        self._nexthop = nexthop
        self._warn = warn
        self._login = login
        self._shared: Demand | Failure | None = None

    async def shared(self) -> Demand | None:
        """What is demanded of any server; None if that depends on the server, or nothing can be sent."""
        if self._tls is None:
            return Demand(nexthop=self._nexthop, login=self._login)
        if self._tls.policies.by_host:
            return None
        if self._shared is None:
            self._shared = await self._find(self._tls, None)
        found = self._shared
        return found if isinstance(found, Demand) and not found.policy.by_server else None

    async def of(self, target: Target, delivery: SmtpDelivery) -> Demand | None:
        """What is demanded of this server; None if nothing is sent there. `delivery` is told why."""
        tls = self._tls
        if tls is None:
            return Demand(nexthop=self._nexthop, login=self._login)
        found: Demand | Failure | None = await self.shared() or self._shared
        if found is None or (isinstance(found, Demand) and found.policy.by_server):
            found = await self._find(tls, target)
        if isinstance(found, Failure):
            self._warn(f"TLS policy lookup for {self._nexthop}/{target.host}: {found.text}")
            delivery.why = found
            return None
        if text := too_weak(tls.params, found.policy):
            self._warn(text)
            return None
        return found

    async def of_socket(self, target: Target, delivery: SmtpDelivery) -> Demand | None:
        """As `of`, of the server at a Unix socket: whom encryption may help there is not clear, so `may` is `none`."""
        if self._tls is None:
            return Demand(nexthop=self._nexthop, login=self._login)
        found = await self._find(self._tls, target)
        if isinstance(found, Failure):
            self._warn(f"TLS policy lookup error for {target.host}/{target.address}: {found.text}")
            delivery.why = found
            return None
        if found.policy.level is not Level.MAY:
            return found
        self._warn(f"smtp_connect_local: {NOT_FOR_SOCKETS}.")
        return found.in_plaintext()

    async def _find(self, tls: "SmtpTls", target: Target | None) -> Demand | Failure:
        try:
            policy = await tls.policies.find(self._nexthop, target.host if target is not None else "", target)
            return Demand(policy=policy, nexthop=self._nexthop, login=self._login)
        except BadPolicy as bad:
            return bad.failure

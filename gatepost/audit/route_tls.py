"""How well mail for a next hop is protected, and why: for `gatepost route`. The policies are those of delivery."""

from collections.abc import Callable

import msgspec

from gatepost.audit.limits import Origin, Step, origin_of
from gatepost.config.settings import Settings
from gatepost.delivery.smtp_demand import NOT_FOR_SOCKETS, too_weak
from gatepost.delivery.smtp_destination import domain_of, split_destinations, split_lmtp_destinations
from gatepost.delivery.smtp_tls_dane import hindrance
from gatepost.delivery.smtp_tls_params import SmtpTlsParams, tls_parameter_name
from gatepost.delivery.smtp_tls_policy import PER_SITE, BadPolicy, Level, Policies, default_level
from gatepost.tables.noted import Found

_DANE = "dane: servers with TLSA records that DNSSEC proves are verified; others as with may"
_DANE_ONLY = "dane-only: mail waits unless a server has TLSA records that DNSSEC proves"


class Protection(msgspec.Struct):
    """Of one next hop. `waits`: nothing is sent like this; `failed`: for a table cannot tell."""

    nexthop: str
    steps: list[Step] = msgspec.field(default_factory=list)
    remarks: list[str] = msgspec.field(default_factory=list)
    waits: bool = False
    failed: Found | None = None


class Policed(msgspec.Struct, frozen=True):
    """What a transport goes by: its own settings, and the policies made of them, with tables that take note."""

    settings: Settings
    params: SmtpTlsParams
    policies: Policies


class TransportTls:
    """TLS of one transport. `found`: what the tables note; `entry`: the place of a note."""

    def __init__(self, policed: Policed, found: list[Found], entry: Callable[[Found, Settings], Origin]) -> None:
        self.settings = policed.settings
        self._params = policed.params
        self._policies = policed.policies
        self._found = found
        self._entry = entry

    async def protections(self, nexthop: str) -> list[Protection]:
        """Of each item of a next hop, as the transport has it."""
        if self._params.prefix != "lmtp":
            return [await self._of_servers(site) for site in split_destinations(nexthop)]
        if nexthop.startswith("unix:"):
            return [await self._of_socket(nexthop)]
        return [await self._of_servers(site) for site in split_lmtp_destinations(nexthop)]

    async def _of_servers(self, site: str) -> Protection:
        protection = Protection(site)
        host = domain_of(site) if site.startswith("[") else ""
        level = await self._level(protection, site, host or site)
        if level in (Level.DANE, Level.DANE_ONLY):
            self._dane(protection, level)
        if level is not None and self._policies.by_host and not host:
            protection.remarks.append(f"{self._name('per_site')} may say otherwise for single servers of {site}")
        return protection

    async def _of_socket(self, nexthop: str) -> Protection:
        protection = Protection(nexthop)
        level = await self._level(protection, nexthop[5:], "", socket=True)
        if level in (Level.DANE, Level.DANE_ONLY):
            protection.waits = True
            protection.remarks.append(f"{level.word} is invalid for sockets: nothing is sent to {nexthop}")
        elif level is Level.MAY:
            protection.remarks.append(f"{NOT_FOR_SOCKETS}: none is used")
        return protection

    async def _level(self, protection: Protection, site: str, host: str, *, socket: bool = False) -> Level | None:
        """None where no policy is of use."""
        self._found.clear()
        try:
            policy = await self._policies.find(site, host)
        except BadPolicy as bad:
            protection.waits = True
            protection.failed = next((hit for hit in self._found if hit.failure), None)
            protection.remarks.append(
                f"{bad.failure.dsn} {bad.failure.text}: nothing is sent to {protection.nexthop}{self._culprit()}"
            )
            return None
        protection.steps.append(Step("TLS security level", policy.level.word, self._origin(policy.level)))
        if not socket and (text := too_weak(self._params, policy)):
            protection.waits = True
            protection.remarks.append(f"{text}: nothing is sent to {protection.nexthop}")
        return policy.level

    def _culprit(self) -> str:
        """The entry that is of no use, if it is one."""
        return f"  [{self._entry(self._found[-1], self.settings)}]" if self._found else ""

    def _origin(self, level: Level) -> Origin:
        """The entry that the level is from, else the parameter."""
        for hit in reversed(self._found):
            if not self._policies.by_host or PER_SITE.get(hit.value.upper()) is level:
                return self._entry(hit, self.settings)
        return origin_of(self.settings, self._name(default_level(self._params)[1]))

    def _dane(self, protection: Protection, level: Level) -> None:
        """What it needs, and what it comes to."""
        support = self._name("dns_support_level")
        value = self._params.dns_support_level or "empty"
        protection.steps.append(Step(support, value, origin_of(self.settings, support)))
        hindered = hindrance(self._params).format(level=level.word)
        if not hindered:
            protection.remarks.append(_DANE_ONLY if level is Level.DANE_ONLY else _DANE)
        elif level is Level.DANE_ONLY:
            protection.waits = True
            protection.remarks.append(f"{hindered}: nothing is sent to {protection.nexthop}")
        else:
            protection.remarks.append(f"{hindered}: no more than may for {protection.nexthop}")

    def _name(self, field: str) -> str:
        return tls_parameter_name(field, self._params.prefix)

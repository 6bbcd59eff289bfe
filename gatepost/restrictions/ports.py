"""What the restrictions need from outside, injected where the parts are joined."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gatepost.dns.answers import Resolver
from gatepost.net.policy_client import PolicyPools
from gatepost.restrictions.dns_lookup import HostNames
from gatepost.rewrite.address_classes import AddressClass
from gatepost.rewrite.resolve import Resolved
from gatepost.tables.opening import Tables

FINAL_CLASSES = frozenset({AddressClass.LOCAL, AddressClass.VIRTUAL_ALIAS, AddressClass.VIRTUAL_MAILBOX})
"""Mail for these ends here (RESOLVE_CLASS_FINAL)."""


class AddressResolver(Protocol):
    """Finds transport, next hop and class of an address in standard form; gatepost.rewrite.resolve has the real one."""

    async def resolve(self, sender: str, address: str) -> Resolved:
        """Raises LookupTemporaryFailure."""
        ...


class Rewriter(Protocol):
    """Brings an address into standard form, in the local context."""

    def rewrite_internal(self, address: str) -> str: ...


class Log(Protocol):
    """The program's log; `maillog.sink.ProgramLog` is one."""

    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...


class Verification(Protocol):
    """What a probe of an address told: ok, failed for good, cannot tell yet, or the service itself failed."""

    @property
    def outcome(self) -> Literal["ok", "bad", "unknown", "trouble"]: ...
    @property
    def reason(self) -> str: ...


class AddressVerifier(Protocol):
    """Probes addresses (verify(8)); implemented beside the queue manager."""

    async def verify(self, address: str) -> Verification: ...


async def _cannot_sleep(seconds: float) -> None:
    raise RuntimeError(f"no clock to sleep {seconds} s by")


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it.

    `is_local`: is a domain $myorigin, in mydestination, or a literal of one of our interfaces (LocalDomains)?
    `own_addresses`: those of inet_interfaces. `hosts`: the hosts file, asked for the addresses of servers before DNS
    is. `policy`: connections to policy servers; without them no such restriction works. `sleep` pauses for some
    seconds; it may suspend. `clock`: wall-clock seconds.
    """

    resolver: AddressResolver
    rewriter: Rewriter
    is_local: Callable[[str], Awaitable[bool]]
    tables: Tables
    dns: Resolver
    log: Log
    own_addresses: frozenset[str] = frozenset()
    hosts: HostNames | None = None
    verifier: AddressVerifier | None = None
    policy: PolicyPools | None = None
    sleep: Callable[[float], Awaitable[None]] = field(default=_cannot_sleep)
    clock: Callable[[], float] = time.time

"""The restrictions by their main.cf names."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec

ArgumentKind = Literal["", "table", "certificates", "number", "endpoint", "domain"]
"""What follows the name in a list: nothing, type:table, such a one with settings (certificates), digits, a policy
server, a DNS list's domain."""
Subject = Literal["", "list", "client", "recipient"]
"""Whom a permit is logged for (smtpd_log_access_permit_actions); empty: it permits nothing, or logs for itself."""

Function = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Function)


class Restriction(msgspec.Struct, frozen=True):
    """One restriction: `function` is `async (Context) -> Verdict`, or `async (Context, argument) -> Verdict`.

    `final`: what follows it in a list is never reached.
    """

    name: str
    function: Function
    argument: ArgumentKind = ""
    permits: Subject = ""
    final: bool = False
    aliases: tuple[str, ...] = ()


_by_name: dict[str, Restriction] = {}


def restriction(
    name: str,
    *,
    aliases: tuple[str, ...] = (),
    argument: ArgumentKind = "",
    permits: Subject = "",
    final: bool = False,
) -> Callable[[F], F]:
    """Register a function as the restriction `name`."""

    def register(function: F) -> F:
        entry = Restriction(name, function, argument, permits, final, aliases)
        for key in (name, *aliases):
            if key in _by_name:
                raise RuntimeError(f"restriction {key} is registered twice")
            _by_name[key] = entry
        return function

    return register


def find(name: str) -> Restriction | None:
    """The restriction of that name, in any case; None if we have none."""
    return _by_name.get(name.lower())


def registered() -> list[Restriction]:
    """All restrictions that there are, by name."""
    return sorted({entry.name: entry for entry in _by_name.values()}.values(), key=lambda entry: entry.name)


# Gone since Postfix 3.9, and what to write instead.
REMOVED: dict[str, str] = {
    "check_relay_domains": '"permit_mynetworks, reject_unauth_destination"',
    "reject_maps_rbl": '"reject_rbl_client domain-name"',
    "permit_naked_ip_address": '"permit_mynetworks" or "permit_sasl_authenticated"',
}

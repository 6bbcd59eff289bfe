"""Whose message headers are completed with our domain (local_header_rewrite_clients, smtpd_check_rewrite)."""

from collections.abc import Awaitable, Callable
from typing import Literal

from gatepost.mail.reply import Reply
from gatepost.restrictions.client import permit_mynetworks, permit_sasl_authenticated
from gatepost.restrictions.context import Context
from gatepost.restrictions.facts import SessionFacts
from gatepost.restrictions.policy_parts import PolicyParts
from gatepost.restrictions.reply import SERVER_ERROR
from gatepost.restrictions.verdict import DUNNO, PERMIT, Verdict
from gatepost.tables.braces import split_items
from gatepost.tables.maps import Maps
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure

_LATER = frozenset({"permit_tls_clientcerts", "permit_tls_all_clientcerts"})

Test = Callable[[Context, str], Awaitable[Verdict]]


class HeaderContext:
    """The compiled value of local_header_rewrite_clients; raises ConfigError for a table that cannot be opened."""

    def __init__(self, parts: PolicyParts) -> None:
        self._parts = parts
        self._tests: list[Test] = []
        items = iter(split_items(parts.params.local_header_rewrite_clients))
        for item in items:
            test = self._compiled(next(items, "") if item.lower() == "check_address_map" else item)
            if test is not None:
                self._tests.append(test)
        # The default, for which nothing need be set up.
        self._own_first = bool(self._tests) and self._tests[0] is _own_interface
        if self._own_first:
            del self._tests[0]

    async def of(self, facts: SessionFacts, address: str) -> Literal["local", "remote"] | Reply:
        """The rewriting context of the client that is connected from `address` (XCLIENT does not change that), or the
        reply if a table cannot tell."""
        if self._own_first and address in self._parts.ports.own_addresses:
            return "local"
        if not self._tests:
            return "remote"
        ctx = Context(self._parts, facts)
        try:
            for test in self._tests:
                if await test(ctx, address) is PERMIT:
                    return "local"
        except EmptyResult:
            reply = SERVER_ERROR
        except LookupTemporaryFailure:
            reply = Reply(451, "4.3.0", "Temporary lookup error", "resource")
        else:
            return "remote"
        ctx.log("reject", reply.line())
        return reply

    def _compiled(self, item: str) -> Test | None:
        if ":" in item:
            maps = self._parts.ports.tables.maps("local_header_rewrite_clients", item)
            return lambda ctx, address: _in_table(maps, ctx)
        match item.lower():
            case "permit_inet_interfaces":
                return _own_interface
            case "permit_mynetworks":
                return lambda ctx, address: permit_mynetworks(ctx)
            case "permit_sasl_authenticated":
                return lambda ctx, address: permit_sasl_authenticated(ctx)
            case folded if folded not in _LATER:
                self._parts.ports.log.warning(f"parameter local_header_rewrite_clients: invalid request: {item}")
        return None


async def _own_interface(ctx: Context, address: str) -> Verdict:
    return PERMIT if address in ctx.ports.own_addresses else DUNNO


async def _in_table(maps: Maps, ctx: Context) -> Verdict:
    return PERMIT if await maps.find(ctx.client.address) is not None else DUNNO

"""Virtual aliases: envelope recipients become other recipients (virtual(5), cleanup(8))."""

from collections.abc import Callable

import msgspec

from gatepost.mail.address import fold
from gatepost.rewrite.address_classes import LocalDomains
from gatepost.rewrite.mapped_addresses import addresses_of, value_for
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.routing import Delimiters
from gatepost.tables.address_find import QueryForm, find_address
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure


class AliasExpansionError(Exception):
    """Aliases go on without end, or nearly so. The message is to be deferred: `451 4.6.0 Alias expansion error`."""

    dsn = "4.6.0"
    text = "Alias expansion error"


class VirtualAliasLimits(msgspec.Struct, frozen=True):
    """Number of results of one address, number of tables' answers in a row, length of a result in octets."""

    virtual_alias_expansion_limit: int
    virtual_alias_recursion_limit: int
    virtual_alias_address_length_limit: int


class VirtualAliases:
    """The tables of virtual_alias_maps."""

    def __init__(
        self,
        maps: Maps,
        rewriter: Rewriter,
        local_domains: LocalDomains,
        delimiters: Delimiters,
        limits: VirtualAliasLimits,
        *,
        propagate: bool,
        warn: Callable[[str], None],
    ) -> None:
        """`propagate`: propagate_unmatched_extensions names virtual. `warn` takes the text of a log warning."""
        self._maps = maps
        self._rewriter = rewriter
        self._local_domains = local_domains
        self._delimiters = delimiters
        self._limits = limits
        self._propagate = propagate
        self._warn = warn

    def __bool__(self) -> bool:
        return bool(self._maps)

    def logged_by(self, warn: Callable[[str], None]) -> "VirtualAliases":
        """The same aliases for a program (cleanup) that tells of a message's troubles under its own name."""
        return VirtualAliases(
            self._maps, self._rewriter, self._local_domains, self._delimiters, self._limits, propagate=self._propagate,
            warn=warn,
        )  # fmt: skip

    async def expand(self, address: str, queue_id: str = "NOQUEUE") -> list[str]:
        """The recipients that an (internal, rewritten) address stands for, in order; just itself if nothing maps it.

        Results are looked up again, until nothing is found or an address gives itself. They may hold duplicates. Raises
        AliasExpansionError beyond a limit and LookupTemporaryFailure where a table cannot tell, both after a warning.
        """
        if not self._maps:
            return [address]
        results = [address]
        final: set[str] = set()  # addresses that gave themselves
        at = 0
        while at < len(results):
            if len(results) > self._limits.virtual_alias_expansion_limit:
                raise self._unreasonable(f"map expansion size for {address}", queue_id)
            for depth in range(self._limits.virtual_alias_recursion_limit + 1):
                if fold(results[at]) in final:
                    break
                if depth == self._limits.virtual_alias_recursion_limit:
                    raise self._unreasonable(f"map nesting for {address}", queue_id)
                found = await self._look_up(results[at], address, queue_id)
                if found is None:
                    break
                if results[at] and fold(results[at]) in map(fold, found):
                    final.add(fold(results[at]))
                results[at : at + 1] = found[:1]
                results += found[1:]
            at += 1
        return results

    async def _look_up(self, address: str, original: str, queue_id: str) -> list[str] | None:
        parts = self._delimiters
        try:
            found = await find_address(
                self._maps,
                address,
                recipient_delimiter=parts.recipient_delimiter,
                is_local=self._local_domains.is_local_or_origin,
                query_form=QueryForm.EXTERNAL_FIRST,
                owner_request_special=parts.owner_request_special,
                double_bounce_sender=parts.double_bounce_sender,
            )
        except LookupTemporaryFailure:
            self._warn_of_problem(original, queue_id)
            raise
        if found is None:
            return None
        extension = found.extension or ""
        value = value_for(found.value, address, extension)
        results = addresses_of(value, self._rewriter, extension if self._propagate else "")
        if not results:
            parameter = self._maps.parameter
            self._warn(f'{parameter} lookup of {found.hit.key} returns non-address result "{found.value}"')
            self._warn_of_problem(original, queue_id)
            raise LookupTemporaryFailure(found.hit.table, found.hit.key, "non-address result")
        longest = self._limits.virtual_alias_address_length_limit
        for result in results:
            if len(result.encode("utf-8", "surrogatepass")) > longest:
                raise self._unreasonable(f"result {result[:300]}...", queue_id)
        return results

    def _warn_of_problem(self, address: str, queue_id: str) -> None:
        parameter = self._maps.parameter
        self._warn(f"{queue_id}: {parameter} map lookup problem for {address} -- message not accepted, try again later")

    def _unreasonable(self, what: str, queue_id: str) -> AliasExpansionError:
        self._warn(f"{queue_id}: unreasonable {self._maps.parameter} {what} -- message not accepted, try again later")
        return AliasExpansionError(what)

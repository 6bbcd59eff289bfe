"""Virtual aliases: envelope recipients become other recipients (virtual(5), cleanup(8))."""

from collections.abc import Callable

import msgspec

from gatepost.mail.address import fold
from gatepost.rewrite.mapped_addresses import AddressMaps
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

    def __init__(self, maps: AddressMaps, limits: VirtualAliasLimits, *, warn: Callable[[str], None]) -> None:
        """`warn` takes the text of a log warning."""
        self._maps = maps
        self._any = bool(maps)
        self._limits = limits
        self._warn = warn

    def __bool__(self) -> bool:
        return self._any

    def logged_by(self, warn: Callable[[str], None]) -> "VirtualAliases":
        """The same aliases for a program (cleanup) that tells of a message's troubles under its own name."""
        return VirtualAliases(self._maps, self._limits, warn=warn)

    async def expand(self, address: str, queue_id: str = "NOQUEUE") -> list[str]:
        """The recipients that an (internal, rewritten) address stands for, in order; just itself if nothing maps it.

        Results are looked up again, until nothing is found or an address gives itself. They may hold duplicates. Raises
        AliasExpansionError beyond a limit and LookupTemporaryFailure where a table cannot tell, both after a warning.
        """
        if not self._any:
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
                try:
                    found = await self._maps.find(results[at], self._warn)
                except LookupTemporaryFailure:
                    problem = f"{self._maps.parameter} map lookup problem for {address}"
                    self._warn(f"{queue_id}: {problem} -- message not accepted, try again later")
                    raise
                if found is None:
                    break
                self._check_lengths(found, queue_id)
                if results[at] and fold(results[at]) in map(fold, found):
                    final.add(fold(results[at]))
                results[at : at + 1] = found[:1]
                results += found[1:]
            at += 1
        return results

    def _check_lengths(self, results: list[str], queue_id: str) -> None:
        longest = self._limits.virtual_alias_address_length_limit
        for result in results:
            if len(result.encode("utf-8", "surrogatepass")) > longest:
                raise self._unreasonable(f"result {result[:300]}...", queue_id)

    def _unreasonable(self, what: str, queue_id: str) -> AliasExpansionError:
        self._warn(f"{queue_id}: unreasonable {self._maps.parameter} {what} -- message not accepted, try again later")
        return AliasExpansionError(what)

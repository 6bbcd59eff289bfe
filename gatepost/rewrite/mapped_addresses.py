"""Tables from addresses to addresses, and what their values mean (mail_addr_map(3), mail_addr_crunch(3))."""

from collections.abc import Callable

from gatepost.mail.address_quoting import quote_822_local, unquote_822_local
from gatepost.mail.address_tokens import addresses, externalize, parse
from gatepost.rewrite.address_classes import LocalDomains
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.routing import Delimiters
from gatepost.tables.address_find import find_address
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure


class AddressMaps:
    """The tables of virtual_alias_maps, of a canonical parameter, or of generic maps."""

    __slots__ = ("_delimiters", "_local_domains", "_maps", "_propagate", "_rewriter", "parameter")

    def __init__(
        self, maps: Maps, rewriter: Rewriter, local_domains: LocalDomains, delimiters: Delimiters, *, propagate: bool
    ) -> None:
        """`propagate`: propagate_unmatched_extensions names this kind of tables."""
        self.parameter = maps.parameter
        self._maps = maps
        self._rewriter = rewriter
        self._local_domains = local_domains
        self._delimiters = delimiters
        self._propagate = propagate

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def find(self, address: str, warn: Callable[[str], None]) -> list[str] | None:
        """The addresses (internal form) that stand for another; None: there is no entry for it.

        Raises LookupTemporaryFailure; where a value has no address, after a warning.
        """
        parts = self._delimiters
        found = await find_address(
            self._maps,
            address,
            recipient_delimiter=parts.recipient_delimiter,
            is_local=self._local_domains.is_local_or_origin,
            owner_request_special=parts.owner_request_special,
            double_bounce_sender=parts.double_bounce_sender,
        )
        if found is None:
            return None
        extension = found.extension or ""
        value = value_for(found.value, address, extension)
        results = addresses_of(value, self._rewriter, extension if self._propagate else "")
        if not results:
            warn(f'{self.parameter} lookup of {found.hit.key} returns non-address result "{found.value}"')
            raise LookupTemporaryFailure(found.hit.table, found.hit.key, "non-address result")
        return results


def addresses_of(text: str, rewriter: Rewriter, extension: str = "") -> list[str]:
    """The addresses in a table's value, rewritten (local context), in internal form; empty if there are none.

    `extension` (`+ext`) is put behind each local part. The null address is "".
    """
    found: list[str] = []
    for token in addresses(parse('""' if text in ("", "<>") else text)):
        address = rewriter.rewrite("local", externalize(token.children, inside_address=True))
        internal = unquote_822_local(address)
        if extension:
            local, at, domain = internal.rpartition("@")
            internal = f"{local}{extension}@{domain}" if at else internal + extension
        found.append(internal)
    return found


def value_for(value: str, address: str, extension: str) -> str:
    """A table's value for an (internal) address; `@domain` stands for the same user there.

    The extension that the key did not have (`+ext`) is no part of the user.
    """
    if not value.startswith("@"):
        return value
    local = address.rpartition("@")[0] if "@" in address else address
    return quote_822_local(local.removesuffix(extension) + value)

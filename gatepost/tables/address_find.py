"""Search order for mail addresses in tables (mail_addr_find(3)): canonical, virtual, bcc, access and many others."""

import enum
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from gatepost.mail.address import split_extension
from gatepost.mail.address_quoting import quote_822_local
from gatepost.tables.maps import Hit, Maps

IsLocal = Callable[[str], Awaitable[bool] | bool]


class Find(enum.IntFlag):
    """Which keys are tried; they are tried in this order, not that of the values."""

    FULL = 1  # user+ext@domain
    NOEXT = 2  # user@domain, and user for the localpart keys
    LOCALPART_IF_LOCAL = 4  # user+ext, user: where the domain is local
    LOCALPART_AT_IF_LOCAL = 8  # user+ext@, user@: where the domain is local
    AT_DOMAIN = 16  # @domain
    DOMAIN = 32  # domain
    PMS = 64  # with DOMAIN: parent domains by their name ("parent matches subdomains")
    PMDS = 128  # with DOMAIN: parent domains as .parent
    LOCALPART_AT = 256  # user+ext@, user@

    DEFAULT = FULL | NOEXT | LOCALPART_IF_LOCAL | AT_DOMAIN
    ACCESS = FULL | NOEXT | DOMAIN | LOCALPART_AT


# Flag arithmetic on plain numbers: an enum's own costs a microsecond each.
_FULL = Find.FULL.value
_NOEXT = Find.NOEXT.value
_IF_LOCAL = Find.LOCALPART_IF_LOCAL.value
_ANY_IF_LOCAL = _IF_LOCAL | Find.LOCALPART_AT_IF_LOCAL.value
_AT_DOMAIN = Find.AT_DOMAIN.value
_DOMAIN = Find.DOMAIN.value
_PMS = Find.PMS.value
_PARENTS = _PMS | Find.PMDS.value
_LOCALPART_AT = Find.LOCALPART_AT.value


class QueryForm(enum.Enum):
    """In which form the address is looked up."""

    INTERNAL = "internal"
    EXTERNAL = "external"
    EXTERNAL_FIRST = "external-first"  # then internal, where it differs


class AddressHit(msgspec.Struct, frozen=True, gc=False):
    """What was found. `extension` is the part that no key had (`+ext`, with its delimiter), else None."""

    value: str
    extension: str | None
    hit: Hit


class _Search:
    """One address on its way through the keys."""

    __slots__ = ("extension", "form", "maps")

    def __init__(self, maps: Maps, form: QueryForm) -> None:
        self.maps = maps
        self.form = form
        self.extension: str | None = None

    async def find(self, key: str, *, full_key: bool, strip_at: int = 0) -> Hit | None:
        """Look an internal address up in the wanted form(s), without the last `strip_at` characters."""
        hit = None
        external = key
        if self.form is not QueryForm.INTERNAL:
            external = quote_822_local(key)
            hit = await self.maps.find(external[:-strip_at] if strip_at else external, full_key=full_key)
        if hit is not None or self.form is QueryForm.EXTERNAL:
            return hit
        if external != key or self.form is QueryForm.INTERNAL:
            hit = await self.maps.find(key[:-strip_at] if strip_at else key, full_key=full_key)
        return hit

    async def localpart(self, full: str, bare: str | None, *, keep_at: bool) -> tuple[Hit | None, bool]:
        """user+ext, user (or with @ behind). The flag says that it was found without extension."""
        strip = 0 if keep_at else 1
        hit = await self.find(full + "@", full_key=False, strip_at=strip)
        if hit is None and bare is not None:
            return await self.find(bare + "@", full_key=False, strip_at=strip), True
        return hit, False


async def find_address(
    maps: Maps,
    address: str,
    *,
    recipient_delimiter: str = "",
    is_local: IsLocal | None = None,
    strategy: Find = Find.DEFAULT,
    query_form: QueryForm = QueryForm.EXTERNAL,
    owner_request_special: bool = True,
    double_bounce_sender: str = "double-bounce",
) -> AddressHit | None:
    """Search `maps` for an address in internal form; None if no key is there. Raises LookupTemporaryFailure.

    `is_local` tells whether a domain is $myorigin, in mydestination or a literal of one of our interfaces.
    """
    if not maps or not address:
        return None
    wanted = strategy.value
    search = _Search(maps, query_form)
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    bare: str | None = None
    extension: str | None = None
    if recipient_delimiter and wanted & _NOEXT:
        user, ext = split_extension(
            local,
            recipient_delimiter,
            owner_request_special=owner_request_special,
            double_bounce_sender=double_bounce_sender,
        )
        if ext is not None:
            bare, extension = user, local[len(user) :]
    if wanted & _FULL:
        hit = await search.find(address, full_key=True)
        if hit is not None:
            return AddressHit(hit.value, None, hit)
        if bare is not None:
            hit = await search.find(bare + at + domain, full_key=False)
            if hit is not None:
                return AddressHit(hit.value, extension, hit)
    if not at:
        return None
    return await _find_parts(search, (local, bare, domain), extension, is_local, wanted)


async def _find_parts(
    search: _Search, parts: tuple[str, str | None, str], extension: str | None, is_local: IsLocal | None, wanted: int
) -> AddressHit | None:
    """The keys that have only one side of the address."""
    local, bare, domain = parts
    maps = search.maps
    if wanted & _ANY_IF_LOCAL and await _ask(is_local, domain):
        keep_at = not wanted & _IF_LOCAL
        hit, without = await search.localpart(local, bare, keep_at=keep_at)
        if hit is not None:
            return AddressHit(hit.value, extension if without else None, hit)
    if wanted & _AT_DOMAIN:
        hit = await maps.find("@" + domain, full_key=False)
        if hit is not None:
            return AddressHit(hit.value, None, hit)
    if wanted & _DOMAIN:
        for key in _domain_keys(domain, wanted):
            hit = await maps.find(key, full_key=False)
            if hit is not None:
                return AddressHit(hit.value, None, hit)
    if wanted & _LOCALPART_AT:
        hit, without = await search.localpart(local, bare, keep_at=True)
        if hit is not None:
            return AddressHit(hit.value, extension if without else None, hit)
    return None


async def _ask(is_local: IsLocal | None, domain: str) -> bool:
    if is_local is None:
        return False
    answer = is_local(domain)
    return answer if isinstance(answer, bool) else await answer


def _domain_keys(domain: str, wanted: int) -> Iterator[str]:
    yield domain
    if not wanted & _PARENTS:
        return
    dot = domain.find(".", 1)
    while dot >= 0:
        key = domain[dot + 1 :] if wanted & _PMS else domain[dot:]
        if key:
            yield key
        dot = domain.find(".", dot + 1)

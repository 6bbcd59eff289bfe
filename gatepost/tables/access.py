"""The keys that access(5) tables are asked for, most specific first. The first is a full key, the others partial."""

from collections.abc import Iterator

from gatepost.tables.address_find import AddressHit, Find, QueryForm, find_address
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.network import parse_address


def domain_keys(name: str, parent_style: bool) -> Iterator[str]:
    """A host or domain name, then its parents: as `parent` if `parent_style`, else as `.parent`.

    `parent_style`: smtpd_access_maps is in parent_domain_matches_subdomains. An address in the place of a name has no
    parents. A name may end in a dot.
    """
    if not name:
        return
    yield name
    dot = name.find(".", 1)
    if dot < 0 or parse_address(name) is not None:
        return
    while dot >= 0:
        key = name[dot + 1 :] if parent_style else name[dot:]
        if key:
            yield key
        dot = name.find(".", dot + 1)


def address_keys(address: str) -> Iterator[str]:
    """An IP address, then the nets it is in: the last `.octet` or `:group` dropped again and again.

    The text form counts: of 2001:db8::1 the net is `2001:db8:`, then `2001:db8`.
    """
    separator = ":" if ":" in address else "."
    while address:
        yield address
        address = address.rpartition(separator)[0]


async def find_domain(maps: Maps, name: str, *, parent_style: bool) -> Hit | None:
    """The first hit for a host or domain name. Raises LookupTemporaryFailure."""
    full = True
    for key in domain_keys(name, parent_style):
        hit = await maps.find(key, full_key=full)
        if hit is not None:
            return hit
        full = False
    return None


async def find_network(maps: Maps, address: str) -> Hit | None:
    """The first hit for an IP address. Raises LookupTemporaryFailure."""
    full = True
    for key in address_keys(address):
        hit = await maps.find(key, full_key=full)
        if hit is not None:
            return hit
        full = False
    return None


async def find_mail_address(
    maps: Maps, address: str, *, recipient_delimiter: str = "", parent_style: bool
) -> AddressHit | None:
    """The first hit for a mail address in internal form: user+ext@dom, user@dom, dom and parents, user+ext@, user@.

    Each address is tried in quoted, then in internal form. Raises LookupTemporaryFailure.
    """
    return await find_address(
        maps,
        address,
        recipient_delimiter=recipient_delimiter,
        strategy=_ACCESS_PARENT if parent_style else _ACCESS_DOT,
        query_form=QueryForm.EXTERNAL_FIRST,
    )


_ACCESS_PARENT = Find.ACCESS | Find.PMS
_ACCESS_DOT = Find.ACCESS | Find.PMDS

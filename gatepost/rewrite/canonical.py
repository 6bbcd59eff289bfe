"""Addresses mapped one to one: canonical(5), generic(5); hosts behind their domain: masquerading (cleanup(8))."""

from collections.abc import Awaitable, Callable
from enum import Enum

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.address import fold
from gatepost.mail.address_quoting import quote_822_local, unquote_822_local
from gatepost.rewrite.address_classes import LocalDomains
from gatepost.rewrite.mapped_addresses import AddressMaps
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.routing import Delimiters
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure

Warn = Callable[[str], None]

# An address that goes on and on from entry to entry stays what it is after these.
_MAX_STEPS = 10


class Place(Enum):
    """Where an address stands: what canonical_classes and masquerade_classes name."""

    ENVELOPE_SENDER = "envelope_sender"
    ENVELOPE_RECIPIENT = "envelope_recipient"
    HEADER_SENDER = "header_sender"
    HEADER_RECIPIENT = "header_recipient"


# What takes the place of an address, and whether it was changed on the way: it may have come back to what it was.
Result = tuple[str, bool]

# An address in external form, a queue ID and where to warn -> result in external form.
Step = Callable[[str, str, Warn], Awaitable[Result]]


class OneToOne:
    """The tables of one canonical parameter."""

    def __init__(self, maps: AddressMaps) -> None:
        self._maps = maps

    async def replace(self, address: str, queue_id: str, warn: Warn) -> Result:
        """What stands for an address in the end, as far as ten entries lead. Raises LookupTemporaryFailure."""
        parameter, changed = self._maps.parameter, False
        for _ in range(_MAX_STEPS):
            try:
                results = await self._maps.find(unquote_822_local(address), warn)
            except LookupTemporaryFailure:
                warn(
                    f"{queue_id}: {parameter} map lookup problem for {address} -- message not accepted, try again later"
                )
                raise
            if results is None:
                return address, changed
            if len(results) > 1:
                warn(f"{queue_id}: multi-valued {parameter} entry for {address}")
            before, address = address, quote_822_local(results[0])
            changed |= address != before
            if fold(before) == fold(address):
                return address, changed
        # Postfix says so, too, and takes the message all the same.
        unreasonable = f"unreasonable {parameter} map nesting for {address}"
        warn(f"{queue_id}: {unreasonable} -- message not accepted, try again later")
        return address, changed

    async def once(self, address: str, warn: Warn) -> Result:
        """What one entry puts in the place of an address (external form). Raises LookupTemporaryFailure."""
        parameter = self._maps.parameter
        try:
            results = await self._maps.find(unquote_822_local(address), warn)
        except LookupTemporaryFailure:
            warn(f"{parameter} map lookup problem for {address}")
            raise
        if results is None:
            return address, False
        if len(results) > 1:
            warn(f"multi-valued {parameter} result for {address}")
        result = quote_822_local(results[0])
        return result, result != address


def generic_maps(
    settings: Settings, tables: Tables, rewriter: Rewriter, local_domains: LocalDomains, prefix: str = "smtp"
) -> OneToOne | None:
    """smtp_generic_maps, or lmtp_generic_maps (`prefix`); None if there are none. Raises ConfigError."""
    parameter = f"{prefix}_generic_maps"
    maps = tables.maps(parameter, settings.text(parameter))
    if not maps:
        return None
    delimiters = Delimiters(settings.recipient_delimiter, settings.owner_request_special, settings.double_bounce_sender)
    propagate = "generic" in split_list(settings.propagate_unmatched_extensions)
    return OneToOne(AddressMaps(maps, rewriter, local_domains, delimiters, propagate=propagate))


class Masquerade:
    """masquerade_domains: `user@host.domain` becomes `user@domain`, but for masquerade_exceptions."""

    def __init__(self, domains: str, exceptions: MatchList) -> None:
        self._domains = [(name.lstrip("!"), (len(name) - len(name.lstrip("!"))) % 2 == 0) for name in _folded(domains)]
        self._exceptions = exceptions

    async def replace(self, address: str, queue_id: str, warn: Warn) -> Result:
        """The address with its host taken off, or as it is. Raises LookupTemporaryFailure."""
        user, at, domain = address.rpartition("@")
        domain = fold(domain)
        if not at or (self._exceptions and await self._exceptions.match_string(fold(user))):
            return address, False
        for name, cut in self._domains:
            # The first that fits decides, be it to leave the address alone.
            if name and domain == name:
                return address, False
            if name and domain.endswith(f".{name}"):
                return (f"{user}@{name}", True) if cut else (address, False)
        return address, False


def _folded(domains: str) -> list[str]:
    return [fold(name) for name in split_list(domains)]


class CanonicalMaps:
    """What happens to addresses in each place: sender_ or recipient_canonical_maps, canonical_maps, masquerading."""

    __slots__ = ("_steps", "in_headers")

    def __init__(self, steps: dict[Place, tuple[Step, ...]]) -> None:
        self._steps = steps
        self.in_headers = bool(steps[Place.HEADER_SENDER] or steps[Place.HEADER_RECIPIENT])
        """Is anything done to headers?"""

    def __bool__(self) -> bool:
        return any(self._steps.values())

    async def external(self, place: Place, address: str, queue_id: str, warn: Warn) -> Result:
        """The address (external form) that takes the place of another in standard form, and whether it was changed.

        `warn` takes the text of a log warning. Raises LookupTemporaryFailure, after a warning.
        """
        changed = False
        for step in self._steps[place]:
            address, differs = await step(address, queue_id, warn)
            changed |= differs
        return address, changed

    async def internal(self, place: Place, address: str, queue_id: str, warn: Warn) -> str:
        """As `external`, from internal form to internal form. The null sender stays."""
        if not address or not self._steps[place]:
            return address
        result, _ = await self.external(place, quote_822_local(address), queue_id, warn)
        return unquote_822_local(result)


def canonical_maps(
    settings: Settings, tables: Tables, rewriter: Rewriter, local_domains: LocalDomains, delimiters: Delimiters
) -> CanonicalMaps:
    """Open the tables of all these parameters. Raises ConfigError."""
    propagate = "canonical" in split_list(settings.propagate_unmatched_extensions)
    steps: dict[Place, list[Step]] = {place: [] for place in Place}

    for side, listed, classes in (
        ("sender", settings.sender_canonical_maps, settings.sender_canonical_classes),
        ("recipient", settings.recipient_canonical_maps, settings.recipient_canonical_classes),
        ("", settings.canonical_maps, settings.canonical_classes),
    ):
        prefix = f"{side}_" if side else ""
        maps = tables.maps(f"{prefix}canonical_maps", listed)
        if maps:
            step = OneToOne(AddressMaps(maps, rewriter, local_domains, delimiters, propagate=propagate)).replace
            for place in _places(f"{prefix}canonical_classes", classes, side):
                steps[place].append(step)
    if settings.masquerade_domains:
        exceptions = MatchList.compile(
            "masquerade_exceptions", settings.masquerade_exceptions, tables, match_parent=False
        )
        masquerade = Masquerade(settings.masquerade_domains, exceptions).replace
        for place in _places("masquerade_classes", settings.masquerade_classes, ""):
            steps[place].append(masquerade)
    return CanonicalMaps({place: tuple(found) for place, found in steps.items()})


def _places(parameter: str, value: str, side: str) -> set[Place]:
    """`side`: `sender` or `recipient` if the places of only one are allowed."""
    allowed = {place.value: place for place in Place if place.value.endswith(side)}
    places = set()
    for name in split_list(value):
        if name.lower() not in allowed:
            raise ConfigError(f'unknown {parameter} value "{name}"', parameter=parameter)
        places.add(allowed[name.lower()])
    return places

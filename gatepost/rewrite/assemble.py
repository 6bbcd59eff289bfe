"""Makes the parts of this package from the values of main.cf and the open tables."""

from collections.abc import Callable, Iterable

import msgspec

from gatepost.config.settings import Settings
from gatepost.rewrite.address_classes import ClassLists, LocalDomains
from gatepost.rewrite.aliases import Aliases
from gatepost.rewrite.canonical import CanonicalMaps, canonical_maps
from gatepost.rewrite.mapped_addresses import AddressMaps
from gatepost.rewrite.resolve import AddressResolver, ResolverParameters
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.routing import Delimiters, Routing, RoutingParameters
from gatepost.rewrite.transport import TransportMaps
from gatepost.rewrite.virtual_alias import VirtualAliases, VirtualAliasLimits
from gatepost.tables.braces import split_items
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables


class AddressServices(msgspec.Struct, frozen=True):
    """All that is to be asked about an address. `probe_resolver` resolves for address verification."""

    rewriter: Rewriter
    local_domains: LocalDomains
    classes: ClassLists
    resolver: AddressResolver
    probe_resolver: AddressResolver
    virtual_aliases: VirtualAliases
    aliases: Aliases
    canonical: CanonicalMaps


def address_services(
    settings: Settings,
    tables: Tables,
    own_addresses: Iterable[str],
    *,
    clock: Callable[[], float],
    warn: Callable[[str], None],
    cleanup_warn: Callable[[str], None] | None = None,
    local_warn: Callable[[str], None] | None = None,
    cleanup_error: Callable[[str], None] | None = None,
    local_error: Callable[[str], None] | None = None,
) -> AddressServices:
    """Compile the lists and open the tables. Raises ConfigError.

    `own_addresses`: of inet_interfaces and proxy_interfaces, as
    numbers. `clock`: monotonic seconds. `warn`: takes the text of a log warning of
    trivial-rewrite(8), the other two what cleanup(8) and local(8) have to say of their tables, if that goes elsewhere;
    the errors, why such a table cannot be opened.
    """
    parents = split_items(settings.parent_domain_matches_subdomains)
    cleanup_warn, local_warn = cleanup_warn or warn, local_warn or warn

    def match_list(parameter: str) -> MatchList:
        return MatchList.compile(parameter, getattr(settings, parameter), tables, match_parent=parameter in parents)

    local_domains = LocalDomains(match_list("mydestination"), own_addresses, settings.myorigin)
    classes = ClassLists(
        match_list("virtual_alias_domains"),
        match_list("virtual_mailbox_domains"),
        match_list("relay_domains"),
        warn if settings.helpful_warnings else None,
    )
    rewriter = Rewriter(settings)
    delimiters = Delimiters(settings.recipient_delimiter, settings.owner_request_special, settings.double_bounce_sender)

    def resolver(prefix: str) -> AddressResolver:
        return AddressResolver(
            msgspec.convert(settings, ResolverParameters, from_attributes=True),
            rewriter,
            local_domains,
            classes,
            _routing(settings, prefix, tables, delimiters, local_domains, warn),
            clock=clock,
            warn=warn,
        )

    propagated = split_items(settings.propagate_unmatched_extensions)
    cleanup_tables = tables.logged_by(cleanup_warn, cleanup_error)
    maps = cleanup_tables.maps("virtual_alias_maps", settings.virtual_alias_maps)
    virtual_aliases = VirtualAliases(
        AddressMaps(maps, rewriter, local_domains, delimiters, propagate="virtual" in propagated),
        msgspec.convert(settings, VirtualAliasLimits, from_attributes=True),
        warn=cleanup_warn,
    )
    aliases = Aliases(
        tables.logged_by(local_warn, local_error).maps(
            "alias_maps", _without_nis(settings.alias_maps), syntax="aliases"
        ),
        rewriter,
        local_domains,
        delimiters,
        propagate="alias" in propagated,
        warn=local_warn,
    )
    return AddressServices(
        rewriter,
        local_domains,
        classes,
        resolver(""),
        resolver("address_verify_"),
        virtual_aliases,
        aliases,
        canonical_maps(settings, cleanup_tables, rewriter, local_domains, delimiters),
    )


def _without_nis(alias_maps: str) -> str:
    """Without the NIS table of Postfix's default value: no host has one, and it must not defer all local mail."""
    return " ".join(spec for spec in split_items(alias_maps) if spec != "nis:mail.aliases")


def _routing(
    settings: Settings,
    prefix: str,
    tables: Tables,
    delimiters: Delimiters,
    local_domains: LocalDomains,
    warn: Callable[[str], None],
) -> Routing:
    """The routing of deliveries (no prefix), or of probes (`address_verify_`)."""

    def value(parameter: str) -> str:
        text: str = getattr(settings, prefix + parameter)
        return text

    transport_maps = TransportMaps(
        tables.maps(prefix + "transport_maps", value("transport_maps")),
        parents_match="transport_maps" in split_items(settings.parent_domain_matches_subdomains),
        recipient_delimiter=delimiters.recipient_delimiter,
        owner_request_special=delimiters.owner_request_special,
        double_bounce_sender=delimiters.double_bounce_sender,
    )
    senders = "sender_dependent_"
    return Routing(
        RoutingParameters(
            local_transport=value("local_transport"),
            virtual_transport=value("virtual_transport"),
            relay_transport=value("relay_transport"),
            default_transport=value("default_transport"),
            relayhost=value("relayhost"),
            null_relayhost_key=settings.empty_address_relayhost_maps_lookup_key,
            null_transport_key=settings.empty_address_default_transport_maps_lookup_key,
            prefix=prefix,
        ),
        delimiters,
        local_domains,
        transport_maps=transport_maps,
        sender_dependent_relayhost_maps=tables.maps(
            f"{prefix}{senders}relayhost_maps", value(f"{senders}relayhost_maps")
        ),
        sender_dependent_default_transport_maps=tables.maps(
            f"{prefix}{senders}default_transport_maps", value(f"{senders}default_transport_maps")
        ),
        relocated_maps=tables.maps("relocated_maps", settings.relocated_maps),
        warn=warn,
    )

"""The limits of a transport and its destinations, and which parameter each comes from: for `gatepost route`."""

from collections.abc import Iterator, Mapping

import msgspec

from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.qmgr.concurrency import TransportParameters, transport_parameters
from gatepost.qmgr.providers import Providers


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a value comes from: a parameter that is set in a file, or has its default; a table's entry; or `note`."""

    parameter: str = ""
    path: str = ""
    line: int = 0
    item: str = ""
    table: str = ""
    key: str = ""
    table_path: str = ""
    table_line: int = 0
    note: str = ""

    def __str__(self) -> str:
        if self.note:
            return self.note
        place = f"{self.path}, line {self.line}" if self.line else "default"
        text = f"{self.parameter} ({place})" if self.parameter else place
        if self.item:
            text += f", item {self.item}"
        if self.table:
            entry = f", {self.table_path}, line {self.table_line}" if self.table_line else ""
            text += f", {self.table}, key {self.key}{entry}"
        return text


class Step(msgspec.Struct, frozen=True):
    """One thing that happened to an address, what it became, and which parameter or entry did it."""

    what: str
    value: str
    origin: Origin


class Limit(msgspec.Struct, frozen=True):
    """One limit in words, its value (`none` where there is none), and where that comes from."""

    what: str
    value: str
    origin: Origin


# What is said of it, the attribute of TransportParameters, the suffix of its parameter, unit.
_LIMITS = (
    ("deliveries at a time to one destination", "concurrency_limit", "destination_concurrency_limit", ""),
    ("deliveries at a time to begin with", "initial_concurrency", "initial_destination_concurrency", ""),
    ("recipients per delivery", "recipient_limit", "destination_recipient_limit", ""),
    ("pause between deliveries to one destination", "rate_delay", "destination_rate_delay", "s"),
    ("pause between deliveries of the transport", "transport_rate_delay", "transport_rate_delay", "s"),
)
_FEEDBACK = (
    ("feedback of a delivery that ends well", "destination_concurrency_positive_feedback"),
    ("feedback of one that finds nobody", "destination_concurrency_negative_feedback"),
)
_COHORTS = "destination_concurrency_failed_cohort_limit"


def origin_of(settings: Settings, parameter: str) -> Origin:
    """The place of a parameter of main.cf."""
    path, line = settings.where(parameter) or ("", 0)
    return Origin(parameter, path, line)


def transport_origin(settings: Settings, transport: str, suffix: str) -> Origin:
    """TRANSPORT_SUFFIX where it is set, else the parameter that it falls back on."""
    own = f"{transport}_{suffix}"
    if settings.defined(own):
        return origin_of(settings, own)
    general = suffix if suffix.startswith("initial_") else f"default_{suffix}"
    return origin_of(settings, general if settings.text(own).strip() == settings.text(general).strip() else own)


def limits(settings: Settings, services: Mapping[str, Service], transport: str) -> Iterator[Limit]:
    """Of a transport of master.cf; what is not limited is left out, but for the first two. Raises ConfigError."""
    parameters = transport_parameters(settings, services, transport)
    yield _processes(settings, services, transport, parameters)
    for what, name, suffix, unit in _LIMITS:
        value = getattr(parameters, name)
        if not value and name != "concurrency_limit":
            continue
        origin = transport_origin(settings, transport, suffix)
        if name in ("concurrency_limit", "initial_concurrency") and parameters.rate_delay:
            origin = transport_origin(settings, transport, "destination_rate_delay")
        elif name == "initial_concurrency" and 0 < parameters.concurrency_limit == value:
            origin = _smaller(settings, transport, value, origin)
        yield Limit(what, f"{value}{unit}" if value else "none", origin)
    for what, suffix in _FEEDBACK:
        value = settings.text(f"{transport}_{suffix}")
        yield Limit(what, value, transport_origin(settings, transport, suffix))
    if parameters.failed_cohort_limit:
        origin = transport_origin(settings, transport, _COHORTS)
        yield Limit("failed pseudo-cohorts until a destination is dead", f"{parameters.failed_cohort_limit:g}", origin)
    origin = origin_of(settings, "minimal_backoff_time")
    yield Limit("a dead destination rests", f"{parameters.dead_time:g}s", origin)
    if parameters.deferred:
        yield Limit("mail of this transport waits until it is flushed", "yes", origin_of(settings, "defer_transports"))


def _processes(
    settings: Settings, services: Mapping[str, Service], transport: str, parameters: TransportParameters
) -> Limit:
    service = services.get(transport)
    if service is not None and service.maxproc is not None:
        origin = Origin("", service.path, service.line)
    else:
        origin = origin_of(settings, "default_process_limit")
    return Limit("deliveries at a time, all destinations together", str(parameters.process_limit or "none"), origin)


def _smaller(settings: Settings, transport: str, value: int, origin: Origin) -> Origin:
    """The initial concurrency is cut to the limit, if that is smaller."""
    own = settings.transport(transport, "initial_destination_concurrency")
    return origin if own == value else transport_origin(settings, transport, "destination_concurrency_limit")


async def group_of(providers: Providers | None, transport: str, nexthop: str) -> str | None:
    """The limit group of a destination; empty: it is its own; None: DNS cannot tell."""
    if providers is None or not providers.groups(transport, nexthop):
        return ""
    found = await providers.find(nexthop)
    return None if found is None else found[0]

"""The parameter registry: every parameter that is known, by name.

The declarations stand in `registry/`, one file an area. Parameters such as TRANSPORT_destination_concurrency_limit,
which exist for each delivery transport of master.cf, are declared here, once for all transports.
"""

from collections.abc import Iterator, Mapping

from gatepost.config.declaration import Parameter, Type, number, text, time
from gatepost.config.registry import (
    admin,
    anvil,
    bounce,
    cleanup,
    compat,
    gatepost,
    lmtp,
    local,
    logging,
    lookup_tables,
    milter,
    postscreen,
    queue_manager,
    rewrite,
    sasl,
    smtp_client,
    smtpd_access,
    smtpd_protocol,
    tls_client,
    tls_server,
    verify,
    virtual,
)

AREAS: Mapping[str, tuple[Parameter, ...]] = {
    "admin": admin.PARAMETERS,
    "anvil": anvil.PARAMETERS,
    "bounce": bounce.PARAMETERS,
    "cleanup": cleanup.PARAMETERS,
    "compat": compat.PARAMETERS,
    "gatepost": gatepost.PARAMETERS,
    "lmtp": lmtp.PARAMETERS,
    "local": local.PARAMETERS,
    "logging": logging.PARAMETERS,
    "lookup_tables": lookup_tables.PARAMETERS,
    "milter": milter.PARAMETERS,
    "postscreen": postscreen.PARAMETERS,
    "queue_manager": queue_manager.PARAMETERS,
    "rewrite": rewrite.PARAMETERS,
    "sasl": sasl.PARAMETERS,
    "smtp_client": smtp_client.PARAMETERS,
    "smtpd_access": smtpd_access.PARAMETERS,
    "smtpd_protocol": smtpd_protocol.PARAMETERS,
    "tls_client": tls_client.PARAMETERS,
    "tls_server": tls_server.PARAMETERS,
    "verify": verify.PARAMETERS,
    "virtual": virtual.PARAMETERS,
}

PARAMETERS: Mapping[str, Parameter] = {parameter.name: parameter for area in AREAS.values() for parameter in area}

# What follows the transport's name, and the fallback (qmgr(8), "... per-transport").
_TRANSPORT: tuple[Parameter, ...] = (
    number("delivery_slot_cost", "$default_delivery_slot_cost", honoured=True),
    number("delivery_slot_discount", "$default_delivery_slot_discount", honoured=True),
    number("delivery_slot_loan", "$default_delivery_slot_loan", honoured=True),
    number(
        "destination_concurrency_failed_cohort_limit",
        "$default_destination_concurrency_failed_cohort_limit",
        honoured=True,
    ),
    number("destination_concurrency_limit", "$default_destination_concurrency_limit", honoured=True),
    text(
        "destination_concurrency_negative_feedback",
        "$default_destination_concurrency_negative_feedback",
        kind="feedback",
        honoured=True,
    ),
    text(
        "destination_concurrency_positive_feedback",
        "$default_destination_concurrency_positive_feedback",
        kind="feedback",
        honoured=True,
    ),
    time("destination_rate_delay", "$default_destination_rate_delay", honoured=True),
    number("destination_recipient_limit", "$default_destination_recipient_limit", honoured=True),
    number("extra_recipient_limit", "$default_extra_recipient_limit", honoured=True),
    number("initial_destination_concurrency", "$initial_destination_concurrency", honoured=True),
    number("minimum_delivery_slots", "$default_minimum_delivery_slots", honoured=True),
    number("recipient_limit", "$default_recipient_limit", honoured=True),
    time("recipient_refill_delay", "$default_recipient_refill_delay", honoured=True),
    number("recipient_refill_limit", "$default_recipient_refill_limit", honoured=True),
    time("transport_rate_delay", "$default_transport_rate_delay", honoured=True),
)
# Of pipe(8) and spawn(8) services only.
TIME_LIMIT = time("time_limit", "$command_time_limit", minimum=1, honoured=True)

TRANSPORT_SUFFIXES: Mapping[str, Parameter] = {
    parameter.name: parameter._replace(since="<=2.1", owner="qmgr") for parameter in (*_TRANSPORT, TIME_LIMIT)
}
# Longest first: `local_recipient_limit` is not `local_recipient` with a suffix.
_SUFFIXES_BY_LENGTH = sorted(TRANSPORT_SUFFIXES, key=len, reverse=True)
# Programs whose services have these parameters, and the names that Postfix's own master.cf gives such services.
DELIVERY_PROGRAMS = frozenset({"error", "lmtp", "local", "pipe", "smtp", "virtual"})
TIME_LIMIT_PROGRAMS = frozenset({"pipe", "spawn"})
STANDARD_TRANSPORTS = ("error", "lmtp", "local", "relay", "retry", "smtp", "virtual")
_OWN_DEFAULTS = {
    # One at a time, so that two commands do not fight for a mailbox.
    "local_destination_concurrency_limit": "2",
    "local_destination_recipient_limit": "1",
}


# Known to Postfix whether or not master.cf has such a service.
BUILT_IN_TRANSPORT_PARAMETERS = frozenset(
    f"{transport}_{suffix}"
    for transport in ("lmtp", "local", "relay", "smtp", "virtual")
    for suffix in ("destination_concurrency_limit", "destination_recipient_limit")
)


def transport_parameter(transport: str, suffix: str) -> Parameter:
    """The declaration of `TRANSPORT_SUFFIX`; KeyError if there is no such suffix."""
    name = f"{transport}_{suffix}"
    template = TRANSPORT_SUFFIXES[suffix]
    return template._replace(name=name, default=_OWN_DEFAULTS.get(name, template.default))


def find(name: str) -> Parameter | None:
    """The declaration of `name`, per-transport parameters of any transport included."""
    known = PARAMETERS.get(name)
    if known is not None:
        return known
    for suffix in _SUFFIXES_BY_LENGTH:
        if name.endswith(suffix) and name[-len(suffix) - 1 : -len(suffix)] == "_" and len(name) > len(suffix) + 1:
            return transport_parameter(name[: -len(suffix) - 1], suffix)
    return None


def service_parameters(service: str, program: str) -> Iterator[Parameter]:
    """The parameters that a master.cf line of this name and program brings into being."""
    for suffix in TRANSPORT_SUFFIXES:
        if program in (TIME_LIMIT_PROGRAMS if suffix == TIME_LIMIT.name else DELIVERY_PROGRAMS):
            yield transport_parameter(service, suffix)


__all__ = [
    "AREAS",
    "BUILT_IN_TRANSPORT_PARAMETERS",
    "DELIVERY_PROGRAMS",
    "PARAMETERS",
    "STANDARD_TRANSPORTS",
    "TRANSPORT_SUFFIXES",
    "Parameter",
    "Type",
    "find",
    "service_parameters",
    "transport_parameter",
]

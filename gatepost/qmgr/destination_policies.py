"""What Gatepost can do with destinations that Postfix cannot, each only where main.cf asks for it."""

from collections.abc import Callable, Container
from typing import NamedTuple

from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.dns.answers import Resolver
from gatepost.ipc.messages import DeliveryRequest
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr import retry
from gatepost.qmgr.destination_rates import DestinationRates
from gatepost.qmgr.nexthops import NexthopHealth
from gatepost.qmgr.ports import Dispatcher, Spawn
from gatepost.qmgr.providers import Providers
from gatepost.qmgr.retry import RetrySchedules
from gatepost.tables.opening import Tables


class DestinationPolicies(NamedTuple):
    """Each is None where main.cf does not ask for it."""

    retry: RetrySchedules | None = None
    health: NexthopHealth | None = None
    providers: Providers | None = None
    rates: DestinationRates | None = None


NO_POLICIES = DestinationPolicies()


def destination_policies(
    settings: Settings,
    tables: Tables,
    smtp_transports: Container[str],
    dns: Callable[[], Resolver],
    log: ProgramLog,
    *,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
    spawn: Spawn,
) -> DestinationPolicies:
    """`smtp_transports`: names of those of smtp(8) and lmtp(8). `dns` makes the resolver. Raises ConfigError."""
    schedules = tables.maps(retry.PARAMETER, settings.gatepost_retry_schedule_maps)
    providers: Providers | None = None
    provider_maps = tables.maps("gatepost_provider_maps", settings.gatepost_provider_maps)
    if grouped := frozenset(split_list(settings.gatepost_provider_limit_transports)):
        providers = Providers(grouped, provider_maps, dns(), monotonic, spawn)
    rates = tables.maps("gatepost_destination_rates", settings.gatepost_destination_rates)
    rest = settings.gatepost_nexthop_rest_time
    return DestinationPolicies(
        RetrySchedules(schedules, log.warning) if schedules else None,
        NexthopHealth(rest, smtp_transports, clock, log.warning, log.info) if rest else None,
        providers,
        DestinationRates(rates, monotonic, log.warning) if rates else None,
    )


class HealthyDispatcher:
    """A Dispatcher that has the next hops of each request in the order of their health."""

    def __init__(self, inner: Dispatcher, health: NexthopHealth) -> None:
        self._inner = inner
        self._health = health

    def send(self, request: DeliveryRequest) -> None:
        request.nexthop = self._health.order(request.transport, request.nexthop)
        self._inner.send(request)

"""What is made of the parameters, and that nothing is made without them."""

from typing import Any, cast

import pytest

from gatepost.config.configuration import Configuration
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryRequest
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.qmgr.destination_policies import (
    NO_POLICIES,
    DestinationPolicies,
    HealthyDispatcher,
    destination_policies,
)
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables


def made(main_cf: str) -> DestinationPolicies:
    asked: list[FakeResolver] = []

    def dns() -> FakeResolver:
        asked.append(FakeResolver())
        return asked[0]

    policies = destination_policies(
        Configuration.parse(main_cf).settings,
        Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None)),
        {"smtp"},
        dns,
        MailLog(MemoryOutput(), "postfix", 1).program("qmgr"),
        clock=lambda: 0.0,
        monotonic=lambda: 0.0,
        spawn=lambda coroutine: coroutine.close(),
    )
    assert bool(asked) is (policies.providers is not None)
    return policies


def test_nothing_without_parameters() -> None:
    assert made("") == NO_POLICIES
    assert made("gatepost_provider_maps = inline:{a=b}\n") == NO_POLICIES


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("gatepost_retry_schedule_maps = inline:{a=1m}", "retry"),
        ("gatepost_nexthop_rest_time = 1m", "health"),
        ("gatepost_provider_limit_transports = smtp", "providers"),
        ("gatepost_destination_rates = inline:{a=1/s}", "rates"),
    ],
)
def test_each_by_its_parameter(line: str, name: str) -> None:
    policies = made(line + "\n")
    assert [field for field, value in policies._asdict().items() if value is not None] == [name]


def test_requests_get_their_next_hops_in_order() -> None:
    health = made("gatepost_nexthop_rest_time = 1m\n").health
    assert health is not None
    sent: list[DeliveryRequest] = []

    class Inner:
        def send(self, request: DeliveryRequest) -> None:
            sent.append(request)

    health.outcome("smtp", [("[a]", "down")])
    request = DeliveryRequest(1, 1, "ABC", "smtp", "[a], [b]", "", [], 1, 0.0, 0.0)
    HealthyDispatcher(cast(Any, Inner()), health).send(request)
    assert [one.nexthop for one in sent] == ["[b], [a]"]

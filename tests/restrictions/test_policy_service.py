"""check_policy_service: how a service is named, and what comes of its answers."""

import pytest

from gatepost.config.errors import ConfigError
from gatepost.net.policy_client import PolicyPools, PolicyTimes
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.policy_service import PolicyService, policy_service
from tests.policy_server import PolicyServer, normal_request
from tests.restrictions.world import ALICE, World, stranger

POOLS = PolicyPools(directory="/queue", limit=3, clock=lambda: 0.0)


def named(text: str, **params: object) -> PolicyService:
    return policy_service(text, AccessParameters(**params), POOLS)  # type: ignore[arg-type]


def test_a_service_has_the_settings_of_main_cf() -> None:
    service = named(
        "inet:h.example:9",
        smtpd_policy_service_timeout=5,
        smtpd_policy_service_request_limit=7,
        smtpd_policy_service_policy_context="relay",
        smtpd_policy_service_default_action="DUNNO",
    )
    assert service.pool.name == "h.example:9"
    assert service.pool.times == PolicyTimes(timeout=5, request_limit=7)
    assert (service.policy_context, service.default_action) == ("relay", "DUNNO")


def test_or_its_own() -> None:
    text = (
        "{ unix:private/p, timeout=1m max_idle=2h {max_ttl = 1d} retry_delay=3, { default_action = 451 4.3.5 a, b } }"
    )
    service = named(text)
    assert service.text == text
    assert service.pool.times == PolicyTimes(timeout=60, max_idle=7200, max_ttl=86400, retry_delay=3)
    assert service.default_action == "451 4.3.5 a, b"
    assert named("{ inet:9 try_limit=1 request_limit=2 policy_context= }").pool.times == PolicyTimes(
        try_limit=1, request_limit=2
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", 'need service transport:endpoint instead of "foo"'),
        ("unix:", 'need service transport:endpoint instead of "unix:"'),
        ("foo:bar", "invalid transport name: foo in service: foo:bar"),
        ("INET:h:9", "invalid transport name: INET in service: INET:h:9"),
        ("inet:999.1.1.1:55", "999.1.1.1:55: valid hostname or network address required"),
        ("inet:a b:55", "a b:55: valid hostname or network address required"),
        ("{  }", 'empty policy service: "{  }"'),
        ("{ inet:h:9 foo=bar }", 'unknown option: "foo = bar"'),
        ("{ inet:h:9 TIMEOUT=1 }", 'unknown option: "TIMEOUT = 1"'),
        ("{ inet:h:9 timeout=xx }", "timeout: bad time value or unit: xx"),
        ("{ inet:h:9 timeout=0 }", "invalid timeout: 0 (min 1)"),
        ("{ inet:h:9 try_limit=0 }", "invalid try_limit parameter value 0 < 1"),
        ("{ inet:h:9 try_limit=x }", "bad numerical configuration: try_limit = x"),
        ("{ inet:h:9 timeout }", "malformed option: missing '=' after attribute name: \"...timeout...\""),
        ("{ inet:h:9 timeout = 1 }", "malformed option: missing '=' after attribute name: \"...timeout...\""),
        ("{ inet:h:9 default_action= }", "bad string length 0 < 1: default_action = "),
    ],
)
def test_what_postfix_would_not_start_with_is_refused_in_its_words(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        named(text)
    assert refused.value.message == message


def test_a_listener_with_a_service_that_is_none_does_not_start() -> None:
    with pytest.raises(ConfigError) as refused:
        World("smtpd_sender_restrictions = check_policy_service foo:bar")
    assert refused.value.parameter == "smtpd_sender_restrictions"
    with pytest.raises(ConfigError) as refused:
        World("smtpd_restriction_classes = asked\nasked = check_policy_service foo:bar")
    assert refused.value.parameter == "asked"


def test_it_is_known_whether_any_list_or_class_names_a_service() -> None:
    assert not World("").policy.asks_policy_services
    assert World("smtpd_data_restrictions = check_policy_service inet:9").policy.asks_policy_services
    assert World("smtpd_restriction_classes = asked\nasked = check_policy_service inet:9").policy.asks_policy_services


async def test_one_instance_for_one_transaction() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        world = World(f"smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{server.port}")
        facts = stranger()
        for recipient in ("alice@ours.example", "bob@ours.example"):
            assert await world.rcpt(facts, recipient) == "OK"
        instances = {line for request in server.requests for line in request.split("\n") if line.startswith("instance")}
        assert len(instances) == 1 and instances != {"instance="}
        assert facts.policy_leases is not None
        facts.policy_leases.end()


async def test_certificates_are_told_of() -> None:
    async with PolicyServer(["action=OK"]) as server:
        world = World(f"smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{server.port}")
        assert await world.rcpt(stranger(fingerprints=("AA:BB", "CC:DD")), ALICE) == "OK"
        request = normal_request(server.requests[0])
        assert "ccert_fingerprint=AA:BB ccert_pubkey_fingerprint=CC:DD " in request

from gatepost.config.declaration import Type
from gatepost.config.host_facts import FixedHost
from gatepost.config.parameters import (
    AREAS,
    PARAMETERS,
    TRANSPORT_SUFFIXES,
    find,
    service_parameters,
    transport_parameter,
)
from gatepost.config.settings import Settings
from gatepost.config.values import TIME_UNITS


def test_each_parameter_is_declared_once() -> None:
    assert len(PARAMETERS) == sum(len(area) for area in AREAS.values())


def test_declarations_make_sense() -> None:
    for parameter in PARAMETERS.values():
        assert parameter.since, parameter
        if parameter.type is Type.TIME and "$" not in parameter.default:
            assert parameter.default[-1] in TIME_UNITS, parameter
        if parameter.harmless is not None:
            # A default must never keep the service from starting.
            settings = Settings({}, FixedHost())
            assert settings.text(parameter.name).lower() in parameter.harmless, parameter


def test_each_default_is_a_value() -> None:
    settings = Settings({}, FixedHost())
    for name in PARAMETERS:
        settings.value(name)
    for suffix in TRANSPORT_SUFFIXES:
        settings.transport_value("relay", suffix)


def test_parameters_of_any_transport() -> None:
    slow = find("slow_destination_rate_delay")
    assert slow is not None
    assert (slow.type, slow.default) == (Type.TIME, "$default_destination_rate_delay")
    assert find("local_recipient_maps") is PARAMETERS["local_recipient_maps"]
    assert find("nosuch") is None
    assert find("_destination_rate_delay") is None
    assert transport_parameter("local", "destination_concurrency_limit").default == "2"
    assert transport_parameter("smtp", "destination_concurrency_limit").default != "2"


def test_services_bring_parameters() -> None:
    assert "uucp_time_limit" in {parameter.name for parameter in service_parameters("uucp", "pipe")}
    assert "relay_time_limit" not in {parameter.name for parameter in service_parameters("relay", "smtp")}
    assert not list(service_parameters("smtp", "smtpd"))

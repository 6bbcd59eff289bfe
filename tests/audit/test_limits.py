import pytest

from gatepost.audit.limits import limits
from gatepost.config.configuration import Configuration

MASTER_CF = "smtp unix - - n - - smtp\nslow unix - - n - 2 smtp\n"


def found(main_cf: str, transport: str = "smtp") -> dict[str, tuple[str, str, int]]:
    configuration = Configuration.parse(main_cf, MASTER_CF)
    services = {service.name: service for service in configuration.master}
    return {
        limit.what: (limit.value, limit.origin.parameter, limit.origin.line)
        for limit in limits(configuration.settings, services, transport)
    }


AT_ONCE = "deliveries at a time to one destination"
TO_BEGIN = "deliveries at a time to begin with"
PROCESSES = "deliveries at a time, all destinations together"


@pytest.mark.parametrize(
    ("main_cf", "what", "limit"),
    [
        ("", AT_ONCE, ("20", "default_destination_concurrency_limit", 0)),
        ("default_destination_concurrency_limit = 4\n", AT_ONCE, ("4", "default_destination_concurrency_limit", 1)),
        ("\nsmtp_destination_concurrency_limit = 4\n", AT_ONCE, ("4", "smtp_destination_concurrency_limit", 2)),
        ("smtp_destination_concurrency_limit = 0\n", AT_ONCE, ("none", "smtp_destination_concurrency_limit", 1)),
        ("smtp_destination_concurrency_limit = 4\n", TO_BEGIN, ("4", "smtp_destination_concurrency_limit", 1)),
        ("smtp_initial_destination_concurrency = 3\n", TO_BEGIN, ("3", "smtp_initial_destination_concurrency", 1)),
        ("initial_destination_concurrency = 3\n", TO_BEGIN, ("3", "initial_destination_concurrency", 1)),
        ("smtp_destination_rate_delay = 3s\n", AT_ONCE, ("1", "smtp_destination_rate_delay", 1)),
        ("default_process_limit = 3\n", PROCESSES, ("3", "default_process_limit", 1)),
        ("minimal_backoff_time = 1h\n", "a dead destination rests", ("3600s", "minimal_backoff_time", 1)),
        (
            "defer_transports = smtp\n",
            "mail of this transport waits until it is flushed",
            ("yes", "defer_transports", 1),
        ),
    ],
)
def test_each_limit_and_its_origin(main_cf: str, what: str, limit: tuple[str, str, int]) -> None:
    assert found(main_cf)[what] == limit


def test_a_process_limit_of_master_cf() -> None:
    assert found("", "slow")[PROCESSES] == ("2", "", 2)


def test_what_is_not_limited_is_left_out() -> None:
    none = "default_destination_recipient_limit = 0\ndefault_destination_concurrency_failed_cohort_limit = 0\n"
    listed = found(none)
    assert "recipients per delivery" not in listed and not [what for what in listed if what.startswith("pause ")]
    assert "failed pseudo-cohorts until a destination is dead" not in listed

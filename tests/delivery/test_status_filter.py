import pytest

from gatepost.delivery.status_filter import StatusFilter
from gatepost.mail.status import RecipientStatus
from tests.tables.surroundings import Surroundings


@pytest.mark.parametrize(
    ("action", "dsn", "value", "expected"),
    [
        ("sent", "2.0.0", "2.1.9 very well", ("sent", "2.1.9", "very well")),
        ("deferred", "4.2.1", "5.9.9 enough", ("bounced", "5.9.9", "enough")),
        ("bounced", "5.1.1", "4.9.8 perhaps", ("deferred", "4.9.8", "perhaps")),
        ("bounced", "5.1.1", "5.1.9", ("bounced", "5.1.9", "")),
    ],
)
def test_other_outcomes(action: str, dsn: str, value: str, expected: tuple[str, str, str]) -> None:
    warnings: list[str] = []
    maps = Surroundings().tables.maps("smtp_delivery_status_filter", f"static:{{{value}}}")
    status = RecipientStatus(0, action, dsn, "r", "text")  # type: ignore[arg-type]
    found = StatusFilter(maps, warnings.append).apply(status)
    assert (found.action, found.dsn, found.text) == expected
    assert not warnings


@pytest.mark.parametrize(
    ("action", "value"),
    [("sent", "4.0.0 no"), ("bounced", "2.0.0 yes"), ("deferred", "text only"), ("sent", "9.1.1 x")],
)
def test_failure_stays_failure(action: str, value: str) -> None:
    warnings: list[str] = []
    maps = Surroundings().tables.maps("smtp_delivery_status_filter", f"static:{{{value}}}")
    status = RecipientStatus(0, action, {"sent": "2.0.0"}.get(action, "4.0.0"), "r", "t")  # type: ignore[arg-type]
    assert StatusFilter(maps, warnings.append).apply(status) is status
    assert warnings == [f"smtp_delivery_status_filter: bad status code: {value}"]


def test_a_table_that_cannot_tell_changes_nothing() -> None:
    maps = Surroundings().tables.maps("smtp_delivery_status_filter", "fail:all")
    status = RecipientStatus(0, "sent", "2.0.0", "r", "t")
    assert StatusFilter(maps, print).apply(status) is status

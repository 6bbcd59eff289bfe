import asyncio
from typing import cast

import pytest

from gatepost.delivery.report import AttemptLog
from gatepost.delivery.status_filter import StatusFilter
from gatepost.mail.status import RecipientStatus
from gatepost.tables.maps import Hit, Maps
from tests.delivery.requests import NOW, request
from tests.rewrite.services import settings_for
from tests.tables.surroundings import Surroundings


@pytest.mark.parametrize(
    ("action", "dsn", "value", "expected"),
    [
        ("sent", "2.0.0", "2.1.9 very well", ("sent", "2.1.9", "very well")),
        ("deferred", "4.2.1", "5.9.9 enough", ("bounced", "5.9.9", "enough")),
        ("bounced", "5.1.1", "4.9.8 perhaps", ("deferred", "4.9.8", "perhaps")),
        ("bounced", "5.1.1", "5.1.9", ("bounced", "5.1.9", "text")),
    ],
)
def test_other_outcomes(action: str, dsn: str, value: str, expected: tuple[str, str, str]) -> None:
    warnings: list[str] = []
    maps = Surroundings().tables.maps("smtp_delivery_status_filter", f"static:{{{value}}}")
    status = RecipientStatus(0, action, dsn, "r", "text")  # type: ignore[arg-type]
    found = StatusFilter(maps, warnings.append).apply(status)
    assert found is not None
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


class Slow:
    """Maps that have to be waited for."""

    parameter = "smtp_delivery_status_filter"

    async def find(self, key: str) -> Hit | None:
        await asyncio.sleep(0)
        return Hit(f"5.9.9 not {key}", "slow:", key) if key.startswith("4.2.1") else None


async def test_a_table_that_has_to_be_waited_for() -> None:
    lines: list[str] = []
    found = StatusFilter(cast(Maps, Slow()), lines.append)
    attempt = AttemptLog(request("a@x.example", "b@x.example"), lines.append, lambda: NOW, settings_for(), found)
    attempt.status(RecipientStatus(0, "deferred", "4.2.1", "r", "later"))
    attempt.status(RecipientStatus(1, "sent", "2.0.0", "r", "ok"))
    assert not lines
    await attempt.settle()
    assert [(status.action, status.dsn) for status in attempt.statuses] == [("bounced", "5.9.9"), ("sent", "2.0.0")]
    assert "dsn=5.9.9, status=bounced (not 4.2.1 later)" in lines[0]
    assert len(lines) == 2

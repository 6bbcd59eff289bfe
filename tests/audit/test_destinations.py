from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.master.prove import Proof, prove

MASTER_CF = """\
127.0.0.1:2525 inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
error unix - - n - - error
"""


def proof(folder: Path, main_cf: str) -> Proof:
    (folder / "main.cf").write_text(f"compatibility_level = 3.6\nmail_owner = nobody\nalias_maps =\n{main_cf}")
    (folder / "master.cf").write_text(MASTER_CF)
    folder.chmod(0o755)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return prove(Configuration.read(str(folder)))


def test_bad_entries_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "retry").write_text(
        "# schedules\ngood.example 5m; expire 2d\nbad.example 5 minutes\nworse.example 5m; 2d\n"
    )
    found = proof(tmp_path, f"gatepost_retry_schedule_maps = texthash:{tmp_path}/retry\n")
    assert not found.errors
    bad, worse = found.faults
    where = f"{tmp_path}/retry, line 3: parameter gatepost_retry_schedule_maps: bad.example: "
    assert bad == f"{where}bad time value or unit: minutes"
    assert worse.startswith(f"{tmp_path}/retry, line 4: ") and 'expected "expire TIME"' in worse


@pytest.mark.parametrize("table", ["inline:{ { a.example = often } }", "static:often"])
def test_bad_values_in_main_cf(table: str, tmp_path: Path) -> None:
    found = proof(tmp_path, f"gatepost_destination_rates = {table}\n")
    assert len(found.faults) == 1
    assert found.faults[0].startswith(f"{tmp_path}/main.cf, line 4: parameter gatepost_destination_rates: ")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("gatepost_nexthop_rest_time = soon", "bad time value or unit: soon"),
        ("gatepost_retry_schedule_maps = nosuch:x", "unsupported dictionary type: nosuch"),
        ("gatepost_provider_maps = nosuch:x", "unsupported dictionary type: nosuch"),
    ],
)
def test_errors(line: str, told: str, tmp_path: Path) -> None:
    found = proof(tmp_path, line + "\n")
    assert found.errors == [f"{tmp_path}/main.cf, line 4: parameter {line.partition(' ')[0]}: {told}"]


def test_a_transport_that_is_none(tmp_path: Path) -> None:
    found = proof(tmp_path, "gatepost_provider_limit_transports = smtp local nosuch\n")
    told = [text for text in found.remarks if "gatepost_provider_limit_transports" in text]
    assert [text.partition("no transport ")[2].split()[0] for text in told] == ["local", "nosuch"]
    assert all(text.startswith(f"{tmp_path}/main.cf, line 4: ") for text in told)

"""Logins of the SMTP client, from the configuration."""

from pathlib import Path

import pytest

from gatepost.master.smtp_sasl import readable_passwords
from tests.rewrite.services import settings_for
from tests.tables.surroundings import Surroundings


@pytest.mark.parametrize(
    ("kind", "modes", "told"),
    [
        ("texthash", {"": 0o644}, [""]),
        ("texthash", {"": 0o640}, []),
        ("hash", {"": 0o600, ".db": 0o644}, [".db"]),
        ("proxy:lmdb", {"": 0o644, ".lmdb": 0o644}, ["", ".lmdb"]),
        ("hash", {}, []),
        ("static", {}, []),
    ],
)
def test_passwords_that_everybody_may_read(kind: str, modes: dict[str, int], told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    for suffix, mode in modes.items():
        file = Path(f"{path}{suffix}")
        file.touch()
        file.chmod(mode)
    settings = settings_for(f"smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = {kind}:{path}\n")
    found = readable_passwords(settings, Surroundings().tables, "smtp")
    expected = [f"everybody on this host may read the passwords in {path}{suffix}" for suffix in told]
    assert [error.message for error in found] == expected
    assert {error.parameter for error in found} <= {"smtp_sasl_password_maps"}
    assert not readable_passwords(settings, Surroundings().tables, "lmtp")

from pathlib import Path

import pytest

from gatepost.tables import mysql_options
from gatepost.tables.environment import read_file
from gatepost.tables.mysql_options import default_options, read_options


def test_groups_quotes_and_noise(tmp_path: Path) -> None:
    path = tmp_path / "my.cnf"
    path.write_bytes(
        b"user = before any group\n[client]\n# comment\n; comment\nuser = one\npassword='a b'\nskip-name\n"
        b'loose-ssl_ca=/ca\nnonsense=1\nbad=\xff\n[mysqld]\nport=1\n[mail]\nuser="two"\n[client]\nport=3307\n'
    )
    assert read_options(str(path), "client", read_file) == {
        "user": "one",
        "password": "a b",
        "ssl-ca": "/ca",
        "port": "3307",
    }
    assert read_options(str(path), "mail", read_file)["user"] == "two"


def test_includes(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/b.cnf").write_text("[client]\nuser=b\n")
    (tmp_path / "more/a.cnf").write_text("[client]\nuser=a\nport=1\n")
    (tmp_path / "more/c.txt").write_text("[client]\nuser=c\n")
    path = tmp_path / "my.cnf"
    path.write_text(
        f"[client]\n!includedir {tmp_path}/more\n!include {path}\n!include /nowhere\n!includedir /nowhere\n"
    )
    assert read_options(str(path), "", read_file) == {"user": "b", "port": "1"}


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        read_options(str(tmp_path / "nothing"), "client", read_file)
    (tmp_path / "my.cnf").write_text("[client]\nuser=default\n")
    monkeypatch.setattr(mysql_options, "DEFAULT_FILES", (str(tmp_path / "nothing"), str(tmp_path / "my.cnf")))
    assert default_options("client", read_file) == {"user": "default"}

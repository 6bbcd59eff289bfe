"""Which files a table of server names has as values. As root; skipped otherwise."""

import os
import pwd
from pathlib import Path

import pytest

from gatepost.master.server_names import ServerNames, digest_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="must be root: opens what only root may")


def test_files_that_are_named_by_their_digests(tmp_path: Path) -> None:
    names = ServerNames(pwd.getpwnam("nobody"))
    table = tmp_path / "names"
    table.write_text("a.example /etc/a.pem, /etc/b.pem relative.pem\nb.example TUlJ\n# /etc/c.pem\n")
    found = {
        path: names.path(str(table), digest_of(path))
        for path in ("/etc/a.pem", "/etc/b.pem", "relative.pem", "TUlJ", "/etc/c.pem", "")
    }
    assert [path for path, named in found.items() if named == path] == ["/etc/a.pem", "/etc/b.pem"]
    assert [named for named in found.values() if named is not None] == ["/etc/a.pem", "/etc/b.pem"]


def test_a_table_that_changes_or_goes(tmp_path: Path) -> None:
    names = ServerNames(pwd.getpwnam("nobody"))
    table = tmp_path / "names"
    table.write_text("a.example /etc/a.pem\n")
    assert names.path(str(table), digest_of("/etc/a.pem")) == "/etc/a.pem"
    table.write_text("a.example /etc/another.pem\n")
    assert names.path(str(table), digest_of("/etc/a.pem")) is None
    table.unlink()
    with pytest.raises(FileNotFoundError):
        names.path(str(table), digest_of("/etc/another.pem"))

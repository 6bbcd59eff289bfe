"""gatepost user: the table it writes, and what it refuses."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gatepost.sasl.passwords import is_right
from gatepost.sasl.user_file import UserFile, UserFileError
from gatepost.sasl.verifier import verifiers

REPOSITORY = Path(__file__).resolve().parents[2]


class Users:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "users"
        (folder / "main.cf").write_text(f"compatibility_level = 3.6\ngatepost_sasl_users = texthash:{self.path}\n")
        (folder / "master.cf").write_text("")

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gatepost.cli.program", "-c", str(self.folder), "user", *arguments]
        return subprocess.run(
            command, cwd=REPOSITORY, input=given, capture_output=True, text=True, timeout=60, check=False
        )

    def verifiers(self, name: str) -> str:
        lines = [line for line in self.path.read_text().splitlines() if line.startswith(f"{name} ")]
        return lines[0].partition(" ")[2]


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path)


def test_a_user_comes_changes_and_goes(users: Users) -> None:
    assert users.run("add", "--stdin", "joe@x.example", given="secret\n").returncode == 0
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert "secret" not in users.path.read_text()
    first = verifiers(users.verifiers("joe@x.example"))
    assert [one.kind for one in first] == ["argon2", "scram"]
    assert all(is_right("secret", one) and not is_right("Secret", one) for one in first)
    users.path.chmod(0o640)
    users.path.write_text("# staff\n" + users.path.read_text())
    assert users.run("add", "--stdin", "ann", given="other\n").returncode == 0
    assert users.run("passwd", "--stdin", "joe@x.example", given="new word\n").returncode == 0
    assert all(is_right("new word", one) for one in verifiers(users.verifiers("joe@x.example")))
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o640
    assert users.run("list").stdout == "joe@x.example\nann\n"
    assert users.run("remove", "joe@x.example").returncode == 0
    assert users.run("list").stdout == "ann\n"
    assert users.path.read_text().startswith("# staff\n")


def test_what_is_refused(users: Users) -> None:
    assert users.run("passwd", "--stdin", "joe", given="x\n").stderr == "gatepost user: fatal: there is no user joe\n"
    users.run("add", "--stdin", "joe", given="secret\n")
    before = users.path.read_text()
    assert "already" in users.run("add", "--stdin", "JOE", given="x\n").stderr
    for name, given in (("ann", ""), ("ann", "\n"), ("ann", "a\tb\n"), ("a b", "x\n"), ("#ann", "x\n")):
        done = users.run("add", "--stdin", name, given=given)
        assert done.returncode == 1 and "Traceback" not in done.stderr
    assert users.run("add").returncode == 64
    assert users.run("list", "joe").returncode == 64
    assert users.path.read_text() == before


def test_without_a_table_of_users(users: Users) -> None:
    (users.folder / "main.cf").write_text("gatepost_sasl_users = mysql:/etc/users.cf\n")
    assert "not a file that this command writes" in users.run("list").stderr
    (users.folder / "main.cf").write_text("")
    assert "no table is named" in users.run("list").stderr


def test_lines_that_go_on_are_left_to_people(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("joe {PLAIN}x\n  y\n")
    with pytest.raises(UserFileError):
        UserFile(str(tmp_path / "users")).read()

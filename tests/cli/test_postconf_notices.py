"""postconf -b and -t beside those of a real Postfix."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from gatepost.cli.postconf import main
from tests.bounce.template_files import FILES


def ask_ours(arguments: list[str]) -> tuple[int, str, list[str]]:
    out, err = io.StringIO(), io.StringIO()
    status = main(arguments, config_directory="/etc/postfix", out=out, err=err)
    return status, out.getvalue(), err.getvalue().replace("postconf: ", "").splitlines()


def ask_real(command: str, arguments: list[str]) -> tuple[int, str, list[str]]:
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=30, check=False)
    return (
        done.returncode,
        done.stdout,
        done.stderr.replace("postfix/bounce: ", "").replace("postconf: ", "").splitlines(),
    )


@pytest.fixture
def real() -> str:
    command = shutil.which("postconf", path="/usr/sbin:/usr/bin")
    if command is None or not Path("/usr/lib/postfix/sbin/bounce").exists():
        pytest.skip("Postfix is not installed")
    return command


@pytest.fixture
def directory(tmp_path: Path) -> str:
    (tmp_path / "main.cf").write_text(
        "compatibility_level = 3.6\nmyhostname = mail.ours.example\nmaximal_queue_lifetime = 12h\n"
        "delay_warning_time = 90m\nmaillog_file = /dev/stdout\n"
    )
    (tmp_path / "master.cf").write_text("")
    return str(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_templates_are_shown_as_by_postfix(real: str, directory: str, name: str) -> None:
    file = Path(directory, name)
    file.write_text(FILES[name])
    for option in ("-b", "-t") if name in ("two", "twice", "charset") else ("-b",):
        arguments = ["-c", directory, option, str(file)]
        ours, theirs = ask_ours(arguments), ask_real(real, arguments)
        assert ours[:2] == theirs[:2]
        assert sorted(ours[2]) == sorted(theirs[2])  # we read all templates before we show the first


@pytest.mark.parametrize("words", ["-b", "-t", "-b -t", "-b x y", "-b -n", "-t -o a=b", "-b /nonexistent"])
def test_command_lines(real: str, directory: str, words: str) -> None:
    arguments = ["-c", directory, *words.split()]
    ours, theirs = ask_ours(arguments), ask_real(real, arguments)
    assert ours[:2] == theirs[:2]
    assert len(ours[2]) == len(theirs[2])

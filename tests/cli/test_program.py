import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gatepost.cli.program import COMMANDS, LINKS, command_of, default_directory, run
from tests.cli.stopped_queue import StoppedQueue

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def no_mail_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_CONFIG", raising=False)


@pytest.mark.parametrize(
    ("program", "arguments", "found"),
    [
        ("gatepost", ["-c", "/d", "start", "--foreground"], ("start", ["--foreground"], "/d")),
        ("gatepost", ["start", "-c", "/d", "--foreground"], ("start", ["--foreground"], "/d")),
        ("gatepost", ["start", "-c/d"], ("start", [], "/d")),
        ("/usr/bin/mailq", ["-c", "/d"], ("mailq", [], "/d")),
        ("postsuper", ["-d", "ALL", "-c", "/d", "hold"], ("postsuper", ["-d", "ALL", "hold"], "/d")),
        ("postconf", ["-n"], ("postconf", ["-n"], "")),
        ("check", ["status"], ("status", [], "")),
        ("gatepost", ["postcat", "-q", "--", "-c"], ("postcat", ["-q", "--", "-c"], "")),
        ("gatepost", [], ("", [], "")),
    ],
)
def test_subcommand_arguments_and_directory(
    program: str, arguments: list[str], found: tuple[str, list[str], str]
) -> None:
    command, rest, directory = found
    assert command_of(program, arguments) == (command, rest, directory or default_directory())


def test_the_environment_names_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_CONFIG", "/from/environment")
    assert command_of("gatepost", ["status"])[2] == "/from/environment"
    assert command_of("gatepost", ["-c", "/d", "status"])[2] == "/d"


def test_a_relative_directory_is_made_absolute() -> None:
    assert command_of("gatepost", ["-c", "d", "status"])[2] == str(Path.cwd() / "d")


@pytest.mark.parametrize("arguments", [["nosuch"], ["-c"], []])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("gatepost", arguments) == 64
    assert capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("gatepost", ["help"]) == 0
    text = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in text] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_there_and_tells_about_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, function = COMMANDS[command]
    assert callable(getattr(import_module(module), function))
    try:
        status = run("gatepost", [command, "--help"])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 0
    text = capsys.readouterr().out
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"):
        assert f"{section}\n" in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    directory = next(at for at, line in enumerate(lines) if line.startswith("    -c DIR"))
    if (column := lines[directory + 1].find("/etc/postfix)")) >= 0:
        assert column == lines[directory].index("where")  # what goes on stands below what has begun


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_the_documentation(command: str) -> None:
    headings = [line for line in (DOCS / "commands.md").read_text().splitlines() if line.startswith("#")]
    assert any(f"`{command}`" in line or f"`gatepost {command}`" in line for line in headings)


def test_linked_names_are_commands() -> None:
    assert set(COMMANDS) >= LINKS


def test_as_a_program_under_another_name(stopped: StoppedQueue, tmp_path: Path) -> None:
    link = tmp_path / "mailq"
    link.write_text(f"#!{sys.executable}\nfrom gatepost.cli.program import main\nmain()\n")
    link.chmod(0o755)
    environment = {**os.environ, "MAIL_CONFIG": str(stopped.config), "PYTHONPATH": str(DOCS.parent), "LC_ALL": "C"}
    done = subprocess.run([link], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Mail queue is empty\n")


def test_postconf_is_a_subcommand(stopped: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run("postconf", "-h", "maillog_file") == 0
    assert capsys.readouterr().out == f"{stopped.log}\n"

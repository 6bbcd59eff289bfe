import json
from pathlib import Path

import pytest

from gatepost.audit.lint.run import checks
from gatepost.cli.program import run
from tests.audit.lint.configurations import MASTER_CF

Captured = pytest.CaptureFixture[str]
CLEAN = "compatibility_level = 3.6\nmyhostname = mail.example.com\nmynetworks = 127.0.0.0/8\nalias_maps =\n"


def lint(folder: Path, main_cf: str, *arguments: str) -> int:
    (folder / "main.cf").write_text(main_cf)
    (folder / "master.cf").write_text(MASTER_CF)
    return run("gatepost", ["-c", str(folder), "lint", *arguments])


def test_nothing_to_say(tmp_path: Path, capsys: Captured) -> None:
    assert lint(tmp_path, CLEAN) == 0
    assert capsys.readouterr().out == f"{len(checks())} checks, nothing found.\n"


def test_findings(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"{CLEAN}relayhost = [smtp.example.net]:465\nmydestinations = example.com\nold_thing = 1\n"
    assert lint(tmp_path, text) == 2
    assert capsys.readouterr().out == """\
main.cf:5: error [client-wrappermode-missing]
  relayhost: [smtp.example.net]:465: server and client wait for each other
  -> smtp_tls_wrappermode = yes

main.cf:6: warning [parameter-misspelt]
  mydestinations: there is no parameter mydestinations, and nothing uses it
  -> did you mean mydestination?

main.cf:7: note [parameter-unused]
  old_thing: nothing uses old_thing
  -> take it out

1 error, 1 warning, 1 note. `gatepost lint --explain NAME` tells more of each.
"""


def test_exit_status(tmp_path: Path, capsys: Captured) -> None:
    assert lint(tmp_path, f"{CLEAN}old_thing = 1\n") == 0
    assert lint(tmp_path, f"{CLEAN}mydestinations = example.com\n") == 1
    assert lint(tmp_path, f"{CLEAN}mydestinations = example.com\nsmtpd_timeout = soon\n") == 2
    capsys.readouterr()


def test_a_check_is_disabled(tmp_path: Path, capsys: Captured) -> None:
    text = f"{CLEAN}mydestinations = example.com\nold_thing = 1\n"
    assert lint(tmp_path, text, "--disable", "parameter-misspelt", "--disable", "parameter-unused") == 0
    assert lint(tmp_path, text, "--disable", "parameter-misspelt,parameter-unused") == 0
    assert capsys.readouterr().out.count("nothing found") == 2


def test_json(tmp_path: Path, capsys: Captured) -> None:
    assert lint(tmp_path, f"{CLEAN}mydestinations = example.com\n", "--json") == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "check": "parameter-misspelt",
            "severity": "warning",
            "path": f"{tmp_path}/main.cf",
            "line": 5,
            "parameter": "mydestinations",
            "message": "there is no parameter mydestinations, and nothing uses it",
            "remedy": "did you mean mydestination?",
        }
    ]
    assert lint(tmp_path, CLEAN, "--json") == 0
    assert capsys.readouterr().out == "[]\n"


def test_list_and_explain(tmp_path: Path, capsys: Captured) -> None:
    assert run("gatepost", ["lint", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(checks())
    assert all(len(line) <= 80 for line in lines)
    for name in checks():
        assert run("gatepost", ["lint", "--explain", name]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"{name} (")
        assert all(len(line) <= 80 for line in text.splitlines()[1:])


def test_wrong_command_lines_and_configurations(tmp_path: Path, capsys: Captured) -> None:
    assert run("gatepost", ["-c", str(tmp_path), "lint"]) == 2
    assert lint(tmp_path, CLEAN, "--disable", "nonsense") == 64
    assert lint(tmp_path, CLEAN, "--explain", "nonsense") == 64
    assert lint(tmp_path, CLEAN, "--nonsense") == 64
    assert lint(tmp_path, "nonsense\n") == 2
    err = capsys.readouterr().err
    assert "main.cf: No such file or directory" in err
    assert "there is no check nonsense" in err

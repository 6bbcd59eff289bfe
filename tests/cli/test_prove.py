"""gatepost prove, as an operator calls it."""

import json
from pathlib import Path

import pytest

from gatepost.cli.program import run

MAIN = """\
compatibility_level = 3.6
myhostname = mx.ours.example
mydestination = ours.example
inet_interfaces = all
mail_owner = nobody
mynetworks = 127.0.0.0/8, !192.168.87.1, 192.168.87.0/24
"""


def prove(folder: Path, capsys: pytest.CaptureFixture[str], *options: str, main: str = "", master: str = "") -> str:
    (folder / "main.cf").write_text(MAIN + main)
    (folder / "master.cf").write_text(master or "smtp inet n - n - - smtpd\n")
    status = run("gatepost", ["prove", "-c", str(folder), *options])
    return f"{capsys.readouterr().out}status {status}"


def test_proved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = prove(tmp_path, capsys)
    assert "PROVED: no stranger can relay." in said
    assert "192.168.87.0/24 without 192.168.87.1: 255 addresses" in said
    assert said.endswith("status 0")
    assert max(map(len, said.splitlines()[1:])) <= 80


def test_refuted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = "smtpd_relay_restrictions = check_sender_access inline:{a.example=OK}, reject_unauth_destination\n"
    said = prove(tmp_path, capsys, main=lists)
    assert "REFUTED" in said
    assert "MAIL FROM  <someone@a.example>" in said
    assert f"smtpd_relay_restrictions ({tmp_path}/main.cf, line 7)" in said
    assert said.endswith("status 1")


def test_depends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = "smtpd_relay_restrictions = check_policy_service inet:127.0.0.1:9, reject_unauth_destination\n"
    said = prove(tmp_path, capsys, main=lists)
    assert "whether the policy service inet:127.0.0.1:9 answers OK" in said
    assert said.endswith("status 3")


def test_the_gravest_result_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    master = "smtp inet n - n - - smtpd\n2525 inet n - n - - smtpd -o mynetworks=0.0.0.0/0\n"
    said = prove(tmp_path, capsys, master=master)
    assert said.index("PROVED") < said.index("REFUTED")
    assert said.endswith("status 1")


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = prove(tmp_path, capsys, "--json", main="mynetworks = 0.0.0.0/0\n")
    report = json.loads(said.splitlines()[0])
    assert report["outcome"] == "refuted"
    assert report["example"]["recipient"] == "somebody@elsewhere.invalid"
    assert report["by"][0]["restriction"] == "permit_mynetworks"


def test_an_error_in_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove(tmp_path, capsys, main="smtpd_timeout = never\n").endswith("status 2")


def test_no_listener(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove(tmp_path, capsys, master="smtp unix - - n - - smtp\n").endswith("status 0")

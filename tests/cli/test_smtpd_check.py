"""gatepost smtpd-check: Postfix's own scripts line for line, and the command itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tables.surroundings import conformance

PROGRAM = [sys.executable, "-m", "gatepost.cli.program"]
SCRIPTS = ["smtpd_acl", "smtpd_actions", "smtpd_addr_valid", "smtpd_check_dsn", "smtpd_exp", "smtpd_server"]
LIMIT = 60.0
"""Seconds for one run."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_difference_to_postfix(name: str) -> None:
    script = conformance(f"smtpd_check/{name}.in")
    done = subprocess.run(
        [sys.executable, str(conformance("compare")), str(script)],
        env={**os.environ, "GATEPOST": " ".join(PROGRAM)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " 0 failed" in done.stdout


def smtpd_check(script: str | bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    given = script.encode() if isinstance(script, str) else script
    return subprocess.run(
        [*PROGRAM, "smtpd-check", *options], input=given, capture_output=True, timeout=LIMIT, check=False
    )


def test_echo_log_and_reply(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text("mail.example A 192.0.2.1\n")
    (tmp_path / "access").write_text("bad.example reject go away\n")
    script = "# a comment\n\nsender_restrictions hash:./access,reject_unknown_sender_domain\nmail <a@bad.example>\n"
    script += "mail a@mail.example\nmail a@gone.example"  # the last line may lack its end
    done = smtpd_check(script, "--zone", str(tmp_path / "zone"), "--directory", str(tmp_path))
    log = "smtpd: <queue id>: reject: MAIL from localhost[127.0.0.1]: "
    refused = "554 5.7.1 <a@bad.example>: Sender address rejected: go away"
    unknown = "450 4.1.8 <a@gone.example>: Sender address rejected: Domain not found"
    assert done.stdout.decode().splitlines() == [
        ">>> # a comment",
        ">>> ",
        ">>> sender_restrictions hash:./access,reject_unknown_sender_domain",
        "OK",
        ">>> mail <a@bad.example>",
        f"{log}{refused}; from=<a@bad.example> proto=SMTP",
        refused,
        ">>> mail a@mail.example",
        "OK",
        ">>> mail a@gone.example",
        f"{log}{unknown}; from=<a@gone.example> proto=SMTP",
        unknown,
    ]
    assert (done.returncode, done.stderr) == (0, b"")


def test_any_octets_are_echoed() -> None:
    done = smtpd_check(b"helo \xff\xfe\r\nhelo\n")
    assert done.stdout == b">>> helo \xff\xfe\r\nOK\n>>> helo\nbad command\n"


def test_a_zone_that_cannot_be_read(tmp_path: Path) -> None:
    done = smtpd_check("", "--zone", str(tmp_path / "none"))
    assert done.returncode == 1
    assert b"none: " in done.stderr
    (tmp_path / "bad").write_text("one.word\n")
    assert b"line 1" in smtpd_check("", "--zone", str(tmp_path / "bad")).stderr


def test_wrong_command_line() -> None:
    assert smtpd_check("", "--zones", "x").returncode == 64

"""postconf -b and -t beside those of a real Postfix."""

import io
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatepost.cli.postconf import main
from tests.bounce.template_files import FILES

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
maximal_queue_lifetime = 12h
delay_warning_time = 90m
maillog_file = /dev/stdout
"""
COMMANDS = ["-b", "-t", "-b -t", "-b x y", "-b -n", "-t -o a=b", "-b /nonexistent"]


def ask_ours(arguments: list[str]) -> tuple[int, str, list[str]]:
    out, err = io.StringIO(), io.StringIO()
    status = main(arguments, config_directory="/etc/postfix", out=out, err=err)
    return status, out.getvalue(), err.getvalue().replace("postconf: ", "").splitlines()


def ask_real(arguments: list[str]) -> tuple[int, str, list[str]]:
    done = subprocess.run(
        ["postconf", *arguments],
        executable="/usr/sbin/postconf",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    errors = done.stderr.replace("postfix/bounce: ", "").replace("postconf: ", "")
    return done.returncode, done.stdout, errors.splitlines()


def test_templates_are_shown_as_by_postfix(tmp_path: Path) -> None:
    if shutil.which("/usr/sbin/postconf") is None:
        assert os.environ.get("CI") != "true", "Postfix's postconf is not installed"
        pytest.skip("Postfix's postconf is not installed: not compared")
    (tmp_path / "main.cf").write_text(MAIN_CF)
    (tmp_path / "master.cf").write_text("")
    asked = [["-c", str(tmp_path), *words.split()] for words in COMMANDS]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        asked += [["-c", str(tmp_path), option, str(tmp_path / name)] for option in ("-b", "-t")]
    with ThreadPoolExecutor(16) as pool:  # Postfix's command sleeps for a second here and there
        theirs = list(pool.map(ask_real, asked))
    for arguments, expected in zip(asked, theirs, strict=True):
        found = ask_ours(arguments)
        assert found[:2] == expected[:2], arguments
        if "/nonexistent" not in arguments:
            # We read all templates before we show the first.
            assert sorted(found[2]) == sorted(expected[2]), arguments

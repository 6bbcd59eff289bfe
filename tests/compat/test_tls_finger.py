"""gatepost tls-finger tells what posttls-finger(1) tells of the same servers."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.cli.program import run
from tests.compat.tls_sink import Certificates, TlsSink

# Certificate, what the server says otherwise, options.
ASKED: list[tuple[str, dict[str, str], list[str]]] = [
    ("right", {}, ["[localhost]:PORT"]),
    ("right", {}, ["-c", "-F", "{ca}", "[localhost]:PORT"]),
    ("wrong", {}, ["-c", "-F", "{ca}", "[localhost]:PORT"]),
    ("untrusted", {}, ["-c", "-F", "{ca}", "[localhost]:PORT"]),
    ("expired", {}, ["-c", "-l", "verify", "-F", "{ca}", "[localhost]:PORT"]),
    ("right", {}, ["-c", "-l", "verify", "-F", "{ca}", "[localhost]:PORT", "foo.example"]),
    ("wrong", {}, ["-c", "-l", "verify", "-F", "{ca}", "[localhost]:PORT", "foo.example", "wrong.example"]),
    ("right", {}, ["-c", "-C", "-l", "encrypt", "-L", "none", "[localhost]:PORT"]),
    ("right", {}, ["-c", "-l", "may", "-L", "summary", "-d", "sha1", "[localhost]:PORT"]),
    ("anonymous", {}, ["-c", "-l", "encrypt", "[localhost]:PORT"]),
    ("right", {}, ["-c", "-l", "fingerprint", "[localhost]:PORT", "00:11"]),
    ("right", {}, ["-c", "-l", "none", "[localhost]:PORT"]),
    ("right", {"EHLO": "250 hi"}, ["-l", "encrypt", "[localhost]:PORT"]),
    ("right", {"STARTTLS": "454 no"}, ["-l", "encrypt", "[localhost]:PORT"]),
    ("right", {"HANDSHAKE": ""}, ["-l", "encrypt", "[localhost]:PORT"]),
    ("right", {"CONNECT": "554 no"}, ["-l", "encrypt", "[localhost]:PORT"]),
    ("wrapped right", {}, ["-w", "-c", "-l", "encrypt", "[localhost]:PORT"]),
    ("right", {}, ["-c", "-p", "TLSv1.2", "-g", "high", "-l", "encrypt", "[localhost]:PORT"]),
    ("right", {}, ["-c", "-p", "TLSv9", "-l", "encrypt", "[localhost]:PORT"]),
    ("right", {}, ["-S", "-l", "encrypt", "inet:localhost:PORT"]),
    ("right", {}, ["-c", "-l", "encrypt", "[localhost]:1"]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("finger")
    (folder / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = me.example\ninet_protocols = ipv4\n")
    Certificates(folder / "certificates")
    yield folder


@pytest.mark.skipif(shutil.which("posttls-finger") is None, reason="posttls-finger is not installed")
@pytest.mark.parametrize(("certificate", "said", "options"), ASKED)
def test_as_posttls_finger(
    certificate: str, said: dict[str, str], options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates = Certificates.__new__(Certificates)
    certificates.folder = folder / "certificates"
    context = certificates.context(certificate.removeprefix("wrapped "))
    sink = TlsSink(said, context, wrapper=certificate.startswith("wrapped "), lmtp="-S" in options)
    ca = str(certificates.path("ca"))
    given = ["-h", "native", *(option.format(ca=ca).replace("PORT", str(sink.port)) for option in options)]
    theirs = subprocess.run(
        ["posttls-finger", *given], capture_output=True, text=True, timeout=30, check=False,
        env={"MAIL_CONFIG": str(folder), "PATH": os.environ.get("PATH", "") + ":/usr/sbin"},
    )  # fmt: skip
    run("gatepost", ["-c", str(folder), "tls-finger", *("-q" if option == "-c" else option for option in given)])
    sink.stop()
    assert _lines(capsys.readouterr().out) == _lines(theirs.stdout + theirs.stderr)


def _lines(text: str) -> list[str]:
    lines = [line.removeprefix("posttls-finger: ").removeprefix("tls-finger: ") for line in text.splitlines()]
    # Where OpenSSL complains Postfix names the line of its source.
    return [re.sub(r"(TLS library problem: \S+ \w+::[^:]*):.*", r"\1", line) for line in lines if line]


@pytest.mark.parametrize(
    ("certificate", "options", "status"),
    [
        ("right", ["-F", "CA", "[localhost]:PORT"], 0),
        ("right", ["-A", "CA", "[localhost]:PORT"], 0),
        ("untrusted", ["-A", "CA", "[localhost]:PORT"], 1),
        ("wrong", ["-F", "CA", "[localhost]:PORT"], 1),
        ("right", ["[localhost]:PORT"], 1),
        ("right", ["-l", "encrypt", "[localhost]:PORT"], 0),
        ("right", ["-l", "encrypt", "[localhost]:1"], 1),
        ("right", ["-l", "half-dane", "[localhost]:PORT"], 64),
        ("right", ["-l", "dane", "[localhost]:PORT"], 0),  # which is `may`, without DNSSEC
        ("right", ["-l", "dane-only", "[localhost]:PORT"], 1),
        ("right", ["-o", "x", "[localhost]:PORT"], 64),
        ("right", ["-l", "fingerprint", "[localhost]:PORT"], 1),
        ("right", ["-k", "/nonexistent", "[localhost]:PORT"], 1),
    ],
)
def test_exit_status(certificate: str, options: list[str], status: int, folder: Path) -> None:
    certificates = Certificates.__new__(Certificates)
    certificates.folder = folder / "certificates"
    sink = TlsSink({}, certificates.context(certificate))
    given = [option.replace("PORT", str(sink.port)).replace("CA", str(certificates.path("ca"))) for option in options]
    assert run("gatepost", ["-c", str(folder), "tls-finger", "-h", "native", *given]) == status
    sink.stop()


def test_a_session_is_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificates = Certificates.__new__(Certificates)
    certificates.folder = folder / "certificates"
    sink = TlsSink({}, certificates.context("right"))
    options = ["-h", "native", "-q", "-r", "1", "-l", "encrypt", f"[localhost]:{sink.port}"]
    assert run("gatepost", ["-c", str(folder), "tls-finger", *options]) == 0
    sink.stop()
    assert [resumed for *_, resumed in sink.seen] == [False, True]
    assert "Found a previously used server.  Done reconnecting." in capsys.readouterr().out

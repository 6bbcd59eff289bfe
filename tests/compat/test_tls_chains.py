"""What a real Postfix says of certificate files and TLS values, right and wrong, and what our contexts say of them."""

import re
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gatepost.tls.context import server_context
from gatepost.tls.values import BadTlsValue, Chain, LibraryValues, ServerValues
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.tls.handshakes import certificates_of, key_of, leaf

_BASE = {"smtpd_tls_security_level": "may", "compatibility_level": "3.6", "smtpd_peername_lookup": "no"}

_PROBLEM = "TLS library problem: "


def _parts() -> dict[str, bytes]:
    return {
        "rk": key_of(leaf("rsa")),
        "rc": certificates_of(leaf("rsa")),
        "oc": certificates_of(leaf("rsa", "other.example")),
        "ek": key_of(leaf("ec")),
        "ec": certificates_of(leaf("ec")),
        "bad": certificates_of(leaf("rsa")).replace(b"\nMII", b"\nMIJ", 1),
        "par": b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
        "junk": b"hello\n",
        "none": b"",
    }


CHAINS = (
    "rk rc", "rc rk", "rk ec", "rk", "rk ek ec", "rk rc ek rc", "rk rc ek ec", "none", "junk", "rk bad", "rk rc bad",
    "par ek par ec", "rk rc rk", "rk oc", "ek rc",
)  # fmt: skip
MIXED = ("rc rk", "rk rc", "rc rk ec ek", "rk ek rc", "rc", "rk", "ec rk", "junk", "rc rk ek")
PAIRS = (("rc", "rk"), ("rc", "ek"), ("oc", "rk"), ("rc", "junk"), ("junk", "rk"), ("bad", "rk"))
VALUES: tuple[Mapping[str, str], ...] = (
    {"protocols": "!SSLv2, FOO"},
    {"protocols": ">=SSLv2"},
    {"protocols": ">="},
    {"protocols": ">=9999"},
    {"protocols": "TLSv1.2"},
    {"ciphers": "foo"},
    {"exclude_ciphers": "-AES"},
    {"exclude_ciphers": "ALL", "protocols": "<=TLSv1.2"},
    {"CAfile": "/nowhere"},
    {"CAfile": "/dev/null", "CApath": "/tmp"},
    {"tls_eecdh_auto_curves": "X25519 FOO"},
    {"tls_ssl_options": "FOO, NO_TICKET"},
    {"tls_ssl_options": "0xzz"},
    {"tls_disable_workarounds": "TLSEXT_PADDING BAR"},
    {"tls_session_ticket_cipher": "aes-256-gcm"},
    {"tls_session_ticket_cipher": "foo"},
    {"tls_medium_cipherlist": "FOO:BAR"},
)


def _ours(make: Callable[[Callable[[str], None]], object]) -> list[str]:
    told: list[str] = []
    try:
        make(told.append)
    except BadTlsValue as bad:
        told += bad.lines
    return _comparable(told)


def _comparable(lines: list[str]) -> list[str]:
    """Without OpenSSL's words, of which Postfix has several lines, and what comes twice."""
    found: list[str] = []
    for line in lines:
        line = line.removeprefix("warning: ").removeprefix("localhost[127.0.0.1]: ")
        line = re.sub(r"^unknown\[127\.0\.0\.1\]: ", "", line)
        if not line.startswith(_PROBLEM) and line not in found:
            found.append(line)
    return found


class _Case:
    """A listener's parameters, and the same for us."""

    def __init__(self, overrides: Mapping[str, str], make: Callable[[Callable[[str], None]], object]) -> None:
        self.overrides = overrides
        self.make = make


def _cases(folder: Path) -> dict[str, _Case]:
    parts = _parts()
    cases: dict[str, _Case] = {}

    def file(name: str, content: str) -> tuple[str, bytes]:
        path = folder / f"{name}.pem"
        path.write_bytes(b"".join(parts[each] for each in content.split()))
        return str(path), path.read_bytes()

    def context(*chains: Chain) -> Callable[[Callable[[str], None]], object]:
        return lambda warn: server_context(ServerValues(chains=chains), warn)

    for at, content in enumerate(CHAINS):
        path, octets = file(f"chain{at}", content)
        chain = Chain(name=path, certificates=octets)
        cases[f"chain{at}"] = _Case({"smtpd_tls_chain_files": path}, context(chain))
    for at, content in enumerate(MIXED):
        path, octets = file(f"mixed{at}", content)
        chain = Chain(name=path, certificates=octets, key_name=path, key=octets)
        cases[f"mixed{at}"] = _Case({"smtpd_tls_cert_file": path}, context(chain))
    for at, (certificate, key) in enumerate(PAIRS):
        path, octets = file(f"pair{at}c", certificate)
        key_path, key_octets = file(f"pair{at}k", key)
        chain = Chain(name=path, certificates=octets, key_name=key_path, key=key_octets)
        overrides = {"smtpd_tls_cert_file": path, "smtpd_tls_key_file": key_path}
        cases[f"pair{at}"] = _Case(overrides, context(chain))
    path, octets = file("good", "rk rc")
    for at, values in enumerate(VALUES):
        cases[f"value{at}"] = _value(values, Chain(name=path, certificates=octets))
    return cases


def _value(values: Mapping[str, str], chain: Chain) -> _Case:
    library = {name: value for name, value in values.items() if name.startswith("tls_")}
    own = {name: value for name, value in values.items() if name not in library}
    overrides = {f"smtpd_tls_{name}": value for name, value in own.items()} | library
    made = ServerValues(chains=(chain,), library=LibraryValues(**library), **own)  # type: ignore[arg-type]
    return _Case({**overrides, "smtpd_tls_chain_files": chain.name}, lambda warn: server_context(made, warn))


def _starttls(port: int) -> None:
    """A client that says STARTTLS and goes away: by then everything has been loaded, or has not."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock, sock.makefile("rwb") as stream:
        stream.readline()
        for command in (b"EHLO x\r\n", b"STARTTLS\r\n"):
            stream.write(command)
            stream.flush()
            while stream.readline()[3:4] == b"-":
                pass


def _said(postfix: RealPostfix, name: str) -> list[str]:
    """Its lines in the log, once the connection's end is there."""
    for _ in range(600):
        lines = [line.split("]: ", 1)[1] for line in postfix.log().splitlines() if f" {name}/smtpd[" in line]
        if any(line.startswith("disconnect from ") for line in lines):
            break
        time.sleep(0.05)
    else:
        raise AssertionError(postfix.log())
    about = ("connect from ", "disconnect from ", "lost connection ", "SSL_accept error ", "warning: dict_nis_init")
    return [line for line in lines if not line.startswith(about)]


def test_postfix_says_the_same() -> None:
    need_postfix()
    with tempfile.TemporaryDirectory(prefix="tls-chains-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cases = _cases(folder)
        with RealPostfix({name: {**_BASE, **case.overrides} for name, case in cases.items()}, "") as postfix:
            for name in cases:
                _starttls(postfix.ports[name])
            theirs = {name: _comparable(_said(postfix, name)) for name in cases}
        ours = {name: _ours(case.make) for name, case in cases.items()}
    assert ours == theirs

"""tls_config_file and tls_config_name, Postfix's and ours: what a client is told, gets, and what is written."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from tests.certificates import certificates, placed, unplaced
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.test_tls_server import MAIN_CF, Client, ended, listens, master_cf
from tests.scenarios.server import Gatepost, free_port, temporary_folder, until
from tests.tls.test_openssl_configuration import CONFIGURATION

BROKEN = """\
broken = broken
[broken]
ssl_conf = broken_ssl
[broken_ssl]
system_default = broken_defaults
[broken_defaults]
Ciphersuites = NONSENSE
"""
CASES = [
    ("default", ""),
    ("default", "postfix"),
    ("none", ""),
    ("none", "postfix"),
    ("FOLDER/good", ""),
    ("FOLDER/good", "postfix"),
    ("FOLDER/good", "older"),
    ("FOLDER/good", "nosuch"),
    ("FOLDER/broken", "broken"),
    ("FOLDER/empty", ""),
    ("FOLDER/bad", ""),
    ("FOLDER/bad", "postfix"),
    ("FOLDER/missing", ""),
    ("relative", ""),
]
FILES = {"good": CONFIGURATION, "broken": BROKEN, "empty": "", "bad": "[unclosed\nx"}


def listeners(folder: Path) -> dict[str, dict[str, str]]:
    found = {}
    for number, (file, name) in enumerate(CASES):
        found[f"case{number}"] = {
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": placed("CERTS/rsa.pem"),
            "smtpd_tls_key_file": placed("CERTS/rsa.key"),
            "tls_config_file": file.replace("FOLDER", str(folder)),
            "tls_config_name": name,
        }
    return found


def played(ports: Mapping[str, int]) -> dict[tuple[str, str], list[str]]:
    told = {}
    for case, port in zip(CASES, ports.values(), strict=True):
        client = Client(port).asked()
        if client.told[-1].startswith("220"):
            client.shake(certificates().client_context(""))
            assert isinstance(client.sock, ssl.SSLSocket)
            client.told.append(str(client.sock.cipher()))
        told[case] = client.end()
    return told


def warnings_in(log: str, names: Mapping[str, int]) -> dict[str, list[str]]:
    """What was warned of, by listener: each once, since there a process tells it and here a worker."""
    found = {}
    for name in names:
        lines = re.findall(rf"{name}/smtpd\[\d+\]: warning: (.*)", log)
        found[name] = [unplaced(line) for line in dict.fromkeys(lines)]
    return found


def test_postfix_says_does_and_writes_the_same() -> None:
    need_postfix()
    with temporary_folder() as top:
        for name, text in FILES.items():
            (top / name).write_text(text)
        wanted = listeners(top)
        with RealPostfix(wanted, MAIN_CF) as postfix:
            theirs = played(postfix.ports)
            until(ended(postfix.log, len(CASES)), "the end of Postfix's sessions")
            their_log = postfix.log()
        ports = {name: free_port() for name in wanted}
        (top / "ours").mkdir()
        server = Gatepost(top / "ours", MAIN_CF, port=ports["case0"], master_cf=master_cf(ports, wanted))
        server.launch()
        try:
            until(lambda: listens(ports["case0"]), "a listening server")
            ours = played(ports)
            until(ended(server.log, 1 + len(CASES)), "the end of our sessions")
        finally:
            server.stop()
        our_log = server.log()
    assert ours == theirs
    assert warnings_in(our_log, wanted) == warnings_in(their_log, wanted)
    assert sum(told[-1].startswith("454") for told in ours.values()) == 4

"""Certificates that are renewed under traffic, keys that only root may read included (if we are root)."""

import os
import smtplib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.audit.expiring import certificate
from tests.scenarios.server import WAIT, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = mail.ours.example
mydestination = ours.example
local_recipient_maps =
local_transport = discard:
alias_maps =
mynetworks = 127.0.0.1
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
gatepost_smtpd_processes = 2
smtpd_tls_security_level = may
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
tls_server_sni_maps = texthash:{folder}/names
"""


class World:
    """A listener with a certificate and a key, and another certificate for the name sni.example."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.secret = folder / "secret"
        self.secret.mkdir(mode=0o700)
        self.renew("first", 300)
        self.renew_sni("sni-first")
        (self.secret / "names").write_text(f"sni.example {self.secret}/sni.pem\n")
        self.mode = " ".join(options)
        self.server = Gatepost(folder, MAIN_CF.format(folder=self.secret)).start(*options)
        self.failures: list[str] = []
        self.over = threading.Event()
        self.traffic = threading.Thread(target=self._traffic)

    def put(self, name: str, octets: bytes) -> None:
        """As certbot and its kin do: a new file in the place of the old one."""
        path = self.secret / f"{name}.new"
        path.write_bytes(octets)
        path.chmod(0o600)
        path.rename(self.secret / name)

    def renew(self, name: str, days: float) -> None:
        key, cert = certificate(days, name)
        self.put("key.pem", key)
        self.put("cert.pem", cert)

    def renew_sni(self, name: str) -> None:
        self.put("sni.pem", b"".join(certificate(300, name)))

    def shown(self, server_name: str = "mail.ours.example") -> str:
        """The common name of the certificate that a new session is shown."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with smtplib.SMTP(self.server.host, self.server.port, timeout=WAIT) as client:
            client.ehlo("client.example")
            client._host = server_name  # type: ignore[attr-defined]  # what starttls asks for: no other way
            code, _ = client.starttls(context=context)
            assert code == 220
            client.ehlo("client.example")
            client.sendmail("ann@client.example", ["bob@ours.example"], "Subject: x\r\n\r\nx\r\n")
            assert isinstance(client.sock, ssl.SSLSocket)
            der = client.sock.getpeercert(binary_form=True)
        assert der is not None
        subject = x509.load_der_x509_certificate(der).subject
        return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    def becomes(self, name: str, server_name: str = "mail.ours.example") -> None:
        """In both workers: it is shown several times in a row."""
        until(lambda: {self.shown(server_name) for _ in range(6)} == {name}, f"the certificate {name}")

    def _traffic(self) -> None:
        while not self.over.is_set():
            try:
                self.shown()
            except (OSError, smtplib.SMTPException, AssertionError) as error:
                self.failures.append(repr(error))

    def stop(self) -> None:
        self.over.set()
        if self.traffic.is_alive():
            self.traffic.join()
        self.server.stop()


@pytest.fixture(params=["", "--single-process"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder, *filter(None, [request.param]))
        yield made
        made.stop()


def pair_that_does_not_fit(world: World) -> None:
    """A certificate without its key: the pair of before goes on, and each worker says so once."""
    key, cert = certificate(100, "third")
    world.put("cert.pem", cert)
    world.renew_sni("sni-second")  # which has nothing to do with it
    world.becomes("sni-second", "sni.example")
    world.server.wait_log("warning: .*using the certificate and key it had before")
    assert world.shown() == "second"
    world.put("key.pem", key)
    world.becomes("third")
    told = world.server.log_lines("using the certificate and key it had before")
    assert len(told) == len(set(told))


def test_renewed_certificates_are_shown_and_nobody_is_disturbed(world: World) -> None:
    server = world.server
    if os.geteuid() == 0:  # what is read here is what only root may read
        status = world.secret.stat()
        assert (status.st_uid, status.st_mode & 0o077, len(server.workers("opener"))) == (0, 0, 1)
    assert world.shown() == "first"
    assert world.shown("sni.example") == "sni-first"
    world.traffic.start()
    world.renew("second", 10)
    world.becomes("second")
    assert "certificate of second: expires in 9 days, on " in server.command("status").stdout
    assert f"{world.secret}/cert.pem: the certificate of second expires in 9 days" in server.command("check").stdout
    if "single" not in world.mode:
        pair_that_does_not_fit(world)
    world.over.set()
    world.traffic.join()
    assert world.failures == []
    assert not server.log_lines("panic|fatal")
    assert "PRIVATE" not in server.log()

"""All mail goes to a relay host that wants TLS and a password: a real Postfix, with Dovecot to ask for users."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import dovecot_auth
from tests.compat import real_postfix
from tests.compat.auth_sink import AuthSink, offers
from tests.compat.real_postfix import RealPostfix
from tests.compat.tls_sink import Certificates
from tests.dovecot_auth import Dovecot
from tests.scenarios.server import Gatepost, temporary_folder, until

PASSWORD = "Swordfish-77"
SMARTHOST = """
compatibility_level = 3.6
myhostname = smarthost.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {certificate}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {socket}
default_transport = discard:there
"""
OURS = """
myhostname = mail.ours.example
mydestination =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_host_lookup = native
relayhost = [localhost]:{port}
smtp_tls_security_level = secure
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{passwords}
smtp_sasl_tls_security_options = noanonymous
notify_classes = data, protocol
"""


class World:
    def __init__(self, folder: Path, dovecot: Dovecot, smarthost: RealPostfix, certificates: Certificates) -> None:
        self.folder = folder
        self.smarthost = smarthost
        self.certificates = certificates
        self.passwords = folder / "passwords"
        self.port = smarthost.ports["smarthost"]
        dovecot.users({"joe": PASSWORD})

    def main_cf(self, ca: str = "ca") -> str:
        return OURS.format(port=self.port, ca=self.certificates.path(ca), passwords=self.passwords)

    def password(self, text: str) -> None:
        self.passwords.touch(0o600)
        self.passwords.write_text(f"[localhost]:{self.port} joe:{text}\n")


@pytest.fixture
def world() -> Iterator[World]:
    reason = real_postfix.missing() or dovecot_auth.missing()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with temporary_folder() as folder:
        certificates = Certificates(folder / "certificates")
        dovecot = Dovecot()
        try:
            dovecot.start()
            main_cf = SMARTHOST.format(certificate=certificates.path("right"), socket=dovecot.path)
            with RealPostfix({"smarthost": {}}, main_cf) as smarthost:
                yield World(folder, dovecot, smarthost, certificates)
        finally:
            dovecot.stop()


def outcome(server: Gatepost, queue_id: str, number: int = 1) -> str:
    """The last of `number` outcomes of a message."""
    pattern = re.compile(rf": {queue_id}: to=<.*")
    until(lambda: len(pattern.findall(server.log())) >= number, "an outcome")
    return pattern.findall(server.log())[-1]


def reasons(server: Gatepost) -> list[str]:
    return [str(r["delay_reason"]) for m in server.queued() for r in m["recipients"]]  # type: ignore[attr-defined]


def test_a_relay_host_with_a_password(world: World) -> None:
    world.password("wrong-" + PASSWORD)
    server = Gatepost(world.folder, world.main_cf())
    server.start()
    try:
        queue_id = server.send("me@ours.example", "you@there.example")
        failed = "SASL authentication failed; server localhost[127.0.0.1] said: 535 5.7.8 Error: authentication failed:"
        assert f"dsn=4.7.8, status=deferred ({failed}" in outcome(server, queue_id)
        assert [reason[: len(failed)] for reason in reasons(server)] == [failed]
        world.password(PASSWORD)

        def delivered() -> bool:
            """A new table is taken up once it stands still; who comes before that is deferred again."""
            server.command("postqueue", "-f")
            return "status=sent" in outcome(server, queue_id)

        until(delivered, "delivery with the right password")
        until(lambda: "sasl_username=joe" in world.smarthost.log(), "the login in the smarthost's log")
        assert re.search(r"client=localhost\[127.0.0.1\], sasl_method=\S+, sasl_username=joe", world.smarthost.log())
        assert "Verified TLS connection established to localhost[127.0.0.1]" in server.log()
        logs = server.log() + world.smarthost.log() + server.output()
        assert PASSWORD not in logs
    finally:
        server.stop()


def test_a_relay_host_that_is_another_one(world: World) -> None:
    """It gets neither mail nor password."""
    world.password(PASSWORD)
    server = Gatepost(world.folder, world.main_cf(ca="other-ca"))
    server.start()
    try:
        told = outcome(server, server.send("me@ours.example", "you@there.example"))
        assert "dsn=4.7.5, status=deferred (Server certificate not verified)" in told
        assert reasons(server) == ["Server certificate not verified"]
        until(lambda: "disconnect from" in world.smarthost.log(), "the end of the session")
        assert "auth=" not in world.smarthost.log()
    finally:
        server.stop()


def test_a_login_is_bound_to_its_tls_session() -> None:
    with temporary_folder() as folder:
        certificates = Certificates(folder / "certificates")
        listed = offers("AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS")
        sink = AuthSink({"AUTH": "@", "TLS EHLO": listed}, certificates.context("right/1.2"))
        (folder / "passwords").write_text("localhost user:secret\n")
        main_cf = OURS.format(port=sink.port, ca=certificates.path("ca"), passwords=folder / "passwords")
        server = Gatepost(folder, main_cf)
        server.start()
        try:
            assert "status=sent" in outcome(server, server.send("me@ours.example", "you@there.example"))
        finally:
            server.stop()
            sink.stop()
        (login,) = (command for command in sink.commands if command.startswith("AUTH"))
        assert login.startswith("AUTH SCRAM-SHA-256-PLUS ")
        assert sink.users == ["user"]

"""Mail goes to a real Postfix under TLS: at every level, over one connection, and not at all where it must not."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.real_postfix import RealPostfix, missing
from tests.compat.tls_sink import Certificates
from tests.scenarios.server import Client, Gatepost, temporary_folder, until

POSTFIX = """
compatibility_level = 3.6
myhostname = mx.example
mydestination =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_recipient_maps =
default_transport = discard
relay_transport = discard
smtpd_tls_loglevel = 1
"""
GATEPOST = """
myhostname = mail.ours.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
smtp_tls_loglevel = 1
smtp_tls_CAfile = {ca}
smtp_tls_connection_reuse = yes
transport_maps = inline:{{ {routes} }}
"""
LISTENERS = {
    "offers": {"smtpd_tls_security_level": "may"},
    "requires": {"smtpd_tls_security_level": "encrypt"},
    "plain": {"smtpd_tls_security_level": "none"},
    "wrong": {"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": "{certs}/wrong.pem"},
}
# Destination: the listener, the policy, and what is to be seen of it.
CASES = {
    "none": ("offers", "none", "status=sent"),
    "may": ("offers", "may", "status=sent"),
    "mayplain": ("plain", "may", "status=sent"),
    "encrypt": ("requires", "encrypt", "status=sent"),
    "secure": ("requires", "secure", "status=sent"),
    "old": ("offers", "encrypt protocols=TLSv1.2", "status=sent"),
    "must": ("plain", "encrypt", "(TLS is required, but was not offered by host localhost[127.0.0.1])"),
    "wrong": ("wrong", "secure", "status=deferred (Server certificate not verified)"),
    "wrongmay": ("wrong", "may", "status=sent"),
    "refuses": ("requires", "none", "Must issue a STARTTLS command first"),
}


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Gatepost, RealPostfix]]:
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with temporary_folder() as folder:
        certificates = Certificates(folder / "certificates")
        listeners = {name: _with(certificates.folder, values) for name, values in LISTENERS.items()}
        with RealPostfix(listeners, f"{POSTFIX}smtpd_tls_chain_files = {certificates.path('right')}\n") as postfix:
            routes = [
                f"{{ {name}.example = {name}:[localhost]:{postfix.ports[listener]} }}"
                for name, (listener, _, _) in CASES.items()
            ]
            main_cf = GATEPOST.format(ca=_secret(folder, certificates.path("ca")), routes=" ".join(routes))
            gatepost = Gatepost(folder / "gatepost", main_cf)
            services = "".join(
                f"{name} unix - - n - - smtp\n  -o {{ smtp_tls_policy_maps = static:{{{policy}}} }}\n"
                for name, (_, policy, _) in CASES.items()
            )
            path = gatepost.conf / "master.cf"
            path.write_text(path.read_text() + services)
            try:
                gatepost.start()
                yield gatepost, postfix
            finally:
                gatepost.stop()


def _secret(folder: Path, path: str | Path) -> Path:
    """A copy that only root may read (if we are root)."""
    (folder / "secret").mkdir(mode=0o700)
    copy = folder / "secret" / "ca.pem"
    shutil.copyfile(path, copy)
    copy.chmod(0o600)
    return copy


def _with(folder: Path, values: dict[str, str]) -> dict[str, str]:
    return {name: value.replace("{certs}", str(folder)) for name, value in values.items()}


def outcome(gatepost: Gatepost, name: str) -> str:
    """The log line of mail to NAME.example."""
    client = Client(gatepost.port)
    client.say("EHLO client.example")
    client.say("MAIL FROM:<sender@client.example>")
    client.say(f"RCPT TO:<one@{name}.example>")
    client.say("DATA")
    queue_id = client.say("Subject: x\r\n\r\nhello\r\n.").rpartition(" ")[2].strip()
    client.close()
    until(lambda: f"{queue_id}: to=<one@{name}.example>" in gatepost.log(), "an outcome")
    (line,) = [line for line in gatepost.log().splitlines() if f"{queue_id}: to=<" in line]
    return line


@pytest.mark.parametrize("name", CASES)
def test_levels_before_a_real_postfix(name: str, world: tuple[Gatepost, RealPostfix]) -> None:
    gatepost, _ = world
    line = outcome(gatepost, name)
    assert CASES[name][2] in line
    if "status=deferred" in line:
        reason = line.rpartition(" (")[2].rstrip(")")
        until(lambda: reason in gatepost.command("postqueue", "-p").stdout, "the reason in the queue")


def test_what_both_sides_log_of_it(world: tuple[Gatepost, RealPostfix]) -> None:
    gatepost, postfix = world
    outcome(gatepost, "secure")
    assert "Verified TLS connection established to localhost[127.0.0.1]:" in gatepost.log()
    assert "Anonymous TLS connection established from localhost[127.0.0.1]: TLSv1.3 with cipher" in postfix.log()

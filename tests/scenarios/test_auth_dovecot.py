"""Whole servers that ask Dovecot: while it is away, and when it is back."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.real_postfix import without
from tests.dovecot_auth import Dovecot, missing
from tests.scenarios.server import Client, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination = home.example
local_recipient_maps =
local_transport = discard
alias_maps =
mynetworks =
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {path}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""
LOGIN = "AUTH PLAIN " + base64.b64encode(b"\0joe\0secret").decode()


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as made:
        yield made


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single"])
def test_dovecot_goes_and_comes(folder: Path, options: list[str]) -> None:
    if reason := missing():
        without(reason)
    with Dovecot() as dovecot:
        server = Gatepost(folder, MAIN_CF.format(path=dovecot.path)).start(*options)
        try:
            client = server.client()
            assert client.say(LOGIN).startswith("235")
            assert client.say("MAIL FROM:<joe@home.example>").startswith("250")
            assert client.say("RCPT TO:<x@far.example>").startswith("250")
            client.close()
            dovecot.halt()
            # The first to notice may have been connected still, and say something else.
            failed = f"SASL: Connect to Dovecot auth socket '{dovecot.path}' failed: "
            until(lambda: _code(server) == "454" and failed in server.log_path.read_text(), "the end of Dovecot")
            client = server.client()
            assert client.say("MAIL FROM:<x@far.example>").startswith("250")
            assert client.say("RCPT TO:<joe@home.example>").startswith("250")
            client.close()
            dovecot.start()
            until(lambda: _code(server) == "235", "Dovecot again")
        finally:
            server.stop()
    log = server.log_path.read_text()
    assert "sasl_method=PLAIN, sasl_username=joe" in log


def _code(server: Gatepost) -> str:
    client = Client(server.port)
    client.say("EHLO client.example")
    code = client.say(LOGIN)[:3]
    client.close()
    return code

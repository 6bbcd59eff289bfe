"""Which back end a listener's parameters name, and what an operator is told of one that cannot be asked."""

import asyncio
import time
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import FixedHost
from gatepost.sasl.back_ends import BackEnds, unreachable
from gatepost.sasl.builtin import TableServer
from gatepost.sasl.dovecot import DovecotServer
from gatepost.sasl.saslauthd import SaslauthdServer
from gatepost.sasl.security import SecurityOptions
from gatepost.sasl.server import BackEndUnavailable, Peers, SaslServer
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.dovecot_auth import Dovecot, ScriptedDovecot, missing


def back_ends(warned: list[str]) -> BackEnds:
    tables = Tables(TableEnvironment(clock=time.monotonic, warn=warned.append))
    return BackEnds(tables, configuration="/nonexistent", warn=warned.append, secret=b"secret")


def server(main_cf: str, warned: list[str] | None = None) -> SaslServer | None:
    text = f"compatibility_level = 3.6\nsmtpd_sasl_auth_enable = yes\n{main_cf}\n"
    settings = Configuration.parse(text, host=FixedHost()).settings
    return back_ends([] if warned is None else warned).server(settings)


def test_types(tmp_path: Path) -> None:
    assert server("smtpd_sasl_auth_enable = no") is None
    assert isinstance(server("smtpd_sasl_type = dovecot"), DovecotServer)
    (tmp_path / "smtpd.conf").write_text("pwcheck_method: saslauthd\n")
    assert isinstance(server(f"cyrus_sasl_config_path = {tmp_path}"), SaslauthdServer)
    assert isinstance(server("smtpd_sasl_type = gatepost\ngatepost_sasl_users = inline:{a=b}"), TableServer)


@pytest.mark.parametrize(
    ("main_cf", "message"),
    [
        ("smtpd_sasl_type = foo", "unsupported SASL server implementation: foo"),
        ("cyrus_sasl_config_path = /nonexistent", "needs a smtpd.conf"),
        ("smtpd_sasl_type = gatepost", "gatepost_sasl_users"),
        ("smtpd_sasl_type = gatepost\ngatepost_sasl_users = inline:{a=b}\ngatepost_sasl_mechanisms = NTLM", "NTLM"),
    ],
)
def test_what_cannot_be(main_cf: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        server(main_cf)
    assert message in str(raised.value)


def test_listeners_share_what_connects_to_dovecot() -> None:
    made = back_ends([])
    found = []
    for service in ("smtp", "submission"):
        text = "compatibility_level = 3.6\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n"
        settings = Configuration.parse(f"{text}smtpd_sasl_service = {service}\n", host=FixedHost()).settings
        found.append(made.server(settings))
    one, other = found
    assert isinstance(one, DovecotServer) and isinstance(other, DovecotServer)
    assert one is not other and one.service is other.service


async def test_what_the_operator_is_told(tmp_path: Path) -> None:
    def told(main_cf: str) -> str:
        made = server(main_cf)
        assert made is not None
        return unreachable(made)

    text = "smtpd_sasl_type = dovecot\nqueue_directory = /nonexistent\nsmtpd_sasl_path = "
    assert told(f"{text}private/auth") == (
        "cannot connect to Dovecot's private/auth: No such file or directory; nobody can log in now"
    )
    assert "cannot connect to Dovecot's inet:127.0.0.1:1: " in told(f"{text}inet:127.0.0.1:1")
    assert "cannot connect to Dovecot's inet:nonsense" in told(f"{text}inet:nonsense")
    (tmp_path / "smtpd.conf").write_text("pwcheck_method: saslauthd\nsaslauthd_path: /nonexistent/mux\n")
    assert "saslauthd's /nonexistent/mux" in told(f"cyrus_sasl_config_path = {tmp_path}")
    assert told("smtpd_sasl_type = gatepost\ngatepost_sasl_users = inline:{a=b}") == ""
    async with ScriptedDovecot([]) as service:
        assert await asyncio.to_thread(told, f"{text}{service.path}") == ""


@pytest.mark.parametrize(
    ("greeting", "warning"),
    [
        (b"VERSION\t2\t0\nMECH\tPLAIN\nDONE\n", "SASL: Protocol version mismatch (2 vs. 1)"),
        (b"MECH\tPLAIN\nDONE\n", "SASL: Protocol error"),
        (b"\xff" * 70000, "SASL: Protocol error"),
    ],
)
async def test_a_service_that_is_none(greeting: bytes, warning: str) -> None:
    warned: list[str] = []
    async with ScriptedDovecot([], greeting) as service:
        made = server(f"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {service.path}", warned)
        assert made is not None
        with pytest.raises(BackEndUnavailable):
            await made.mechanisms(SecurityOptions.NONE, Peers("192.0.2.1"))
    assert warned == [warning]


@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_dovecot_by_inet() -> None:
    with Dovecot() as service:
        made = server(f"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{service.port}")
        assert isinstance(made, DovecotServer)
        found = await made.mechanisms(SecurityOptions.NOPLAINTEXT, Peers("192.0.2.1"))
        assert found == ("CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL")
        made.service.close()

"""saslauthd, the real one, as a back end; and smtpd.conf."""

import asyncio
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.sasl.base64_text import encode
from gatepost.sasl.cyrus_config import CyrusConfig, parse_config, read_config
from gatepost.sasl.saslauthd import SaslauthdServer, SaslauthdUnavailable, verify
from gatepost.sasl.security import SecurityOptions
from gatepost.sasl.server import Challenge, Failed, Peers, Success
from tests.saslauthd import Saslauthd, missing

PEERS = Peers("192.0.2.1")
NONE = SecurityOptions.NONE

needs_saslauthd = pytest.mark.skipif(bool(missing()), reason=missing())


@needs_saslauthd
async def test_passwords() -> None:
    with Saslauthd({"joe": "secret", "ümit": "pässword"}) as service:
        assert await verify(service.path, "joe", "secret", "smtp", "")
        assert not await verify(service.path, "joe", "bad", "smtp", "")
        assert not await verify(service.path, "joe", "x" * 70000, "smtp", "")
        server = SaslauthdServer(CyrusConfig("smtpd.conf", service.path), service="smtp", domain="ours.example")
        assert await server.mechanisms(NONE, PEERS) == ("PLAIN", "LOGIN")
        assert await server.mechanisms(SecurityOptions.NOPLAINTEXT, PEERS) == ()
        step, _ = await server.start("plain", encode(b"\0joe\0secret"), NONE, PEERS)
        assert step == Success("joe@ours.example")
        step, _ = await server.start("PLAIN", encode(b"\0joe@x.example\0secret"), NONE, PEERS)
        assert step == Success("joe@x.example")
        step, exchange = await server.start("LOGIN", None, NONE, PEERS)
        assert step == Challenge(encode(b"Username:")) and exchange is not None
        assert await exchange.step(encode(b"joe")) == Challenge(encode(b"Password:"))
        assert await exchange.step(encode(b"bad")) == Failed("authentication failure", username="joe")
    step, _ = await server.start("PLAIN", encode(b"\0joe\0secret"), NONE, PEERS)
    assert isinstance(step, Failed) and step.temporary and "No such file" in step.warning


@pytest.mark.parametrize("answer", [b"", b"\0", b"\0\5OK", b"\0\2??", b"\xff\xffOK"])
async def test_answers_that_are_none(answer: bytes, tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    path = f"/tmp/{tmp_path.parent.name[-9:]}{tmp_path.name[-9:]}"
    server = await asyncio.start_unix_server(serve, path)
    try:
        with pytest.raises(SaslauthdUnavailable) as raised:
            await verify(path, "joe", "secret", "smtp", "")
        assert "secret" not in str(raised.value)
    finally:
        server.close()
        Path(path).unlink(missing_ok=True)


def test_smtpd_conf() -> None:
    text = "# ours\n\npwcheck_method: saslauthd\nMech_List: plain\nsaslauthd_path: /x/mux\nlog_level: 7\n"
    assert parse_config(text, "smtpd.conf") == CyrusConfig("smtpd.conf", "/x/mux", ("PLAIN",))
    assert parse_config("pwcheck_method: saslauthd", "x").mechanisms == ("PLAIN", "LOGIN")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "auxprop"),
        ("pwcheck_method: auxprop", "line 1"),
        ("pwcheck_method: saslauthd auxprop", "not supported"),
        ("pwcheck_method: saslauthd\nmech_list: PLAIN CRAM-MD5", "line 2: mech_list: saslauthd cannot serve CRAM-MD5"),
        ("pwcheck_method: saslauthd\nsaslauthd_path: mux", "not an absolute path"),
        ("pwcheck_method: saslauthd\nsasldb_path: /x", "line 2: sasldb_path: not supported"),
        ("what", "line 1"),
    ],
)
def test_smtpd_conf_that_cannot_be_obeyed(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text, "smtpd.conf")
    assert message in str(raised.value)


def test_where_smtpd_conf_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read_config("smtpd", f"{tmp_path}/a:{tmp_path}/b", "/etc/gatepost")
    assert "smtpd.conf" in str(raised.value) and f"{tmp_path}/a, {tmp_path}/b" in str(raised.value)
    for name, folder in (("smtpd", "b"), ("other", "sasl")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.conf").write_text("pwcheck_method: saslauthd")
    assert read_config("smtpd", f"{tmp_path}/a:{tmp_path}/b", "/etc").path == f"{tmp_path}/b/smtpd.conf"
    assert read_config("other", "", str(tmp_path)).path == f"{tmp_path}/sasl/other.conf"

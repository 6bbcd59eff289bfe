"""gatepost route: the TLS security level of a delivery, and where it comes from."""

import json
import os
import pwd
from pathlib import Path

import pytest

from gatepost.cli.program import run

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination =
local_recipient_maps =
gatepost_queue_directory = {folder}/queue
transport_maps = texthash:{folder}/transport
"""
MASTER_CF = """\
smtp unix - - n - - smtp
strict unix - - n - - smtp
  -o smtp_tls_security_level=encrypt
  -o smtp_dns_support_level=dnssec
lmtp unix - - n - - lmtp
  -o lmtp_tls_security_level=encrypt
error unix - - n - - error
"""
TRANSPORT = "two.example smtp:[a.example]:26, b.example\nstrict.example strict:\nlmtp.example lmtp:inet:c.example\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "main.cf").write_text(MAIN_CF.format(folder=tmp_path))
    (tmp_path / "master.cf").write_text(MASTER_CF)
    (tmp_path / "transport").write_text(TRANSPORT + f"socket.example lmtp:unix:{tmp_path}/lmtp\n")
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr("gatepost.cli.route.owner_of", lambda settings: me)
    return tmp_path


def ask(folder: Path, capsys: pytest.CaptureFixture[str], main_cf: str, address: str, status: int = 0) -> str:
    """What is said of a recipient, with these lines at the end of main.cf (from line 7 on)."""
    path = folder / "main.cf"
    path.write_text(MAIN_CF.format(folder=folder) + main_cf.replace("DIR", str(folder)))
    found = run("gatepost", ["route", "-c", str(folder), address])
    out, err = capsys.readouterr()
    assert found == status, out + err
    return out.replace(str(folder), "DIR").partition("    limits:")[0]


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("", "none  [smtp_tls_security_level (default)]"),
        ("smtp_tls_security_level = may\n", "may  [smtp_tls_security_level (DIR/main.cf, line 7)]"),
        ("smtp_use_tls = yes\n", "may  [smtp_use_tls (DIR/main.cf, line 7)]"),
        ("smtp_enforce_tls = yes\n", "verify  [smtp_enforce_tls (DIR/main.cf, line 7)]"),
        (
            "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no\n",
            "encrypt  [smtp_tls_enforce_peername (DIR/main.cf, line 8)]",
        ),
        (
            "smtp_tls_policy_maps = texthash:DIR/policy\n",
            "secure  [smtp_tls_policy_maps (DIR/main.cf, line 7), texthash:DIR/policy, key .example, "
            "DIR/policy, line 2]",
        ),
        (
            "smtp_tls_per_site = inline:{ {far.example = MUST} }\n",
            "verify  [smtp_tls_per_site (DIR/main.cf, line 7), inline:{ {far.example = MUST} }, key far.example]",
        ),
        (
            "smtp_tls_per_site = inline:{ {far.example = MAY} }\nsmtp_tls_security_level = encrypt\n",
            "encrypt  [smtp_tls_security_level (DIR/main.cf, line 8)]",
        ),
    ],
)
def test_where_the_level_comes_from(
    main_cf: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "policy").write_text("other.example none\n.example secure match=nexthop\n")
    assert f"    TLS security level: {told}\n" in ask(folder, capsys, main_cf, "joe@far.example")


def test_a_transport_has_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(folder, capsys, "smtp_tls_security_level = may\n", "joe@strict.example")
    assert "TLS security level: encrypt  [smtp_tls_security_level (DIR/master.cf, line 2)]\n" in out


def test_each_item_of_a_next_hop(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "smtp_tls_policy_maps = inline:{ {[a.example]:26 = encrypt} }\nsmtp_tls_security_level = may\n"
    out = ask(folder, capsys, table, "joe@two.example")
    first = "TLS security level for [a.example]:26: encrypt  [smtp_tls_policy_maps (DIR/main.cf, line 7), inline:"
    assert first in out
    assert "TLS security level for b.example: may  [smtp_tls_security_level (DIR/main.cf, line 8)]\n" in out


def test_lmtp_has_its_own_parameters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "smtp_tls_security_level = none\nlmtp_tls_policy_maps = inline:{ {c.example = may} }\n"
    out = ask(folder, capsys, table, "joe@lmtp.example")
    assert "TLS security level: may  [lmtp_tls_policy_maps (DIR/main.cf, line 8), inline:" in out
    socket = ask(folder, capsys, table, "joe@socket.example")
    assert "TLS security level: encrypt  [lmtp_tls_security_level (DIR/master.cf, line 5)]\n" in socket


def test_sockets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "lmtp_tls_policy_maps = inline:{ {DIR/lmtp = "
    assert "    opportunistic TLS encryption is not appropriate for unix-domain destinations: none is used\n" in ask(
        folder, capsys, f"{key}may}} }}\n", "joe@socket.example"
    )
    out = ask(folder, capsys, f"{key}dane}} }}\n", "joe@socket.example", 69)
    assert "    dane is invalid for sockets: nothing is sent to unix:DIR/lmtp\n" in out


def test_what_dane_needs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dane = "smtp_tls_security_level = dane\n"
    out = ask(folder, capsys, dane, "joe@far.example")
    assert "    smtp_dns_support_level: empty  [smtp_dns_support_level (default)]\n" in out
    assert "    dane configured with dnssec lookups disabled: no more than may for far.example\n" in out
    out = ask(folder, capsys, f"{dane}smtp_dns_support_level = dnssec\n", "joe@far.example")
    assert "    smtp_dns_support_level: dnssec  [smtp_dns_support_level (DIR/main.cf, line 8)]\n" in out
    assert "    dane: servers with TLSA records that DNSSEC proves are verified; " in out


def test_dane_only_waits_without(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = "smtp_tls_policy_maps = inline:{ {strict.example = dane-only}, {far.example = dane-only} }\n"
    out = ask(folder, capsys, only, "joe@far.example", 69)
    assert "    dane-only configured with dnssec lookups disabled: nothing is sent to far.example\n" in out
    assert "recipient joe@far.example: waits\n" in out
    out = ask(folder, capsys, only, "joe@strict.example")
    assert "    smtp_dns_support_level: dnssec  [smtp_dns_support_level (DIR/master.cf, line 2)]\n" in out


def test_single_servers_of_a_site(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sites = "smtp_tls_per_site = inline:{ {mx.far.example = MUST} }\n"
    told = "    smtp_tls_per_site may say otherwise for single servers of far.example\n"
    assert told in ask(folder, capsys, sites, "joe@far.example")
    assert told not in ask(folder, capsys, f"{sites}relayhost = [mx.far.example]\n", "joe@far.example")
    out = ask(folder, capsys, f"{sites}relayhost = [mx.far.example]:26\n", "joe@far.example")
    assert "TLS security level: verify  [smtp_tls_per_site (" in out


def test_what_nothing_is_sent_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(folder, capsys, "smtp_tls_wrappermode = yes\n", "joe@far.example", 69)
    told = '"smtp_tls_security_level = encrypt" (or stronger): nothing is sent to far.example'
    assert told in out and ": waits\n" in out
    out = ask(folder, capsys, "smtp_tls_policy_maps = inline:{ {far.example = strong} }\n", "joe@far.example", 69)
    told = "    4.7.5 client TLS configuration problem: nothing is sent to far.example  [smtp_tls_policy_maps (DIR/"
    assert told in out


def test_a_table_that_cannot_tell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(folder, capsys, "smtp_tls_policy_maps = fail:policy\n", "joe@far.example", 75)
    assert "recipient joe@far.example: not known\n" in out
    assert "cannot tell now: smtp_tls_policy_maps (DIR/main.cf, line 7): fail:policy cannot tell about" in out


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "main.cf").write_text(MAIN_CF.format(folder=folder) + "smtp_tls_security_level = may\n")
    run("gatepost", ["route", "-c", str(folder), "--json", "joe@far.example"])
    (delivery,) = json.loads(capsys.readouterr().out)["deliveries"]
    step = next(step for step in delivery["steps"] if step["what"] == "TLS security level")
    assert (step["value"], step["origin"]["parameter"]) == ("may", "smtp_tls_security_level")

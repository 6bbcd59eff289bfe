import os
import pwd
from pathlib import Path

import pytest

from gatepost.cli.check import not_honoured, unused
from gatepost.cli.program import run
from gatepost.config.configuration import Configuration
from gatepost.config.declaration import Type
from gatepost.config.parameters import PARAMETERS
from tests.audit.expiring import certificate

MASTER_CF = """\
127.0.0.1:2525 inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
"""

# What Debian's main.cf says after its installation as an `Internet Site`.
DEBIAN = """\
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_cert_file=%(snakeoil.pem)s
smtpd_tls_key_file=%(snakeoil.key)s
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.com
alias_maps = hash:%(aliases)s
alias_database = hash:%(aliases)s
myorigin = %(mailname)s
mydestination = $myhostname, mail.example.com, localhost.example.com, , localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""
# A parameter that is not honoured yet and whose neglect does no harm.
NEGLECTED = next(
    parameter.name
    for parameter in PARAMETERS.values()
    if not parameter.honoured and parameter.harmless is None and parameter.type is Type.TEXT and not parameter.longest
)
DIST = Path("/usr/share/postfix/master.cf.dist")


class Folder:
    """A configuration of which mail_owner is who runs the test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, main_cf: str, master_cf: str = MASTER_CF) -> None:
        owner = pwd.getpwuid(os.geteuid()).pw_name
        (self.path / "main.cf").write_text(f"{main_cf}\nmail_owner = {owner}\n")
        (self.path / "master.cf").write_text(master_cf)

    def check(self, *options: str) -> int:
        return run("gatepost", ["-c", str(self.path), "check", *options])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


BASE = "compatibility_level = 3.6\nmyhostname = mail.example.com\ninet_interfaces = 127.0.0.1\nalias_maps =\n"


def test_what_a_configuration_comes_to(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write(f"{BASE}mydestination = example.com\nmynetworks = !192.168.87.1 192.168.87.0/24\n")
    assert folder.check() == 0
    listener = f"""\
Listener 127.0.0.1:2525 ({folder.path}/master.cf, line 1):
  addresses: 127.0.0.1:2525
  No stranger can relay.
  Who can relay: nobody
  mynetworks ({folder.path}/main.cf, line 6): not 192.168.87.1/32, 192.168.87.0/24
  mydestination: example.com

Would start.
"""
    assert capsys.readouterr().out.endswith(listener)


def test_an_unset_mynetworks(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write(BASE)
    assert folder.check() == 0
    assert "  mynetworks (unset, mynetworks_style = host): 127.0.0.1/32\n" in capsys.readouterr().out


def test_every_kind_of_complaint(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write(
        f"{BASE}mynetworks = 10.0.0.1/8 192.168.87.0/24 !192.168.87.1\n"
        "smtpd_recipient_restrictions = reject_rbl_client dnsbl.example, reject_misspelt\n"
        "transport_maps = hash:/nonexistent/transport\n"
        f"{NEGLECTED} = something\n"
        "my_own = something\n"
    )
    assert folder.check("-q") == 0
    main = f"{folder.path}/main.cf, line"
    faults, remarks, neglected, idle = capsys.readouterr().out.rstrip("\n").split("\n\n")
    assert faults.split("\n") == [
        "Faults: it starts, but what comes that far is answered 451; reload refuses them:",
        f'  {main} 5: parameter mynetworks: 10.0.0.1/8: non-null host address bits in "10.0.0.1/8", perhaps you should '
        'use "10.0.0.0/8" instead',
        f'  {main} 6: parameter smtpd_recipient_restrictions: unknown smtpd restriction: "reject_misspelt"',
        f"  {main} 7: parameter transport_maps: hash:/nonexistent/transport is unavailable. "
        "open /nonexistent/transport: No such file or directory",
    ]
    assert (
        f'  {main} 5: parameter mynetworks: "!192.168.87.1" has no effect: "192.168.87.0/24" before it matches'
        in remarks
    )
    assert neglected.split("\n")[1:] == [f"  {main} 8: {NEGLECTED}"]
    assert idle.split("\n")[1:] == [f"  {main} 9: unused parameter: my_own=something"]


def test_what_would_not_start(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write(f"{BASE}smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit\n")
    assert folder.check() == 1
    out = capsys.readouterr().out
    assert out.startswith("Errors: the mail system would not start:\n")
    assert "specify at least one working instance of: reject_unauth_destination" in out
    assert out.endswith("Would not start.\n")


def test_a_file_that_cannot_be_read(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder.check() == 1
    assert f"{folder.path}/main.cf: No such file or directory" in capsys.readouterr().out


def test_a_wrong_command_line(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder.check("--nosuch") == 64
    assert capsys.readouterr().err.startswith("gatepost check: fatal: ")


@pytest.mark.skipif(not DIST.exists(), reason="Debian's postfix package is not installed")
def test_debians_own_configuration_starts_as_it_is(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("aliases", "mailname"):
        (folder.path / name).write_text("postmaster: root\n" if name == "aliases" else "mail.example.com\n")
    # Which the package ssl-cert makes when it is installed.
    key, snakeoil = certificate(3000, "mail.example.com")
    (folder.path / "snakeoil.pem").write_bytes(snakeoil)
    (folder.path / "snakeoil.key").write_bytes(key)
    (folder.path / "snakeoil.key").chmod(0o640)
    names = {name: folder.path / name for name in ("aliases", "mailname", "snakeoil.pem", "snakeoil.key")}
    folder.write(DEBIAN % names, DIST.read_text())
    assert folder.check() == 0
    out = capsys.readouterr().out
    assert "Errors" not in out
    assert "Faults" not in out
    assert "  addresses: 0.0.0.0:25" in out


def test_neglected_and_unused_names() -> None:
    configuration = Configuration.parse(f"{NEGLECTED} = x\nwrong_name = 1\n")
    assert list(unused(configuration)) == ["/etc/gatepost/main.cf, line 2: unused parameter: wrong_name=1"]
    assert list(not_honoured(configuration)) == [f"/etc/gatepost/main.cf, line 1: {NEGLECTED}"]


def test_who_can_relay(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    master_cf = MASTER_CF.replace("smtpd", "smtpd -o inet_interfaces=all").replace("127.0.0.1:2525", "2525")
    base = f"{BASE}mydestination = example.com\nmynetworks = !192.168.87.1 192.168.87.0/24\n"
    for more, told in (
        ("", "  No stranger can relay.\n  Who can relay: 192.168.87.0/24 without 192.168.87.1: 255 addresses\n"),
        (
            "smtpd_relay_restrictions = check_policy_service inet:127.0.0.1:9, reject_unauth_destination\n",
            "  Whether a stranger can relay is not decided by the configuration alone.\n  Who can relay: nobody\n",
        ),
        (
            "smtpd_relay_restrictions = check_sender_access inline:{a@b.example=OK}, reject_unauth_destination\n",
            "  A stranger can relay.\n  Who else can relay: nobody\n",
        ),
    ):
        folder.write(base + more, master_cf)
        folder.check()
        assert told in capsys.readouterr().out

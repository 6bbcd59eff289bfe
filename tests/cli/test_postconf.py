"""Our postconf beside the real one, on the same files."""

import io
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatepost.cli.postconf import main
from gatepost.config.host_facts import FixedHost

MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
#smtps    inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt
  -o { smtpd_client_restrictions = permit_mynetworks, reject }
  -o smtpd_recipient_restrictions=$mua_recipient_restrictions -v
  -o { smtpd_relay_restrictions=permit_mynetworks, reject_unauth_destination,permit_something_or_other,  foo }
127.0.0.1:10025 inet n  -       n       -       10      smtpd -v -o syslog_name=$service_name
qmgr      unix  n       -       n       300     1       qmgr
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
error     unix  -       -       y       -       -       error
flush     unix  n       -       y       1000?   0       flush
slow unix - - n - - smtp -o smtp_fallback_relay= { -a  b }
postlog   unix-dgram n  -       n       -       1       postlogd
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
"""

MAIN = {
    "debian": """\
myorigin = /etc/mailname
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.com
alias_maps = hash:/etc/aliases
mydestination = $myhostname, localhost.$mydomain, , localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
""",
    "classes": """\
myhostname = mail.example.com
smtpd_restriction_classes = cls1, cls2
cls1 = permit
cls2 = reject $foo
foo = bar
unused1 = x
unused2 = $unused3
unused3 = y
mua_recipient_restrictions = permit
slow_destination_rate_delay = 5s
fast_destination_rate_delay = 5s
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination,
   check_client_access hash:/etc/postfix/access,
# in between
   check_policy_service { inet:127.0.0.1:12345, timeout=10s, default_action=DUNNO },
   cls1
smtpd_banner = $myhostname $nosuch ${foo?{f}:{g}} {  a   b }
virtual_maps = hash:/x
""",
    "expressions": """\
myhostname = mail.example.com
mydomain = ${{$mail_version} >level {3.5}?{new.example}:{old.example}}
relayhost = [$mydomain]:${{1} < {2} ? {25} : {26}}
mynetworks_style = host
inet_interfaces = loopback-only
smtpd_timeout = ${stress?{1}:{2}}m
""",
}

SHOWING = [
    ["-n"],
    ["-nf"],
    ["-nh"],
    ["-nH"],
    ["-nx"],
    ["-nfx"],
    ["-x", "mynetworks", "mydomain", "mydestination", "smtpd_relay_restrictions", "smtpd_timeout"],
    ["-x", "-o", "stress=yes", "-o", "mydomain=o.example", "smtpd_timeout", "mydestination"],
    ["-o", "foo=zzz", "-n", "foo", "cls2"],
    ["-h", "biff", "myhostname", "2bounce_notice_recipient"],
    ["-H", "biff"],
    ["nosuch", "biff", "foo", "unused1", "slow_destination_rate_delay"],
    ["-d", "nosuch", "foo", "slow_destination_rate_delay", "maildrop_time_limit", "myhostname", "mynetworks"],
    ["-C", "service"],
    ["-f", "proxy_write_maps", "smtpd_client_event_limit_exceptions"],
    ["config_directory", "process_name", "mail_version"],
    ["-M"],
    ["-Mf"],
    ["-Mx"],
    ["-M", "submission", "smtp/inet", "*/unix-dgram", "nosuch"],
    ["-P"],
    ["-Pf"],
    ["-Px"],
    ["-Ph", "submission"],
    ["-PH", "submission/inet"],
    ["-P", "submission/inet/syslog_name", "*/unix/smtp_fallback_relay", "smtp", "nosuch/x"],
    ["-F"],
    ["-Ff"],
    ["-FH", "smtp/inet"],
    ["-F", "*/*/chroot"],
]

FAILING = [
    ["-hH", "biff"],
    ["-nd"],
    ["-d", "-o", "a=b"],
    ["-MP"],
    ["-Mh"],
    ["-nM"],
    ["-M", "a/b/c"],
    ["-F", "smtp/inet/nosuch"],
    ["-C", "bogus"],
    ["-o", "bad"],
    ["-c", "/nonexistent"],
]


@pytest.fixture
def real() -> str:
    command = shutil.which("postconf", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if command is None:
        assert os.environ.get("CI") != "true", "Postfix's postconf is not installed"
        pytest.skip("Postfix's postconf is not installed: not compared")
    return command


@pytest.fixture(params=MAIN)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    (tmp_path / "main.cf").write_text(MAIN[request.param])
    (tmp_path / "master.cf").write_text(MASTER)
    return str(tmp_path)


def ask_real(command: str, arguments: list[str]) -> tuple[int, str, list[str]]:
    done = subprocess.run(["postconf", *arguments], executable=command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, sorted(done.stderr.splitlines())


def ask_ours(arguments: list[str], host: FixedHost | None = None) -> tuple[int, str, list[str]]:
    out, err = io.StringIO(), io.StringIO()
    status = main(arguments, config_directory="/etc/postfix", out=out, err=err, host=host)
    return status, out.getvalue(), sorted(err.getvalue().splitlines())


def differences() -> dict[str, str]:
    lines = Path(__file__).with_name("postconf_differences.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == 3 for row in rows)
    return {name: default for name, default, _ in rows}


def test_the_same_output_and_warnings(real: str, directory: str) -> None:
    for arguments in SHOWING:
        arguments = ["-c", directory, *arguments]
        assert ask_ours(arguments) == ask_real(real, arguments), arguments


def test_the_same_errors(real: str, tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("biff = no\n")
    (tmp_path / "master.cf").write_text(MASTER)
    asked = [["-c", str(tmp_path), *arguments] for arguments in FAILING]
    with ThreadPoolExecutor(len(asked)) as pool:  # the real one pauses for a second at each fatal error
        answers = list(pool.map(lambda arguments: ask_real(real, arguments), asked))
    for arguments, theirs in zip(asked, answers, strict=True):
        ours = ask_ours(arguments)
        assert ours[:2] == theirs[:2] == (1, ""), arguments
        assert ours[2][-1] in theirs[2], arguments


def test_the_same_files_that_debian_installs(real: str, tmp_path: Path) -> None:
    stock = Path("/usr/share/postfix")
    shutil.copy(stock / "main.cf.debian", tmp_path / "main.cf")
    shutil.copy(stock / "master.cf.dist", tmp_path / "master.cf")
    for option in ("-n", "-nx", "-M", "-Mf", "-P", "-F"):
        arguments = ["-c", str(tmp_path), option]
        assert ask_ours(arguments) == ask_real(real, arguments), option


@pytest.mark.parametrize("option", ["-d", "-xd"])
def test_the_same_defaults(real: str, tmp_path: Path, option: str) -> None:
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "master.cf").write_text(MASTER)
    arguments = ["-c", str(tmp_path), option]

    def table(text: str) -> dict[str, str]:
        return {name: value.strip() for name, _, value in (line.partition(" =") for line in text.splitlines())}

    theirs, ours = table(ask_real(real, arguments)[1]), table(ask_ours(arguments)[1])
    assert theirs.keys() <= ours.keys()
    for changing in ("process_id",):
        assert theirs.pop(changing) and ours.pop(changing)
    intended = differences()
    if option == "-d":
        assert {name: ours[name] for name in intended} == intended
    assert {name: ours[name] for name in theirs if name not in intended} == {
        name: value for name, value in theirs.items() if name not in intended
    }


def test_a_broken_value_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("relayhost = ${x\n")
    (tmp_path / "master.cf").write_text("")
    assert ask_ours(["-c", str(tmp_path), "-n"], FixedHost()) == (
        1,
        "",
        ["postconf: fatal: macro processing error", 'postconf: warning: truncated macro reference: "${x"'],
    )


def test_it_does_not_edit() -> None:
    for arguments in (["-e", "a=b"], ["a=b"], ["-X", "a"], ["-#", "a"]):
        status, _, errors = ask_ours(arguments, FixedHost())
        assert status == 1
        assert "not supported" in errors[0]

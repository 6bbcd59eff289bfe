"""Logging in, with the programs that people send mail with: on the submission port of Postfix's own master.cf."""

import re
import smtplib
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.scenarios.encrypted import AUTHORITY, World, encrypted
from tests.scenarios.server import WAIT, until
from tests.scenarios.test_clients import program

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks =
inet_protocols = ipv4
relayhost = [127.0.0.1]:{port}
smtpd_tls_chain_files = {secret}/rsa.chain
smtpd_tls_security_level = may
smtpd_sasl_type = gatepost
gatepost_sasl_users = texthash:{folder}/users
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
smtpd_client_auth_rate_limit = 0
smtpd_peername_lookup = no
"""
# As in the file that Postfix comes with, uncommented; the port is ours.
SUBMISSION = """\
127.0.0.1:{submission} inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_relay_restrictions=
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
"""
NAME, PASSWORD = "joe@home.example", "correct horse"


def user(world: World, what: str, name: str, password: str = "") -> None:
    options = ["--stdin"] if password else []
    world.server.command("user", what, *options, name, given=f"{password}\n")


def play(*command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(command[0]), *command[1:]], input=given, capture_output=True, text=True, timeout=WAIT, check=False
    )


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with encrypted(MAIN_CF, SUBMISSION) as made:
        user(made, "add", NAME, PASSWORD)
        made.server.start()
        yield made


def swaks(world: World, mechanism: str, password: str, sender: str, *more: str) -> subprocess.CompletedProcess[str]:
    return play(
        "swaks", "--server", "127.0.0.1", "--port", str(world.submission), "--tls", "--auth", mechanism,
        "--auth-user", NAME, "--auth-password", password, "--from", sender, "--to", "x@far.example", *more,
    )  # fmt: skip


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(world: World, mechanism: str) -> None:
    sender = f"swaks-{mechanism.lower()}@home.example"
    done = swaks(world, mechanism, PASSWORD, sender)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\n\tby relay.home.example \(Postfix\) with ESMTPSA id ", world.arrived(sender).content)
    assert f"sasl_method={mechanism}, sasl_username={NAME}\n" in world.server.log()
    assert re.search(r"postfix/submission/smtpd\[\d+\]: disconnect from .* auth=1 mail=1 ", world.server.log())


def test_curl(world: World) -> None:
    path = world.folder / "message"
    path.write_text("Subject: from curl\r\n\r\nText.\r\n")
    for options, method in (([], "SCRAM-SHA-256"), (["--login-options", "AUTH=PLAIN"], "PLAIN")):
        sender = f"curl-{method.lower()}@home.example"
        done = play(
            "curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", AUTHORITY,
            "--resolve", f"mail.ours.example:{world.submission}:127.0.0.1", "--user", f"{NAME}:{PASSWORD}", *options,
            "--mail-from", sender, "--mail-rcpt", "x@far.example", "--upload-file", str(path),
            f"smtp://mail.ours.example:{world.submission}/client.example",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        world.arrived(sender)
    assert "sasl_method=PLAIN" in world.server.log()


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp(world: World, mechanism: str) -> None:
    sender = f"msmtp-{mechanism}@home.example"
    done = play(
        "msmtp", "--host=127.0.0.1", f"--port={world.submission}", "--tls=on", "--tls-certcheck=off",
        f"--auth={mechanism}", f"--user={NAME}", f"--passwordeval=echo '{PASSWORD}'",
        f"--from={sender}", "x@far.example", given="Subject: x\n\nText.\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    world.arrived(sender)
    assert f"sasl_method={mechanism.upper()}, sasl_username={NAME}\n" in world.server.log()


def test_without_tls_and_without_login(world: World) -> None:
    with smtplib.SMTP("127.0.0.1", world.submission, "client.example", WAIT) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH PLAIN AGFhAGJi")[0] == 530
        context = ssl.create_default_context(cafile=AUTHORITY)
        context.check_hostname = False
        client.starttls(context=context)
        client.ehlo()
        assert client.has_extn("auth")
        client.mail("laptop@home.example")
        assert client.rcpt("x@far.example")[0] == 554
    with smtplib.SMTP("127.0.0.1", world.server.port, "client.example", WAIT) as client:
        client.ehlo()
        client.mail("laptop@home.example")
        assert client.rcpt("x@far.example")[0] == 454


def test_who_is_removed_is_refused_without_a_restart(world: World) -> None:
    user(world, "add", "ann@home.example", "other horse")

    def code() -> int:
        context = ssl.create_default_context(cafile=AUTHORITY)
        context.check_hostname = False
        with smtplib.SMTP("127.0.0.1", world.submission, "client.example", WAIT) as client:
            client.starttls(context=context)
            try:
                return client.login("ann@home.example", "other horse")[0]
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code

    until(lambda: code() == 235, "the new user")
    user(world, "remove", "ann@home.example")
    until(lambda: code() == 535, "the end of the user")
    assert "other horse" not in world.server.log()


@pytest.mark.parametrize("mode", ["auth", "extra", "aggressive"])
def test_fail2ban_finds_who_guesses(world: World, mode: str) -> None:
    done = swaks(world, "PLAIN", "wrong", f"guess-{mode}@home.example")
    assert done.returncode != 0 and "535 5.7.8 Error: authentication failed: authentication failure" in done.stdout
    failed = f"SASL PLAIN authentication failed: authentication failure, sasl_username={NAME}"
    until(lambda: failed in world.server.log(), "the failure in the log")
    # fail2ban looks past 127.0.0.1.
    copy = world.folder / "copy.log"
    lines = [line for line in world.server.log().splitlines(keepends=True) if failed in line]
    copy.write_text("".join(lines).replace("127.0.0.1", "192.0.2.9"))
    found = subprocess.run(
        [program("fail2ban-regex"), "-o", "ip", str(copy), f"postfix[mode={mode}]"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert Counter(found.stdout.split()) == {"192.0.2.9": copy.read_text().count("\n")}

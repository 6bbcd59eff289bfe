"""fail2ban, with its own filter for Postfix, and pflogsumm read our log of a mixed run and count what the run did."""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Dns, Gatepost, queue_id_of, temporary_folder, until

SERVER = "127.0.86.254"
FRIEND = "127.0.86.1"
STRANGER = "127.0.61"

ZONE = """\
far.example MX 10 mx.far.example
mx.far.example A 127.0.88.1
bad.example MX 10 mx.bad.example
mx.bad.example A 127.0.88.3
full.example MX 10 mx.full.example
mx.full.example A 127.0.88.2
stranger.example A 127.0.61.1
20.61.0.127.bl.example A 127.0.0.2
20.61.0.127.bl.example TXT "on a list"
"""
MAIN_CF = """\
myhostname = mx.home.example
mydestination = home.example
local_recipient_maps = inline:{{ann=ok, late=ok}}
local_transport = discard
alias_maps =
mynetworks = 127.0.86.0/24
inet_interfaces = 127.0.86.254
inet_protocols = ipv4
smtpd_hard_error_limit = 3
smtpd_error_sleep_time = 0
smtpd_forbid_unauth_pipelining = yes
smtpd_helo_required = yes
smtpd_client_restrictions = reject_rbl_client bl.example
smtpd_helo_restrictions = permit_mynetworks, reject_non_fqdn_helo_hostname
smtpd_sender_restrictions = permit_mynetworks, reject_unknown_sender_domain,
 check_sender_access inline:{{{{held@far.example = HOLD for a look}}, {{gone@far.example = DISCARD of no use}}}},
 warn_if_reject, check_sender_access inline:{{{{odd@far.example = REJECT odd}}}}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtp_tcp_port = {port}
gatepost_dns_servers = 127.0.0.1:{dns}
"""

# What fail2ban is to find, and how often, in the modes more and aggressive.
MORE = Counter(
    {
        f"{STRANGER}.1": 2,  # relay attempts
        f"{STRANGER}.2": 3,  # unknown users
        f"{STRANGER}.3": 1,  # HELO without a dot
        f"{STRANGER}.4": 1,  # a sender's domain that is not there
        f"{STRANGER}.5": 1,  # too many errors
        f"{STRANGER}.6": 1,  # commands sent ahead
        f"{STRANGER}.20": 1,  # on a DNS list
    }
)
AGGRESSIVE = MORE + Counter({f"{STRANGER}.7": 2, f"{STRANGER}.5": 0})  # lost connections


# Lines of pflogsumm's report.
REPORTED = (
    r" +6 +\d+ +0 +\S+ s +\S+ s  far\.example",
    r" +2 +\d+ +0 +\S+ s +\S+ s  home\.example",
    r" +0 +0 +1 +\S+ s +\S+ s  full\.example",
    r" +6   me@home\.example",
    r" +1   4\.2\.2 Mailbox full \(in reply to RCPT TO command",
    r"  mx\.bad\.example\[127\.0\.88\.3\]:\d+ \(total: 1\)",
    r" +1   5\.1\.1 No such user \(in reply to RCPT TO command\)",
    r"    Helo command rejected: need fully-qualified hostname \(total: 1\)",
    r"    Recipient address rejected: User unknown in local recipient table \(total: 3\)",
    r"    Relay access denied \(total: 2\)",
    r"    Sender address rejected: Domain not found \(total: 1\)",
    r"    blocked using bl\.example \(total: 1\)",
    r"    Sender address rejected: odd \(total: 1\)",
    r"    Sender address for a look \(total: 1\)",
    r"    Sender address of no use \(total: 1\)",
)


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/sbin")
    if found is None:
        message = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


class Run:
    """The run: mail that goes out, bounces, waits, is held, thrown away; and what strangers try."""

    def __init__(self, folder: Path) -> None:
        self.far = Peer("127.0.88.1")
        self.full = Peer("127.0.88.2", self.far.port, RCPT="452 4.2.2 Mailbox full")
        self.bad = Peer("127.0.88.3", self.far.port, RCPT="550 5.1.1 No such user")
        self.dns = Dns(folder, ZONE)
        self.server = Gatepost(folder, MAIN_CF.format(port=self.far.port, dns=self.dns.port), host=SERVER)
        try:
            self.server.start()
        except AssertionError:
            self.stop()
            raise

    def client(self, source: str, helo: str = "EHLO client.stranger.example") -> Client:
        client = Client(self.server.port, SERVER, source)
        client.say(helo)
        return client

    def play(self) -> None:
        self.mail()
        self.strangers()
        # Connections of the test itself look for the greeting, too.
        until(lambda: len(self.server.log_lines(r"smtpd\[\d+\]: disconnect")) >= self._connects(), "disconnects")

    def _connects(self) -> int:
        return len(self.server.log_lines(r"smtpd\[\d+\]: connect"))

    def mail(self) -> None:
        friend = self.client(FRIEND)
        for number in range(5):
            queue_id_of(friend.send("me@home.example", f"u{number}@far.example"))
        bounced = queue_id_of(friend.send("me@far.example", "x@bad.example"))
        deferred = queue_id_of(friend.send("me@home.example", "x@full.example"))
        friend.close()
        stranger = self.client(f"{STRANGER}.1")
        kept = queue_id_of(stranger.send("bob@far.example", "ann@home.example"))
        queue_id_of(stranger.send("held@far.example", "ann@home.example"))
        queue_id_of(stranger.send("gone@far.example", "ann@home.example"))
        odd = queue_id_of(stranger.send("odd@far.example", "ann@home.example"))
        for number in range(2):
            assert stranger.send("bob@far.example", f"x{number}@elsewhere.example").startswith("554 5.7.1")
            stranger.say("RSET")
        stranger.close()
        for pattern in (
            f"{bounced}: removed",
            f"{deferred}: to=.*status=deferred",
            f"{kept}: removed",
            f"{odd}: removed",
            r"to=<u4@far.example>.*status=sent",
            r"to=<me@far.example>.*status=sent",
        ):
            self.server.wait_log(pattern)

    def strangers(self) -> None:
        client = self.client(f"{STRANGER}.2")
        client.say("MAIL FROM:<bob@far.example>")
        for name in ("nobody", "noone"):
            assert client.say(f"RCPT TO:<{name}@home.example>").startswith("550 5.1.1")
        client.close()
        client = self.client(f"{STRANGER}.2")
        assert client.send("bob@far.example", "none@home.example").startswith("550 5.1.1")
        client.close()
        client = self.client(f"{STRANGER}.3", "HELO localhost")
        assert client.send("bob@far.example", "ann@home.example").startswith("504 5.5.2")
        client.close()
        client = self.client(f"{STRANGER}.4")
        assert client.send("bob@gone.example", "ann@home.example").startswith("450 4.1.8")
        client.close()
        client = self.client(f"{STRANGER}.5")
        while not client.say("NONSENSE").startswith("421"):
            pass
        client.close()
        client = Client(self.server.port, SERVER, f"{STRANGER}.6")
        client.say("EHLO x.example\r\nMAIL FROM:<bob@far.example>")
        client.close()
        client = self.client(f"{STRANGER}.20")
        assert client.send("bob@far.example", "ann@home.example").startswith("554 5.7.1")
        client.close()
        for line in ("EHLO x.example", "RSET"):
            client = self.client(f"{STRANGER}.7", line)
            client.file.close()
            client.sock.close()
        self.server.wait_log(r"lost connection after RSET from unknown\[" + re.escape(f"{STRANGER}.7"))
        self.server.wait_log(r"lost connection after EHLO from unknown\[" + re.escape(f"{STRANGER}.7"))

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            for part in (self.far, self.full, self.bad, self.dns):
                part.stop()


@pytest.fixture(scope="module")
def log() -> Iterator[Path]:
    program("fail2ban-regex"), program("pflogsumm")
    with temporary_folder() as folder:
        run = Run(folder)
        try:
            run.play()
        finally:
            run.stop()
        yield run.server.log_path


def fail2ban(log: Path, mode: str) -> Counter[str]:
    """How often each address would count as a failure."""
    done = subprocess.run(
        [program("fail2ban-regex"), "-o", "ip", str(log), f"postfix[mode={mode}]"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return Counter(done.stdout.split())


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("more", MORE),
        ("aggressive", AGGRESSIVE),
        ("errors", Counter({f"{STRANGER}.5": 1})),
        ("rbl", Counter({f"{STRANGER}.20": 1})),
    ],
)
def test_fail2ban_finds_the_strangers_and_nobody_else(log: Path, mode: str, found: Counter[str]) -> None:
    assert fail2ban(log, mode) == found


def test_pflogsumm_counts_what_the_run_did(log: Path) -> None:
    done = subprocess.run([program("pflogsumm"), str(log)], capture_output=True, text=True, timeout=60, check=True)
    report = done.stdout
    totals = {name: int(number) for number, name in re.findall(r"^ +(\d+) +([a-z /]+?)(?: *\(|\n)", report, re.M)}
    assert totals.pop("bytes received") > 1500
    assert totals.pop("bytes delivered") > 3000
    assert totals == {
        "received": 11,  # all that was accepted; notices come in another way
        "delivered": 8,  # 5 and the notice go out, 2 come in
        "forwarded": 0,
        "deferred": 1,
        "bounced": 1,
        "rejected": 8,
        "reject warnings": 1,
        "held": 1,
        "discarded": 1,
        "senders": 4,
        "sending hosts/domains": 2,
        "recipients": 7,
        "recipient hosts/domains": 2,
    }
    for line in REPORTED:
        assert re.search(f"^{line}$", report, re.M), line
    for kind in ("smtp delivery failures", "Warnings", "Fatal Errors", "Panics"):
        assert f"\n{kind}: none\n" in report

"""The main job with real addresses: a network at home, a stranger, and the world, each in a network namespace.

    laptop   192.168.87.2     \\
    printer  192.168.87.1      >  home network 192.168.87.0/24 --  relay 192.168.87.254, 80.62.116.1
    stranger 80.62.116.127    -- the world
    mx       198.51.100.25    -- mail server of gmail.example, on port 25; name service on 198.51.100.53

Nothing is sent outside the namespaces, which have no way out.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.server import REPOSITORY, WAIT, Gatepost, smtp_sink_program, temporary_folder, until

NUMBERS = itertools.count()
ZONE = """\
gmail.example MX 10 gmail-smtp-in.gmail.example
gmail-smtp-in.gmail.example A 198.51.100.25
2.87.168.192.in-addr.arpa PTR laptop.home.example
laptop.home.example A 192.168.87.2
loop.example MX 10 relay.home.example
worse.example MX 10 relay.home.example
worse.example MX 20 gmail-smtp-in.gmail.example
relay.home.example A 192.168.87.254
"""
MAIN_CF = """\
myhostname = relay.home.example
mydestination = home.example
local_recipient_maps = inline:{ bob=ok }
alias_maps = inline:{ bob=mailbox@box.example }
transport_maps = inline:{ box.example=smtp:[198.51.100.25] }
mynetworks = 127.0.0.0/8 !192.168.87.1 192.168.87.0/24
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
gatepost_dns_servers = 198.51.100.53:53
inet_protocols = ipv4
"""
# Runs inside a namespace: one session, its replies as JSON.
CLIENT = """\
import json, socket, sys
sock = socket.create_connection((sys.argv[1], 25), 20)
file = sock.makefile("rb")
def reply():
    lines = []
    while not lines or lines[-1][3:4] == "-":
        lines.append(file.readline().decode().rstrip("\\r\\n"))
        if not lines[-1]:
            break
    return "\\n".join(lines)
replies = [reply()]
for line in json.load(sys.stdin):
    sock.sendall(line.encode() + b"\\r\\n")
    replies.append(reply())
print(json.dumps(replies))
"""


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=WAIT, check=check)


def why_not() -> str:
    if os.geteuid():
        return "network namespaces want root"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    if smtp_sink_program() is None:
        return "smtp-sink (Debian's postfix) is not installed"
    name = f"gp-try-{os.getpid()}"
    done = ip("netns", "add", name, check=False)
    if done.returncode:
        return f"no network namespaces here: {done.stderr.strip()}"
    ip("netns", "del", name)
    return ""


REASON = why_not()
pytestmark = pytest.mark.skipif(
    bool(REASON) and not (os.environ.get("CI") and not os.geteuid() and "namespaces here" not in REASON), reason=REASON
)


class Net:
    """Namespaces of this test's own, joined by bridges in one more; `close` takes all away."""

    HOSTS = {  # noqa: RUF012 - addresses by host: (bridge, address)
        "relay": [("home", "192.168.87.254/24"), ("world", "80.62.116.1/24"), ("world", "198.51.100.1/24")],
        "laptop": [("home", "192.168.87.2/24")],
        "printer": [("home", "192.168.87.1/24")],
        "stranger": [("world", "80.62.116.127/24")],
        "mx": [("world", "198.51.100.25/24"), ("world", "198.51.100.53/24")],
    }

    def __init__(self) -> None:
        self.prefix = f"gp{os.getpid()}n{next(NUMBERS)}"
        self.names = [self.name(host) for host in (*self.HOSTS, "wires")]
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def name(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def _build(self) -> None:
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        wires = self.name("wires")
        for bridge in ("home", "world"):
            ip("-n", wires, "link", "add", bridge, "type", "bridge")
            ip("-n", wires, "link", "set", bridge, "up")
        for host, addresses in self.HOSTS.items():
            namespace = self.name(host)
            for bridge in dict.fromkeys(where for where, _ in addresses):
                device, far = f"to-{bridge}", f"{host}-{bridge}"
                ip("-n", namespace, "link", "add", device, "type", "veth", "peer", "name", far, "netns", wires)
                ip("-n", wires, "link", "set", far, "master", bridge, "up")
                for where, address in addresses:
                    if where == bridge:
                        ip("-n", namespace, "address", "add", address, "dev", device)
                ip("-n", namespace, "link", "set", device, "up")

    def command(self, host: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name(host), *command]

    def close(self) -> None:
        for name in self.names:
            ip("netns", "del", name, check=False)


class World:
    def __init__(self, folder: Path) -> None:
        self.net = Net()
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start(folder)
        except BaseException:
            self.stop()
            raise

    def _start(self, folder: Path) -> None:
        self.sink = folder / "sink"
        self.sink.mkdir()
        self.sink.chmod(0o777)
        program = smtp_sink_program()
        assert program is not None
        self._run("mx", program, "-u", "nobody", "-R", str(self.sink), "-d", "message.%s.", "198.51.100.25:25", "100")
        (folder / "zone").write_text(ZONE)
        self._run(
            "mx",
            sys.executable,
            "-m",
            "tests.dns_server",
            str(folder / "zone"),
            "--host",
            "198.51.100.53",
            "--port",
            "53",
        )
        self.relay = Gatepost(
            folder, MAIN_CF, port=25, host="192.168.87.254", master_cf="", run=self.net.command("relay")
        )
        master_cf = (self.relay.conf / "master.cf").read_text().replace("192.168.87.254:25", "smtp")
        (self.relay.conf / "master.cf").write_text(master_cf)
        for host, address, port in (("mx", "198.51.100.25", 25), ("mx", "198.51.100.53", 53)):
            until(
                lambda host=host, address=address, port=port: self._connects(host, address, port), f"{address}:{port}"
            )  # type: ignore[misc]
        self.relay.launch()
        until(lambda: self._connects("laptop", "192.168.87.254", 25), "the relay")

    def _run(self, host: str, *command: str) -> None:
        self.processes.append(
            subprocess.Popen(
                self.net.command(host, *command), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )

    def _connects(self, host: str, address: str, port: int) -> bool:
        code = f"import socket; socket.create_connection(({address!r}, {port}), 2)"
        return (
            subprocess.run(
                self.net.command(host, sys.executable, "-c", code), capture_output=True, check=False
            ).returncode
            == 0
        )

    def session(self, host: str, *lines: str, server: str = "192.168.87.254") -> list[str]:
        done = subprocess.run(
            self.net.command(host, sys.executable, "-c", CLIENT, server),
            input=json.dumps(lines),
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=True,
        )
        replies: list[str] = json.loads(done.stdout)
        return replies

    def messages(self) -> list[str]:
        return [path.read_text(errors="replace") for path in sorted(self.sink.iterdir())]

    def stop(self) -> None:
        try:
            if hasattr(self, "relay"):
                self.relay.stop()
        finally:
            for process in self.processes:
                process.terminate()
                process.wait(WAIT)
            self.net.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder)
        yield made
        made.stop()


def letter(recipient: str, text: str) -> list[str]:
    return [
        "MAIL FROM:<alice@home.example>",
        f"RCPT TO:<{recipient}>",
        "DATA",
        f"Subject: hello\r\n\r\n{text}\r\n.",
        "QUIT",
    ]


def test_the_laptop_relays(world: World) -> None:
    replies = world.session("laptop", "EHLO laptop", *letter("bob@gmail.example", "Hi Bob."))
    assert replies[0] == "220 relay.home.example ESMTP Postfix" and replies[-1] == "221 2.0.0 Bye"
    queue_id = replies[-2].rsplit(" ", 1)[1]
    assert replies[-2] == f"250 2.0.0 Ok: queued as {queue_id}"
    world.relay.wait_log(f"{queue_id}: removed")
    world.relay.wait_log("disconnect from laptop.* data=1 ")
    lines = [re.sub(r"\[\d+\]: ", ": ", line, count=1) for line in world.relay.log_lines(f"{queue_id}|laptop")]
    number = r"[\d.]+"
    expected = [
        r"postfix/smtpd: connect from laptop\.home\.example\[192\.168\.87\.2\]",
        rf"postfix/smtpd: {queue_id}: client=laptop\.home\.example\[192\.168\.87\.2\]",
        rf"postfix/cleanup: {queue_id}: message-id=<.*>",
        rf"postfix/qmgr: {queue_id}: from=<alice@home\.example>, size=\d+, nrcpt=1 \(queue active\)",
        rf"postfix/smtp: {queue_id}: to=<bob@gmail\.example>, "
        r"relay=gmail-smtp-in\.gmail\.example\[198\.51\.100\.25\]:25, "
        rf"delay={number}, delays={number}/{number}/{number}/{number}, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok\)",
        rf"postfix/qmgr: {queue_id}: removed",
        r"postfix/smtpd: disconnect from laptop\.home\.example\[192\.168\.87\.2\] "
        r"ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    ]
    for pattern in expected:
        assert any(re.fullmatch(pattern, line) for line in lines), (pattern, lines)
    assert any("Hi Bob." in message and "X-Rcpt-Args: <bob@gmail.example>" in message for message in world.messages())


@pytest.mark.parametrize(
    ("host", "address", "server"),
    [("printer", "192.168.87.1", "192.168.87.254"), ("stranger", "80.62.116.127", "80.62.116.1")],
)
def test_the_excepted_and_the_stranger_do_not(world: World, host: str, address: str, server: str) -> None:
    replies = world.session(host, "EHLO there", *letter("bob@gmail.example", "Buy!")[:2], "QUIT", server=server)
    assert replies[3] == "454 4.7.1 <bob@gmail.example>: Relay access denied"
    line = world.relay.wait_log(rf"NOQUEUE: reject: RCPT from unknown\[{re.escape(address)}\]")
    assert line.endswith(
        f"NOQUEUE: reject: RCPT from unknown[{address}]: 454 4.7.1 <bob@gmail.example>: Relay access denied; "
        "from=<alice@home.example> to=<bob@gmail.example> proto=ESMTP helo=<there>"
    )


def test_the_stranger_writes_to_a_local_user(world: World) -> None:
    replies = world.session("stranger", "EHLO there", *letter("bob@home.example", "Good day."), server="80.62.116.1")
    queue_id = replies[-2].rsplit(" ", 1)[1]
    line = world.relay.wait_log(f"{queue_id}: to=<bob@home.example>.*status=sent")
    assert "(forwarded as " in line
    until(lambda: any("Good day." in message for message in world.messages()), "the message")
    replies = world.session(
        "stranger", "EHLO there", *letter("nosuch@home.example", "Good day.")[:2], server="80.62.116.1"
    )
    assert replies[3].startswith("550 5.1.1 <nosuch@home.example>: Recipient address rejected: User unknown")


@pytest.mark.parametrize(
    ("domain", "outcome"),
    [
        ("loop.example", "dsn=5.4.6, status=bounced (mail for loop.example loops back to myself)"),
        ("worse.example", "dsn=5.4.6, status=bounced (mail for worse.example loops back to myself)"),
    ],
)
def test_mail_does_not_go_round(world: World, domain: str, outcome: str) -> None:
    """On port 25 only, where another server is ourselves."""
    replies = world.session("laptop", "EHLO laptop", *letter(f"a@{domain}", "Round and round."))
    queue_id = replies[-2].rsplit(" ", 1)[1]
    assert world.relay.wait_log(f"{queue_id}: to=").endswith(outcome)


def test_check_warns_of_an_exception_that_comes_too_late(world: World) -> None:
    text = (world.relay.conf / "main.cf").read_text()
    (world.relay.conf / "main.cf").write_text(
        text.replace("!192.168.87.1 192.168.87.0/24", "192.168.87.0/24 !192.168.87.1")
    )
    try:
        done = world.relay.command("check", check=False)
        assert re.search(r"mynetworks.*!192\.168\.87\.1.*has no effect", done.stdout + done.stderr)
    finally:
        (world.relay.conf / "main.cf").write_text(text)

"""What a list of restrictions costs per recipient: CPU with twelve of them and four tables, less that with none."""

import ipaddress
import random
import shutil
import socket
import statistics
import subprocess
from pathlib import Path

from accounting import Target, tool
from servers import PORT, Gatepost, Postfix, Server

NETWORKS = 50_000
KEYS = 100_000
MESSAGES = 25
RECIPIENTS = 200
"""Of each message: asked for with one write, as pipelining allows, and refused or accepted one by one."""

EMPTY = """\
smtpd_recipient_limit = 1000
smtpd_recipient_restrictions =
"""
TWELVE = """\
smtpd_recipient_limit = 1000
smtpd_recipient_restrictions =
    reject_invalid_helo_hostname
    reject_non_fqdn_helo_hostname
    reject_non_fqdn_sender
    reject_non_fqdn_recipient
    check_client_access cidr:{folder}/networks
    check_helo_access texthash:{folder}/names
    check_sender_access hash:{folder}/senders
    check_recipient_access regexp:{folder}/patterns
    reject_multi_recipient_bounce
    reject_unlisted_recipient
    permit_sasl_authenticated
    permit_mynetworks
"""


def make_tables(folder: Path) -> None:
    """None of them has an answer for the session below, so that each is asked and the next restriction follows."""
    folder.mkdir()
    folder.chmod(0o755)
    rng = random.Random(1)
    networks = {rng.getrandbits(24) << 8 for _ in range(NETWORKS + NETWORKS // 50)}
    outside = [ipaddress.ip_address(n) for n in networks if n >> 24 not in (0, 127)][:NETWORKS]
    (folder / "networks").write_text("".join(f"{network}/24 REJECT\n" for network in outside))
    (folder / "names").write_text("".join(f"host{n}.example REJECT\n" for n in range(100)))
    (folder / "senders").write_text("".join(f"user{n}@spam{n % 997}.example REJECT\n" for n in range(KEYS)))
    (folder / "patterns").write_text("".join(f"/^trap{n}[0-9]*@/ REJECT\n" for n in range(20)))
    subprocess.run([tool("postmap"), f"hash:{folder}/senders"], check=True, capture_output=True, timeout=60)


def session(port: int) -> None:
    """MESSAGES transactions of RECIPIENTS recipients each, up to DATA; every one must be accepted."""
    with socket.create_connection(("127.0.0.1", port), 60) as conn, conn.makefile("rb") as replies:

        def ask(text: str, count: int = 1) -> None:
            conn.sendall(text.encode())
            for _ in range(count):
                line = replies.readline()
                while line[3:4] == b"-":
                    line = replies.readline()
                if line[:1] != b"2":
                    raise OSError(f"{text.splitlines()[0]}: {line.decode()}")

        ask("")
        ask("EHLO client.bench.test\r\n")
        for message in range(MESSAGES):
            ask(f"MAIL FROM:<sender{message}@bench.test>\r\n")
            names = [f"RCPT TO:<rcpt{message}.{n}@example.test>\r\n" for n in range(RECIPIENTS)]
            ask("".join(names), RECIPIENTS)
            ask("RSET\r\n")
        ask("QUIT\r\n")


def cost(server: Server, rounds: int) -> float:
    """Microseconds of CPU per recipient."""
    server.start()
    try:
        target = Target(pid=server.pid)
        session(PORT[server.name])  # tables are loaded, processes are there
        found = []
        for _ in range(rounds):
            before = sum(target.cpu_ms())
            session(PORT[server.name])
            found.append((sum(target.cpu_ms()) - before) * 1000 / (MESSAGES * RECIPIENTS))
        return statistics.median(found)
    finally:
        server.stop()


def restrictions(base: Path, rounds: int) -> dict[str, dict[str, float]]:
    """{mail system: {list: microseconds of CPU per recipient}}. Raises NotStarted, OSError, CalledProcessError."""
    make_tables(base / "tables")
    found: dict[str, dict[str, float]] = {}
    for kind in (Postfix, Gatepost):
        for name, extra in (("empty", EMPTY), ("twelve", TWELVE.format(folder=base / "tables"))):
            server = kind(base / f"{kind.name}-{name}", extra)
            try:
                found.setdefault(server.name, {})[name] = cost(server, rounds)
            finally:
                shutil.rmtree(server.base, ignore_errors=True)
    return found

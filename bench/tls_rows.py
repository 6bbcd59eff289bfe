"""What TLS costs: messages over TLS on both sides, with a connection each, and handshakes alone, new and resumed."""

import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from accounting import Target, run_load, tool, wait_port
from deferred_rows import Missing
from servers import PORT, SINK, Gatepost, Postfix, Server

SOURCE = Path(__file__).resolve().parent / "tls_peers.c"
SESSIONS = 50
OCTETS = 4096
SECONDS = 120
EXTRA = """\
smtpd_tls_security_level = may
smtpd_tls_chain_files = {pem}
smtpd_tls_session_cache_database =
smtp_tls_security_level = encrypt
"""


def make_certificate(pem: Path) -> None:
    """RSA, 2048 bits, as Debian's ssl-cert makes it."""
    key, cert = pem.with_suffix(".key"), pem.with_suffix(".crt")
    command = [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=bench.test", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    pem.write_text(key.read_text() + cert.read_text())


def make_peers(folder: Path) -> Path:
    """The load's two ends (tls_peers.c). Raises Missing without a compiler or the headers of OpenSSL."""
    peers = folder / "tls_peers"
    command = [tool("cc"), "-O2", "-o", str(peers), str(SOURCE), "-lssl", "-lcrypto"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if made.returncode:
        raise Missing(f"tls_peers.c (Debian's libssl-dev has what it needs): {made.stderr.strip()[:300]}")
    return peers


@contextlib.contextmanager
def sink(peers: Path, pem: Path, counter: Path) -> Iterator[None]:
    with open(counter, "wb") as out:
        process = subprocess.Popen([peers, "sink", str(SINK), str(pem)], stdout=out, start_new_session=True)
    try:
        if wait_port("127.0.0.1", SINK, 10) is None:
            raise Missing("tls_peers sink did not start")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def counted(counter: Path) -> int:
    with open(counter, "rb") as text:
        text.seek(max(0, counter.stat().st_size - 64))
        found = re.findall(rb"mesg=(\d+)\r", text.read())
    return int(found[-1]) if found else 0


def run_source(peers: Path, port: int, sessions: int, kind: str) -> None:
    """`kind`: messages, new or resumed. Raises Missing if not all sessions were as they have to be."""
    command = [str(each) for each in (peers, "source", port, sessions, SESSIONS, OCTETS, kind)]
    done = run_load(command, SECONDS)
    if done.returncode:
        raise Missing(f"{kind} over TLS: {done.stderr.strip()[-300:]}")


def relayed(server: Server, peers: Path, pem: Path, messages: int) -> tuple[float, float]:
    """(messages/s until the last one has arrived, milliseconds of CPU for each)."""
    counter = server.base / "counted"
    target = Target(pid=server.pid)
    with sink(peers, pem, counter):
        cpu, begin = sum(target.cpu_ms()), time.monotonic()
        run_source(peers, PORT[server.name], messages, "messages")
        while counted(counter) < messages:
            if time.monotonic() > begin + SECONDS:
                raise Missing(f"{server.name} delivered {counted(counter)} of {messages} messages over TLS")
            time.sleep(0.005)
        seconds = time.monotonic() - begin
        return messages / seconds, (sum(target.cpu_ms()) - cpu) / messages


def handshakes(server: Server, peers: Path, number: int, kind: str) -> tuple[float, float]:
    """(sessions/s, milliseconds of CPU for each)."""
    target = Target(pid=server.pid)
    cpu, begin = sum(target.cpu_ms()), time.monotonic()
    run_source(peers, PORT[server.name], number, kind)
    return number / (time.monotonic() - begin), (sum(target.cpu_ms()) - cpu) / number


def over_tls(base: Path, rounds: int) -> dict[str, dict[str, tuple[float, float]]]:
    """{mail system: {messages, new, resumed: (per second, CPU ms each)}}, medians, in turn. Raises Missing, OSError."""
    folder = base / "tls"
    folder.mkdir()
    folder.chmod(0o755)
    pem = folder / "bench.pem"
    make_certificate(pem)
    peers = make_peers(folder)
    extra = EXTRA.format(pem=pem)
    servers: list[Server] = [kind(base / f"{kind.name}-tls", extra) for kind in (Postfix, Gatepost)]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    try:
        for server in servers:
            server.start()
        for _ in range(rounds):
            for server in servers:
                of = found.setdefault(server.name, {"messages": [], "new": [], "resumed": []})
                of["messages"].append(relayed(server, peers, pem, 2000))
                of["new"].append(handshakes(server, peers, 2000, "new"))
                of["resumed"].append(handshakes(server, peers, 2000, "resumed"))
    finally:
        for server in servers:
            if server.pid:
                server.stop()
            shutil.rmtree(server.base, ignore_errors=True)
    return {
        name: {what: tuple(map(statistics.median, zip(*results, strict=True))) for what, results in of.items()}
        for name, of in found.items()
    }  # type: ignore[return-value]

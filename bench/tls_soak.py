"""Many TLS sessions with one Gatepost, and what its SMTP workers' memory comes to: python -m bench.tls_soak [SESSIONS].

Full and resumed handshakes, commands in TLS, certificates of clients, handshakes that are cut, and garbage. Prints the
private memory of the workers before, now and then, and at the end; exit status 1 if it grows without end.
"""

import multiprocessing
import random
import socket
import ssl
import sys
import time
from pathlib import Path

from tests.certificates import certificates
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder

CLIENTS = 3
ROUNDS = 10
"""Memory is looked at after each."""

GROWTH = 50
"""Octets per session in the second half that are no leak: the allocator's own doing."""

MAIN_CF = """\
myhostname = mail.ours.example
inet_protocols = ipv4
mynetworks =
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_timeout = 20s
smtpd_starttls_timeout = 20s
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/rsa.chain, {folder}/ec.chain
smtpd_tls_CAfile = {folder}/ca.pem
smtpd_tls_ask_ccert = yes
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
gatepost_smtpd_processes = 2
"""


def private_memory(pids: list[int]) -> int:
    """Octets that belong to these processes alone."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


class Client:
    """One after the other, as fast as it goes. Resumes sessions of its own."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._dice = random.Random(seed)
        self._plain = certificates().client_context(version="1.2")
        self._newest = certificates().client_context()
        self._laptop = certificates().client_context("client")
        self._session: ssl.SSLSession | None = None

    def sessions(self, number: int) -> None:
        for _ in range(number):
            with socket.create_connection(("127.0.0.1", self._port), 60) as sock:
                sock.recv(500)
                self._say(sock, b"EHLO client.example\r\n")
                self._say(sock, b"STARTTLS\r\n")
                try:
                    self._one(sock)
                except (ssl.SSLError, ConnectionError):
                    pass

    def _say(self, sock: socket.socket, line: bytes) -> None:
        sock.sendall(line)
        sock.recv(2000)

    def _one(self, sock: socket.socket) -> None:
        throw = self._dice.random()
        if throw < 0.05:
            sock.sendall(self._dice.randbytes(self._dice.randrange(1, 300)))
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)
        elif throw < 0.1:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: self._dice.randrange(12)])
        elif throw < 0.5:
            self._talk(self._plain.wrap_socket(sock, session=self._session))
        elif throw < 0.9:
            self._talk(self._newest.wrap_socket(sock))
        else:
            self._talk(self._laptop.wrap_socket(sock))

    def _talk(self, tls: ssl.SSLSocket) -> None:
        if tls.context is self._plain and (self._session is None or self._dice.random() < 0.01):
            self._session = tls.session
        for line in (b"EHLO client.example\r\n", b"MAIL FROM:<a@x.example>\r\n", b"RCPT TO:<b@far.example>\r\n"):
            self._say(tls, line)
        if self._dice.random() < 0.8:
            self._say(tls, b"QUIT\r\n")


def play(port: int, sessions: int, seed: int) -> None:
    """In a process of its own."""
    Client(port, seed).sessions(sessions)


def load(port: int, sessions: int, round_: int) -> None:
    context = multiprocessing.get_context("fork")
    parts = [
        context.Process(target=play, args=(port, sessions // CLIENTS, round_ * CLIENTS + number))
        for number in range(CLIENTS)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
        if part.exitcode:
            sys.exit(f"a client ended with {part.exitcode}")


def main(sessions: int) -> int:
    certificates()
    with temporary_folder() as folder:
        port = free_port()
        server = Gatepost(
            folder,
            MAIN_CF.format(folder=certificates().folder),
            port=port,
            master_cf=MASTER_CF.format(listen=f"127.0.0.1:{port}"),
        )
        server.start()
        try:
            workers = server.workers("smtpd")
            memory = [private_memory(workers)]
            print(f"before: {memory[0] / 2**20:.1f} MiB private memory of {len(workers)} workers", flush=True)
            begun = time.monotonic()
            for number in range(ROUNDS):
                load(port, sessions // ROUNDS, number)
                memory.append(private_memory(workers))
                print(f"{sessions // ROUNDS * (number + 1)} sessions: {memory[-1] / 2**20:.1f} MiB", flush=True)
            rate = sessions / (time.monotonic() - begun)
            assert server.workers("smtpd") == workers, "a worker has died"
            grown = (memory[-1] - memory[ROUNDS // 2]) / (sessions / 2)
            print(f"second half: {grown:+.1f} octets per session; {rate:.0f} sessions/s")
            return 1 if grown > GROWTH else 0
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))

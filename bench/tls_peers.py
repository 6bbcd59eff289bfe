#!/usr/bin/env python3
"""SMTP over TLS as load, from loopback and to it: what smtp-source and smtp-sink do not speak.

  tls_peers.py source --port P -m N -s S -l L [--tls messages|new|resumed]
      N sessions of STARTTLS, S at a time. `messages`: each sends one message of L octets; `new`, `resumed`: each says
      QUIT after a full or a resumed handshake. Certificates are not verified. Status 1 if any session fails.
  tls_peers.py sink --port P --cert PEM
      takes all mail and prints `mesg=N`, a carriage return behind it, until it is killed.

Blocking sockets and threads in two processes: while OpenSSL works, other threads run.
"""

import argparse
import mmap
import os
import socket
import ssl
import struct
import sys
import threading
import time

PROCESSES = 2


class Conversation:
    """A connection and its lines, before and after STARTTLS."""

    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.file = sock.makefile("rb")

    def reply(self, code):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise OSError(f"wanted {code.decode()}, got {line!r}")

    def ask(self, text, code):
        self.sock.sendall(text)
        self.reply(code)

    def wrap(self, context, **options):
        self.file.close()
        self.sock = context.wrap_socket(self.sock, **options)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()


class Source:
    """Sessions of one process. `left` counts down under `lock`."""

    def __init__(self, opt, sessions):
        self.opt = opt
        self.left = sessions
        self.failure = None
        self.lock = threading.Lock()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        line = b"x" * 78 + b"\r\n"
        self.body = (b"Subject: load\r\n\r\n" + line * (opt.length // len(line) + 1))[: opt.length] + b"\r\n.\r\n"

    def run(self, threads):
        running = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        if self.failure is not None:
            sys.exit(f"tls_peers source: {self.failure}")

    def work(self):
        session = None
        while True:
            with self.lock:
                if self.left <= 0 or self.failure is not None:
                    return
                self.left -= 1
            try:
                session = self.one(session)
            except (OSError, ssl.SSLError) as problem:
                self.failure = f"{type(problem).__name__}: {problem}"

    def one(self, session):
        """One session; what the next one of this thread may resume."""
        talk = Conversation(socket.create_connection(("127.0.0.1", self.opt.port), 30))
        try:
            talk.reply(b"220")
            talk.ask(b"EHLO load.bench.test\r\n", b"250")
            talk.ask(b"STARTTLS\r\n", b"220")
            talk.wrap(self.context, session=session)
            if session is not None and not talk.sock.session_reused:
                raise OSError("the session was not resumed")
            if self.opt.tls == "messages":
                talk.ask(b"EHLO load.bench.test\r\n", b"250")
                talk.sock.sendall(b"MAIL FROM:<sender@bench.test>\r\nRCPT TO:<rcpt@example.test>\r\nDATA\r\n")
                for code in (b"250", b"250", b"354"):
                    talk.reply(code)
                talk.ask(self.body, b"250")
            talk.ask(b"QUIT\r\n", b"221")
            return talk.sock.session if self.opt.tls == "resumed" else None
        finally:
            talk.close()


def source(opt):
    """Status 0 if all sessions did what they had to."""
    children = []
    for number in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            share = opt.messages // PROCESSES + (number < opt.messages % PROCESSES)
            Source(opt, share).run(max(1, opt.sessions // PROCESSES))
            os._exit(0)
        children.append(pid)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children) != 0)


class Sink:
    """One process; counts its messages in the octets at `place` of `counts`."""

    def __init__(self, listener, context, counts, place):
        self.listener = listener
        self.context = context
        self.counts = counts
        self.place = place
        self.messages = 0
        self.lock = threading.Lock()

    def run(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        talk = Conversation(conn)
        offers = b"250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250 STARTTLS\r\n"
        try:
            conn.sendall(b"220 sink ESMTP\r\n")
            while line := talk.file.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    talk.sock.sendall(offers)
                elif verb == b"STAR":
                    talk.sock.sendall(b"220 go\r\n")
                    talk.wrap(self.context, server_side=True)
                    offers = offers.replace(b"250-8BITMIME\r\n250 STARTTLS", b"250 8BITMIME")
                elif verb == b"DATA":
                    talk.sock.sendall(b"354 go\r\n")
                    while talk.file.readline() not in (b".\r\n", b""):
                        pass
                    talk.sock.sendall(b"250 2.0.0 ok\r\n")
                    with self.lock:
                        self.messages += 1
                        struct.pack_into("=Q", self.counts, self.place, self.messages)
                elif verb == b"QUIT":
                    talk.sock.sendall(b"221 bye\r\n")
                    return
                else:
                    talk.sock.sendall(b"250 2.0.0 ok\r\n")
        except (OSError, ssl.SSLError):
            pass
        finally:
            talk.close()


def sink(opt):
    """Until it is killed, with its children (a process group of its own)."""
    listener = socket.create_server(("127.0.0.1", opt.port), backlog=1024)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(opt.cert)
    counts = mmap.mmap(-1, 8 * PROCESSES)
    for number in range(PROCESSES):
        if os.fork() == 0:
            Sink(listener, context, counts, 8 * number).run()
    told = -1
    while True:
        total = sum(struct.unpack_from(f"={PROCESSES}Q", counts))
        if total != told:
            told = total
            print(f"mesg={total}", end="\r", flush=True)
        time.sleep(0.005)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("role", choices=["source", "sink"])
    ap.add_argument("--port", type=int, required=True)
    ap.add_argument("--cert", help="certificate and key of the sink, PEM")
    ap.add_argument("-m", "--messages", type=int, default=1)
    ap.add_argument("-s", "--sessions", type=int, default=1)
    ap.add_argument("-l", "--length", type=int, default=4096)
    ap.add_argument("--tls", choices=["messages", "new", "resumed"], default="messages")
    opt = ap.parse_args()
    {"source": source, "sink": sink}[opt.role](opt)


if __name__ == "__main__":
    main()

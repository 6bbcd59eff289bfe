"""The latency phase: single messages over a quiet system, one at a time."""

import os
import socket
import threading
import time

from accounting import now, percentile


class LatencySink(threading.Thread):
    """A minimal SMTP server that notes when each message's final dot arrives."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.cond = threading.Condition()
        self.arrived = {}

    def run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with conn, conn.makefile("rb") as f:
                conn.sendall(b"220 sink ESMTP\r\n")
                for line in f:
                    verb = line[:4].upper()
                    if verb == b"EHLO":
                        conn.sendall(b"250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME\r\n")
                    elif verb == b"DATA":
                        conn.sendall(b"354 go\r\n")
                        ident = None
                        for line in f:
                            if line == b".\r\n":
                                break
                            if line.startswith(b"X-Bench: "):
                                ident = line[9:].strip()
                        else:
                            return
                        t = now()
                        with self.cond:
                            self.arrived[ident] = t
                            self.cond.notify_all()
                        conn.sendall(b"250 2.0.0 ok\r\n")
                    elif verb == b"QUIT":
                        conn.sendall(b"221 bye\r\n")
                        return
                    else:
                        conn.sendall(b"250 2.0.0 ok\r\n")
        except OSError:
            pass

    def wait(self, ident, timeout):
        with self.cond:
            self.cond.wait_for(lambda: ident in self.arrived, timeout)
            return self.arrived.get(ident)


class Client:
    """A blocking SMTP client that knows when it sent its final dot."""

    def __init__(self, addr):
        self.sock = socket.create_connection(addr, 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.reply()
        self.command(b"EHLO localhost\r\n")

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("connection closed")
            if line[3:4] != b"-":
                break
        if line[:1] not in b"23":
            raise ConnectionError(line.decode(errors="replace").strip())

    def command(self, data):
        self.sock.sendall(data)
        self.reply()

    def send(self, sender, rcpt, body):
        """Send one message; (time of the final dot, time of its 250)."""
        self.command(b"MAIL FROM:<%s>\r\n" % sender)
        self.command(b"RCPT TO:<%s>\r\n" % rcpt)
        self.command(b"DATA\r\n")
        sent = now()
        self.sock.sendall(body + b".\r\n")
        self.reply()
        return sent, now()

    def close(self):
        try:
            self.command(b"QUIT\r\n")
        except OSError:
            pass
        self.sock.close()


def latency(args, target):
    sink = LatencySink(args.sink_port)
    sink.start()
    e2e, ack, lost = [], [], 0
    text = (b"x" * 76 + b"\r\n") * max(1, args.length // 78)
    client = None
    deadline = now() + args.timeout
    cpu0 = target.cpu_ms()
    for i in range(args.latency):
        if now() > deadline:
            break
        ident = b"%d-%d" % (os.getpid(), i)
        body = b"From: <%s>\r\nTo: <%s>\r\nSubject: latency\r\nX-Bench: %s\r\n\r\n%s" % (
            args.sender.encode(),
            args.rcpt.encode(),
            ident,
            text,
        )
        if client is None:
            client = Client(args.mta)
        sent, acked = client.send(args.sender.encode(), args.rcpt.encode(), body)
        ack.append((acked - sent) * 1e3)
        if args.mode != "reuse":
            client.close()
            client = None
        at = sink.wait(ident, 10)
        if at is None:
            lost += 1
        else:
            e2e.append((at - sent) * 1e3)
        time.sleep(args.latency_gap)
    if client:
        client.close()
    time.sleep(args.settle)
    cpu1 = target.cpu_ms()
    sink.listener.close()
    res = {
        "latency_n": len(e2e),
        "latency_lost": lost,
        "latency_cpu_ms_per_msg": round((sum(cpu1) - sum(cpu0)) / max(1, len(ack)), 3),
    }
    for name, values in (("e2e", e2e), ("ack", ack)):
        if values:
            res[f"latency_{name}_ms"] = {
                "min": round(min(values), 2),
                "p50": round(percentile(values, 0.5), 2),
                "p90": round(percentile(values, 0.9), 2),
                "p99": round(percentile(values, 0.99), 2),
                "max": round(max(values), 2),
            }
    return res

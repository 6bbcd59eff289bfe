"""TLS servers, Postfix's and ours: what dialogues cannot do (cut handshakes, resumed sessions), and what is written.

The same clients talk to listeners with the same parameters; replies, log lines and Received headers are equal.
"""

import contextlib
import os
import re
import socket
import ssl
import struct
from collections.abc import Callable, Mapping

from tests.certificates import certificates, placed, unplaced
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.server import Gatepost, Sink, free_port, temporary_folder, until
from tests.scenarios.test_clients import program, run

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
mynetworks = 127.0.87.0/24
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions =
smtpd_forbid_unauth_pipelining = yes
"""
_CERTIFICATE = {
    "smtpd_tls_security_level": "may",
    "smtpd_tls_cert_file": "CERTS/rsa.pem",
    "smtpd_tls_key_file": "CERTS/rsa.key",
    "smtpd_tls_loglevel": "1",
}
_ASKING = {**_CERTIFICATE, "smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": "CERTS/ca.pem"}
LISTENERS: Mapping[str, Mapping[str, str]] = {
    "plain": _CERTIFICATE,
    "short": {**_CERTIFICATE, "smtpd_starttls_timeout": "1s"},
    "wrapper": {**_CERTIFICATE, "smtpd_tls_wrappermode": "yes"},
    "shortwrap": {**_CERTIFICATE, "smtpd_tls_wrappermode": "yes", "smtpd_starttls_timeout": "1s"},
    "asking": {**_ASKING, "smtpd_tls_received_header": "yes"},
    "header": {**_CERTIFICATE, "smtpd_tls_received_header": "yes"},
    "loud": {**_ASKING, "smtpd_tls_loglevel": "2"},
    "quiet": {**_CERTIFICATE, "smtpd_tls_loglevel": "0"},
    "rate": {**_CERTIFICATE, "smtpd_client_new_tls_session_rate_limit": "2"},
    "wraprate": {
        **_CERTIFICATE,
        "smtpd_tls_wrappermode": "yes",
        "smtpd_client_new_tls_session_rate_limit": "1",
    },
    "wrapcount": {**_CERTIFICATE, "smtpd_tls_wrappermode": "yes", "smtpd_client_connection_count_limit": "1"},
    "graded": {**_CERTIFICATE, "smtpd_tls_eecdh_grade": "ultra", "tls_eecdh_ultra_curve": "foo"},
    "probe": {},
    "scanned": {"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": "CERTS/rsa.chain, CERTS/ec.chain"},
}


class Client:
    """What the server says, line by line; what goes wrong is a line as well."""

    def __init__(self, port: int) -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.told: list[str] = []
        self._rest = b""

    def reply(self) -> "Client":
        while True:
            line = self._line()
            self.told.append(re.sub(r"queued as \w+", "queued as ID", line))
            if line[3:4] != "-":
                return self

    def _line(self) -> str:
        while b"\n" not in self._rest:
            try:
                data = self.sock.recv(65536)
            except (OSError, ssl.SSLError):
                data = b""
            if not data:
                return "<closed>"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().rstrip("\r")

    def say(self, *lines: str) -> "Client":
        for line in lines:
            with contextlib.suppress(OSError):
                self.sock.sendall(line.encode() + b"\r\n")
            self.reply()
        return self

    def asked(self) -> "Client":
        return self.reply().say("EHLO client.example", "STARTTLS")

    def shake(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> "Client":
        try:
            wrapped = context.wrap_socket(self.sock, session=session)
        except (OSError, ssl.SSLError):
            self.told.append("<no TLS>")
        else:
            self.sock = wrapped
            self.told.append(f"<{wrapped.version()}, resumed: {wrapped.session_reused}>")
        return self

    def end(self) -> list[str]:
        self.sock.close()
        return self.told


def played(ports: Mapping[str, int]) -> dict[str, list[str]]:
    """Everything, with what was said."""
    any_, laptop, stranger = (certificates().client_context(name) for name in ("", "client", "stranger"))
    told: dict[str, list[str]] = {}
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

    def cut(port: str, data: bytes, *, reset: bool = False, asks: bool = True) -> None:
        client = Client(ports[port])
        if asks:
            client.asked()
        client.sock.sendall(data)
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        told[f"cut {port} {len(data)} {reset}"] = client.end()

    for length in (0, 1, 3, len(hello)):
        cut("plain", hello[:length])
    cut("plain", b"", reset=True)
    cut("wrapper", b"", asks=False)
    cut("wrapper", hello, asks=False)
    for port, first in (("short", ["EHLO client.example", "STARTTLS"]), ("shortwrap", [])):
        client = Client(ports[port])
        if first:
            client.reply().say(*first)
        told[f"slow {port}"] = client.reply().end()
    told["quiet"] = Client(ports["quiet"]).asked().shake(any_).say("QUIT").end()
    told["quiet failure"] = Client(ports["quiet"]).asked().say("EHLO x").end()
    for port in ("asking", "header"):
        for name, context in (("any", any_), ("laptop", laptop), ("stranger", stranger)):
            client = Client(ports[port]).asked().shake(context)
            client.say("EHLO x.example", "MAIL FROM:<a@x.example>", f"RCPT TO:<{port}-{name}@ours.example>")
            told[f"{port} {name}"] = client.say("DATA", f"Subject: {port} {name}\r\n\r\nx\r\n.", "QUIT").end()
    for name in ("client", "", "deep", "stranger", "unprintable"):
        context = certificates().client_context(name)
        told[f"loud {name}"] = Client(ports["loud"]).asked().shake(context).say("QUIT").end()
    told["graded"] = Client(ports["graded"]).asked().shake(any_).say("QUIT").end()
    twelve = certificates().client_context("client", "1.2")
    client = Client(ports["asking"]).asked().shake(twelve)
    assert isinstance(client.sock, ssl.SSLSocket)
    session = client.sock.session
    told["first"] = client.say("QUIT").end()
    told["resumed"] = Client(ports["asking"]).asked().shake(twelve, session).say("EHLO x", "QUIT").end()
    for number in range(2):
        told[f"rate {number}"] = Client(ports["rate"]).asked().shake(any_).say("QUIT").end()
    told["rate over"] = Client(ports["rate"]).asked().shake(any_).reply().end()
    told["rate refused"] = Client(ports["rate"]).asked().end()
    for number in range(3):
        told[f"wraprate {number}"] = Client(ports["wraprate"]).shake(any_).reply().end()
    first = Client(ports["wrapcount"]).shake(any_).reply()
    told["wrapcount second"] = Client(ports["wrapcount"]).shake(any_).reply().end()
    told["wrapcount first"] = first.say("QUIT").end()
    for name, context in (("1.3", any_), ("1.2", twelve)):
        for number, broken in enumerate((b"EHLO x\r\n", b"\x17\x03\x03\xff\xff", b"\x17\x03\x03\0\0" * 2)):
            client = Client(ports["plain"]).asked().shake(context).say("EHLO x")
            os.write(client.sock.fileno(), broken)
            told[f"broken {name} {number}"] = client.reply().end()
    told["in data"] = _in_data(ports["plain"], any_)
    told["sent ahead"] = _sent_ahead(ports["plain"], any_)
    return told


def _in_data(port: int, context: ssl.SSLContext) -> list[str]:
    """A client that goes in the middle of a message."""
    client = Client(port).asked().shake(context)
    client.say("EHLO x", "MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>", "DATA")
    client.sock.sendall(b"Subject: x\r\n")
    return client.end()


def _sent_ahead(port: int, context: ssl.SSLContext) -> list[str]:
    client = Client(port).asked().shake(context)
    client.sock.sendall(b"EHLO x\r\nMAIL FROM:<a@x.example>\r\n")
    return client.reply().reply().end()


_DETAILS = ("SSL_accept:", "SSL3 alert", "initializing the server-side TLS engine")
_STEP = re.compile(r"Issuing session ticket|^(?:subject|issuer)=")
"""Of level 2, what is not told here: each step of the handshake."""


def said(log: str, ports: Mapping[str, int]) -> dict[str, list[str]]:
    """The lines of each listener. Processes may have their turn to write later than they had it to speak."""
    found: dict[str, list[str]] = {name: [] for name in ports}
    for line in log.splitlines():
        match = re.match(r"\S+ +\S+ \S+ \S+ (\w+)/smtpd\[\d+\]: (.*)", line)
        if match is None or match[1] not in found:
            continue
        text = unplaced(match[2])
        if text.startswith("warning: TLS library problem: "):
            text = re.sub(r":\.\./[\w/.]+:\d+", "", text).removesuffix(":")
        if text.startswith(_DETAILS) or _STEP.search(text):
            continue
        text = re.sub(r"^(warning: )?[0-9A-F]{9,}: ", r"\1ID: ", text)
        found[match[1]].append(re.sub(r"for service \S+", "for service SERVICE", text))
    del found["probe"], found["scanned"]
    return {name: sorted(lines) for name, lines in found.items()}


def scanned(port: int) -> list[str]:
    """Versions, ciphers in our order, groups, and what else sslscan finds out."""
    shown = run(program("sslscan"), "--no-colour", "--starttls-smtp", f"127.0.0.1:{port}")
    return [line for line in shown.splitlines() if "Testing SSL server" not in line]


def _headers(messages: list[str]) -> dict[str, str]:
    """The Received headers of the messages by recipient, without ID and date."""
    found = {}
    for message in messages:
        header = re.search(r"^Received: from x\.example.*\n(?:[ \t].*\n)*", message, re.M)
        assert header is not None, message
        recipient = re.search(r"for <(\S+)>", header[0])
        assert recipient is not None, message
        found[recipient[1]] = re.sub(r" id \w+|; .*", "", unplaced(header[0]))
    return found


def ended(log: Callable[[], str], sessions: int) -> Callable[[], bool]:
    return lambda: log().count("disconnect from") >= sessions


def test_postfix_says_and_writes_the_same() -> None:
    need_postfix()
    with temporary_folder() as folder:
        theirs_sink, our_sink = Sink(folder / "theirs"), Sink(folder / "ours")
        try:
            theirs = _theirs(theirs_sink.port)
            their_mail = _arrived(theirs_sink)
            ours = _ours(our_sink.port)
            our_mail = _arrived(our_sink)
        finally:
            theirs_sink.stop()
            our_sink.stop()
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2] and any("TLSv1.3" in line for line in ours[2])
    assert our_mail == their_mail and len(our_mail) == 6


def _arrived(sink: Sink) -> dict[str, str]:
    until(lambda: len(sink.messages()) == 6, "six messages")
    return _headers(sink.messages())


Played = tuple[dict[str, list[str]], dict[str, list[str]], list[str]]


def _main_cf(port: int) -> str:
    return f"{MAIN_CF}local_transport = smtp:[127.0.0.1]:{port}\n"


def _theirs(port: int) -> Played:
    listeners = {name: {key: placed(value) for key, value in more.items()} for name, more in LISTENERS.items()}
    with RealPostfix(listeners, _main_cf(port)) as postfix:
        told = played(postfix.ports)
        until(ended(postfix.log, len(told)), "the end of Postfix's sessions")
        return told, said(postfix.log(), postfix.ports), scanned(postfix.ports["scanned"])


def _ours(port: int) -> Played:
    ports = {name: free_port() for name in LISTENERS}
    with temporary_folder() as folder:
        server = Gatepost(folder, _main_cf(port), port=ports["plain"], master_cf=master_cf(ports, LISTENERS))
        server.launch()
        try:
            until(lambda: listens(ports["probe"]), "a listening server")
            until(ended(server.log, 1), "the end of the first session")
            told = played(ports)
            until(ended(server.log, 1 + len(told)), "the end of our sessions")
            return told, said(server.log(), ports), scanned(ports["scanned"])
        finally:
            server.stop()


def master_cf(ports: Mapping[str, int], listeners: Mapping[str, Mapping[str, str]]) -> str:
    """Our lines for listeners with parameters of their own, which go by their names in the log."""
    lines = []
    for name, more in listeners.items():
        options = "".join(f"\n  -o {{ {key} = {placed(value)} }}" for key, value in more.items())
        lines.append(f"127.0.0.1:{ports[name]} inet n - n - - smtpd\n  -o syslog_name={name}{options}\n")
    return "".join(lines) + "smtp unix - - n - - smtp\nlocal unix - n n - - local\n"


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as sock:
        sock.settimeout(5)
        return sock.recv(10).startswith(b"220")
    return False

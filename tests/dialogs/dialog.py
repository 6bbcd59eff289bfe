"""SMTP conversations as text files, and how they are played.

A file is head lines, then steps. `#` begins a comment line.

    main.cf: name = value     a parameter beside those of base.cf
    client: name [address]    who the client is (by XCLIENT); more words: reverse=NAME, status=temp
    covers: words             restrictions and rows of coverage.txt that this dialogue shows
    pipeline: no              not to be played pipelined
    policy: answer            what the policy server answers, in turn (tests/policy_server.py); in parameters it is
                              inet:POLICY or unix:POLICY_SOCKET; DOVECOT_SOCKET is where one may log in
                              (tests/dovecot_auth.py)

    C: text                   a line of the client
    c: text                   octets of the client: \\r \\n \\x41 are understood, nothing is added
    T: words                  the client shakes hands in TLS: cert=NAME (of tests/certificates.py), name=HOST (asked for
                              by SNI), version=1.2 (the highest); `fails`: nothing comes of it. CERTS/ in parameters is
                              the folder of certificates
    S: text                   a line of the server; `<closed>`: it has closed the connection
    L: text                   a line of the log, in their order, those of the whole session
    P: attributes             what the policy server was asked, if it is said at all

Queue IDs are written QID, the times in message IDs TIME.
"""

import asyncio
import codecs
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import certificates, unplaced

FOLDER = Path(__file__).parent
CLOSED = "<closed>"
LIMIT = 5.0
"""Seconds that one reply may take."""

_QUEUE_ID = re.compile(r"\b(?=[0-9A-F]*[0-9])[0-9A-F]{9,16}(?=: | |\b)")
_PIPELINABLE = ("MAIL ", "RCPT ", "RSET", "BDAT ")
_CLIENT = re.compile(r"(\S+) \[([^\]]+)\]((?: \S+)*)")


@dataclass
class Dialog:
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    client: str = ""
    covers: list[str] = field(default_factory=list)
    pipeline: bool = True
    head: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    policy: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def needs_policy_server(self) -> bool:
        return any("POLICY" in value for value in self.parameters.values())

    @property
    def preamble(self) -> str:
        """The XCLIENT command that makes the client who it is; empty if there is none."""
        if not self.client:
            return ""
        found = _CLIENT.fullmatch(self.client)
        assert found, f"{self.name}: client: {self.client}"
        name, address, more = found.groups()
        options = dict(word.split("=", 1) for word in more.split())
        if name == "unknown":
            name = "[TEMPUNAVAIL]" if options.get("status") == "temp" else "[UNAVAILABLE]"
        prefix = "IPV6:" if ":" in address else ""
        reverse = f" REVERSE_NAME={options['reverse']}" if "reverse" in options else ""
        return f"XCLIENT NAME={name} ADDR={prefix}{address}{reverse}"

    def exchanges(self) -> list["Exchange"]:
        """What the client sends in one go, and the server's lines before it sends again."""
        result: list[Exchange] = [(b"", [])]
        for kind, text in self.steps:
            if kind == "S":
                result[-1][1].append(text)
            elif kind == "T":
                result.append((Handshake.parse(text), []))
            else:
                sent = result[-1][0]
                if result[-1][1] or len(result) == 1 or isinstance(sent, Handshake):
                    sent = b""
                    result.append((b"", []))
                result[-1] = (sent + octets(kind, text), result[-1][1])
        return result

    def pipelined(self) -> list["Exchange"]:
        """The same with commands sent together wherever RFC 2920 allows it."""
        result: list[Exchange] = []
        may_join = extended = False
        for data, replies in self.exchanges():
            if isinstance(data, Handshake):
                result.append((data, replies))
                may_join = extended = False
                continue
            before, owed = result[-1] if result else (b"", [])
            if may_join and isinstance(before, bytes):
                result[-1] = (before + data, owed + replies)
            else:
                result.append((data, replies))
            command = data.upper()
            if command.startswith(b"EHLO "):
                extended = any(reply.startswith("250") for reply in replies)
            elif command.startswith((b"HELO ", b"XCLIENT ")):
                extended = False
            one = data.count(b"\n") == 1 and data.endswith(b"\r\n")
            fine = all(reply[:3] not in ("354", "421", "521") and reply != CLOSED for reply in replies)
            may_join = extended and one and fine and command.startswith(tuple(p.encode() for p in _PIPELINABLE[:3]))
        return result


@dataclass
class Handshake:
    """What the client does in TLS."""

    certificate: str = ""
    name: str = ""
    version: str = ""
    fails: bool = False

    @classmethod
    def parse(cls, text: str) -> "Handshake":
        words = dict(word.partition("=")[::2] for word in text.split())
        fails = words.pop("fails", None) is not None
        return cls(words.pop("cert", ""), words.pop("name", ""), words.pop("version", ""), fails)


Exchange = tuple[bytes | Handshake, list[str]]


def octets(kind: str, text: str) -> bytes:
    if kind == "C":
        return text.encode() + b"\r\n"
    data = codecs.escape_decode(text.encode())[0]
    assert isinstance(data, bytes)
    return data


def parse(path: Path) -> Dialog:
    dialog = Dialog(str(path.relative_to(FOLDER)))
    for number, line in enumerate(path.read_text().splitlines(), 1):
        kind, _, text = line.partition(":")
        text = text.removeprefix(" ")
        if not line.strip() or line.startswith("#"):
            dialog.head.append(line)
        elif kind in ("C", "c", "S", "T"):
            dialog.steps.append((kind, text))
        elif kind == "L":
            dialog.log.append(text)
        elif kind == "P":
            dialog.requests.append(text)
        else:
            dialog.head.append(line)
            text = text.strip()
            if kind == "main.cf":
                name, _, value = text.partition("=")
                dialog.parameters[name.strip()] = value.strip()
            elif kind == "policy":
                dialog.policy.append(text)
            elif kind == "client":
                dialog.client = text
            elif kind == "covers":
                dialog.covers += [word.strip() for word in text.split(";") if word.strip()]
            elif kind == "pipeline":
                dialog.pipeline = text != "no"
            else:
                raise ValueError(f"{path}:{number}: {line}")
    return dialog


def all_dialogs() -> list[Dialog]:
    return [parse(path) for path in sorted(FOLDER.rglob("*.smtp"))]


def normal_reply(line: str) -> str:
    if line == "334 ":  # an empty challenge; files have no blanks at the end of lines
        return "334"
    return re.sub(r"(queued as )\w+", r"\1QID", line)


def normal_log(lines: list[str]) -> list[str]:
    """Without what differs from run to run: queue IDs, times, and when another process comes to speak."""
    found = []
    for line in _message_ids_moved(lines):
        line = re.sub(r"message-id=<\d{14}\.\w+@", "message-id=<TIME.QID@", line)
        line = unplaced(line)
        if line.startswith("warning: TLS library problem: "):  # Postfix tells the line of OpenSSL's source
            line = re.sub(r":\.\./[\w/.]+:\d+", "", line).removesuffix(":")
        line = re.sub(r"mail queue: \d+ bytes", "mail queue: N bytes", line)
        line = re.sub(r"for service \S+?(\.? TLS context .*)?$", r"for service SERVICE\1", line)
        line = re.sub(r"^(warning: )?(?=[0-9A-F]*[0-9])[0-9A-F]{9,16}: ", r"\1QID: ", line)
        found.append(line)
    return found


def _message_ids_moved(lines: list[str]) -> list[str]:
    """Cleanup's `message-id=` behind the server's `client=` of the same message: the two may come in any order."""
    moved: list[str] = []
    for line in lines:
        queue_id, _, rest = line.partition(": ")
        client = f"{queue_id}: client="
        places = [number for number, before in enumerate(moved) if before.startswith(client)]
        if rest.startswith("message-id=") and places:
            moved.insert(places[-1] + 1, line)
        else:
            moved.append(line)
    return moved


@dataclass
class Line:
    """A connection that is read by lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def next(self, limit: float = LIMIT) -> str:
        """The next line of the server, CLOSED at the end."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), limit)
        except (ConnectionError, ssl.SSLError):
            return CLOSED
        if not line:
            return CLOSED
        return normal_reply(line.decode("utf-8", "backslashreplace").removesuffix("\r\n"))

    async def send(self, data: bytes | Handshake) -> str:
        """Send it, or shake hands; what went otherwise than the file has it."""
        if isinstance(data, bytes):
            if data:
                self.writer.write(data)
            return ""
        try:
            await asyncio.wait_for(self._shake_hands(data), LIMIT)
        except (ssl.SSLError, ConnectionError) as error:
            return "" if data.fails else f"TLS: {error}"
        return "TLS: it succeeds" if data.fails else ""

    async def _shake_hands(self, asked: Handshake) -> None:
        context = certificates().client_context(asked.certificate, asked.version)
        await self.writer.start_tls(context, server_hostname=asked.name or None)
        if asked.fails:
            # With TLSv1.3 the client thinks itself ready before the server has seen all.
            await self.reader.read(1)

    async def begin(self, dialog: Dialog) -> None:
        if dialog.preamble:
            greeting = await self.next()
            assert greeting.startswith("220"), greeting
            self.writer.write(dialog.preamble.encode() + b"\r\n")


async def transcript(dialog: Dialog, host: str, port: int) -> list[tuple[str, str]]:
    """The steps with what the server answers, as many lines as the file has at each place."""
    reader, writer = await asyncio.open_connection(host, port)
    line = Line(reader, writer)
    steps: list[tuple[str, str]] = []
    exchanges = dialog.exchanges()
    sends = [[], *(block for _, block in _sends(dialog))]
    try:
        await line.begin(dialog)
        for number, (data, replies) in enumerate(exchanges):
            steps += sends[number]
            if trouble := await line.send(data):
                steps.append(("S", trouble))
            for _ in replies:
                try:
                    got = await line.next()
                except TimeoutError:
                    got = "<nothing>"
                steps.append(("S", got))
                if got in (CLOSED, "<nothing>"):
                    return steps
    finally:
        writer.close()
    return steps


async def play(dialog: Dialog, host: str, port: int, *, pipelined: bool = False) -> list[str]:
    """Play all exchanges; the differences found, as text. The connection is closed at the end."""
    reader, writer = await asyncio.open_connection(host, port)
    line = Line(reader, writer)
    differences: list[str] = []
    try:
        await line.begin(dialog)
        for data, replies in dialog.pipelined() if pipelined else dialog.exchanges():
            if trouble := await line.send(data):
                return [*differences, trouble]
            for wanted in replies:
                try:
                    got = await line.next()
                except TimeoutError:
                    return [*differences, f"after {data!r}:\n  expected {wanted}\n  got nothing"]
                if got != wanted:
                    differences.append(f"after {data!r}:\n  expected {wanted}\n  got      {got}")
                if got == CLOSED and wanted != CLOSED:
                    return differences
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass
    return differences


async def record(dialog: Dialog, host: str, port: int, quiet: float = 0.4) -> list[tuple[str, str]]:
    """The steps with what this server answers, whatever the file says."""
    reader, writer = await asyncio.open_connection(host, port)
    line = Line(reader, writer)
    steps: list[tuple[str, str]] = []
    try:
        await line.begin(dialog)
        closed = dialog.steps[0][0] != "T" and await _gather(line, steps, quiet)
        asked = [step for step in dialog.steps if step[0] != "S"]
        # A step is sent together with the next if the file has no reply between them.
        for number, data in enumerate(_sends(dialog)):
            if closed:
                break
            block, steps_of_block = data
            steps.extend(steps_of_block)
            if trouble := await line.send(block):
                steps.append(("S", trouble))
            closed = await _gather(line, steps, quiet, number)
        assert asked or closed or steps
    finally:
        writer.close()
    return steps


def _sends(dialog: Dialog) -> list[tuple[bytes | Handshake, list[tuple[str, str]]]]:
    blocks: list[tuple[bytes | Handshake, list[tuple[str, str]]]] = []
    open_ = b""
    for kind, text in dialog.steps:
        if kind == "S":
            open_ = b""
        elif kind == "T":
            open_ = b""
            blocks.append((Handshake.parse(text), [(kind, text)]))
        elif open_:
            open_ += octets(kind, text)
            blocks[-1] = (open_, [*blocks[-1][1], (kind, text)])
        else:
            open_ = octets(kind, text)
            blocks.append((open_, [(kind, text)]))
    return blocks


async def _gather(line: Line, steps: list[tuple[str, str]], quiet: float, number: int = 0) -> bool:
    limit = 3.0
    while True:
        try:
            got = await line.next(limit)
        except TimeoutError:
            return False
        steps.append(("S", got))
        if got == CLOSED:
            return True
        limit = quiet if got[3:4] != "-" else 3.0

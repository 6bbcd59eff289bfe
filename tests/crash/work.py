"""What is under way while a process is killed: small and large mail, many recipients, bounces, operators' commands.

Every message has an X-Id; what each recipient got is counted, and which sender got which notice.
"""

import asyncio
import contextlib
import random
import re
import ssl
from collections import Counter

from tests.certificates import certificates
from tests.crash.sessions import kept, leave

LARGE = 1_300_000
"""Octets of a large message."""

_LINE = b"x" * 70 + b"\r\n"


class CountingSink:
    """An SMTP server that counts, by X-Id and recipient, what it has answered 250 to; `never...` does not exist there.

    Notices are counted by the X-Id of the message that they return and the recipient that failed. With `tls` all is
    encrypted from the first octet on, and with `login` (base64, for AUTH PLAIN) only who has that may send.
    """

    def __init__(self, chance: random.Random, slow: float = 0.02) -> None:
        self.arrived: Counter[tuple[str, str]] = Counter()
        self.notices: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.login = ""
        self._chance = chance
        self._slow = slow
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            kept(self._serve), "127.0.0.1", 0, limit=4 * LARGE, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        sender, known = "", not self.login
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 sink ESMTP\r\n")
            while line := (await reader.readline()).decode().strip():
                verb = line[:4].upper()
                answer = b"250 2.0.0 Ok\r\n"
                if verb == "EHLO":
                    auth = b"" if known else b"250-AUTH PLAIN\r\n"
                    answer = b"250-sink\r\n250-PIPELINING\r\n" + auth + b"250-SIZE\r\n250 8BITMIME\r\n"
                elif verb == "AUTH":
                    known = line == f"AUTH PLAIN {self.login}"
                    answer = b"235 2.7.0 Ok\r\n" if known else b"535 5.7.8 No\r\n"
                elif not known and verb == "MAIL":
                    answer = b"530 5.7.0 Who are you?\r\n"
                elif verb == "MAIL":
                    sender, recipients = line[10:].partition(">")[0].lstrip("<"), []
                elif verb == "RCPT":
                    recipient = line[8:].partition(">")[0].lstrip("<")
                    if recipient.startswith("never"):
                        answer = b"550 5.1.1 No such user\r\n"
                    else:
                        recipients.append(recipient)
                elif verb == "DATA":
                    if recipients:
                        writer.write(b"354 go\r\n")
                        await writer.drain()
                        content = await reader.readuntil(b"\r\n.\r\n")
                        await asyncio.sleep(self._chance.uniform(0, self._slow))
                        self._count(sender, recipients, content)
                    else:
                        answer = b"554 5.5.1 No valid recipients\r\n"
                writer.write(answer if verb != "QUIT" else b"221 bye\r\n")
                await writer.drain()
                if verb == "QUIT":
                    break

    def _count(self, sender: str, recipients: list[str], content: bytes) -> None:
        found = re.search(rb"^X-Id: (\S+)\r$", content, re.M)
        if found is None:
            return  # a transcript for the postmaster
        ident = found[1].decode()
        if not sender:
            for failed in re.findall(rb"^Final-Recipient: rfc822; (\S+)\r$", content, re.M):
                self.notices[ident, failed.decode()] += 1
            return
        wanted = re.search(rb"^X-Octets: (\d+)\r$", content, re.M)
        if wanted is not None and content.count(b"x" * 70 + b"\r\n") != int(wanted[1]):
            self.broken.append(ident)
        for recipient in recipients:
            self.arrived[ident, recipient] += 1


class Sender:
    """Sends messages of all kinds until it is told to stop; `acknowledged` are recipients by X-Id, `ids` queue IDs.

    `many`: recipients of its largest mailing; `progress` is told of each attempt.
    """

    def __init__(self, port: int, chance: random.Random, name: str, many: int, progress: asyncio.Condition) -> None:
        self._port = port
        self._chance = chance
        self._name = name
        self._many = many
        self._progress = progress
        self.acknowledged: dict[str, list[str]] = {}
        self.ids: dict[str, str] = {}
        self.attempted = 0
        self.stopping = False
        self.login = b""  # base64; STARTTLS and AUTH PLAIN come first

    def _recipients(self, kind: str, number: int) -> list[str]:
        if kind == "bounce":
            return [f"never{number}@far.test", f"b{number}@far.test"]
        if kind == "many":
            return [f"r{at}@d{at % 7}.test" for at in range(self._many)]
        return [f"b{number}@far.test"]

    async def run(self) -> None:
        while not self.stopping:
            kind = self._chance.choice(("small", "small", "small", "bounce", "large"))
            await self.attempt(kind)

    async def attempt(self, kind: str) -> bool:
        async with self._progress:
            self.attempted += 1
            self._progress.notify_all()
        try:
            await self._message(kind, self.attempted)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            await asyncio.sleep(0.02)  # the server is being killed: do not spin
            return False
        return True

    async def _message(self, kind: str, number: int) -> None:
        ident = f"{self._name}-{kind}-{number}"
        recipients = self._recipients(kind, number)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await self._greet(reader, writer)
            writer.write(b"MAIL FROM:<" + ident.encode() + b"@client.test>\r\n")
            await self._expect(reader, b"250")
            writer.write("".join(f"RCPT TO:<{recipient}>\r\n" for recipient in recipients).encode())
            for _ in recipients:
                await self._expect(reader, b"250")
            writer.write(b"DATA\r\n")
            await self._expect(reader, b"354")
            lines = LARGE // len(_LINE) if kind == "large" else 20
            writer.write(f"X-Id: {ident}\r\nX-Octets: {lines}\r\nSubject: load\r\n\r\n".encode())
            for _ in range(lines // 1000):
                writer.write(_LINE * 1000)
                await writer.drain()
            writer.write(_LINE * (lines % 1000) + b".\r\n")
            reply = await self._expect(reader, b"250")
            self.acknowledged[ident] = recipients
            self.ids[ident] = reply.rsplit(b" ", 1)[1].strip().decode()
        finally:
            leave(writer)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._expect(reader, b"220")
        await self._say(reader, writer, b"EHLO load.test", b"250")
        if self.login:
            await self._say(reader, writer, b"STARTTLS", b"220")
            await writer.start_tls(certificates().client_context())
            await self._say(reader, writer, b"EHLO load.test", b"250")
            await self._say(reader, writer, b"AUTH PLAIN " + self.login, b"235")

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes, code: bytes) -> None:
        writer.write(line + b"\r\n")
        await self._expect(reader, code)

    async def _expect(self, reader: asyncio.StreamReader, code: bytes) -> bytes:
        while True:
            line = await asyncio.wait_for(reader.readline(), 60)
            if not line:
                raise ConnectionError
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise ValueError(line)
        return line

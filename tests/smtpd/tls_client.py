"""A client of a World that can do with TLS what programs do not: each octet of its handshake is at hand."""

import asyncio
import ssl

from tests.certificates import certificates
from tests.smtpd.world import Talk, World

CERTIFICATE = """
smtpd_tls_security_level = may
smtpd_tls_cert_file = CERTS/rsa.pem
smtpd_tls_key_file = CERTS/rsa.key
smtpd_tls_loglevel = 1
"""


class Hands:
    """The client's side of TLS, without a connection."""

    def __init__(self, certificate: str = "", version: str = "", context: ssl.SSLContext | None = None) -> None:
        context = context or certificates().client_context(certificate, version)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out)
        self.ready = False

    def hello(self) -> bytes:
        """The first octets."""
        self._step()
        return self._out.read()

    def answer(self, data: bytes) -> bytes:
        """What to say to these octets."""
        self._in.write(data)
        if not self.ready:
            self._step()
        return self._out.read()

    def _step(self) -> None:
        try:
            self.tls.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass

    def seal(self, text: bytes) -> bytes:
        self.tls.write(text)
        return self._out.read()

    def open(self, data: bytes) -> bytes:
        """The plaintext in these octets."""
        self._in.write(data)
        found = b""
        try:
            while piece := self.tls.read(65536):
                found += piece
        except ssl.SSLWantReadError:
            pass
        return found


async def asked_for_tls(world: World) -> Talk:
    """A client to whom the server has said 220 to its STARTTLS."""
    talk = await (await Talk.open(world)).greeted()
    assert await talk.say("STARTTLS") == "220 2.0.0 Ready to start TLS"
    return talk


async def shaken(talk: Talk, certificate: str = "", version: str = "") -> Talk:
    """The same client, encrypted from now on."""
    await asyncio.wait_for(talk.writer.start_tls(certificates().client_context(certificate, version)), 10)
    return talk

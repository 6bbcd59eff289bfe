"""Scripted mail servers that speak TLS, well or badly; and the certificates they show."""

import contextlib
import datetime
import itertools
import socket
import ssl
from pathlib import Path

import trustme

from tests.compat.scripted_sink import EHLO, HangUp, ScriptedSink, Session

STARTTLS_EHLO = EHLO.replace("250 DSN", "250-STARTTLS\r\n250 DSN")


class Certificates:
    """Certificates in files of `folder`: NAME.pem has the key and the chain; `ca.pem` the authority of all but one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        good, other = trustme.CA(), trustme.CA()
        good.cert_pem.write_to_path(str(folder / "ca.pem"))
        other.cert_pem.write_to_path(str(folder / "other-ca.pem"))
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        future = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)
        self._write("right", good.issue_cert("localhost", "127.0.0.1", common_name="localhost"))
        self._write("sub", good.issue_cert("mx.localhost", common_name="mx.localhost"))
        self._write("wild", good.issue_cert("*.localhost", common_name="wild"))
        self._write("own", good.issue_cert("mail.ours.example", common_name="mail.ours.example"))
        self._write("wrong", good.issue_cert("wrong.example", common_name="wrong.example"))
        self._write("nameless", good.issue_cert("127.0.0.9", common_name="localhost"))
        self._write("untrusted", other.issue_cert("localhost", common_name="localhost"))
        self._write("expired", good.issue_cert("localhost", common_name="localhost", not_after=past))
        self._write("early", good.issue_cert("localhost", common_name="localhost", not_before=future))
        self._write("unprintable", good.issue_cert("localhost", common_name="odd\x1b[31m.example"))
        self._write("client", good.issue_cert("client.example", common_name="client.example"))

    def _write(self, name: str, leaf: trustme.LeafCert) -> None:
        chain = b"".join(blob.bytes() for blob in (leaf.private_key_pem, *leaf.cert_chain_pems))
        (self.folder / f"{name}.pem").write_bytes(chain)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def context(self, name: str) -> ssl.SSLContext:
        """For a server that shows this certificate; `anonymous` shows none; `NAME/1.2` speaks no later version."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name, _, version = name.partition("/")
        if version:
            context.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
        if name == "anonymous":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("aNULL:@SECLEVEL=0")
            context.set_ecdh_curve("prime256v1")
        else:
            context.load_cert_chain(self.path(name))
        return context


def _no_handshake(line: str) -> bool:
    """Whether a line is no TLS record of that kind (RFC 8446, section 5.1)."""
    return not line.startswith("\x16")


class TlsSink(ScriptedSink):
    """Offers STARTTLS; after a positive reply to it comes the handshake. EHLO under TLS gets the reply to `TLS EHLO`.

    The reply to `HANDSHAKE` (it is not told): empty, and it hangs up instead; `octets`, and it says something that is
    no TLS; `stall`, and it says nothing; `drop`, and it hangs up behind it. `wrapper`: TLS from the first octet.
    `seen`: (version, cipher, SNI, resumed) of each handshake.
    """

    def __init__(
        self,
        replies: dict[str, str],
        context: ssl.SSLContext,
        *,
        wrapper: bool = False,
        lmtp: bool = False,
        path: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        once: dict[str, str] | None = None,
    ) -> None:
        self.context = context
        self.wrapper = wrapper
        self.seen: list[tuple[str, str, str, bool]] = []
        hello = {} if wrapper else {"EHLO": STARTTLS_EHLO, "LHLO": STARTTLS_EHLO}
        usual = {"STARTTLS": "220 2.0.0 Ready to start TLS", "TLS EHLO": EHLO, "TLS LHLO": EHLO, **hello}
        super().__init__({**usual, **replies}, lmtp=lmtp, path=path, host=host, port=port, once=once)

    @property
    def commands(self) -> list[str]:
        """Of all connections. To a server that expects plaintext a handshake is noise, up to the end."""
        return [command for session in self.sessions for command in itertools.takewhile(_no_handshake, session)]

    def new_session(self, connection: socket.socket) -> Session:
        return _TlsSession(self, connection)

    def forget(self, once: dict[str, str] | None = None) -> None:
        super().forget(once)
        self.seen.clear()


class _TlsSession(Session):
    _encrypted = False

    def serve(self) -> None:
        assert isinstance(self._sink, TlsSink)
        if self._sink.wrapper:
            self._handshake()
        super().serve()

    def end(self) -> None:
        if isinstance(self._connection, ssl.SSLSocket):
            with self._connection:
                self._connection.settimeout(5)
                with contextlib.suppress(OSError, ValueError):
                    self._connection.unwrap()
        else:
            super().end()

    def _command(self, line: str) -> bool:
        verb = line[:8].upper()
        if self._encrypted and verb[:4] in ("EHLO", "LHLO"):
            self._say(f"TLS {line}")
            return True
        if verb == "STARTTLS":
            if self._say(line)[:1] == "2":
                self._handshake()
            return True
        return super()._command(line)

    def _handshake(self) -> None:
        sink = self._sink
        assert isinstance(sink, TlsSink)
        how = sink.once.pop("HANDSHAKE", sink.replies.get("HANDSHAKE"))
        raw = self._connection
        if how == "":
            raise HangUp
        if how == "stall":
            raw.settimeout(20)
            while raw.recv(65536):
                pass
            raise HangUp
        if how == "octets":
            raw.recv(65536)  # what comes along with the reply to STARTTLS is no part of the handshake
            raw.sendall(b"554 5.5.1 What do you want?\r\n")
            with contextlib.suppress(OSError):
                while raw.recv(65536):
                    pass
            raise HangUp
        names: list[str] = []
        sink.context.sni_callback = lambda _sock, name, _context: names.append(name or "")
        self._file.close()
        wrapped = sink.context.wrap_socket(raw, server_side=True)
        cipher = wrapped.cipher()
        facts = (wrapped.version() or "", cipher[0] if cipher else "", "".join(names), bool(wrapped.session_reused))
        sink.seen.append(facts)
        self._connection = wrapped
        self._file = wrapped.makefile("rb")
        self._encrypted = True
        if how == "drop":
            raise HangUp

"""Scripted mail servers that know who `user` with the password `secret` is, or answer logins badly as they are told."""

import base64
import hashlib
import hmac
from typing import Any

from tests.compat.scripted_sink import HangUp, Session
from tests.compat.tls_sink import TlsSink, _TlsSession

PASSWORDS = {b"user": b"secret", b"other": b"word", b"us=er,x": b"a:b,=c", "üser".encode(): "pässword".encode()}
CHALLENGE = b"<1896.697170952@peer.example>"


def offers(*keywords: str) -> str:
    """An answer to EHLO."""
    lines = ("peer.example", *keywords)
    return "\r\n".join(f"250{'-' if at < len(lines) - 1 else ' '}{line}" for at, line in enumerate(lines))


class AuthSink(TlsSink):
    """A reply of `@` to AUTH: the mechanism is carried out, and ends with the reply to `GOOD` or `BAD`.

    SCRAM says what stands at `FIRST` and `FINAL` (base64 is made of it), with {nonce} (the client's), {salt}, {proof}
    (ours) and {wrong}; `-` for `FINAL`: it does not show that it knows the password. Other replies to AUTH are given as
    they are; what the client answers to 334 is answered by the reply to `RESPONSE`. `users`: who was let in, in order.
    """

    def __init__(self, replies: dict[str, str], context: Any = None, **more: Any) -> None:
        self.users: list[str] = []
        usual = {
            "GOOD": "235 2.7.0 Authentication successful",
            "BAD": "535 5.7.8 Error: authentication failed",
            "FIRST": "r={nonce}xyz,s={salt},i=4096",
            "FINAL": "v={proof}",
        }
        if context is None:
            usual |= {"EHLO": offers("AUTH PLAIN LOGIN"), "LHLO": offers("AUTH PLAIN LOGIN")}
        super().__init__({**usual, **replies}, context, **more)

    def new_session(self, connection: Any) -> Session:
        return _AuthSession(self, connection)

    def forget(self, once: dict[str, str] | None = None) -> None:
        super().forget(once)
        self.users.clear()


class _AuthSession(_TlsSession):
    def _command(self, line: str) -> bool:
        if line[:5].upper() != "AUTH ":
            return super()._command(line)
        sink = self._sink
        assert isinstance(sink, AuthSink)
        _, mechanism, *initial = line.split(" ")
        key = max((key for key in sink.replies if line.upper().startswith(key) and key), key=len, default="")
        if sink.replies.get(key) != "@":
            reply = self._say(line)
            while reply[:1] == "3":
                self._hear()
                reply = self._say("RESPONSE")
            return True
        user = self._carry_out(mechanism, base64.b64decode(initial[0]) if initial else None)
        if user:
            sink.users.append(user.decode())
        self._say("GOOD" if user else "BAD")
        return True

    def _hear(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise HangUp
        self._sink.sessions[-1].append(line.decode("utf-8", "replace").rstrip("\r\n"))
        return line.rstrip(b"\r\n")

    def _ask(self, challenge: bytes) -> bytes:
        self._send(b"334 " + base64.b64encode(challenge) + b"\r\n", 0)
        return base64.b64decode(self._hear())

    def _carry_out(self, mechanism: str, initial: bytes | None) -> bytes:
        """Who it is; empty if it is not."""
        if mechanism == "PLAIN":
            _, user, password = (initial if initial is not None else self._ask(b"")).split(b"\0")
            return user if PASSWORDS.get(user) == password else b""
        if mechanism == "LOGIN":
            user = initial or self._ask(b"Username:")
            return user if PASSWORDS.get(user) == self._ask(b"Password:") else b""
        if mechanism == "CRAM-MD5":
            user, _, digest = self._ask(CHALLENGE).rpartition(b" ")
            good = hmac.new(PASSWORDS.get(user, b""), CHALLENGE, "md5").hexdigest()
            return user if user in PASSWORDS and good.encode() == digest else b""
        return self._scram(mechanism, initial or b"")

    def _scram(self, mechanism: str, initial: bytes) -> bytes:
        replies = self._sink.replies
        name = mechanism.removeprefix("SCRAM-").removesuffix("-PLUS").replace("SHA-", "sha")
        header, bare = initial.split(b",n=", 1)
        bare = b"n=" + bare
        user, nonce = bare[2:].split(b",r=")
        user = user.replace(b"=2C", b",").replace(b"=3D", b"=")
        salt = base64.b64encode(b"salty").decode()
        first = replies["FIRST"].format(nonce=nonce.decode(), salt=salt).encode()
        final = self._ask(first)
        without, _, proof = final.rpartition(b",p=")
        # Only who says what is expected of a server gets on; the others fail before they come here.
        key = hashlib.pbkdf2_hmac(name, PASSWORDS.get(user, b"?"), b"salty", 4096)
        said = b",".join((bare, first, without))
        client_key = hmac.digest(key, b"Client Key", name)
        signature = hmac.digest(hashlib.new(name, client_key).digest(), said, name)
        good = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        bound = self._connection.get_channel_binding("tls-unique") if mechanism.endswith("-PLUS") else b""  # type: ignore
        if base64.b64encode(good) != proof or not without.startswith(b"c=" + base64.b64encode(header + b"," + bound)):
            return b""
        ours = base64.b64encode(hmac.digest(hmac.digest(key, b"Server Key", name), said, name)).decode()
        if replies["FINAL"] != "-":
            last = replies["FINAL"].format(proof=ours, wrong=base64.b64encode(b"x" * len(key)).decode())
            self._ask(last.encode())
        return user

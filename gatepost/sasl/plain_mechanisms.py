"""PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), EXTERNAL (RFC 4422 A) and CRAM-MD5 (RFC 2195), server side."""

import hmac

from gatepost.sasl.mechanism import Check, Done, Fetch, Refused, Say, Secret, Wish
from gatepost.sasl.saslprep import saslprep

_MALFORMED = Refused(None, "bad protocol / cancel")


class _Silent:
    """A mechanism that the client begins, and that asks for nothing to be fetched."""

    def __init__(self) -> None:
        self._username = ""

    def begin(self, initial: bytes | None) -> Wish:
        return Say(b"") if initial is None else self.respond(initial)

    def respond(self, response: bytes) -> Wish:
        raise NotImplementedError

    def checked(self, right: bool) -> Wish:
        return Done(self._username) if right else Refused(self._username)

    def fetched(self, secret: Secret | None) -> Wish:
        raise AssertionError("nothing was to be fetched")


class Plain(_Silent):
    """`authorization NUL username NUL password`. Who acts for another (authorization) is refused: nobody may."""

    def respond(self, response: bytes) -> Wish:
        try:
            authorization, username, password = response.decode().split("\0")
            username, password = saslprep(username), saslprep(password)
        except ValueError:
            return _MALFORMED
        if not username or not password:
            return _MALFORMED
        if authorization not in ("", username):
            return Refused(username)
        self._username = username
        return Check(username, password)


class Login(_Silent):
    """Asks `Username:` and `Password:`; a client may say the name with the command."""

    def begin(self, initial: bytes | None) -> Wish:
        return Say(b"Username:") if initial is None else self.respond(initial)

    def respond(self, response: bytes) -> Wish:
        try:
            text = saslprep(response.decode())
        except ValueError:
            return _MALFORMED
        if not text:
            return _MALFORMED
        if not self._username:
            self._username = text
            return Say(b"Password:")
        return Check(self._username, text)


class External(_Silent):
    """The client's certificate has told who it is; it may only repeat that."""

    def __init__(self, certified: str) -> None:
        super().__init__()
        self._certified = certified

    def respond(self, response: bytes) -> Wish:
        try:
            text = response.decode()
        except ValueError:
            return _MALFORMED
        if not self._certified or text not in ("", self._certified):
            return Refused(text or None)
        return Done(self._certified)


class CramMd5:
    """`challenge` is unique (RFC 2195: a msg-id). Needs the password itself."""

    def __init__(self, challenge: bytes) -> None:
        self._challenge = challenge
        self._username = ""
        self._digest = b""

    def begin(self, initial: bytes | None) -> Wish:
        return Say(self._challenge)

    def respond(self, response: bytes) -> Wish:
        try:
            username, blank, digest = response.decode().rpartition(" ")
            username = saslprep(username)
        except ValueError:
            return _MALFORMED
        if not blank or not username or len(digest) != 32:
            return _MALFORMED
        self._username = username
        self._digest = digest.lower().encode()
        return Fetch(username, None)

    def checked(self, right: bool) -> Wish:
        raise AssertionError("nothing was to be checked")

    def fetched(self, secret: Secret | None) -> Wish:
        known = isinstance(secret, str)
        password = secret.encode() if isinstance(secret, str) else b""
        wanted = hmac.new(password, self._challenge, "md5").hexdigest().encode()
        if hmac.compare_digest(wanted, self._digest) and known:
            return Done(self._username)
        return Refused(self._username)

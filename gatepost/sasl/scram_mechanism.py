"""SCRAM-SHA-1 and SCRAM-SHA-256, with and without channel binding, server side (RFC 5802, RFC 7677, RFC 5929)."""

from collections.abc import Callable

from gatepost.sasl import base64_text
from gatepost.sasl.mechanism import Done, Fetch, Refused, Say, Secret, Wish
from gatepost.sasl.saslprep import saslprep
from gatepost.sasl.scram import (
    Hash,
    ScramError,
    ScramKeys,
    attributes,
    decoded,
    is_nonce,
    is_proof,
    sign,
    text_of,
    unescaped,
)
from gatepost.sasl.server import Binding


class Scram:
    """`nonce` is ours, never used before. `plus`: the mechanism is the one with channel binding; `offers_plus`: the
    client could have used it. `unknown` makes keys for users that do not exist, always the same for a name, so that
    they are answered as the others are.
    """

    def __init__(
        self,
        hash_name: Hash,
        nonce: str,
        binding: Binding,
        unknown: Callable[[str, Hash], ScramKeys],
        *,
        plus: bool = False,
        offers_plus: bool = False,
    ) -> None:
        self._hash: Hash = hash_name
        self._nonce = nonce
        self._binding = binding
        self._unknown = unknown
        self._plus = plus
        self._offers_plus = offers_plus
        self._username = ""
        self._bound = b""  # what the client has to repeat: its GS2 header, and the channel's data
        self._first_bare = ""
        self._server_first = ""
        self._keys: ScramKeys | None = None
        self._known = False
        self._said_final = False

    def begin(self, initial: bytes | None) -> Wish:
        return Say(b"") if initial is None else self.respond(initial)

    def respond(self, response: bytes) -> Wish:
        try:
            if not self._first_bare:
                return self._client_first(text_of(response))
            if not self._said_final:
                return self._client_final(text_of(response))
        except ScramError as error:
            return Refused(self._username or None, str(error))
        # RFC 4954 4: success goes without data, so that our signature was a challenge, which has no answer.
        return Done(self._username) if not response else Refused(self._username, "other-error")

    def _client_first(self, text: str) -> Wish:
        flag, comma, rest = text.partition(",")
        authorization, second, bare = rest.partition(",")
        if not comma or not second:
            raise ScramError("other-error")
        channel = self._channel_data(flag)
        self._bound = f"{flag},{authorization},".encode() + channel
        found = attributes(bare)
        if found[0][0] == "m":
            raise ScramError("extensions-not-supported")
        if len(found) < 2 or found[0][0] != "n" or found[1][0] != "r" or not is_nonce(found[1][1]):
            raise ScramError("other-error")
        try:
            username = saslprep(unescaped(found[0][1]))
        except ValueError:
            raise ScramError("invalid-username-encoding") from None
        if not username:
            raise ScramError("invalid-username-encoding")
        self._username = username
        self._check_authorization(authorization)
        self._first_bare = bare
        self._nonce = found[1][1] + self._nonce
        return Fetch(username, self._hash)

    def _check_authorization(self, text: str) -> None:
        if not text:
            return
        if not text.startswith("a=") or unescaped(text[2:]) not in ("", self._username):
            raise ScramError("other-error")

    def _channel_data(self, flag: str) -> bytes:
        if flag.startswith("p="):
            data = self._binding(flag[2:]) if self._plus else None
            if not self._plus:
                raise ScramError("channel-binding-not-supported")
            if data is None:
                raise ScramError("unsupported-channel-binding-type")
            return data
        if self._plus:
            raise ScramError("channel-bindings-dont-match")
        if flag == "y" and self._offers_plus:
            # The client believes that we cannot: somebody between us has changed our offer.
            raise ScramError("server-does-support-channel-binding")
        if flag not in ("n", "y"):
            raise ScramError("other-error")
        return b""

    def fetched(self, secret: Secret | None) -> Wish:
        self._known = isinstance(secret, ScramKeys) and secret.hash == self._hash
        keys = secret if isinstance(secret, ScramKeys) and self._known else self._unknown(self._username, self._hash)
        self._keys = keys
        self._server_first = f"r={self._nonce},s={base64_text.encode(keys.salt)},i={keys.iterations}"
        return Say(self._server_first.encode())

    def _client_final(self, text: str) -> Wish:
        without_proof, comma, proof = text.rpartition(",p=")
        if not comma:
            raise ScramError("other-error")
        found = attributes(without_proof)
        if len(found) < 2 or found[0][0] != "c" or found[1][0] != "r":
            raise ScramError("other-error")
        if decoded(found[0][1]) != self._bound:
            raise ScramError("channel-bindings-dont-match")
        if found[1][1] != self._nonce:
            raise ScramError("other-error")
        keys = self._keys
        assert keys is not None
        auth_message = f"{self._first_bare},{self._server_first},{without_proof}".encode()
        if not is_proof(keys, decoded(proof), auth_message) or not self._known:
            return Refused(self._username)
        self._said_final = True
        signature = sign(self._hash, keys.server_key, auth_message)
        return Say(f"v={base64_text.encode(signature)}".encode())

    def checked(self, right: bool) -> Wish:
        raise AssertionError("nothing was to be checked")

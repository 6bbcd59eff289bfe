"""Keys of session tickets that all workers of a listener agree upon without asking each other."""

import hashlib
import hmac
from collections.abc import Callable

from gatepost.tls.tickets import KEYS_SIZE


class TicketKeys:
    """Keys made of a secret and the time; `secret` is of one start or reload, and never leaves memory.

    A key serves for as long as sessions may be resumed (smtpd_tls_session_cache_timeout), then comes the next: what was
    issued under the last one is not resumed, which costs the client a full handshake and nothing else.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float]) -> None:
        """`clock`: wall-clock seconds."""
        self._secret = secret
        self._clock = clock

    def period(self, lifetime: int) -> int:
        """The number of the time in which one key is used, of keys that serve `lifetime` seconds."""
        return int(self._clock()) // max(lifetime, 1)

    def keys(self, label: str, period: int) -> bytes:
        """`label`: who shares them. What one listener has verified must be nothing to another."""
        made = b""
        for number in range(-(-KEYS_SIZE // hashlib.sha512().digest_size)):
            text = f"{number} {period} {label}".encode("utf-8", "surrogatepass")
            made += hmac.digest(self._secret, text, "sha512")
        return made[:KEYS_SIZE]

"""What is wrong with a TLS connection, in OpenSSL's words."""

import _ssl
import errno
import os
import re
import ssl

_MESSAGE = re.compile(r"^(?:\[[^\]]*\] )?(?P<words>.*?)(?: \(_ssl\.c:\d+\))?$", re.S)

_ALERTS = 1000
"""Reasons from here on are alerts that the peer has sent (SSL_AD_REASON_OFFSET)."""


class TlsFailure(Exception):
    """No handshake, or no longer a connection.

    `lost`: the peer went away; `timed_out`: it was too slow; then `words` are the system's (`Connection timed out`), or
    `lost connection`. Neither: `words` are OpenSSL's as in Postfix's `TLS library problem: ...`, but without the line
    of OpenSSL's source.
    """

    def __init__(self, words: str, *, lost: bool = False, timed_out: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.lost = lost
        self.timed_out = timed_out


def library_failure(exc: ssl.SSLError) -> TlsFailure:
    """What OpenSSL has complained of."""
    found = _MESSAGE.match(str(exc.args[-1]))
    words = found["words"] if found else str(exc)
    library = getattr(exc, "library", None) or "SSL"
    number, reason = _code(exc)
    end = f":SSL alert number {reason - _ALERTS}" if library == "SSL" and reason > _ALERTS else ""
    return TlsFailure(f"error:{number:08X}:{library} routines::{words}{end}")


def _code(exc: ssl.SSLError) -> tuple[int, int]:
    """OpenSSL 3's packed number, and the reason in it; 0 if Python does not know."""
    # Private: ssl.SSLError has the names only.
    names: dict[str, tuple[int, int]] = getattr(_ssl, "err_names_to_codes", {})
    libraries: dict[int, str] = getattr(_ssl, "lib_codes_to_names", {})
    library, reason = names.get(getattr(exc, "reason", None) or "", (0, 0))
    if libraries.get(library) != getattr(exc, "library", None):
        return 0, 0
    return library << 23 | reason, reason


def lost_connection(exc: Exception | None) -> TlsFailure:
    """The peer is gone: by an orderly end (None), or by an error of the network."""
    number = exc.errno if isinstance(exc, OSError) else None
    return TlsFailure(os.strerror(number) if number else "lost connection", lost=True)


def too_slow() -> TlsFailure:
    """The time limit has passed."""
    return TlsFailure(os.strerror(errno.ETIMEDOUT), timed_out=True)

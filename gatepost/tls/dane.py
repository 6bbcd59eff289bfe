"""DANE for SMTP: TLSA records (RFC 6698, 7671) as what a server's certificate is verified by (RFC 7672).

It is OpenSSL that verifies, in the handshake, as it does for Postfix: which record matches, the chain up to an anchor
(one that the server does not send included), times, purposes, names, and that the strongest digest alone counts. A
second building of chains beside OpenSSL's would be one more that may err, and on the side of trust. Where this part of
OpenSSL cannot be had, `available` says so, and nothing is ever taken for verified.
"""

import ssl
from collections.abc import Callable, Sequence

from gatepost.tls.openssl_dane import native_dane
from gatepost.tls.sessions import ClientSession
from gatepost.tls.tlsa import TlsaRecord
from gatepost.tls.values import BadTlsValue

Warn = Callable[[str], object]

_ASSIGNED = {"sha256": 1, "sha512": 2}
"""TLSA matching types of IANA."""
_OWNERS = {matching: name for name, matching in _ASSIGNED.items()}

_NO_DANE = "OpenSSL DANE initialization failed: disabling TLS support"


def available() -> bool:
    """Can anything be verified by TLSA records here?"""
    return native_dane() is not None


def enable_dane(context: ssl.SSLContext, digests: str, warn: Warn) -> None:
    """Have a client's context able to. `digests`: tls_dane_digests, the strongest first. Raises BadTlsValue."""
    openssl = native_dane()
    if openssl is None or not openssl.enable(context):
        raise BadTlsValue(_NO_DANE)
    listed = _digests(digests, warn)
    for matching in _ASSIGNED.values():
        openssl.set_digest(context, matching, "", 0)
    for rank, (name, matching) in enumerate(reversed(listed), 1):
        if not openssl.set_digest(context, matching, name, rank):
            warn(f'tls_dane_digests: digest algorithm "{name}"({matching}) unknown')


def _digests(text: str, warn: Warn) -> list[tuple[str, int]]:
    """(name, matching type) of those that can be understood; what is wrong with others is no reason to do without."""
    found: dict[int, str] = {}
    for word in text.replace(",", " ").split():
        name, _, number = word.lower().partition("=")
        matching = int(number) if number.isdecimal() and len(number) < 6 else -1 if number else _ASSIGNED.get(name)
        if matching is None:
            warn(f"tls_dane_digests: digest algorithm {name} needs an explicit number")
        elif not 0 <= matching < 256:
            warn(f"Invalid matching type number in tls_dane_digests: {word}")
        elif not matching:
            warn(f"Reserved matching type number in tls_dane_digests: {word}")
        elif _OWNERS.get(matching, name) != name:
            warn(f"tls_dane_digests: matching type {matching} can only be {_OWNERS[matching]}")
        elif matching in found:
            warn(f"tls_dane_digests: matching type {matching} specified more than once")
        else:
            found[matching] = name
    return [(name, matching) for matching, name in found.items()]


class DaneOffer:
    """What is done to a connection before its handshake: it is to be verified by `records`, one of `names` being that
    of the server, and may resume `session`. `warn` is told of records that are of no use.

    `usable` afterwards: are there others? If there are none, the verification is the usual one by CAs, which nobody may
    take for more; `only` says that there is no going on without.
    """

    def __init__(
        self,
        records: Sequence[TlsaRecord],
        names: Sequence[str],
        session: ClientSession | None,
        warn: Warn,
        *,
        multiple_labels: bool = True,
        only: bool = False,
    ) -> None:
        self._records = records
        self._names = names
        self._session = session
        self._warn = warn
        self._multiple_labels = multiple_labels
        self._only = only
        self.usable = False

    def offer(self, tls: ssl.SSLObject) -> None:
        """Once, before the handshake. Raises ValueError if OpenSSL will not; then there must not be any."""
        openssl = native_dane()
        if openssl is None or not openssl.begin(tls, self._names, multiple_labels=self._multiple_labels):
            raise ValueError("error enabling DANE-based certificate validation")
        for record in reversed(self._records):
            if openssl.add(tls, record.usage, record.selector, record.matching, record.data):
                self.usable = True
            else:
                self._warn(f"unusable TLSA RR: {record}")
        if not self.usable:
            self._warn("all TLSA records unusable" + ("" if self._only else ", fallback to unauthenticated TLS"))
        if self._session is not None:
            self._session.offer(tls)


def matched(tls: ssl.SSLObject) -> str:
    """For the log: which record has led to trust. Empty if none has, or in a resumed session."""
    openssl = native_dane()
    found = openssl.matched(tls) if openssl is not None else None
    if found is None:
        return ""
    depth, is_key, record = found
    what = "TA public key verified certificate" if is_key else "TA certificate" if depth else "EE certificate"
    return f"Matched DANE {what} at depth {depth}: {TlsaRecord(*record)}"


def peer_name(tls: ssl.SSLObject) -> str:
    """The name of the server's certificate that is one of those asked for; empty if none is, or none counts."""
    openssl = native_dane()
    return openssl.peer_name(tls) if openssl is not None else ""

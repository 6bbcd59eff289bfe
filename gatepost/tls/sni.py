"""Certificates by the name that the client asks for (`tls_server_sni_maps`)."""

import _ssl
import base64
import binascii
import hashlib
import re
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from gatepost.tls.chain import load_chains
from gatepost.tls.ciphers import cipher_list
from gatepost.tls.openssl import TlsObject
from gatepost.tls.values import BadTlsValue, Chain, ServerValues

Find = Callable[[str], bytes | None]
"""Chain PEM for a key (`www.example.com`, `.example.com`), None: not found; raises SniUnavailable."""

Warn = Callable[[str], object]

_HOSTNAME = re.compile(r"(?=.{1,255}\Z)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
"""A name as Postfix's valid_hostname takes it."""


class SniUnavailable(Exception):
    """It cannot be told now, and who says so has logged why: the handshake fails with an alert."""


def serve_names(context: ssl.SSLContext, values: ServerValues, find: Find, warn: Warn, cached: int = 1000) -> None:
    """Have `context`, made of `values`, show the chain that `find` gives for the client's name or a parent domain.

    After the handshake `sni_name` tells which, and `sni_remark` why none. `warn` gets the log's lines about a chain
    that cannot be used; the handshake fails then. `find` is called within the handshake: it must not wait.
    Contexts of `cached` chains are kept; a chain that changes is taken up at once.
    """
    names = _Names(values, find, warn, cached)
    # The property of ssl.SSLContext would put each name through IDNA 2003 first, and fail for what that does not take.
    slot: Any = _ssl._SSLContext.__dict__["sni_callback"]
    slot.__set__(context, names.chosen)


def sni_name(tls: ssl.SSLObject) -> str:
    """The server name that has selected the certificate (` to NAME` in the log line), empty: the default chain."""
    return tls.sni if isinstance(tls, TlsObject) else ""


def sni_remark(tls: ssl.SSLObject) -> str:
    """The log's line on a name that has selected nothing, with `{peer}` for `name[address]`; empty: none.

    It is a warning if it says `is invalid`.
    """
    return tls.sni_remark if isinstance(tls, TlsObject) else ""


class _Names:
    def __init__(self, values: ServerValues, find: Find, warn: Warn, cached: int) -> None:
        self._ciphers = cipher_list(values.ciphers, values.exclude_ciphers, values.library)
        self._find = find
        self._warn = warn
        self._cached = cached
        self._contexts: dict[bytes, ssl.SSLContext] = {}

    def chosen(self, tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """An alert that ends the handshake, or None."""
        if not name:
            return None
        if not _HOSTNAME.fullmatch(name):
            _remark(tls, f"TLS SNI from {{peer}} is invalid: {_printable(name)}")
            return None
        try:
            pem = self._lookup(name)
            if pem is None:
                _remark(tls, f"TLS SNI {name} from {{peer}} not matched, using default chain")
                return None
            tls.context = self._context(pem, name)
        except SniUnavailable:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        except BadTlsValue as bad:
            for line in bad.lines:
                self._warn(line)
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        if isinstance(tls, TlsObject):
            tls.sni = name
        return None

    def _lookup(self, name: str) -> bytes | None:
        for key in keys_of(name):
            pem = self._find(key)
            if pem is not None:
                return pem
        return None

    def _context(self, pem: bytes, name: str) -> ssl.SSLContext:
        """One with nothing but the chain: OpenSSL takes only that from it."""
        key = hashlib.sha256(pem).digest()
        context = self._contexts.pop(key, None)
        if context is None:
            context = _with_chain(pem, self._ciphers, name, self._warn)
            if len(self._contexts) >= self._cached:
                del self._contexts[next(iter(self._contexts))]
        self._contexts[key] = context  # the last one used is the last to go
        return context


def check_chain(pem: bytes, values: ServerValues) -> None:
    """Could `find` give this for a name? Raises BadTlsValue."""
    ciphers = cipher_list(values.ciphers, values.exclude_ciphers, values.library)
    _with_chain(pem, ciphers, "a server name", lambda _: None)


def _with_chain(pem: bytes, ciphers: str, name: str, warn: Warn) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)  # for its security level: a small key is better than no TLS
    chain = Chain(name=f"SNI data for {name}", certificates=pem)
    load_chains(context, (chain,), warn, then="aborting TLS handshake")
    return context


def keys_of(name: str) -> Iterator[str]:
    """What `find` is asked for: the name, then its parent domains with a leading dot. None, if it is no name."""
    if not _HOSTNAME.fullmatch(name):
        return
    name = name.lower()
    yield name
    dot = name.find(".")
    while dot >= 0:
        yield name[dot:]
        dot = name.find(".", dot + 1)


def _remark(tls: ssl.SSLObject, text: str) -> None:
    if isinstance(tls, TlsObject):
        tls.sni_remark = text


def _printable(name: str) -> str:
    return "".join(each if each.isascii() and each.isprintable() and each not in "{}" else "?" for each in name)


def map_value(raw: bytes) -> bytes:
    """A table's value as PEM: the base64 that `postmap -F` stores. Raises BadTlsValue."""
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadTlsValue("malformed BASE64 value: TLS SNI maps must be made with `postmap -F`") from None

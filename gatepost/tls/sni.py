"""Certificates by the name that the client asks for (`tls_server_sni_maps`)."""

import ssl
from collections.abc import Callable

from gatepost.tls.values import ServerValues

Find = Callable[[str], bytes | None]
"""Chain PEM for a key (`www.example.com`, `.example.com`), None: not found; raises SniUnavailable."""


class SniUnavailable(Exception):
    """It cannot be told now: the handshake fails with an alert."""


def serve_names(
    context: ssl.SSLContext, values: ServerValues, find: Find, warn: Callable[[str], None], cached: int = 1000
) -> None:
    """Have `context` switch to the chain that `find` gives for the client's name or a parent domain of it.

    After the handshake `sni_name(ssl_object)` is the name that was matched, empty if none.
    """
    raise NotImplementedError


def sni_name(ssl_object: ssl.SSLObject) -> str:
    """The server name that selected the certificate (` to NAME` in the log line), empty: the default chain."""
    raise NotImplementedError


def map_value(raw: bytes) -> bytes:
    """A table's value as PEM: the base64 that `postmap -F` stores. Raises BadTlsValue."""
    raise NotImplementedError


def map_files(value: str, read: Callable[[str], bytes]) -> bytes:
    """A plain text table's value (paths, separated by white space or comma) as PEM. Raises what `read` raises."""
    raise NotImplementedError

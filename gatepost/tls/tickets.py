"""Session tickets that several contexts, or the same one made anew, understand."""

import os
import ssl
from collections.abc import Callable

KEYS_SIZE = 80
"""Octets: key name 16, HMAC key 32, AES-256 key 32 (OpenSSL 3)."""


def new_keys(randomness: Callable[[int], bytes] = os.urandom) -> bytes:
    """Ticket keys. Make them once in the master process, hand them to all that serve the same name."""
    return randomness(KEYS_SIZE)


def set_keys(context: ssl.SSLContext, keys: bytes) -> None:
    """From now on `context` issues and accepts tickets under `keys`. Contexts inherited by fork share theirs anyway."""
    raise NotImplementedError


def keys_of(context: ssl.SSLContext) -> bytes:
    """The ticket keys of a context, to be given to the one that takes its place."""
    raise NotImplementedError

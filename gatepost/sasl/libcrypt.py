"""crypt(3) of the system's libcrypt, which knows more methods than Python ever did.

crypt_r takes a structure of the caller's, so that threads do not disturb each other.
"""

import ctypes
import ctypes.util
import functools
import hmac
from collections.abc import Callable

_ROOM = 131232
"""Octets of struct crypt_data where it is largest (the C library of before libxcrypt)."""


class NoLibcrypt(Exception):
    """There is no crypt(3) on this host."""


@functools.cache
def _crypt_r() -> Callable[[bytes, bytes, object], bytes | None]:
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    try:
        function = ctypes.CDLL(name).crypt_r
    except (OSError, AttributeError):
        raise NoLibcrypt(name) from None
    function.restype = ctypes.c_char_p
    function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    return function


def matches(password: str, hashed: str) -> bool:
    """Is `hashed` what crypt(3) makes of the password? Takes its time; the GIL is released. Raises NoLibcrypt."""
    if "\0" in password:
        return False
    setting = hashed.encode()
    data = ctypes.create_string_buffer(_ROOM)
    made = _crypt_r()(password.encode(), setting, data)
    # What cannot be hashed comes out as None or as a text with `*`, which no verifier of ours begins with.
    return made is not None and not made.startswith(b"*") and hmac.compare_digest(made, setting)

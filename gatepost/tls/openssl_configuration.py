"""The configuration file of OpenSSL itself (config(5ossl)): tls_config_file and tls_config_name of postconf(5).

It is the process's, and what its `system_default` says of TLS counts for each SSLContext at the moment that it is made:
so it is loaded anew right before one is made, when the last one was made with another. Importing `ssl` has loaded the
system's.
"""

import ctypes
import functools
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_ulong, c_void_p
from typing import Any

from gatepost.tls.openssl import declare, native
from gatepost.tls.values import BadTlsValue

DEFAULT, NONE = "default", "none"

# conf.h: CONF_MFLAGS_...; as OpenSSL itself loads the system's file.
_IGNORE_RETURN_CODES = 0x02
_IGNORE_MISSING_FILE = 0x10
_DEFAULT_SECTION = 0x20

_TEXT = 0x02
"""err.h, ERR_TXT_STRING: an error has words of its own."""

_WORDS = 256

_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "CONF_modules_load_file_ex": (c_int, (c_void_p, c_char_p, c_char_p, c_ulong)),
    "CONF_modules_unload": (None, (c_int,)),
    "ERR_clear_error": (None, ()),
    "ERR_error_string_n": (None, (c_ulong, c_char_p, c_size_t)),
    "ERR_get_error_all": (
        c_ulong,
        (POINTER(c_char_p), POINTER(c_int), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int)),
    ),
}

_loaded = [(DEFAULT, "")]
"""File and name that this process goes by; none: the last ones could not be loaded."""


def load_openssl_configuration(file: str, name: str) -> None:
    """Have contexts made from now on go by this file (`default`: the system's, `none`, or an absolute path), and the
    section that `name` refers to (empty: `openssl_conf`).

    Raises BadTlsValue with Postfix's lines for the log (tls_misc.c, tls_library_init).
    """
    if _loaded == [(file, name)]:
        return
    _loaded.clear()
    if file not in (DEFAULT, NONE) and not file.startswith("/"):
        raise BadTlsValue(f"non-default tls_config_file = {file} is not an absolute pathname, disabling TLS support")
    library = _library()
    if library is None:
        raise BadTlsValue("this Python's OpenSSL cannot be had to load tls_config_file: disabling TLS support")
    library.CONF_modules_unload(0)
    section = name.encode() or None
    if file == DEFAULT:
        flags = _DEFAULT_SECTION | _IGNORE_MISSING_FILE | _IGNORE_RETURN_CODES
        library.CONF_modules_load_file_ex(None, None, section, flags)
    elif file != NONE and library.CONF_modules_load_file_ex(None, file.encode(), section, 0) <= 0:
        what = f"the '{name or 'global'}' settings from the {file} OpenSSL configuration file"
        raise BadTlsValue(f"error loading {what}, disabling TLS support", *_problems(library))
    library.ERR_clear_error()
    _loaded.append((file, name))


@functools.cache
def _library() -> Any:
    openssl = native()
    if openssl is None:
        return None
    try:
        declare(openssl.library, _FUNCTIONS)
    except AttributeError:  # OpenSSL before 3
        return None
    return openssl.library


def _problems(library: Any) -> list[str]:
    """What waits in OpenSSL's queue of errors, the first one first."""
    file, line, data, kind = c_char_p(), c_int(0), c_char_p(), c_int(0)
    found = []
    while code := library.ERR_get_error_all(byref(file), byref(line), None, byref(data), byref(kind)):
        words = ctypes.create_string_buffer(_WORDS)
        library.ERR_error_string_n(code, words, _WORDS)
        parts = [words.value, file.value or b"", str(line.value).encode()]
        if kind.value & _TEXT:
            parts.append(data.value or b"")
        found.append("TLS library problem: " + b":".join(parts).decode("ascii", "backslashreplace") + ":")
    return found

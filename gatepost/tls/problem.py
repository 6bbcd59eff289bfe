"""`TLS library problem: ...` for what fails before there is a connection."""

import _ssl
import re
import ssl

_MESSAGE = re.compile(r"^(?:\[[^\]]*\] )?(?P<words>.*?)(?: \(_ssl\.c:\d+\))?$", re.S)

_LIBRARIES = {
    "SSL": "SSL",
    "PEM": "PEM",
    "X509": "x509 certificate",
    "ASN1": "asn1 encoding",
    "EVP": "digital envelope",
    "RSA": "rsa",
    "EC": "elliptic curve",
}
"""OpenSSL's own words for its parts (ERR_lib_error_string), by Python's."""


def unopened(path: str, number: int, why: str) -> tuple[str, str, str]:
    """What OpenSSL says when it cannot open a file. `number`, `why`: the system's."""
    return (
        f"TLS library problem: error:{1 << 31 | number:08X}:system library::{why}:calling fopen({path}, r)",
        f"TLS library problem: error:{0x10080000 | number:08X}:BIO routines::system lib",
        f"TLS library problem: error:{0x0A080000 | number:08X}:SSL routines::system lib",
    )


def library_problem(exc: ssl.SSLError) -> str:
    """The line for the log. OpenSSL's source line is not in it: Python does not keep it."""
    found = _MESSAGE.match(str(exc.args[-1]))
    words = found["words"] if found else str(exc)
    library = getattr(exc, "library", None) or "SSL"
    # Private: ssl.SSLError has the names only.
    names: dict[str, tuple[int, int]] = getattr(_ssl, "err_names_to_codes", {})
    number, reason = names.get(getattr(exc, "reason", None) or "", (0, 0))
    # Several libraries have reasons of the same name, of which Python remembers one.
    libraries: dict[int, str] = getattr(_ssl, "lib_codes_to_names", {})
    code = f"error:{number << 23 | reason:08X}:" if libraries.get(number) == library else ""
    return f"TLS library problem: {code}{_LIBRARIES.get(library, library)} routines::{words}"


def system_problem(exc: OSError) -> str:
    """The same for a file that cannot be read."""
    number = exc.errno or 0
    return f"TLS library problem: error:{1 << 31 | number:08X}:system library::{exc.strerror or exc}"

"""Keys and certificates into a context, from octets in any order that Postfix takes."""

import contextlib
import os
import re
import ssl
from collections.abc import Callable, Iterator, Sequence

from gatepost.tls.problem import library_problem
from gatepost.tls.values import BadTlsValue, Chain

Warn = Callable[[str], object]

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----[^\n]*\n?", re.S)

_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")

_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "PRIVATE_KEY_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""Python's names for a key that belongs to another certificate; the last: to one of another algorithm."""


class _Object:
    """A PEM object: which one it is of which file."""

    __slots__ = ("file", "kind", "number", "octets")

    def __init__(self, file: str, number: int, kind: str, octets: bytes) -> None:
        self.file = file
        self.number = number
        self.kind = kind
        self.octets = octets


def load_chains(
    context: ssl.SSLContext, chains: Sequence[Chain], warn: Warn, then: str = "disabling TLS support"
) -> None:
    """Load them all; a later chain of an algorithm takes the place of an earlier one. Raises BadTlsValue.

    `then`: what comes of a failure, for the messages (tls_certkey.c).
    """
    files = [chain for chain in chains if not chain.key]
    if files:
        _load_objects(context, list(_objects(files)), files[-1].name, warn, then)
    for chain in chains:
        if chain.key and chain.key_name in ("", chain.name):
            _load_mixed(context, chain, warn, then)
        elif chain.key:
            _load_pair(context, chain, then)


class _BadChain(Exception):
    def __init__(self, file: str, *lines: str) -> None:
        super().__init__(lines[0])
        self.file = file
        self.lines = lines


def _load_mixed(context: ssl.SSLContext, chain: Chain, warn: Warn, then: str) -> None:
    """Certificates and their key in one file: the key may stand anywhere in it."""
    objects = list(_objects((chain,)))
    keys = [each for each in objects if each.kind in _KEYS]
    for key in keys[1:]:
        warn(f"ignoring 2nd key at index {key.number} in {chain.name} after 1st at {keys[0].number}")
    if objects and not keys:
        last = f"error loading private keys and certificates from: {chain.name}: {then}"
        raise BadTlsValue(f"No private key found in {chain.name}", last)
    objects = [*keys[:1], *(each for each in objects if each not in keys)]
    _load_objects(context, objects, chain.name, warn, then)


def _load_objects(context: ssl.SSLContext, objects: Sequence[_Object], file: str, warn: Warn, then: str) -> None:
    try:
        if not objects:
            raise _BadChain(file, f"No PEM data in {file}")
        _load_each(context, objects, warn)
    except _BadChain as bad:
        last = f"error loading private keys and certificates from: {bad.file}: {then}"
        raise BadTlsValue(*bad.lines, last) from None


def _load_each(context: ssl.SSLContext, objects: Sequence[_Object], warn: Warn) -> None:
    key: _Object | None = None
    certificates: list[_Object] = []
    for each in objects:
        if each.kind in _KEYS:
            if key is not None:
                if not certificates:
                    raise _BadChain(
                        each.file, f"error loading certificate chain: {_where(key)} not followed by a certificate"
                    )
                _load(context, key, certificates)
            key, certificates = each, []
        elif each.kind in _CERTIFICATES:
            if key is None:
                raise _BadChain(each.file, f"error loading chain from {each.file}: key not first")
            certificates.append(each)
        else:
            warn(f"loading {each.file}: ignoring PEM type: {each.kind}")
    if key is None:
        raise _BadChain(objects[-1].file, f"No PEM data in {objects[-1].file}")
    if not certificates:
        raise _BadChain(key.file, f"No certs for {_where(key)}")
    _load(context, key, certificates)


def _objects(files: Sequence[Chain]) -> Iterator[_Object]:
    for file in files:
        for number, found in enumerate(_PEM.finditer(file.certificates), 1):
            yield _Object(file.name, number, found[1].decode("ascii"), found[0])


def _where(key: _Object) -> str:
    return f"key at index {key.number} in {key.file}"


def _load(context: ssl.SSLContext, key: _Object, certificates: list[_Object]) -> None:
    octets = b"".join(each.octets.rstrip(b"\r\n") + b"\n" for each in (key, *certificates))
    try:
        with file_in_memory(octets) as path:
            # The empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(path, password="")
    except ssl.SSLError as exc:
        problem = library_problem(exc)
        for each in certificates:
            if not _is_certificate(each.octets):
                first = f"error loading certificate (PEM object number {each.number}) from {each.file}"
                raise _BadChain(each.file, first, problem) from None
        if exc.reason in _MISMATCHES:
            raise _BadChain(key.file, f"{_where(key)} does not match next certificate", *_mismatch(exc)) from None
        first = f"error loading private key (PEM object number {key.number}) from {key.file}"
        raise _BadChain(key.file, first, problem) from None


def _mismatch(exc: ssl.SSLError) -> tuple[str, ...]:
    """What Postfix's way of loading makes OpenSSL say."""
    other = "TLS library problem: error:03000065:digital envelope routines::different key types"
    differs = "TLS library problem: error:0A000120:SSL routines::private key mismatch"
    return (differs,) if exc.reason == "KEY_VALUES_MISMATCH" else (other, differs)


def _load_pair(context: ssl.SSLContext, chain: Chain, then: str) -> None:
    key_name = chain.key_name or chain.name
    try:
        with file_in_memory(chain.certificates) as certificates, file_in_memory(chain.key) as key:
            context.load_cert_chain(certificates, key, password="")
    except ssl.SSLError as exc:
        problem = library_problem(exc)
        found = [each for each in _PEM.finditer(chain.certificates) if each[1].decode() in _CERTIFICATES]
        if not found or not all(_is_certificate(each[0]) for each in found):
            raise BadTlsValue(
                f'cannot get {chain.algorithm} certificate from file "{chain.name}": {then}', problem
            ) from None
        if exc.reason == "NO_CERTIFICATE_ASSIGNED":
            text = f"{chain.algorithm} private key in {key_name} does not match public key in {chain.name}: {then}"
            raise BadTlsValue(text) from None
        raise BadTlsValue(f'cannot get {chain.algorithm} private key from file "{key_name}": {then}', problem) from None


def _is_certificate(pem: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True


@contextlib.contextmanager
def file_in_memory(octets: bytes) -> Iterator[str]:
    """The path of a file that no disk has: Python takes keys from files only, and these may not touch one."""
    descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(octets)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def load_dh_parameters(context: ssl.SSLContext, octets: bytes) -> bool:
    """False: they are none."""
    try:
        with file_in_memory(octets) as path:
            context.load_dh_params(path)
    except (ssl.SSLError, ValueError):
        return False
    return True

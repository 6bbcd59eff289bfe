"""SSLContexts from plain values. Nothing here fails a handshake for a certificate: who asks reads `verification`."""

import contextlib
import re
import ssl
import warnings
from collections.abc import Callable, Iterator

from gatepost.tls.chain import file_in_memory, load_chains, load_dh_parameters
from gatepost.tls.ciphers import cipher_list, joined_exclusions
from gatepost.tls.dane import enable_dane
from gatepost.tls.openssl import TellingTlsObject, TlsObject, native
from gatepost.tls.openssl_configuration import load_openssl_configuration
from gatepost.tls.options import OPTIONS, WORKAROUNDS, option_bits
from gatepost.tls.problem import library_problem, system_problem
from gatepost.tls.protocols import Protocols, parse_protocols
from gatepost.tls.values import BadTlsValue, ClientValues, LibraryValues, ServerValues

Warn = Callable[[str], object]

_ALL_WORKAROUNDS = ssl.OP_ALL

_TICKET_CIPHER = re.compile(r"(?:aes|aria|camellia)-?(?:128|192|256)-?cbc", re.I)


def server_context(values: ServerValues, warn: Warn) -> ssl.SSLContext:
    """For `start_tls(..., server_side=True)`. Client certificates are asked for, never judged: see verification.py.

    Raises BadTlsValue (its lines are the log's). `warn` gets what Postfix only warns about.
    """
    library = values.library
    asks = values.ask_ccert or values.req_ccert
    context = _context(ssl.PROTOCOL_TLS_SERVER, values, warn)
    # A session without certificates would not let us ask for one.
    exclusions = joined_exclusions(values.exclude_ciphers, "aNULL" if asks else "")
    _set_ciphers(context, values.ciphers, exclusions, library)
    load_chains(context, values.chains, warn)
    _load_authorities(context, values)
    _set_dh(context, values, warn)
    _set_tickets(context, values, warn)
    if asks:
        openssl = native()
        if openssl is None:
            raise BadTlsValue(
                "this Python's OpenSSL cannot be had to ask for client certificates: disabling TLS support"
            )
        openssl.ask_for_certificate(context, server=True, required=values.req_ccert, depth=values.ccert_verifydepth)
        if values.CAfile:
            with _authorities(values) as path:
                openssl.name_authorities(context, path)
    return context


def client_context(values: ClientValues, warn: Warn) -> ssl.SSLContext:
    """For any server: no name is checked and no certificate refused in the handshake. Raises BadTlsValue.

    One per distinct `values`, kept: a session can be resumed within one context only.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, values, warn)
    _set_ciphers(context, values.ciphers, values.exclude_ciphers, values.library)
    load_chains(context, values.chains, warn)
    if values.trust_anchors:
        _load_anchors(context, values.trust_anchors)
    else:
        _load_authorities(context, values)
    openssl = native()
    if openssl is not None:
        openssl.ask_for_certificate(context, server=False, required=False, depth=values.scert_verifydepth)
    if values.dane:
        enable_dane(context, values.library.tls_dane_digests, warn)
    return context


def _context(protocol: int, values: ServerValues | ClientValues, warn: Warn) -> ssl.SSLContext:
    versions, library = parse_protocols(values.protocols), values.library
    load_openssl_configuration(library.tls_config_file, library.tls_config_name)
    context = ssl.SSLContext(protocol)
    context.sslobject_class = TellingTlsObject if values.telling else TlsObject
    if protocol == ssl.PROTOCOL_TLS_CLIENT:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # Old versions are the administrator's choice: plaintext is the alternative.
        warnings.simplefilter("ignore", DeprecationWarning)
        _set_versions(context, versions)
        context.options = ssl.Options(_options(context, versions, library, warn))
    _set_groups(context, library.tls_eecdh_auto_curves, warn)
    return context


def _set_versions(context: ssl.SSLContext, versions: Protocols) -> None:
    """What OpenSSL does not know bounds nothing."""
    for attribute, number, unbounded in (
        ("minimum_version", versions.floor, ssl.TLSVersion.MINIMUM_SUPPORTED),
        ("maximum_version", versions.ceiling, ssl.TLSVersion.MAXIMUM_SUPPORTED),
    ):
        setattr(context, attribute, unbounded)
        try:
            if number:
                setattr(context, attribute, ssl.TLSVersion(number))
        except ValueError:
            pass


def _options(context: ssl.SSLContext, versions: Protocols, library: LibraryValues, warn: Warn) -> int:
    disabled = option_bits("tls_disable_workarounds", library.tls_disable_workarounds, WORKAROUNDS, warn)
    bits = int(context.options) | int(_ALL_WORKAROUNDS)
    bits &= ~(disabled & (int(_ALL_WORKAROUNDS) | WORKAROUNDS["LEGACY_SERVER_CONNECT"]))
    bits &= ~int(ssl.OP_CIPHER_SERVER_PREFERENCE)
    if library.tls_preempt_cipherlist:
        bits |= ssl.OP_CIPHER_SERVER_PREFERENCE
    # A client must not make us work without end, nor change its certificate behind our back.
    bits |= ssl.OP_NO_RENEGOTIATION
    bits |= option_bits("tls_ssl_options", library.tls_ssl_options, OPTIONS, warn)
    return bits | versions.options


def _set_groups(context: ssl.SSLContext, curves: str, warn: Warn) -> None:
    openssl = native()
    if openssl is None:
        return  # OpenSSL's own list
    known = []
    for name in re.split(r"[\s,:]+", curves):
        if not name:
            continue
        if openssl.set_groups(context, name):
            known.append(name)
        else:
            warn(f'ignoring unknown ECDHE curve "{name}"')
    if known:
        openssl.set_groups(context, ":".join(known))


def _set_ciphers(context: ssl.SSLContext, grade: str, exclusions: str, library: LibraryValues) -> None:
    try:
        context.set_ciphers(cipher_list(grade, exclusions, library))
    except ssl.SSLError:
        problem = "TLS library problem: error:0A0000B9:SSL routines::no cipher match"
        raise BadTlsValue(f'error setting cipher grade: "{grade}"', problem) from None


@contextlib.contextmanager
def _authorities(values: ServerValues | ClientValues) -> Iterator[str]:
    """The path of a file with what is in CAfile; empty if none is named."""
    if not values.CAfile or not values.CA:
        yield values.CAfile
        return
    with file_in_memory(values.CA) as path:
        yield path


def _load_authorities(context: ssl.SSLContext, values: ServerValues | ClientValues) -> None:
    """tls_certkey.c, tls_set_ca_certificate_info."""
    file, folder = values.CAfile, values.CApath
    if not file and not folder:
        if values.library.tls_append_default_CA:
            context.set_default_verify_paths()
        return
    try:
        with _authorities(values) as path:
            context.load_verify_locations(path or None, folder or None)
    except OSError as exc:
        named = ", ".join(f'{name}="{path}"' for name, path in (("CAfile", file), ("CApath", folder)) if path)
        first = f"cannot load Certification Authority data, {named}: disabling TLS support"
        problem = library_problem(exc) if isinstance(exc, ssl.SSLError) else system_problem(exc)
        raise BadTlsValue(first, problem) from None
    if values.library.tls_append_default_CA:
        context.set_default_verify_paths()


def _load_anchors(context: ssl.SSLContext, pem: bytes) -> None:
    """Certificates that need not be self-signed to be trusted (smtp_tls_trust_anchor_file)."""
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise BadTlsValue("error loading trust anchors: no usable certificate") from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def _set_dh(context: ssl.SSLContext, values: ServerValues, warn: Warn) -> None:
    if values.dh1024_param:
        if load_dh_parameters(context, values.dh1024_param):
            return
        warn(f'error decoding DH parameters from file "{values.dh1024_param_file}" -- using compiled-in defaults')
    openssl = native()
    if openssl is not None:
        openssl.set_dh_auto(context)


def _set_tickets(context: ssl.SSLContext, values: ServerValues, warn: Warn) -> None:
    """One ticket a session, as Postfix: a mail client has one connection at a time."""
    cipher = values.library.tls_session_ticket_cipher
    enabled = values.session_cache_timeout > 0 and bool(cipher)
    if enabled and not _TICKET_CIPHER.fullmatch(cipher):
        warn(f"tls_session_ticket_cipher: invalid value: {cipher}; session tickets disabled")
        enabled = False
    context.num_tickets = 1 if enabled else 0
    if not enabled:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.options |= ssl.OP_NO_TICKET
    openssl = native()
    if openssl is not None:
        openssl.keep_no_sessions(context)
        if enabled:
            openssl.set_session_timeout(context, values.session_cache_timeout)

"""Checks of TLS: what is encrypted less than it seems, or not at all."""

import re
import stat
from collections.abc import Iterator

from gatepost.audit.certificates import Certificate, CertificateFile, certificate_files
from gatepost.audit.lint.dane_levels import dane_levels
from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Place, Subject
from gatepost.tables.key_files import named

_FILES = re.compile(r"(smtpd|smtp|lmtp)_tls_((ec|d)?(cert|key)_file|CAfile|chain_files)")
_PASSWORDS = ("smtp_sasl_password_maps", "lmtp_sasl_password_maps")
_KEYS = re.compile(r"(smtpd|smtp|lmtp)_tls_((ec|d)?key_file|chain_files)")
_OLD = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1")
_ON = ("may", "encrypt")


def server_level(place: Place) -> str:
    """The TLS level of a listener, the old parameters included."""
    level = place.text("smtpd_tls_security_level").lower()
    if level or not place.sets("smtpd_enforce_tls"):
        return level
    return "encrypt" if place.yes("smtpd_enforce_tls") else ""


def _served(subject: Subject) -> Iterator[Place]:
    for place in subject.servers:
        if server_level(place) in _ON or place.yes("smtpd_tls_wrappermode"):
            yield place


@check("tls-without-certificate", Severity.ERROR, "TLS is switched on, and there is no certificate")
def without_certificate(subject: Subject) -> Iterator[Remark]:
    """Without a certificate the log has `No server certs available. TLS won't be enabled`: STARTTLS is offered and
    then answered 454, and with `encrypt` nobody can send. Set smtpd_tls_chain_files, or smtpd_tls_cert_file and
    smtpd_tls_key_file."""
    names = ("smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file")
    for place in _served(subject):
        if not any(map(place.text, names)):
            message = "there is no certificate: STARTTLS is answered 454"
            remedy = "set smtpd_tls_chain_files to your key and certificates"
            yield place.remark("smtpd_tls_security_level", message, remedy)


@check("tls-file-missing", Severity.ERROR, "a certificate or key whose file is not there")
def file_missing(subject: Subject) -> Iterator[Remark]:
    """TLS is not offered when the server's certificate or key cannot be read; a client with `verify` trusts nobody
    without its CA file."""
    env = subject.tables.env
    for place, name, _ in subject.set_values():
        if _FILES.fullmatch(name):
            for path in named(name, place.text(name)):
                if path.startswith("/") or path.lower() == "none":
                    try:
                        env.stat_file(env.path(path))
                    except (OSError, ValueError):
                        yield place.remark(name, f"{path} is not there", "correct the path, or make the file")


@check("certificate-expired", Severity.ERROR, "a certificate that has expired")
def certificate_expired(subject: Subject) -> Iterator[Remark]:
    """Clients that look at certificates do not go on: people cannot send, and servers that must verify us keep their
    mail. Renew it; the new file counts within a minute, without a reload."""
    now = subject.tables.env.wall_clock()
    for file, certificate in _ending(subject):
        if certificate.until < now:
            yield _renewal(subject, file, certificate, now)


@check("certificate-expires-soon", Severity.WARNING, "a certificate that expires within two weeks")
def certificate_expires_soon(subject: Subject) -> Iterator[Remark]:
    """What renews certificates by itself does so a month before their end; that it has not, needs a look while there
    is time."""
    now = subject.tables.env.wall_clock()
    for file, certificate in _ending(subject):
        if certificate.until >= now:
            yield _renewal(subject, file, certificate, now)


def _ending(subject: Subject) -> Iterator[tuple[CertificateFile, Certificate]]:
    now = subject.tables.env.wall_clock()
    for file in certificate_files(subject.configuration, subject.tables):
        for certificate in file.certificates:
            if certificate.trouble(now):
                yield file, certificate


def _renewal(subject: Subject, file: CertificateFile, certificate: Certificate, now: float) -> Remark:
    path, line = file.where or (subject.configuration.main.path, 0)
    message = f"the certificate of {certificate.name} in {file.path} {certificate.trouble(now)}"
    return Remark(path, line, file.parameter, message, f"put a new certificate in {file.path}")


@check("tls-key-readable", Severity.ERROR, "a private key that everybody may read")
def key_readable(subject: Subject) -> Iterator[Remark]:
    """Who has the key can pose as this server. Files of keys belong to root and have mode 0600; they are opened
    before privileges are given up."""
    yield from _readable(subject, _KEYS.fullmatch, "the private key")


@check("passwords-readable", Severity.ERROR, "a table of passwords that everybody may read")
def passwords_readable(subject: Subject) -> Iterator[Remark]:
    """smtp_sasl_password_maps holds the login of the relayhost in clear. Its file belongs to root and has mode
    0600."""
    yield from _readable(subject, _PASSWORDS.__contains__, "the table of passwords")


def _readable(subject: Subject, wanted: object, what: str) -> Iterator[Remark]:
    env = subject.tables.env
    assert callable(wanted)
    for place, name, _ in subject.set_values():
        for word in place.items(name) if wanted(name) else ():
            path = word[word.find(":/") + 1 :] if ":/" in word else word
            try:
                mode = env.stat_file(env.path(path)).st_mode if path.startswith("/") else 0
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(mode) and mode & stat.S_IROTH:
                yield place.remark(name, f"everybody on this host may read {what} {path}", f"chmod o-r {path}")


@check("tls-old-protocols", Severity.WARNING, "protocols that are given up: SSLv2, SSLv3, TLS 1.0, TLS 1.1")
def old_protocols(subject: Subject) -> Iterator[Remark]:
    """RFC 8996 ended TLS 1.0 and 1.1 in 2021; SSLv2 and SSLv3 are broken. Where TLS is a must (submission,
    relayhost) write `>=TLSv1.2`. For old devices make a listener of their own with old protocols."""
    for place, name, value in subject.set_values():
        if name.endswith("_protocols") and "_tls_" in name and (old := _allowed(value, mandatory="mandatory" in name)):
            yield place.remark(name, f"{', '.join(old)} may be spoken", f"{name} = >=TLSv1.2")


def _allowed(value: str, *, mandatory: bool) -> list[str]:
    """Old protocols that are named, or (mandatory) that are left when others are excluded."""
    words = [word for word in re.split(r"[\s,:]+", value) if word]
    named = [word for word in words if word in _OLD]
    lowest = next((word[2:] for word in words if word.startswith(">=")), "")
    if lowest in _OLD:
        return list(_OLD[_OLD.index(lowest) :]) if mandatory or lowest.startswith("SSL") else []
    if lowest or named or not words:
        return named if mandatory or any(word.startswith("SSL") for word in named) else []
    excluded = {word[1:] for word in words if word.startswith("!")}
    left = [each for each in _OLD if each not in excluded]
    return left if excluded and (mandatory or "SSLv3" in left) else []


@check("tls-weak-ciphers", Severity.WARNING, "ciphers that are broken")
def weak_ciphers(subject: Subject) -> Iterator[Remark]:
    """The grades `low`, `export` and `null` hold ciphers that can be read by others, or that do not encrypt. Leave
    the grade at its default (medium), or choose high."""
    for place, name, value in subject.set_values():
        if name.endswith("_ciphers") and "_tls_" in name and value.lower() in ("low", "export", "null"):
            yield place.remark(name, f"the grade {value} holds broken ciphers", f"take {name} out, or write high")


@check("tls-verifies-nobody", Severity.ERROR, "certificates are to be verified, and no CA is trusted")
def verifies_nobody(subject: Subject) -> Iterator[Remark]:
    """With `verify` or `secure` and no trusted CA no certificate is good, and all mail is deferred. Set
    smtp_tls_CApath = /etc/ssl/certs or smtp_tls_CAfile, or tls_append_default_CA = yes."""
    for place in subject.clients:
        level = place.text("smtp_tls_security_level").lower()
        trusted = any(map(place.text, ("smtp_tls_CAfile", "smtp_tls_CApath"))) or place.yes("tls_append_default_CA")
        if level in ("verify", "secure") and not trusted:
            message = f"{level}, and no CA is trusted: all mail is deferred"
            yield place.remark("smtp_tls_security_level", message, "smtp_tls_CApath = /etc/ssl/certs")


@check("dane-without-dnssec", Severity.ERROR, "DANE without DNSSEC lookups")
def dane_without_dnssec(subject: Subject) -> Iterator[Remark]:
    """`dane` needs smtp_dns_support_level = dnssec (for LMTP lmtp_dns_support_level) and a resolver that validates.
    Without it `dane` is no more than `may`, and `dane-only` defers all mail. Looked at are main.cf, the `-o` of each
    transport, and the tables of smtp_tls_policy_maps."""
    for found in dane_levels(subject):
        support = f"{found.prefix}_dns_support_level"
        if found.place.text(support).lower() != "dnssec":
            yield found.remark(f"{found.level} without DNSSEC", f"{support} = dnssec", support)


@check("dane-hindered", Severity.ERROR, "lookups that DANE cannot be built on")
def dane_hindered(subject: Subject) -> Iterator[Remark]:
    """With smtp_host_lookup without `dns`, ignore_mx_lookup_error = yes or smtp_dns_resolver_options, names of servers
    may come from where nobody has signed them. `dane` is no more than `may` then, and `dane-only` defers all mail.
    LMTP has parameters of its own (lmtp_), and asks for no MX records."""
    for found in dane_levels(subject):
        place, lookup, options = found.place, f"{found.prefix}_host_lookup", f"{found.prefix}_dns_resolver_options"
        for parameter, hinders in (
            (lookup, "dns" not in place.text(lookup).lower().replace(",", " ").split()),
            ("ignore_mx_lookup_error", found.prefix == "smtp" and place.yes("ignore_mx_lookup_error")),
            (options, bool(place.text(options))),
        ):
            if hinders:
                message = f"{found.level} with {parameter} = {place.text(parameter)}: no server is verified"
                remedy = f"{lookup} = dns" if parameter == lookup else f"leave out {parameter}"
                yield place.remark(parameter, message, remedy)


@check("wrappermode-missing", Severity.ERROR, "port 465 without TLS from the first octet")
def wrappermode_missing(subject: Subject) -> Iterator[Remark]:
    """Clients of port 465 begin with the TLS handshake. Without `-o smtpd_tls_wrappermode=yes` server and client
    wait for each other."""
    for place in subject.listeners:
        assert place.service is not None
        port = place.service.name.rpartition(":")[2]
        if port in ("465", "smtps", "submissions") and not place.yes("smtpd_tls_wrappermode"):
            service = place.service
            message = f"{service.name} waits for a command, its clients for TLS"
            remedy = "add -o smtpd_tls_wrappermode=yes"
            yield Remark(service.path, service.line, "smtpd_tls_wrappermode", message, remedy)


@check("wrappermode-everywhere", Severity.ERROR, "smtpd_tls_wrappermode on a port of plain SMTP")
def wrappermode_everywhere(subject: Subject) -> Iterator[Remark]:
    """With smtpd_tls_wrappermode = yes in main.cf port 25 and port 587 begin with TLS as well, and no other mail
    server can deliver. It belongs to the line of port 465 in master.cf."""
    for place in subject.listeners:
        assert place.service is not None
        port = place.service.name.rpartition(":")[2]
        if port in ("25", "smtp", "587", "submission") and place.yes("smtpd_tls_wrappermode"):
            message = f"{place.service.name} begins with TLS: nobody can talk to it"
            yield place.remark("smtpd_tls_wrappermode", message, "set it on the line of port 465 only")


@check("client-wrappermode-missing", Severity.ERROR, "a relayhost on port 465 without smtp_tls_wrappermode")
def client_wrappermode(subject: Subject) -> Iterator[Remark]:
    """A server on port 465 waits for a TLS handshake, the client for a greeting: each delivery ends with a timeout.
    Set smtp_tls_wrappermode = yes and smtp_tls_security_level = encrypt, or use port 587."""
    for nexthop in subject.main.items("relayhost"):
        port = nexthop.rpartition(":")[2] if ":" in nexthop else ""
        runs = subject.transports.get(subject.main.text("relay_transport").partition(":")[0] or "relay")
        place = runs if runs is not None and runs.sets("smtp_tls_wrappermode") else subject.main
        if port in ("465", "smtps", "submissions") and not place.yes("smtp_tls_wrappermode"):
            message = f"{nexthop}: server and client wait for each other"
            yield subject.main.remark("relayhost", message, "smtp_tls_wrappermode = yes")


@check("tls-log-too-long", Severity.NOTE, "a TLS log level for the search of faults")
def log_too_long(subject: Subject) -> Iterator[Remark]:
    """From level 3 on the octets of each handshake are in the log. 1 is a line for each connection."""
    for place, name, _ in subject.set_values():
        level = place.text(name) if name in ("smtpd_tls_loglevel", "smtp_tls_loglevel") else ""
        if level in ("3", "4"):
            yield place.remark(name, f"level {level} dumps each handshake", f"{name} = 1")

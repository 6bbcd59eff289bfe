"""The certificates that a configuration names, and how long they are good for."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from gatepost.audit.lint.table_rows import table_rows
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.tables.braces import split_items
from gatepost.tables.environment import error_text
from gatepost.tables.key_files import named
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure

SOON = 14
"""Days before its end from which on a certificate is told of."""

DAY = 86400

_PARAMETER = re.compile(r"(?:smtpd|smtp|lmtp)_tls_(?:chain_files|(?:ec|d)?cert_file)")
_SNI_MAPS = "tls_server_sni_maps"
_BLOCK = re.compile(rb"-----BEGIN (?:(CERTIFICATE)|[A-Z ]*PRIVATE KEY)-----.*?-----END [A-Z ]+-----", re.S)


class Certificate(msgspec.Struct, frozen=True):
    """One certificate in a file. `until`: the last moment at which it is good, in seconds since the epoch.

    `leaf`: it is shown as ours; else it is of an authority on the way to one that is known.
    """

    names: tuple[str, ...]
    until: float
    leaf: bool

    @property
    def name(self) -> str:
        """What to call it."""
        return ", ".join(self.names) or "no name"

    def days(self, now: float) -> int:
        """Whole days left; negative if it has expired."""
        return int((self.until - now) // DAY)

    def trouble(self, now: float) -> str:
        """What is to be told of it, as the end of a sentence; empty while it is good for longer than SOON."""
        day = datetime.fromtimestamp(self.until, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if self.until < now:
            return f"expired on {day}"
        if (left := self.days(now)) < SOON:
            return f"expires in {left} day{'' if left == 1 else 's'}, on {day}"
        return ""


class CertificateFile(msgspec.Struct, frozen=True):
    """A file and where the configuration names it. `problem`: why its certificates cannot be told; then there are none.

    `where`: file and line of the parameter.
    """

    settings: Settings
    parameter: str
    path: str
    certificates: tuple[Certificate, ...]
    problem: str = ""

    @property
    def where(self) -> tuple[str, int] | None:
        return self.settings.where(self.parameter)


def certificate_files(configuration: Configuration, tables: Tables) -> Iterator[CertificateFile]:
    """All files of certificates that main.cf and the `-o` of master.cf name, each once, those of tls_server_sni_maps
    included."""
    seen: set[str] = set()
    for settings, parameter in _set(configuration):
        for path in _paths(settings, parameter, tables):
            if path not in seen:
                seen.add(path)
                yield _read(settings, parameter, path, tables)


def certificates_in(octets: bytes) -> tuple[Certificate, ...]:
    """Those of a PEM text. After a private key, and at the beginning, comes one of ours. Raises ValueError."""
    found: list[Certificate] = []
    leaf = True
    for block in _BLOCK.finditer(octets):
        if block[1]:
            found.append(_certificate(block[0], leaf=leaf))
        leaf = not block[1]
    return tuple(found)


def _certificate(pem: bytes, *, leaf: bool) -> Certificate:
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pem)
    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if not common:
        common = [certificate.subject.rfc4514_string()]
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    shown = tuple(_printable(name) for name in (names or common) if name)
    return Certificate(shown, certificate.not_valid_after_utc.timestamp(), leaf)


def _printable(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name)


def _set(configuration: Configuration) -> Iterator[tuple[Settings, str]]:
    for parameter in configuration.main.settings:
        yield configuration.settings, parameter
    for service in configuration.master:
        if service.overrides:
            settings = configuration.settings_for(service)
            for parameter in service.overrides:
                yield settings, parameter


def _paths(settings: Settings, parameter: str, tables: Tables) -> list[str]:
    try:
        if _PARAMETER.fullmatch(parameter):
            return named(parameter, settings.text(parameter))
        if parameter == _SNI_MAPS:
            rows = [row for spec in split_items(settings.text(parameter)) for row in table_rows(tables, spec) or ()]
            return [path for row in rows if row.value.startswith("/") for path in split_list(row.value)]
    except (ConfigError, LookupTemporaryFailure):
        pass
    return []


def _read(settings: Settings, parameter: str, path: str, tables: Tables) -> CertificateFile:
    env = tables.env
    try:
        found = certificates_in(env.read_file(env.path(path)))
    except OSError as error:
        return CertificateFile(settings, parameter, path, (), f"open {path}: {error_text(error)}")
    except ValueError:
        return CertificateFile(settings, parameter, path, (), f"{path}: a certificate that cannot be read")
    return CertificateFile(settings, parameter, path, found)

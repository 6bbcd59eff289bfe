"""The certificates that are in use, and how long they are good for, as `gatepost status` shows them."""

from collections.abc import Iterator

from gatepost.audit.certificates import Certificate, certificate_files
from gatepost.config.configuration import Configuration
from gatepost.master.foundation import table_environment
from gatepost.tables.opening import Tables


def certificate_lines(configuration: Configuration, now: float) -> Iterator[str]:
    """A line for each certificate of ours that the configuration names. `now`: seconds since the epoch."""
    tables = Tables(table_environment(configuration.settings, lambda text: None))
    for file in certificate_files(configuration, tables):
        if file.problem:
            yield f"certificate: {file.problem} ({file.parameter})"
        for certificate in file.certificates:
            if certificate.leaf:
                yield f"certificate of {certificate.name}: {_left(certificate, now)} ({file.parameter}, {file.path})"


def _left(certificate: Certificate, now: float) -> str:
    days = certificate.days(now)
    return certificate.trouble(now) or f"{days} day{'' if days == 1 else 's'} left"

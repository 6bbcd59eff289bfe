import os

import pytest

from gatepost.config.configuration import Configuration
from gatepost.master.process_numbers import delivery_processes, smtpd_processes

LINE = "smtp inet n - n - - smtpd\n"
CERTIFICATE = "smtpd_tls_chain_files = /etc/ssl/mail.pem\n"
MAY = "smtpd_tls_security_level = may\n"


@pytest.fixture(autouse=True)
def _five_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 7})


@pytest.mark.parametrize(
    ("main_cf", "master_cf", "servers"),
    [
        ("", LINE, 3),
        (MAY + CERTIFICATE, LINE, 5),
        (MAY, LINE, 3),  # nothing to show
        (CERTIFICATE, LINE, 3),
        (CERTIFICATE, LINE + "smtps inet n - n - - smtpd\n -o smtpd_tls_wrappermode=yes\n", 5),
        (MAY + CERTIFICATE, "smtp inet n - n - - smtpd\n -o smtpd_tls_security_level=none\n", 3),
        ("gatepost_smtpd_processes = 2\n" + MAY + CERTIFICATE, LINE, 2),
        (MAY + CERTIFICATE, "smtp unix - - n - - smtp\n", 3),
    ],
)
def test_servers(main_cf: str, master_cf: str, servers: int) -> None:
    assert smtpd_processes(Configuration.parse(main_cf, master_cf)) == servers


@pytest.mark.parametrize(
    ("main_cf", "workers"), [("", 3), (MAY + CERTIFICATE, 3), ("gatepost_delivery_processes = 1", 1)]
)
def test_delivery_workers(main_cf: str, workers: int) -> None:
    assert delivery_processes(Configuration.parse(main_cf, LINE).settings) == workers

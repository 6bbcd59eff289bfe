"""Which certificates a configuration names, and when they end."""

import time
from pathlib import Path

import pytest

from gatepost.audit.certificates import DAY, CertificateFile, certificate_files, certificates_in
from gatepost.config.configuration import Configuration
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.audit.expiring import certificate


def files(main_cf: str, master_cf: str = "") -> list[CertificateFile]:
    configuration = Configuration.parse(main_cf, master_cf)
    env = TableEnvironment(clock=time.monotonic, warn=lambda text: None)
    return list(certificate_files(configuration, Tables(env)))


def test_all_places_that_name_certificates_each_file_once(tmp_path: Path) -> None:
    for name in "abcde":
        key, pem = certificate(30, f"{name}.example")
        (tmp_path / f"{name}.pem").write_bytes(key + pem)
    (tmp_path / "sni").write_text(f"www.example {tmp_path}/d.pem, {tmp_path}/a.pem\n")
    found = files(
        f"smtpd_tls_chain_files = {tmp_path}/a.pem, {tmp_path}/b.pem\nsmtp_tls_cert_file = {tmp_path}/c.pem\n"
        f"smtp_tls_key_file = $smtp_tls_cert_file\nsmtpd_tls_cert_file = none\n"
        f"tls_server_sni_maps = hash:{tmp_path}/sni, inline:{{e.example={tmp_path}/e.pem}}\n",
        f"465 inet n - n - - smtpd\n -o smtpd_tls_cert_file={tmp_path}/b.pem\n"
        f" -o smtpd_tls_eccert_file={tmp_path}/gone.pem\n",
    )
    assert [(file.parameter, Path(file.path).name, file.where) for file in found] == [
        ("smtpd_tls_chain_files", "a.pem", ("/etc/gatepost/main.cf", 1)),
        ("smtpd_tls_chain_files", "b.pem", ("/etc/gatepost/main.cf", 1)),
        ("smtp_tls_cert_file", "c.pem", ("/etc/gatepost/main.cf", 2)),
        ("tls_server_sni_maps", "d.pem", ("/etc/gatepost/main.cf", 5)),
        ("tls_server_sni_maps", "e.pem", ("/etc/gatepost/main.cf", 5)),
        ("smtpd_tls_eccert_file", "gone.pem", ("/etc/gatepost/master.cf", 1)),
    ]
    assert [file.certificates[0].name for file in found[:-1]] == [f"{name}.example" for name in "abcde"]
    assert (found[-1].certificates, found[-1].problem) == ((), f"open {tmp_path}/gone.pem: No such file or directory")


def test_ours_and_those_of_authorities() -> None:
    key, leaf = certificate(30, "no.name", dns=("mail.example", "smtp.example"))
    other_key, other = certificate(30, "other.example")
    _, authority = certificate(3000, "Authority")
    found = certificates_in(b"text\n" + key + leaf + authority + other_key + other + authority)
    assert [(each.name, each.leaf) for each in found] == [
        ("mail.example, smtp.example", True),
        ("Authority", False),
        ("other.example", True),
        ("Authority", False),
    ]
    assert [each.leaf for each in certificates_in(leaf + authority)] == [True, False]  # the key has a file of its own
    assert certificates_in(b"") == certificates_in(key) == ()


def test_what_is_told_of_the_end() -> None:
    (made,) = certificates_in(certificate(100)[1])
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(made.until))
    assert made.trouble(made.until - 15 * DAY) == ""
    assert made.trouble(made.until - 14 * DAY) == ""
    assert made.trouble(made.until - 14 * DAY + 1) == f"expires in 13 days, on {day}"
    assert made.trouble(made.until - 1.5 * DAY) == f"expires in 1 day, on {day}"
    assert made.trouble(made.until) == f"expires in 0 days, on {day}"
    assert made.trouble(made.until + 1) == f"expired on {day}"
    assert (made.days(made.until - 10 * DAY), made.days(made.until + 1)) == (10, -1)


@pytest.mark.parametrize("octets", [b"\0" * 9, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_that_hold_something_else(octets: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_bytes(octets)
    (file,) = files(f"smtpd_tls_cert_file = {tmp_path}/x.pem\n")
    assert file.certificates == ()
    assert file.problem == ("" if octets[0] == 0 else f"{tmp_path}/x.pem: a certificate that cannot be read")

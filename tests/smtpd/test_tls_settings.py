"""What smtpd_tls_* parameters come to, beside each other and with their elders."""

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import FixedHost
from gatepost.smtpd.tls_settings import TlsSettings, tls_settings

CERT = "smtpd_tls_cert_file = /etc/cert.pem\n"


def settings_of(main_cf: str) -> tuple[TlsSettings | None, list[str]]:
    told: list[str] = []
    found = tls_settings(
        Configuration.parse("compatibility_level = 3.6\n" + main_cf, host=FixedHost()).settings, told.append
    )
    return found, told


def made(main_cf: str) -> TlsSettings:
    found, told = settings_of(CERT + main_cf)
    assert found is not None and told == []
    return found


@pytest.mark.parametrize(
    ("main_cf", "offered", "enforced"),
    [
        ("smtpd_tls_security_level = may", True, False),
        ("smtpd_tls_security_level = Encrypt", True, True),
        ("smtpd_use_tls = yes", True, False),
        ("smtpd_enforce_tls = yes", True, True),
        ("smtpd_enforce_tls = yes\nsmtpd_tls_security_level = may", True, False),
        ("smtpd_tls_wrappermode = yes", False, True),
        ("smtpd_tls_wrappermode = yes\nsmtpd_tls_security_level = may", True, True),
    ],
)
def test_levels(main_cf: str, offered: bool, enforced: bool) -> None:
    found = made(main_cf + "\n")
    assert (found.offered, found.enforced, found.usable) == (offered, enforced, True)


@pytest.mark.parametrize("main_cf", ["", "smtpd_tls_security_level = none\nsmtpd_enforce_tls = yes\n"])
def test_no_tls(main_cf: str) -> None:
    assert settings_of(main_cf) == (None, [])


def test_levels_of_clients() -> None:
    found, told = settings_of(CERT + "smtpd_tls_security_level = verify\n")
    assert found is not None and found.enforced
    assert told == ['smtpd_tls_security_level: unsupported TLS level "verify", using "encrypt"']


@pytest.mark.parametrize("level", ["bogus", "dane"])
def test_no_level(level: str) -> None:
    with pytest.raises(ConfigError, match=f'Invalid TLS level "{level}"') as caught:
        settings_of(f"smtpd_tls_security_level = {level}\n")
    assert caught.value.parameter == "smtpd_tls_security_level"


def test_certificates_of_clients() -> None:
    may, encrypt = "smtpd_tls_security_level = may\n", "smtpd_tls_security_level = encrypt\n"
    assert (made(may + "smtpd_tls_ask_ccert = yes\n").asks, made(may).asks) == (True, False)
    required = made(encrypt + "smtpd_tls_req_ccert = yes\n")
    assert (required.asks, required.requires) == (True, True)
    found, told = settings_of(CERT + may + "smtpd_tls_req_ccert = yes\n")
    assert found is not None and (found.asks, found.requires) == (False, False)
    assert told == ["Can't require client certs unless TLS is required"]


@pytest.mark.parametrize(
    ("main_cf", "usable", "told"),
    [
        ("", False, ["No server certs available. TLS won't be enabled"]),
        ("smtpd_tls_cert_file = none\n", True, []),
        ("smtpd_tls_chain_files = none\n", True, []),
        ("smtpd_tls_eccert_file = /x\n", True, []),
        (
            "smtpd_tls_cert_file = none\nsmtpd_tls_ask_ccert = yes\n",
            False,
            ["Need a server cert to request client certs", "No server certs available. TLS won't be enabled"],
        ),
    ],
)
def test_our_certificates(main_cf: str, usable: bool, told: list[str]) -> None:
    found, said = settings_of("smtpd_tls_security_level = may\n" + main_cf)
    assert found is not None and found.usable is usable
    assert said == told


@pytest.mark.parametrize(
    ("value", "features"),
    [
        ("0", ""),
        ("none", ""),
        ("1", "summary"),
        ("routine", "summary"),
        ("2", "summary verbose"),
        ("4", "summary verbose"),
        ("1, peercert", "summary peercert"),
        ("cache", ""),
    ],
)
def test_log_levels(value: str, features: str) -> None:
    assert made(f"smtpd_tls_security_level = may\nsmtpd_tls_loglevel = {value}\n").log == frozenset(features.split())


def test_no_log_level() -> None:
    found, told = settings_of(CERT + "smtpd_tls_security_level = may\nsmtpd_tls_loglevel = 1 loud\n")
    assert found is not None and found.log == {"summary"}
    assert told == ['unknown smtpd_tls_loglevel value "loud" in "1 loud"']

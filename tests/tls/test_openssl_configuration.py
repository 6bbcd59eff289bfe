"""tls_config_file and tls_config_name: what OpenSSL's own configuration does to the contexts made after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.tls.openssl_configuration import DEFAULT, NONE, load_openssl_configuration
from gatepost.tls.values import BadTlsValue, LibraryValues
from tests.tls.handshakes import client, server, shake

CONFIGURATION = """\
openssl_conf = all
postfix = ours
older = old
[all]
ssl_conf = all_ssl
[all_ssl]
system_default = all_defaults
[all_defaults]
Ciphersuites = TLS_CHACHA20_POLY1305_SHA256
[ours]
ssl_conf = our_ssl
[our_ssl]
system_default = our_defaults
[our_defaults]
Ciphersuites = TLS_AES_128_GCM_SHA256
[old]
ssl_conf = old_ssl
[old_ssl]
system_default = old_defaults
[old_defaults]
MaxProtocol = TLSv1.2
"""
USUAL = "TLS_AES_256_GCM_SHA384"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "openssl.cnf"
    path.write_text(CONFIGURATION)
    yield str(path)
    load_openssl_configuration(DEFAULT, "")


def suite(file: str, name: str = "") -> str:
    """What a server that goes by this is told by a client that goes by none."""
    library = LibraryValues(tls_config_file=file, tls_config_name=name)
    connection, _ = shake(server(library=library), client(library=LibraryValues(tls_config_file=NONE)))
    found = connection.cipher()
    assert found is not None
    return str(found[0])


def test_the_section_is_that_of_the_name(file: str) -> None:
    assert suite(file) == "TLS_CHACHA20_POLY1305_SHA256"
    assert suite(file, "postfix") == "TLS_AES_128_GCM_SHA256"


def test_a_name_that_the_file_does_not_know_is_no_other_s(file: str) -> None:
    assert suite(file, "nosuch") == USUAL


@pytest.mark.parametrize("name", ["", "postfix"])
def test_none_and_the_system_s_take_back_what_another_has_set(file: str, name: str) -> None:
    assert suite(file) != USUAL
    assert suite(NONE, name) == USUAL
    assert suite(file) != USUAL
    assert suite(DEFAULT, name) == USUAL


def test_our_own_protocols_count_not_the_file_s(file: str) -> None:
    assert suite(file, "older") == USUAL


def test_what_cannot_be_loaded_turns_tls_off_each_time(file: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.cnf"
    bad.write_text("[unclosed\nx")
    for _ in range(2):
        with pytest.raises(BadTlsValue) as refused:
            load_openssl_configuration(str(bad), "postfix")
        first, second = refused.value.lines
        assert first == (
            f"error loading the 'postfix' settings from the {bad} OpenSSL configuration file, disabling TLS support"
        )
        assert second.startswith("TLS library problem: error:") and "configuration file routines::" in second
        assert second.endswith(":line 1:")
    assert suite(file) == "TLS_CHACHA20_POLY1305_SHA256"


@pytest.mark.parametrize("value", ["relative", ""])
def test_a_path_begins_at_the_root(file: str, value: str) -> None:
    with pytest.raises(BadTlsValue) as refused:
        load_openssl_configuration(value, "")
    assert refused.value.lines == (
        f"non-default tls_config_file = {value} is not an absolute pathname, disabling TLS support",
    )

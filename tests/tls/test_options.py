import pytest

from gatepost.tls.options import OPTIONS, WORKAROUNDS, option_bits
from tests.tls.handshakes import no_warning


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("", 0),
        ("0x14000", 0x14000),
        ("no_ticket, NO_COMPRESSION", 1 << 14 | 1 << 17),
        ("NO_RENEGOTIATION no_ticket", 1 << 30 | 1 << 14),
    ],
)
def test_options(text: str, bits: int) -> None:
    assert option_bits("tls_ssl_options", text, OPTIONS, no_warning) == bits


@pytest.mark.parametrize("text", ["FOO", "0xzz"])
def test_what_is_not_known(text: str) -> None:
    told: list[str] = []
    found = option_bits("tls_disable_workarounds", f"TLSEXT_PADDING {text}", WORKAROUNDS, told.append)
    assert found == 1 << 4
    assert told == [f'unknown tls_disable_workarounds value "{text}" in "TLSEXT_PADDING {text}"']

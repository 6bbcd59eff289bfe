import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.tls.protocols import parse_protocols
from gatepost.tls.values import BadTlsValue


@pytest.mark.parametrize(
    ("text", "floor", "ceiling", "excluded"),
    [
        ("", 0, 0, set()),
        (">=TLSv1", 0x301, 0, set()),
        ("!SSLv2, >=TLSv1.2", 0x303, 0, {0x200}),
        (">=tlsv1.1:<=TLSv1.2", 0x302, 0x303, set()),
        ("!SSLv2 !SSLv3\t!TLSv1,!TLSv1.1", 0, 0, {0x200, 0x300, 0x301, 0x302}),
        ("TLSv1.2", 0, 0, {0x200, 0x300, 0x301, 0x302, 0x304}),
        ("TLSv1.2 TLSv1.3", 0, 0, {0x200, 0x300, 0x301, 0x302}),
        (">=0303, <=0x0304", 0x303, 0x304, set()),
        (">=301 <=0x303", 0x301, 0x303, set()),
        (">=0305", 0x305, 0, set()),
        (">=", 0, 0, set()),
        (">=TLSv1 >=TLSv1.3", 0x304, 0, set()),
    ],
)
def test_lists(text: str, floor: int, ceiling: int, excluded: set[int]) -> None:
    found = parse_protocols(text)
    assert (found.floor, found.ceiling, found.excluded) == (floor, ceiling, excluded)


@pytest.mark.parametrize("text", ["FOO", "!SSLv2, FOO", ">=SSLv2", ">=TLSv1.4", "<=x", "!", "!>=TLSv1", "TLSv12"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(BadTlsValue) as bad:
        parse_protocols(text)
    assert bad.value.lines == (f'Invalid TLS protocol list "{text}": disabling TLS support',)


def test_options() -> None:
    assert parse_protocols("!TLSv1, !TLSv1.3").options == ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_3


@given(st.text(alphabet="TLSv1.23!><=, :x0", max_size=30))
def test_any_text(text: str) -> None:
    try:
        parse_protocols(text)
    except BadTlsValue:
        pass

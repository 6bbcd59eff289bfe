"""Quoting: what the two forms have in common, whatever the address."""

from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.address_quoting import quote_821_local, quote_822_local, unquote_822_local
from gatepost.mail.address_tokens import internalize, scan

LOCALS = st.text(st.sampled_from('ab.é @:;,<>()[]"\\\t!%'), min_size=1, max_size=20)


@given(LOCALS)
def test_both_ways(local: str) -> None:
    address = f"{local}@a.example"
    if not local.startswith("@"):
        assert unquote_822_local(quote_822_local(address)) == address
    assert unquote_822_local(quote_821_local(address)).endswith("@a.example")


@given(st.text(st.sampled_from('ab.é @;,<>()[]"\\!%'), min_size=1, max_size=20))
def test_quoted_addresses_are_one_address(local: str) -> None:
    # What quoting lets out must not be read as something else.
    if local.startswith("@"):
        return
    assert internalize(scan(quote_822_local(f"{local}@a.example")), inside_address=True) == f"{local}@a.example"


def test_routes_and_halves() -> None:
    assert quote_822_local("@r:") == '@r:""'
    assert unquote_822_local('@r:"a b"@c') == "@r:a b@c"
    assert unquote_822_local('"a b"') == "a b"
    assert unquote_822_local("a\\") == "a"

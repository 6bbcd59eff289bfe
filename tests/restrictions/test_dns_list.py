import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.restrictions.dns_list import BadPattern, DnsList


@pytest.mark.parametrize(
    ("pattern", "address", "counts"),
    [
        ("127.0.0.2", "127.0.0.2", True),
        ("127.0.0.2", "127.0.0.3", False),
        ("127.0.0.[2;4..6]", "127.0.0.2", True),
        ("127.0.0.[2;4..6]", "127.0.0.3", False),
        ("127.0.0.[2;4..6]", "127.0.0.6", True),
        ("127.0.[0..255].[0..255]", "127.0.77.1", True),
        ("[1;127].0.0.2", "127.0.0.2", True),
    ],
)
def test_patterns(pattern: str, address: str, counts: bool) -> None:
    dns_list = DnsList.parse(f"list.example={pattern}")
    assert dns_list.zone == "list.example"
    assert dns_list.text == f"list.example={pattern}"
    assert dns_list.counts(address) is counts


def test_without_a_pattern_every_answer_counts() -> None:
    dns_list = DnsList.parse("list.example")
    assert dns_list.zone == dns_list.text == "list.example"
    assert dns_list.counts("127.255.255.254")
    assert dns_list.counts("no address")


@pytest.mark.parametrize(
    ("pattern", "gripe"),
    [
        # As Postfix 3.7.11 says it.
        ("127.0.0", 'need "." at "127.0.0><"'),
        ("127.0.0.[2;300]", 'need decimal number 0..255 at "127.0.0.[2;>300<]"'),
        ("127.0.0.256", 'need decimal number 0..255 or "[" at "127.0.0.>256<"'),
        ("x.0.0.2", 'need decimal number 0..255 or "[" at ">x<.0.0.2"'),
        ("", 'need decimal number 0..255 or "[" at "><"'),
        ("127.0.0.[6..4]", 'numeric range error at "127.0.0.[6>..4<]"'),
        ("127.0.0.[2,4]", 'need ";" or "]" at "127.0.0.[2>,<4]"'),
        ("127.0.0.[2", 'need ";" or "]" at "127.0.0.[2><"'),
        ("127.0.0.2.1", 'garbage after pattern at "127.0.0.2>.1<"'),
    ],
)
def test_what_is_no_pattern(pattern: str, gripe: str) -> None:
    with pytest.raises(BadPattern) as found:
        DnsList.parse(f"list.example={pattern}")
    assert str(found.value) == gripe


@given(st.text("0123456789.[];= x\u0663", max_size=30))
def test_any_text_is_a_pattern_or_is_told_to_be_none(text: str) -> None:
    try:
        DnsList.parse(f"list.example={text}").counts("127.0.0.2")
    except BadPattern:
        pass

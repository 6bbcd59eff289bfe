"""xtext there and back, and what is not xtext."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol import xtext


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_there_and_back(text: str) -> None:
    coded = xtext.encode(text)
    assert coded.isascii() and " " not in coded and "=" not in coded
    assert xtext.decode(coded) == text


@pytest.mark.parametrize("bad", ["+", "+4", "+GG", "a+", "+FF"])
def test_broken(bad: str) -> None:
    with pytest.raises(xtext.XtextError):
        xtext.decode(bad)


def test_utf8_form() -> None:
    assert xtext.decode_utf8("a\\x{E9}@b") == "aé@b"
    assert xtext.decode_utf8("plain") == "plain"
    for bad in ("\\x{D800}", "\\x{110000}", "\\x{zz}", "\\y"):
        with pytest.raises(xtext.XtextError):
            xtext.decode_utf8(bad)


@given(st.text(alphabet="+\\x{}0F12aé", max_size=12))
def test_any_text_gives_text_or_the_declared_error(text: str) -> None:
    for decode in (xtext.decode, xtext.decode_utf8):
        try:
            decode(text).encode()
        except xtext.XtextError:
            pass

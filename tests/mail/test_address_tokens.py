"""Address tokens: Postfix's own cases, and what must hold for every text."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail import address_tokens as at

CASES = Path(os.environ.get("GATEPOST_CONFORMANCE", "../shared/conformance")) / "units" / "tok822_parse.ref"


def test_conformance() -> None:
    if not CASES.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CASES} is missing")
        pytest.skip(f"{CASES} is missing: set GATEPOST_CONFORMANCE")
    blocks = re.split(r"^>>>", CASES.read_text(), flags=re.M)[1:]
    assert len(blocks) >= 15
    for block in blocks:
        text, rest = block.split("<<<\n", 1)
        warnings: list[str] = []
        rest, warned = re.subn(r"^unknown: warning: .*\n", "", rest, flags=re.M)
        internal, external, folded = (
            re.search(rf"^{title}:\n(.*?)\n\n", rest + "\n\n", flags=re.M | re.S)
            for title in ("Internalized", "Externalized, no newlines inserted", "Externalized, newlines inserted")
        )
        tokens = at.parse(text)
        assert internal is not None and external is not None and folded is not None
        assert at.internalize(tokens) == internal[1]
        assert at.externalize(tokens, truncate=True, warn=warnings.append) == external[1]
        assert at.externalize(tokens, truncate=True, newlines=True, warn=warnings.append) == folded[1]
        assert len(warnings) == warned


def one_address(text: str) -> list[str]:
    return [at.internalize(token.children, inside_address=True) for token in at.addresses(at.parse(text))]


def test_addresses_of_a_list() -> None:
    assert one_address("Joe <joe@a.example>, (c) \"x y\"@b.example, group: u@c.example;") == [
        "joe@a.example", "x y@b.example", "u@c.example",
    ]  # fmt: skip


def test_token_limit() -> None:
    assert len(at.scan("a, b, c", limit=3)) == 3
    assert one_address("a, b, c") == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["\\", '"', '"\\', "[", "[\\", "(", "(\\", ":;<>", ";:", "<>:<>;", "a:<b>;c:"])
def test_broken_ends(text: str) -> None:
    at.externalize(at.parse(text))
    at.internalize(at.parse(text))


SPECIALS = st.text(st.sampled_from('ab é.@!%"\\()<>[],:;|\t\r\n\0'), max_size=40)


@given(SPECIALS | st.text())
def test_nothing_raises_and_addresses_survive(text: str) -> None:
    tokens = at.parse(text)
    at.externalize(tokens, truncate=True)
    at.externalize(tokens, newlines=True)
    internal = at.internalize(tokens)
    for letter in "abé":
        assert text.count(letter) == internal.count(letter)

"""Words of a command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.smtp_server_tokens import Word, words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        (" \t ", []),
        ("MAIL FROM:<a@b> SIZE=5", ["MAIL", "FROM:", "<a@b>", "SIZE=5"]),
        ("MAIL from: <a b@c>  X", ["MAIL", "from:", "<a b@c>", "X"]),
        ('RCPT TO:"a b"@c', ["RCPT", "TO:", '"a b"@c']),
        ("VRFY a:b", ["VRFY", "a:b"]),
        ('RCPT TO:<"a>b"@c> (d)', ["RCPT", "TO:", '<"a>b"@c>', "(d)"]),
        ("RCPT TO:<<a@b>>", ["RCPT", "TO:", "<<a@b>>"]),
        ("RCPT TO:<a\\>b@c>", ["RCPT", "TO:", "<a\\>b@c>"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert [word.text for word in words(line)] == expected
    assert not any(word.broken for word in words(line))


def test_what_does_not_close_is_broken() -> None:
    assert words("RCPT TO:<a@b") == [Word("RCPT"), Word("TO:"), Word("<a@b", True)]
    assert words('RCPT "a b')[1] == Word('"a b', True)


@given(st.text(alphabet='<>"()[]\\ :aTtOo\t', max_size=40))
def test_any_text_has_words(line: str) -> None:
    for word in words(line):
        assert word.text

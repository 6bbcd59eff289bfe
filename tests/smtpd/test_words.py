"""A client's text in replies and log lines."""

from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.smtp_server_tokens import words
from gatepost.smtpd.words import escaped, neutral_helo, path_words, printable


def test_printable() -> None:
    assert printable("plain é") == "plain é"
    assert printable("a\tb\x7f\x00") == "a?b??"


def test_neutral_helo() -> None:
    assert neutral_helo("mail.x-y.example") == "mail.x-y.example"
    assert neutral_helo("a b<c>@(d)") == "a?b?c???d?"
    assert neutral_helo("[192.0.2.1]") == "[192.0.2.1]"


def test_escaped() -> None:
    assert escaped(b"a\r\n\t\\\x01\xff") == "a\\r\\n\\t\\\\\\001\\377"


def test_the_short_way_gives_the_same_words() -> None:
    for argument in (
        "FROM:<a@b>",
        "FROM: <a@b>",
        "from:<>",
        "FROM:<a@b> SIZE=5  X",
        "FROM:<a@b>x",
        "FROM:",
        "TO:<a@b>",
    ):
        found = words(argument)
        expected = found[1:] if len(found) > 1 and found[0].text.lower() == "from:" else None
        assert path_words(argument, "from:") == expected


@given(st.text(alphabet='FROM:<>"ab@ ()\\', max_size=30))
def test_on_any_text(text: str) -> None:
    for argument in (text, "FROM:" + text):
        found = words(argument)
        expected = found[1:] if len(found) > 1 and found[0].text.lower() == "from:" else None
        assert path_words(argument, "from:") == expected

import pytest

from gatepost.mail.reply import Reply
from gatepost.restrictions.reply import (
    CLIENT_HOST,
    RECIPIENT_ADDRESS,
    SENDER_ADDRESS,
    consistent,
    fix_dsn,
    sound,
    split_dsn,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.1.1 go away", ("4.1.1", "go away")),
        ("5.123.999", ("5.123.999", "")),
        ("5.7.1\ttabbed", ("5.7.1", "tabbed")),
        ("9.1.1 text", ("5.7.1", "9.1.1 text")),
        ("3.1.1 text", ("5.7.1", "3.1.1 text")),
        ("5.1 text", ("5.7.1", "5.1 text")),
        ("5.1.1text", ("5.7.1", "5.1.1text")),
        ("5.1.1234 text", ("5.7.1", "5.1.1234 text")),
        ("", ("5.7.1", "")),
    ],
)
def test_split_dsn(text: str, expected: tuple[str, str]) -> None:
    assert split_dsn("5.7.1", text) == expected


@pytest.mark.parametrize(
    ("dsn", "reply_class", "expected"),
    [
        ("5.1.1", SENDER_ADDRESS, "4.1.7"),
        ("5.1.2", SENDER_ADDRESS, "4.1.8"),
        ("5.1.9", SENDER_ADDRESS, "4.1.0"),
        ("5.1.1", RECIPIENT_ADDRESS, "4.1.1"),
        ("5.1.7", RECIPIENT_ADDRESS, "4.1.3"),
        ("5.1.10", RECIPIENT_ADDRESS, "4.1.0"),
        ("5.1.1", CLIENT_HOST, "4.0.0"),
        ("5.7.1", CLIENT_HOST, "5.7.1"),
    ],
)
def test_fix_dsn(dsn: str, reply_class: str, expected: str) -> None:
    told: list[str] = []
    assert fix_dsn(dsn, reply_class, told.append) == expected
    changed = dsn[1:] != expected[1:]
    assert told == ([f"mapping DSN status {dsn} into {reply_class} status 5{expected[1:]}"] if changed else [])


@pytest.mark.parametrize(
    ("reply", "warning"),
    [
        (Reply(700, "5.7.1", "no"), "SMTP reply code configuration error: 700 5.7.1 no"),
        (Reply(250, "5.7.1", "no"), "SMTP reply code configuration error: 250 5.7.1 no"),
        (Reply(550, "7.7", "no"), "DSN detail code configuration error: 7.7 no"),
    ],
)
def test_nonsense_becomes_service_unavailable(reply: Reply, warning: str) -> None:
    warnings: list[str] = []
    assert sound(reply, warnings.append).line() == "450 4.7.1 Service unavailable"
    assert warnings == [warning]


def test_text_is_cut_and_cleaned() -> None:
    def warn(text: str) -> None:
        raise AssertionError(text)

    assert sound(Reply(554, "5.7.1", "a\nb\x07c"), warn).text == "a b c"
    assert len(sound(Reply(554, "5.7.1", "x" * 600), warn).line()) == 510
    long = sound(Reply(554, "5.7.1", "é" * 300), warn).line().encode()
    assert len(long) <= 510


def test_first_digits_agree() -> None:
    assert consistent(Reply(550, "4.7.25", "x"), soft_bounce=False).line() == "550 5.7.25 x"
    assert consistent(Reply(550, "5.7.1", "x"), soft_bounce=True).line() == "450 4.7.1 x"
    assert consistent(Reply(450, "4.7.1", "x"), soft_bounce=True).line() == "450 4.7.1 x"

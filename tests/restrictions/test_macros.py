import pytest

from gatepost.restrictions.facts import SessionFacts
from gatepost.restrictions.macros import session_macro, unescape
from tests.restrictions.world import LogLines, session


def value(name: str, facts: SessionFacts, log: LogLines | None = None) -> str | None:
    return session_macro(facts, name, "mail.ours.example", 0.0, log or LogLines())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("client", "c.example[192.0.2.7]"),
        ("client_name", "c.example"),
        ("client_address", "192.0.2.7"),
        ("client_port", "0"),
        ("reverse_client_name", "c.example"),
        ("helo_name", "client.example"),
        ("server_name", "mail.ours.example"),
        ("sender", "a@b@client.example"),
        ("sender_name", "a@b"),
        ("sender_domain", "client.example"),
        ("recipient", "postmaster"),
        ("recipient_name", "postmaster"),
        ("recipient_domain", ""),
    ],
)
def test_names(name: str, text: str) -> None:
    facts = session("192.0.2.7", name="c.example", sender="a@b@client.example", recipient="postmaster")
    assert value(name, facts) == text


def test_what_is_not_known_yet_is_empty_and_the_null_sender_is_not() -> None:
    facts = session("192.0.2.7", sender=None)
    facts.helo_name = None
    assert [value(name, facts) for name in ("sender", "sender_name", "recipient_domain", "helo_name")] == [""] * 4
    facts.sender = ""
    assert [value(name, facts) for name in ("sender", "sender_name", "sender_domain")] == ["<>", "<>", ""]


def test_the_time_is_that_of_the_host() -> None:
    found = value("localtime", session("192.0.2.7"))
    assert found is not None
    assert len(found) == len("Nov 22 18:00:00")


@pytest.mark.parametrize("name", ["nonsense", "sender_color", "recipients", ""])
def test_unknown_names(name: str) -> None:
    log = LogLines()
    assert value(name, session("192.0.2.7", recipient="bob@ours.example"), log) is None
    assert log.lines == [f'warning: unknown macro name "{name}" in expansion request']


def test_escapes_of_a_filter() -> None:
    assert unescape(r"\t\40a\\b\n\055\x") == "\t a\\b\n-x"
    assert unescape("\\") == "\\"

import pytest

from gatepost.rewrite.verp import valid_delimiters, verp_sender


@pytest.mark.parametrize(
    ("sender", "recipient", "address"),
    [
        ("list@home.example", "user@far.example", "list+user=far.example@home.example"),
        ("list", "user@far.example", "list+user=far.example"),
        ("list@home.example", "user", "list+user@home.example"),
        ("a@b@home.example", "x@y@far.example", "a@b+x@y=far.example@home.example"),
    ],
)
def test_a_sender_for_each_recipient(sender: str, recipient: str, address: str) -> None:
    assert verp_sender("+=", sender, recipient) == address


def test_delimiters() -> None:
    assert valid_delimiters("+=", "-=+")
    assert not any(valid_delimiters(text, "-=+") for text in ("", "+", "+=-", "+%", "%="))

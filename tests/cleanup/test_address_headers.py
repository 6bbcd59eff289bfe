"""Expected forms: what Postfix 3.7 makes of the same header of a local client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.cleanup import address_headers
from gatepost.cleanup.address_headers import AddressHeaders
from tests.rewrite.services import Services

SERVICES = Services(myorigin="ours.example")


def rewrite(name: str, value: str) -> str | None:
    parts = AddressHeaders(SERVICES.all.rewriter, "local", 10240, SERVICES.warnings.append)
    result = parts.rewrite(name.encode(), f"{name}: {value}\n".encode())
    return None if result is None else result.decode()


@pytest.mark.parametrize(
    "value",
    [
        "joe@ours.example",
        "Joe User <joe@ours.example>",
        '"Joe (User), Esq." <joe@ours.example>, a@b.example (comment)\n\t,c@d.example',
        "b@c (comment)",
        "<>",
        "",
        "a@b.example,\n c@d.example",
        "=?utf-8?q?J=C3=B6?= <j@x.example>",
    ],
)
def test_left_alone(value: str) -> None:
    assert rewrite("To", value) is None


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("joe", "joe@ours.example"),
        ("Foo Bar <foo>", "Foo Bar <foo@ours.example>"),
        (
            "a, b@c (comment), Undisclosed : x, y;",
            "a@ours.example, b@c (comment), Undisclosed: x@ours.example,\n\ty@ours.example;",
        ),
        (
            'u@h.example, u1@host.example, u2@host.example,\n  Foo Bar <x%y>,\n\t"A, B" <a@b.>, '
            "=?x?= <@route:u@h>, me!you",
            'u@h.example, u1@host.example, u2@host.example, Foo Bar <x@y>,\n\t"A, B" <a@b>, =?x?= <u@h>, you@me',
        ),
        (
            ", ".join(f"user{number}" for number in range(6)),
            "user0@ours.example, user1@ours.example, user2@ours.example,\n"
            "\tuser3@ours.example, user4@ours.example, user5@ours.example",
        ),
        ('"abc <x>, (foo', '"abc <x>, (foo"@ours.example'),
        ("<a", '"<a"@ours.example'),
        ("a@b@c d", '"a@b"@c, d@ours.example'),
        ("j\u00f6e", "j\u00f6e@ours.example"),
    ],
)
def test_rewritten(value: str, result: str) -> None:
    assert rewrite("To", value) == f"To: {result}\n"


def test_octets_that_are_no_utf8_survive() -> None:
    parts = AddressHeaders(SERVICES.all.rewriter, "local", 10240, SERVICES.warnings.append)
    assert parts.rewrite(b"To", b"To: J\xf6 <x>\n") == b"To: J\xf6 <x@ours.example>\n"


PIECES = [
    "a",
    "b.c",
    ".",
    "..",
    "@",
    "a@b.example",
    "<",
    ">",
    ",",
    " ",
    "\n ",
    "(c)",
    '"q"',
    "-",
    "=?u?q?x?=",
    "@x.example",
    ":",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_short_cut_changes_nothing(pieces: list[str]) -> None:
    value = "".join(pieces)
    quick = rewrite("To", value)
    pattern = address_headers._STANDARD
    address_headers._STANDARD = address_headers.re.compile(b"(?!)")
    try:
        assert rewrite("To", value) == quick
    finally:
        address_headers._STANDARD = pattern


def test_a_lone_name_after_an_address_is_completed() -> None:
    assert rewrite("To", "a@b.example,a") == "To: a@b.example, a@ours.example\n"
    assert rewrite("To", '<a@b.example>, "a b') is not None

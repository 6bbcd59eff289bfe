"""Parts of addresses, quoting, and the lenient reading of MAIL and RCPT arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.address import (
    _parse_odd_path,
    fold,
    localpart_of,
    parse_path,
    split_address,
    split_extension,
)
from gatepost.mail.address_quoting import quote_821_local, quote_822_local, unquote_822_local


@pytest.mark.parametrize(
    ("internal", "external"),
    [
        ("joe@a.example", "joe@a.example"),
        ("joe user@a.example", '"joe user"@a.example'),
        ("joe..user@a.example", '"joe..user"@a.example'),
        (".joe@a.example", '".joe"@a.example'),
        ("joe.@a.example", '"joe."@a.example'),
        ("a@b@c.example", '"a@b"@c.example'),
        ("", '""'),
        ("@a.example", '""@a.example'),
        ("jörg@a.example", "jörg@a.example"),
        ('q"q\\@a.example', '"q\\"q\\\\"@a.example'),
        ("joe user", '"joe user"'),
        ("@a,@b:joe user@c", '@a,@b:"joe user"@c'),
    ],
)
def test_quoting(internal: str, external: str) -> None:
    assert quote_822_local(internal) == external
    if internal not in ("",):
        assert unquote_822_local(external) == internal


def test_there_are_no_routes_in_smtp() -> None:
    assert quote_821_local("@a:b c@d") == '"@a:b c"@d'


@given(st.text(st.characters(blacklist_characters='"\\', blacklist_categories=["Cs"])) | st.text())
def test_quoting_round_trip(local: str) -> None:
    if local.startswith("@") and ":" in local:
        return
    assert unquote_822_local(quote_822_local(local + "@a.example")) == local + "@a.example"


def test_parts() -> None:
    assert split_address("a@b@c") == ("a@b", "c")
    assert split_address("a") == ("a", None)
    assert (localpart_of("a@b"), localpart_of("a")) == ("a", "a")
    assert fold("ÄB@X") == "äb@x"


@pytest.mark.parametrize(
    ("local", "delimiter", "parts"),
    [
        ("joe+ext", "+", ("joe", "ext")),
        ("joe+a+b", "+", ("joe", "a+b")),
        ("joe-a+b", "+-", ("joe", "a+b")),
        ("joe+", "+", ("joe", "")),
        ("+ext", "+", ("+ext", None)),
        ("joe", "+", ("joe", None)),
        ("joe+ext", "", ("joe+ext", None)),
        ("owner-list", "-", ("owner-list", None)),
        ("owner-list", "+-", ("owner-list", None)),
        ("list-request", "-", ("list-request", None)),
        ("-request", "-", ("-request", None)),
        ("owner-list+x", "+", ("owner-list", "x")),
        ("double-bounce", "-", ("double-bounce", None)),
        ("MAILER-DAEMON", "-", ("MAILER-DAEMON", None)),
        ("post-master", "-", ("post", "master")),
    ],
)
def test_extension(local: str, delimiter: str, parts: tuple[str, str | None]) -> None:
    assert split_extension(local, delimiter) == parts


def test_extension_settings() -> None:
    assert split_extension("owner-list", "-", owner_request_special=False) == ("owner", "list")
    assert split_extension("bounce-bounce", "-", double_bounce_sender="bounce-bounce") == ("bounce-bounce", None)


# As Postfix's smtpd answers, but for what resolving finds (bad domains): lenient, strict.
PATHS = [
    ("<joe@a.example>", "joe@a.example", "joe@a.example"),
    ("<>", "", ""),
    ("joe@a.example", "joe@a.example", None),
    ("<joe>", "joe", "joe"),
    ("<joe@[192.0.2.1]>", "joe@[192.0.2.1]", "joe@[192.0.2.1]"),
    ("<joe@[IPv6:2001:db8::1]>", "joe@[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1]"),
    ('<"joe user"@a.example>', "joe user@a.example", "joe user@a.example"),
    ("<joe\\ user@a.example>", "joe user@a.example", "joe user@a.example"),
    ("<@r.example:joe@a.example>", "joe@a.example", "joe@a.example"),
    ("<@r.example,@s.example:joe@a.example>", "joe@a.example", "joe@a.example"),
    ("<joe@relay .example>", "joe@relay.example", "joe@relay.example"),
    ("<joe @ a.example>", "joe@a.example", "joe@a.example"),
    ("<<joe@a.example>>", "joe@a.example", "joe@a.example"),
    ("(comment)joe@a.example", "joe@a.example", None),
    ("<(comment)joe@a.example>", "joe@a.example", None),
    ("<@local.example>", "@local.example", None),
    ("<joe@a.example,jim@a.example>", None, None),
    ("<joe jim@a.example>", None, None),
    ("<joe@a@b.example>", "joe@a@b.example", "joe@a@b.example"),
    ("<joe%b.example@a.example>", "joe%b.example@a.example", "joe%b.example@a.example"),
    ("<b.example!joe@a.example>", "b.example!joe@a.example", "b.example!joe@a.example"),
    ('<""@a.example>', "@a.example", None),
    ("< >", "", ""),
    ("<joe@a.example", "<joe@a.example", "<joe@a.example"),
    ("", "", None),
]


@pytest.mark.parametrize(("text", "lenient", "strict"), PATHS)
def test_paths(text: str, lenient: str | None, strict: str | None) -> None:
    assert parse_path(text, strict=False) == lenient
    assert parse_path(text, strict=True) == strict
    assert parse_path(text, strict=False, allow_empty=False) == (lenient or None)


@given(st.text(st.sampled_from('ab é.@!%"\\()<>[]{},:;|\t\0'), max_size=30), st.booleans())
def test_fast_path_changes_nothing(inner: str, strict: bool) -> None:
    for text in (f"<{inner}>", f"<a{inner}@b.example>", inner):
        assert parse_path(text, strict=strict) == _parse_odd_path(text, strict, True)

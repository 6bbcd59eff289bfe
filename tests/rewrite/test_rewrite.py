"""Rewriting to standard form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.rewrite.address_tree import AddressTree
from gatepost.rewrite.rewrite import STANDARD_FORM, Context, Rewriter
from tests.rewrite.services import settings_for
from tests.tables.surroundings import conformance


def rewriter(**changes: str) -> Rewriter:
    settings = {"append_dot_mydomain": "yes", "remote_header_rewrite_domain": "invalid.example"}
    return Rewriter(settings_for(**settings | changes))


def test_conformance() -> None:
    text = conformance("units/rewrite_clnt.ref").read_text()
    text = text.replace("INVALID_DOMAIN", "invalid.example").replace("MYDOMAIN", "ours.example")
    cases = re.findall(r"rule +(\S+)\naddress +(\S+)\nresult +(\S+)\n", text)
    assert len(cases) == 26
    rewrite = rewriter()
    for context, address, result in cases:
        assert rewrite.rewrite(context, address) == result, (context, address)


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("", ""),
        ('""', '""'),
        ("joe", "joe@mail.ours.example"),
        ("joe@host", "joe@host.ours.example"),
        ("joe@a.example", "joe@a.example"),
        ("joe@a.example.", "joe@a.example"),
        ("joe@a.example..", "joe@a.example.."),
        ("joe@.", "joe@."),
        ("@r.example:joe@host", "joe@host.ours.example"),
        ("@r.example:", '@r.example:""'),
        ("a[b]", '"a [b]"@mail.ours.example'),
        ("!a[b]", '"a[b]"@'),
        ("joe@[192.0.2.1]", "joe@[192.0.2.1]"),
        ('"joe user"', '"joe user"@mail.ours.example'),
        ('"a@b"', '"a@b"@mail.ours.example'),
        ("a!b!c", "b!c@a.ours.example"),
        ("a%b%c", "a%b@c.ours.example"),
        ("(comment)", '"(comment)"@mail.ours.example'),
    ],
)
def test_local_context(address: str, result: str) -> None:
    assert rewriter().rewrite("local", address) == result


def test_settings() -> None:
    off = rewriter(append_at_myorigin="no", append_dot_mydomain="no", swap_bangpath="no", allow_percent_hack="no")
    for address in ("joe", "joe@host", "a!b", "a%b"):
        assert off.rewrite("local", address) == address
    unchanged = rewriter(remote_header_rewrite_domain="")
    assert unchanged.rewrite("remote", "joe") == "joe"
    assert unchanged.rewrite("remote", "joe@host") == "joe@host"


def test_internal_form() -> None:
    assert rewriter().rewrite_internal("joe user") == "joe user@mail.ours.example"
    assert rewriter().rewrite_internal("") == ""
    assert rewriter().rewrite_internal("joe@host") == "joe@host.ours.example"
    assert rewriter().rewrite_internal("joe", "remote") == "joe@invalid.example"


@given(st.text(st.sampled_from('abé.@!%"\\()<>[],:; '), max_size=20) | st.text(max_size=50))
def test_any_address_is_rewritten_without_error(address: str) -> None:
    rewrite = rewriter()
    contexts: tuple[Context, ...] = ("local", "remote")
    for context in contexts:
        rewrite.rewrite(context, address)
        rewrite.rewrite_internal(address, context)


@given(st.from_regex(STANDARD_FORM, fullmatch=True))
def test_standard_form_stays(address: str) -> None:
    tree = AddressTree(address)
    rewriter().rewrite_tree("local", tree)
    assert tree.external() == address

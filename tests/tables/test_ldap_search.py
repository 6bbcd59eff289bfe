from collections.abc import Mapping, Sequence

import pytest

from gatepost.tables.ldap_search import (
    Attributes,
    Expansion,
    Request,
    SearchFailure,
    quote_dn,
    quote_filter,
    url_request,
)
from gatepost.tables.query_template import QueryForm, ResultCollector


def test_quoting() -> None:
    assert quote_filter("a*(b)\\\0ü") == r"a\2a\28b\29\5c\00ü"
    assert quote_dn(' a,b+c="d"\\<e>;#f ü') == r"\20a\2Cb\2Bc\3D\22d\22\5C\3Ce\3E\3B\23f\20ü"


@pytest.mark.parametrize(
    ("url", "request_"),
    [
        ("ldap:///dc=x??sub?(a=b)", Request("dc=x", 2, "(a=b)", ("mail", "cn;lang-de"))),
        ("LDAP://host/dc%3Dx?mail,sn?one", Request("dc=x", 1, "(objectClass=*)", ("mail",))),
        ("ldap:///dc=x?*", Request("dc=x", 0, "(objectClass=*)", ("mail", "cn;lang-de"))),
        ("ldap:///dc=x?CN,mail;binary", Request("dc=x", 0, "(objectClass=*)", ("cn;lang-de", "mail;binary"))),
        ("ldap:///dc=x?cn;lang-fr", Request("dc=x", 0, "(objectClass=*)", ())),
        ("ldap://", Request("", 0, "(objectClass=*)", ("mail", "cn;lang-de"))),
    ],
)
def test_urls(url: str, request_: Request) -> None:
    assert url_request(url, ("mail", "cn;lang-de")) == request_


Entry = Mapping[str, Sequence[bytes]]


def expand(attributes: Attributes, directory: dict[str, list[Entry]], **limits: int) -> str | None:
    """What comes of a search at `top` in a directory of (base: entries)."""
    collector = ResultCollector(QueryForm("ldap:x", ["%s"]), "key", 0, lambda text: None)
    expansion = Expansion(
        lambda request: directory.get(request.base),
        attributes,
        collector,
        size_limit=limits.get("size", 0),
        recursion_limit=limits.get("recursion", 10),
    )
    expansion.run(Request("top", 2, "(x=y)", attributes.all), base_needed=True)
    return collector.text()


def test_kinds_of_attributes() -> None:
    attributes = Attributes(terminal=("end",), leaf=("mail",), ordinary=("more",), special=("member",))
    group: Entry = {"Mail": [b"group"], "more": [b"also"], "MEMBER": [b"one", b"gone"]}
    directory: dict[str, list[Entry]] = {"top": [group], "one": [{"mail": [b"one@x"]}]}
    assert expand(attributes, directory) == "also,one@x"
    assert expand(attributes, {"top": [{**group, "end": [b"stop"]}]}) == "stop"
    assert expand(attributes, {"top": [{"mail": [b"a"], "end": []}]}) == "a"
    assert expand(attributes, {"top": []}) is None


def test_limits() -> None:
    attributes = Attributes(ordinary=("mail",), special=("member",))
    with pytest.raises(SearchFailure, match="search base 'top' not found"):
        expand(attributes, {})
    with pytest.raises(SearchFailure, match="size limit"):
        expand(attributes, {"top": [{"mail": [b"a"]}] * 3}, size=2)
    with pytest.raises(SearchFailure, match="recursion limit exceeded for special attribute member=top"):
        expand(attributes, {"top": [{"member": [b"top"]}]}, recursion=50)

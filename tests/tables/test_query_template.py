import hypothesis
import pytest
from hypothesis import strategies

from gatepost.tables.query_template import QueryForm, ResultCollector, ResultTooLong, TemplateError


def bracketed(text: str) -> str:
    return f"[{text}]"


@pytest.mark.parametrize(
    ("template", "key", "query"),
    [
        ("%s", "joe@mail.example.com", "[joe@mail.example.com]"),
        ("%u at %d, 100%%", "joe@mail.example.com", "[joe] at [mail.example.com], 100%"),
        ("%S %U %D", "joe@mail.example.com", "[joe@mail.example.com] [joe] [mail.example.com]"),
        ("%1 %2 %3", "joe@mail.example.com", "[com] [example] [mail]"),
        ("%4", "joe@mail.example.com", None),
        ("%3", "joe@.mail..example.com.", "[mail]"),
        ("%u", "joe", "[joe]"),
        ("%u", "@example.com", None),
        ("%u", "a@b@c", "[a@b]"),
        ("%d", "joe", None),
        ("%d", "joe@", None),
        ("%d", "@example.com", "[example.com]"),
        ("%1", "com", None),
        ("fixed", "joe", "fixed"),
    ],
)
def test_queries(template: str, key: str, query: str | None) -> None:
    form = QueryForm("sql:x", [template])
    assert form.query(0, key, bracketed) == query
    assert form.suits(key) is (query is not None)


@pytest.mark.parametrize(
    ("result_format", "value", "key", "result"),
    [
        ("%s", "a@b", "key", "a@b"),
        ("smtp:[%d]", "a@b", "key", "smtp:[b]"),
        ("smtp:[%d]", "a", "key", None),
        ("%u", "a", "key", "a"),
        ("%u", "@b", "key", None),
        ("%s for %S (%U of %D in %1)", "v", "joe@example.com", "v for joe@example.com (joe of example.com in com)"),
        ("%D", "v", "joe", None),
        ("%U", "v", "@d", None),
        ("%%%s", "v", "k", "%v"),
    ],
)
def test_results(result_format: str, value: str, key: str, result: str | None) -> None:
    assert QueryForm("sql:x", ["%s"], result_format).result(value, key) == result


def test_what_the_result_needs_the_key_must_have() -> None:
    form = QueryForm("sql:x", ["%s"], "%2")
    assert form.query(0, "joe@com", str) is None
    assert form.query(0, "joe@example.com", str) == "joe@example.com"


@pytest.mark.parametrize("template", ["%", "%x", "%0", "a%%b%", "%ü"])
def test_bad_templates(template: str) -> None:
    with pytest.raises(TemplateError):
        QueryForm("sql:x", [template])
    with pytest.raises(TemplateError):
        QueryForm("sql:x", ["%s"], template)


def test_is_fixed() -> None:
    form = QueryForm("ldap:x", ["dc=100%%", "cn=%s"])
    assert form.is_fixed(0)
    assert not form.is_fixed(1)


def test_collecting() -> None:
    warnings: list[str] = []
    form = QueryForm("sql:x", ["%s"], "%d")
    collector = ResultCollector(form, "key", 2, warnings.append)
    assert collector.text() is None
    for value in (None, "", "no domain", "a@b", "c@d"):
        collector.add(value)
    assert collector.text() == "b,d"
    assert warnings == ['table "sql:x": empty lookup result for: "key" -- ignored']
    with pytest.raises(ResultTooLong):
        collector.add("e@f")


@hypothesis.given(strategies.text(), strategies.text())
def test_any_text(template: str, key: str) -> None:
    try:
        form = QueryForm("sql:x", [template], template)
    except TemplateError:
        return
    query = form.query(0, key, str)
    assert (query is None) is not form.suits(key)
    form.result(key, key)

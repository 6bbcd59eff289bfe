from hypothesis import given
from hypothesis import strategies as st

from gatepost.tables.postmap_text import parse_aliases, parse_postmap
from gatepost.tables.table_source import SourceText, source_entries

LINES = st.lists(
    st.sampled_from(["a 1", "A 2", "b 3", "  more", "# comment", "", '"q r" 4', 'open" x', "novalue", "c: d"])
)


def edited(text: str, syntax: str = "postmap") -> SourceText:
    return SourceText(text, syntax, str.lower)


def test_an_entry_is_taken_out_with_all_its_lines() -> None:
    source = edited("# keep\na 1\n# between\n  continued\n\nb 2\nA 3\n")
    assert "a" in source
    assert source.remove("a")
    assert source.text == "# keep\n# between\n\nb 2\n"
    assert not source.remove("a")


def test_an_entry_is_replaced_where_it_was() -> None:
    source = edited("a 1\n more\nb 2\na 3")
    source.put("a", "a 9")
    source.put("c", "c 4")
    source.put("a", "a 10")
    assert source.text == "a 10\nb 2\nc 4\n"


def test_alias_files() -> None:
    source = edited('root: joe,\n kim\n"a b": c\n', "aliases")
    assert source.remove("a b")
    assert source.text == "root: joe,\n kim\n"


@given(LINES)
def test_the_entries_are_those_that_tables_have(lines: list[str]) -> None:
    text = "\n".join(lines)
    for syntax, parse in (("postmap", parse_postmap), ("aliases", parse_aliases)):
        told: list[str] = []
        found: dict[str, str] = {}
        for entry in source_entries(text, "file", syntax, utf8=True, warn=told.append):
            found.setdefault(entry.key.lower(), entry.value)
        parsed = parse(text, where="file", fold=str.lower)
        assert found == parsed.content
        assert len(told) == sum(
            not problem.text.partition(": ")[2].startswith("duplicate") for problem in parsed.problems
        )


@given(LINES, st.sampled_from(["a", "b", "c", '"q r"']))
def test_a_removed_entry_is_gone_and_no_other(lines: list[str], key: str) -> None:
    def table(text: str) -> dict[str, str]:
        return parse_postmap(text, where="file", fold=str.lower).content

    text = "\n".join(lines)
    before, source = table(text), edited(text)
    assert source.remove(key) == (key in before)
    before.pop(key, None)
    assert table(source.text) == before
    source.put(key, f"{key} new")
    assert table(source.text) == {**before, key: "new"}

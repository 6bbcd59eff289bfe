from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.tables.database_config import ConfiguredTable, DatabaseConfig
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.surroundings import Surroundings

KEYS = frozenset(("query", "limit", "exact", "mode"))


def plan(config: DatabaseConfig) -> tuple[str, int, bool, str]:
    config.form([config.text("query", "%s")])
    return (
        config.needed("query"),
        config.number("limit", 3, 1, 10),
        config.flag("exact", False),
        config.choice("mode", "slow", ("slow", "fast")),
    )


def table(world: Surroundings, name: str = "sql:/t.cf") -> ConfiguredTable[tuple[str, int, bool, str]]:
    return ConfiguredTable(world.env, name, KEYS, plan)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.cf"


def test_a_file(path: Path) -> None:
    path.write_text("# comment\nquery = SELECT\n  '%s'\nlimit=5\nexact = YES\nmode = Fast\n")
    world = Surroundings()
    asked = table(world, f"sql:{path}")
    assert asked.current("key") == ("SELECT  '%s'", 5, True, "fast")
    assert world.warnings == []
    assert asked.problems == []


def test_relative_names(path: Path) -> None:
    path.write_text("query = x")
    assert table(Surroundings(path.parent), "sql:./t.cf").current("key")[0] == "x"


def test_dollars_are_dollars(path: Path) -> None:
    """As in Postfix: only main.cf knows what `$name` means."""
    path.write_text("query = $limit")
    assert table(Surroundings(), f"sql:{path}").current("key")[0] == "$limit"


def test_remarks(path: Path) -> None:
    path.write_text("query = x\nquery = y\nnonsense = 1\n")
    asked = table(Surroundings(), f"sql:{path}")
    assert asked.current("key")[0] == "y"
    assert [(problem.text, problem.skipped) for problem in asked.problems] == [
        (f"sql map {path}, line 2: query is set more than once, the last one counts", False),
        (f"sql map {path}, line 3: unknown setting, no effect: nonsense", False),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "sql:{path} is unavailable. query must be set"),
        ("query = x\nlimit = many\n", "sql map {path}, line 2: bad numerical configuration: limit = many"),
        ("query = x\nlimit = 11\n", "sql map {path}, line 2: bad numerical configuration: limit = 11"),
        ("query = x\nexact = 1\n", "sql map {path}, line 2: bad boolean configuration: exact = 1"),
        ("query = x\nmode = odd\n", 'sql map {path}, line 2: "odd" is none of: slow, fast'),
        ("query = %x\n", "sql:{path} is unavailable. bad % expansion in template: %x"),
        ("query = x\njust words\n", "sql map {path}, line 2: missing '=' after attribute name"),
    ],
)
def test_mistakes(path: Path, text: str, what: str) -> None:
    path.write_text(text)
    asked = table(Surroundings(), f"sql:{path}")
    assert [problem.text for problem in asked.problems if problem.skipped] == [what.format(path=path)]
    if "just words" not in text:
        with pytest.raises(LookupTemporaryFailure):
            asked.current("key")


def test_no_file() -> None:
    world = Surroundings()
    asked = table(world, "sql:/nowhere/t.cf")
    with pytest.raises(LookupTemporaryFailure, match="No such file"):
        asked.current("key")
    assert "No such file" in asked.problems[0].text


def test_changes_and_broken_edits(path: Path) -> None:
    path.write_text("limit = 4\n")
    world = Surroundings()
    asked = table(world, f"sql:{path}")
    with pytest.raises(LookupTemporaryFailure):
        asked.current("key")

    def edit(text: str) -> None:
        path.write_text(text)
        for _ in range(3):
            world.later()
            try:
                asked.current("key")
            except LookupTemporaryFailure:
                pass

    edit("query = one\n")
    assert asked.current("key")[0] == "one"
    world.take_warnings()
    edit("query = two\nlimit = many\n")
    assert asked.current("key")[0] == "one"
    assert any("using the content it had before" in text for text in world.take_warnings())
    edit("query = three\n")
    assert asked.current("key")[0] == "three"


def test_main_cf() -> None:
    values = {"mail_query": "x", "mail_limit": "7", "bad_limit": "0"}
    world = Surroundings(parameter=values.get)
    assert table(world, "sql:mail").current("key") == ("x", 7, False, "slow")
    with pytest.raises(ConfigError) as caught:
        table(world, "sql:bad")
    assert caught.value.parameter == "bad_query"

"""What is not to be seen from the outside by asking postmap: engines, sets, limits, sources that change."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from gatepost.tables import engines
from gatepost.tables.engines import PatternError, PatternSet, compile_pcre2, compile_re, compile_re2
from gatepost.tables.pattern_dialects import compile_pcre, compile_regexp
from gatepost.tables.pattern_tables import PatternTable
from tests.tables.surroundings import Surroundings

Write = Callable[..., str]

# Takes a backtracking engine longer than anybody lives.
EVIL = r"^(a+)+\1$"
EVIL_KEY = "a" * 60 + "b"


def table(world: Surroundings, spec: str) -> PatternTable:
    opened = world.tables.open(spec)
    assert isinstance(opened, PatternTable)
    return opened


def test_which_engine() -> None:
    assert compile_regexp("^(a|b)+$", "").engine == "re2"
    assert compile_regexp(r"(a)\1", "").engine == "pcre2"
    assert compile_pcre(r"^\s*\d+$", "").engine == "re2"
    assert compile_pcre("(?!a)b", "").engine == "pcre2"
    assert compile_pcre("a b", "x").engine == "pcre2"


def test_without_pcre2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_pcre2", None)
    lookahead = compile_pcre("(?!a)b", "")
    assert lookahead.engine == "re"
    assert lookahead.search(b"xb") is not None
    with pytest.raises(PatternError, match="needs the pcre2 package"):
        compile_pcre("(?=[[:alpha:]])", "")


async def test_fallbacks_are_listed(world: Surroundings, write: Write) -> None:
    path = write("rules", "/a/ x\n/(?!a)b/ y\n")
    table(world, f"pcre:{path}")
    (fallback,) = world.tables.fallbacks()
    assert (fallback.path, fallback.line, fallback.pattern, fallback.engine) == (path, 2, "/(?!a)b/", "pcre2")


async def test_limit_is_reached_and_the_rule_passed_over(world: Surroundings) -> None:
    rules = table(world, f"pcre:{{{{/{EVIL}/ evil}}, {{/b$/ end}}}}")
    assert await rules.lookup(EVIL_KEY) == "end"
    (warning,) = world.take_warnings()
    assert warning.startswith("pcre map {") and ", line 1: " in warning


def test_python_re_sees_no_long_keys() -> None:
    pattern = compile_re("(?!a)b", "")
    with pytest.raises(engines.GaveUp):
        pattern.search(b"b" * 100_000)


async def test_python_re_has_its_time() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    pattern = compile_re(EVIL, "")
    for _ in range(3):
        with pytest.raises(engines.GaveUp, match="time limit"):
            pattern.search(EVIL_KEY.encode())
        await asyncio.sleep(0.01)  # the loop hears of the signal, too
    assert pattern.search(b"aa") is not None
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


@pytest.mark.parametrize("text", ["(", "[", "a{3,2}", "(?P<", "*"])
def test_bad_patterns(text: str) -> None:
    for compiled in (compile_pcre, compile_regexp):
        with pytest.raises(PatternError):
            compiled(text, "")
    assert compile_re2(text) is None
    with pytest.raises(PatternError):
        compile_re(text, "")
    with pytest.raises(PatternError):
        compile_pcre2(text, "")


def test_set_says_when_it_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PatternSet([b"a", b"b"]).search(b"xb") == {1}
    assert PatternSet([b"a", b"("]).search(b"xb") is None
    plain = engines.re2_options

    def small() -> object:
        options = plain()
        options.max_mem = 2000
        return options

    monkeypatch.setattr(engines, "re2_options", small)
    assert PatternSet([b"(?is:a.c{30})", b"b"]).search(b"xb") is None


async def test_many_rules_with_everything(world: Surroundings) -> None:
    rules = table(
        world,
        "regexp:{{/one/ 1}, {if /^t/}, {!/o/ no o}, {/two/ 2}, {endif}, "
        "{/(x)\\1/ twice $1}, {/th(r)ee/ $1}, {/x/!/y/ x}}",
    )
    answers = {
        "one": "1", "two": "2", "ten": "no o", "xx": "twice x", "throng": None, "xthree": "r", "ax": "x", "xay": None,
    }  # fmt: skip
    assert {key: await rules.lookup(key) for key in answers} == answers


async def test_octets_cut_apart_become_replacement_characters(world: Surroundings) -> None:
    assert await table(world, "pcre:{{/^(.)/ $1}}").lookup("\u00e9") == "\ufffd"
    assert await table(world, "pcre:{{/^(..)/ $1}}").lookup("\u00e9") == "\u00e9"


async def test_broken_edit_keeps_the_rules(world: Surroundings, write: Write) -> None:
    path = write("rules", "/a/ old\n")
    rules = table(world, f"regexp:{path}")
    write("rules", "/a/ new\n/b(/ broken\n")
    for _ in range(3):
        world.later()
        assert await rules.lookup("a") == "old"
    assert any("Unmatched (" in text for text in world.take_warnings())
    write("rules", "/a/ newer\n")
    world.later()
    await rules.lookup("a")
    world.later()
    assert await rules.lookup("a") == "newer"
    assert world.tables.problems() == []


@pytest.mark.parametrize("kind", ["pcre", "regexp"])
async def test_octets_that_are_no_text_come_back(kind: str) -> None:
    key = b"gr\xfc\xdfe".decode("utf-8", "surrogateescape")
    assert await table(Surroundings(), f"{kind}:{{{{/(.*)/ <$1>}}}}").lookup(key) == f"<{key}>"

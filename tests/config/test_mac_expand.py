"""The cases that Postfix's own expansion is tested with, and some of ours."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.config.mac_expand import mac_expand, references

REPOSITORY = Path(__file__).resolve().parents[2]
CONFORMANCE = Path(os.environ.get("GATEPOST_CONFORMANCE", REPOSITORY / "../shared/conformance"))


def compare_lengths(left: str, right: str) -> int:
    return len(left) - len(right)


def decorate(text: str) -> str:
    return f"-=oO{text}Oo=-"


def play(script: str) -> str:
    """Groups of definitions and expressions, separated by empty lines, answered in the form of the reference."""
    out: list[str] = []
    defining = True
    values: dict[str, str] = {}
    for line in script.split("\n")[:-1]:
        out.append(f"<< {line}")
        if not line:
            if not defining:
                out.append("")
                values = {}
            defining = not defining
        elif defining:
            name, _, value = line.partition(" = ")
            values[name] = value
        else:
            result = mac_expand(
                line,
                values.get,
                comparisons={"length": compare_lengths},
                functions={"test_named_fn": decorate},
            )
            if result.error:
                out.append(f"unknown: warning: {result.error}")
            out.append(f"stat={bool(result.error) + 2 * result.undefined} result={result.text}")
    return "\n".join(out) + "\n"


def test_agrees_with_postfix() -> None:
    source = CONFORMANCE / "units" / "mac_expand.in"
    if not source.exists():
        assert os.environ.get("CI") != "true", f"{source} is missing"
        pytest.skip(f"{source} is missing")
    expected = (CONFORMANCE / "units" / "mac_expand.ref").read_text()
    assert play(source.read_text()).rstrip("\n").splitlines() == expected.rstrip("\n").splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[${{ x } == {x} ? { in  } : { out }}]", "[ out ]"),
        ("[${x? in  }]", "[ in  ]"),
        ("[${ x }]", "[xv]"),
        ("[$(x?a}b)]", "[a}b]"),
        ("[${x?a)b}]", "[a)b]"),
        ("[$$x]", "[$x]"),
        ("[${ }]", "[]"),
        ("[${?a}]", "[]"),
        ("[${:a}]", "[a]"),
        ("[${{01} == {1}?{y}:{n}}]", "[y]"),
        ("[${{10} <  {9a}}]", "[true]"),
        ("[${{10} >level {9}}]", "[true]"),
        ("[${{3.10} >level {3.9}?{y}:{n}}]", "[y]"),
        ("[${{3} !=level {3.0}}][${{3} <=level {3.0.1}}]", "[][true]"),
        ("[${x??}]", "[?]"),
        ("[$x1][$x-]", "[][xv-]"),
        ("[${nope?{a} : b }]", "[ b ]"),
        ("[$rx]", "[<xv>]"),
    ],
)
def test_expands(text: str, expected: str) -> None:
    values = {"x": "xv", "rx": "<$x>"}
    assert mac_expand(text, values.get)[::2] == (expected, "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[$]", 'empty macro name: "[$]"'),
        ("[${}]", 'empty macro name: "[${}]"'),
        ("[${x{y}}]", 'attribute name syntax error at: "...x>>>{y}"'),
        ("[${x?{a}:{b} c}]", 'unexpected input at: "...b}>>>c"'),
        ("[${{a} ==  level {3} ?}]", '"{expression}" expected at: "...{a} ==>>>  level {3} ?"'),
        ("[${y?{a}", 'truncated macro reference: "[${y?{a}"'),
        ("[${{3} >=level {x.9}}]", 'malformed compatibility level syntax: "x.9"'),
        ("[$a]", 'unreasonable macro call nesting: "b"'),
    ],
)
def test_says_what_is_wrong(text: str, error: str) -> None:
    values = {"x": "xv", "a": "$b", "b": "$a"}
    assert mac_expand(text, values.get).error == error


def test_values_are_filtered_where_they_are_not_expanded() -> None:
    assert mac_expand("$x;", {"x": "a;$b"}.get, recurse=False, allowed="ab").text == "a__b;"


def test_names_of_both_branches_are_found() -> None:
    found, error = references("$a ${b?{$c}:{${d}}} ${{$e} == {$f}?$g} ${h{$i}}")
    assert error == ""
    assert [reference.name for reference in found] == ["a", "b", "c", "d", "e", "f", "g", "i"]
    assert [reference.name for reference in found if reference.tested] == ["b"]


@given(st.text(alphabet="${}()?:=<x y1", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    mac_expand(text, {"x": "${y?{$x}}", "y": "1"}.get)
    references(text)

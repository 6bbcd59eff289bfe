"""Lines for a terminal, and for programs."""

from gatepost.cli.terminal import Paint, for_output, wrapped


def test_what_is_too_long_goes_on_below_indented() -> None:
    assert list(wrapped(["    -> DUNNO: one two three"], 20)) == ["    -> DUNNO: one", "       two three"]
    assert list(wrapped(["  * reject_this or_that"], 16)) == ["  * reject_this", "      or_that"]


def test_a_long_word_is_not_broken() -> None:
    assert list(wrapped(["a /a/very/long/path/that-has-hyphens"], 10)) == ["a", "  /a/very/long/path/that-has-hyphens"]


def test_empty_lines_stay() -> None:
    assert list(wrapped(["a", "", "b"])) == ["a", "", "b"]


def test_for_programs_lines_are_whole() -> None:
    assert list(for_output(["x" * 10 + " " + "y" * 90])) == ["x" * 10 + " " + "y" * 90]


def test_no_colour_for_programs() -> None:
    assert Paint.for_output().red("text") == "text"
    assert Paint(True).red("text") == "\x1b[31mtext\x1b[0m"

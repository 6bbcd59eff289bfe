import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.config.errors import ConfigError
from gatepost.config.main_cf import MainCf


def values(text: str) -> dict[str, str]:
    return {name: setting.value for name, setting in MainCf.parse(text.encode(), "main.cf").settings.items()}


def test_lines_are_joined_and_comments_dropped() -> None:
    text = "relayhost = \n  a\n\n\n  b\n#c\n   # still a comment\n \t\n  d\nx=1 # not a comment\ny\t=\t2\r\n"
    assert values(text) == {"relayhost": "a  b  d", "x": "1 # not a comment", "y": "2"}


def test_the_last_definition_wins_and_is_where_it_stands() -> None:
    main = MainCf.parse(b"# head\na = 1\n\na = 2\n  3\nb =\n", "/etc/main.cf")
    assert main.settings["a"] == ("2  3", "/etc/main.cf", 4)
    assert main.settings["b"] == ("", "/etc/main.cf", 6)
    assert main.warnings == ["/etc/main.cf, line 4: overriding earlier entry: a=1"]


def test_a_continuation_of_nothing_is_dropped() -> None:
    main = MainCf.parse(b"  foo = bar\nx = y\n", "./main.cf")
    assert list(main.settings) == ["x"]
    assert main.warnings == ['./main.cf: logical line must not start with whitespace: "  foo = bar"']


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (b"foo\n", "missing '=' after attribute name: \"foo\"", 1),
        (b"= foo\n", 'missing attribute name: "= foo"', 1),
        (b"a = b\n# c\n  d\nfoo { = bar}\n", "missing '=' after attribute name: \"foo { = bar}\"", 4),
        (b"a = b\nx = \xff\n", "text is not valid UTF-8", 2),
        (b"x = a\0b\n", "NUL character", 1),
    ],
)
def test_errors_name_the_line(text: bytes, message: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        MainCf.parse(text, "main.cf")
    assert (caught.value.message, caught.value.path, caught.value.line) == (message, "main.cf", line)


def test_comments_may_be_in_any_encoding() -> None:
    assert MainCf.parse("# für\nx = y\n".encode("latin-1"), "main.cf").settings["x"].value == "y"


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^open /nonexistent/main\.cf: No such file or directory$"):
        MainCf.read("/nonexistent/main.cf")


@given(st.one_of(st.binary(), st.text(alphabet=" \t\r\n#=${}ab").map(str.encode)))
def test_only_config_errors(data: bytes) -> None:
    try:
        MainCf.parse(data, "main.cf")
    except ConfigError as error:
        assert error.path == "main.cf"

import pytest

from gatepost.mail.wrap import wrapped_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two", ["one two"]),
        ("one two three", ["one two", "  three"]),
        ("one two three four", ["one two", "  three", "  four"]),
        ("In:  EHLOEHLOEHLO", ["In:", "  EHLOEHLOEHLO"]),
        ("toolongforit x y  ", ["toolongforit", "  x y"]),
    ],
)
def test_wrapping(text: str, lines: list[str]) -> None:
    assert wrapped_lines(text, 8, 2) == lines

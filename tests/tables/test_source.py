from gatepost.tables.source import Remarks, decode, logical_lines, split_word


def lines(text: str) -> tuple[list[tuple[int, str]], list[str]]:
    remarks = Remarks("file")
    return list(logical_lines(text, remarks)), [problem.text for problem in remarks.problems]


def test_logical_lines() -> None:
    assert lines("a\n b\n\n# c\n  d\ne") == ([(1, "a b  d"), (6, "e")], [])
    assert lines("# c\n a\nb\n") == ([(3, "b")], ['file: logical line must not start with whitespace: " a"'])
    assert lines("\x1ca\u2028b\n\x85c") == ([(1, "\x1ca\u2028b"), (2, "\x85c")], [])
    assert lines("") == ([], [])


def test_octets_that_are_not_utf8() -> None:
    assert lines(decode(b"a \xff\nb")) == ([(2, "b")], ['file, line 1: non-UTF-8 input "a ?" -- ignoring this line'])


def test_words() -> None:
    assert split_word("a\u00a0b \t c d ") == ("a\u00a0b", "c d")
    assert split_word("a") == ("a", "")

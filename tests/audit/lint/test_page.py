from pathlib import Path

from gatepost.audit.lint.page import with_checks
from gatepost.audit.lint.run import FAMILIES, checks

PAGE = Path(__file__).parents[3] / "docs" / "lint.md"


def test_the_page_is_that_of_the_checks() -> None:
    """If it is not: python -m gatepost.audit.lint.page docs/lint.md"""
    text = PAGE.read_text()
    assert with_checks(text) == text


def test_each_check_has_a_section_of_its_own() -> None:
    text = PAGE.read_text()
    for name in checks():
        assert text.count(f"### {name}\n") == 1
    for title in FAMILIES.values():
        assert text.count(f"## {title}\n") == 1

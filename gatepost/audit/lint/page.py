"""The page of documentation of all checks: `python -m gatepost.audit.lint.page docs/lint.md` writes it anew.

What stands before the list of checks in the file is kept.
"""

import sys
from pathlib import Path

from gatepost.audit.lint.registry import Check
from gatepost.audit.lint.run import FAMILIES, checks

BEGIN = "<!-- the checks: written by python -m gatepost.audit.lint.page -->"


def section(check: Check) -> str:
    """One check."""
    return f"### {check.name}\n\n{check.severity.value}: {check.summary}.\n\n{_filled(check.explanation)}\n"


def pages() -> str:
    """All checks, family by family."""
    known = checks().values()
    parts = []
    for module, title in FAMILIES.items():
        family = module.__name__.rpartition(".")[2]
        parts.append(f"## {title}\n")
        parts += [section(check) for check in known if check.family == family]
    return "\n".join(parts)


def with_checks(text: str) -> str:
    """The document with its list of checks as it must be."""
    head, _, _ = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{pages()}"


def _filled(text: str) -> str:
    import textwrap

    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(with_checks(document.read_text()))

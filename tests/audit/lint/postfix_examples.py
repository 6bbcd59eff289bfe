"""The configurations that Postfix's packages and documentation show (Debian: postfix, postfix-doc)."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SHARED = Path("/usr/share/postfix")
DOCUMENTS = Path("/usr/share/doc/postfix")

_HEADING = re.compile(r"\s*(?:\d+\s+)?(/[\w./-]+):\s*$")
_NUMBER = re.compile(r"^\s*\d+[a-z]?(?= |$)")


class Example(NamedTuple):
    """A block of a document: files by path, the text of each."""

    document: str
    files: dict[str, str]


def document_text(path: Path) -> str:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    # Bold letters are printed twice, with a backspace between them.
    return re.sub(".\x08", "", data.decode("utf-8", "replace"))


def whole(text: str) -> bool:
    """Is it what a file could hold, without prose and `...`?"""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    return not re.search(r"\.\.\.|\. \. \.|\s\([A-Za-z]+ ", "\n".join(lines))


def documents() -> list[Path]:
    return sorted(path for path in DOCUMENTS.glob("*README*") if "html" not in path.name)


def examples(path: Path) -> Iterator[Example]:
    """The indented blocks that name a file of Postfix in their first line."""
    block: list[str] = []
    for line in [*document_text(path).split("\n"), "x"]:
        if not line.strip() or line.startswith("    "):
            block.append(line)
            continue
        yield from _example(path.name.removesuffix(".gz"), block)
        block = []


def _example(document: str, block: list[str]) -> Iterator[Example]:
    files: dict[str, list[str]] = {}
    name, numbered, margin = "", False, 0
    for line in block:
        heading = _HEADING.match(line)
        if heading is not None:
            if heading.group(1) in files and heading.group(1) == "/etc/postfix/main.cf":
                yield Example(document, _dedented(files))  # the next of several alternatives
                files = {}
            name = heading.group(1)
            numbered, margin = bool(_NUMBER.match(line)), _margin(line)
            files.setdefault(name, [])
        elif line.strip() and (_margin(line) < margin or (numbered and not _NUMBER.match(line))):
            name = ""  # prose
        elif name:
            files[name].append(line)
    if files:
        yield Example(document, _dedented(files))


def _dedented(files: dict[str, list[str]]) -> dict[str, str]:
    return {name: _text(lines) for name, lines in files.items()}


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _text(lines: list[str]) -> str:
    numbered = [line for line in lines if line.strip()]
    if numbered and all(_NUMBER.match(line) for line in numbered):
        lines = [_NUMBER.sub(lambda found: " " * len(found.group()), line) for line in lines]
    margin = min((_margin(line) for line in lines if line.strip()), default=0)
    return "".join(f"{line[margin:]}\n" for line in lines)

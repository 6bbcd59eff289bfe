"""The project's own rules, held by machine: style, types, layers, sizes, documentation, locked dependencies."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from gatepost.cli.program import COMMANDS
from gatepost.config.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "gatepost").rglob("*.py"))
BENCH = sorted((ROOT / "bench").glob("*.py"))
BIN = Path(sys.executable).parent


def run(*command: str) -> None:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_ruff_is_clean() -> None:
    run("ruff", "check", "gatepost", "tests", "bench")


def test_types_are_strict() -> None:
    run("mypy")


def test_layers_import_downward_only() -> None:
    run("lint-imports")


@pytest.mark.parametrize("path", [*SOURCES, *BENCH], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_fit_in_the_head(path: Path) -> None:
    if path.name.endswith(".pyi") or path.parent.name == "registry":
        return
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", [*SOURCES, *BENCH], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_group_is_repeated_possessively(path: Path) -> None:
    """Python before 3.11.5 (Debian 12 has 3.11.2) ends `(?:...)*+` behind what its last, vain attempt has consumed.

    `(?>(?:...)*)` means the same.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and path.stem != "data_size":
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            assert "(?" not in text or not re.search(r"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+", text), text


def test_functions_do_one_thing() -> None:
    lengths = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                lengths.append((length, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"))
    lengths.sort()
    sizes = [length for length, _ in lengths]
    assert sizes[-1] <= 80, lengths[-5:]
    assert statistics.quantiles(sizes, n=20)[-1] <= 40
    assert statistics.median(sizes) <= 10


def test_no_module_is_a_drawer() -> None:
    forbidden = {"utils", "util", "helpers", "common", "manager_base", "core", "base", "misc"}
    assert not [path for path in SOURCES if path.stem in forbidden]


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    assert not [name for name in COMMANDS if name not in text]


def test_every_parameter_is_documented() -> None:
    text = (ROOT / "docs" / "parameters.md").read_text()
    assert not [name for name in PARAMETERS if name not in text]


def test_documents_link_to_what_is_there() -> None:
    broken = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_locked_dependencies_have_hashes_and_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9][a-z0-9._-]*==\S+", text, re.M)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)
        assert "index-url" not in text and "http" not in text and "find-links" not in text

"""The real postmap(1), asked about a table."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def postmap() -> str:
    """The program; the test is skipped aloud where Postfix is not installed (and fails in CI)."""
    program = shutil.which("postmap") or shutil.which("postmap", path="/usr/sbin")
    if program is None:
        message = "postmap is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return program


def query(directory: Path, spec: str, keys: list[str]) -> tuple[dict[str, str], list[str]]:
    """(value by key, warnings) of the real thing. Keys must not hold line ends."""
    configuration = directory / "etc"
    configuration.mkdir(exist_ok=True)
    main_cf = configuration / "main.cf"
    main_cf.write_text("compatibility_level = 3.6\nsmtputf8_enable = yes\n")
    make_old(main_cf)
    done = subprocess.run(
        [postmap(), "-c", str(configuration), "-q", "-", spec],
        input="".join(f"{key}\n" for key in keys).encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    values = dict(line.split("\t", 1) for line in done.stdout.decode().split("\n") if line)
    errors = done.stderr.decode("utf-8", "replace").split("\n")
    assert not any("fatal" in line for line in errors), errors
    return values, [line.removeprefix("postmap: warning: ") for line in errors if line]


def make_old(path: Path) -> None:
    """Postfix waits until a file has been the same for seconds."""
    os.utime(path, (1_000_000_000, 1_000_000_000))

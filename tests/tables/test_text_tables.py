import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gatepost.tables.postmap_text import parse_aliases
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tables.text_tables import TextTable
from tests.tables.postmap import make_old
from tests.tables.surroundings import Surroundings

Write = Callable[..., str]

ALIASES = """# aliases
root: me
"quo ted": you
"a b"@c: no
NAME : x
postmaster:
x y: z
noc
a, b: c
"|foo": d
root: again
:foo
"a\\"b": z
List: one,
   two, three
x . z: b
a.b: c
<foo>: r
foo; bar: x
a\\@b: c
cmd: |/bin/foo  bar
cmd2: "|/bin/foo  bar", /file
inc: :include:/x, a@b,b (comment) <c@d>
group: g: a, b;
last:x
"""


def test_aliases_as_postalias_reads_them(tmp_path: Path) -> None:
    program = shutil.which("postalias") or shutil.which("postalias", path="/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("postalias is not installed")
        pytest.skip("postalias is not installed")
    source = tmp_path / "aliases"
    source.write_text(ALIASES)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    make_old(tmp_path / "main.cf")
    command = [program, "-c", str(tmp_path)]
    made = subprocess.run([*command, f"hash:{source}"], capture_output=True, text=True, check=True, timeout=60)
    shown = subprocess.run([*command, "-s", f"hash:{source}"], capture_output=True, text=True, check=True, timeout=60)
    theirs = dict(line.split(":\t", 1) for line in shown.stdout.splitlines())
    for key in ("@", "YP_LAST_MODIFIED", "YP_MASTER_NAME"):
        theirs.pop(key)
    mine = parse_aliases(ALIASES, where=str(source), fold=str.lower)
    assert mine.content == theirs
    warnings = [line.removeprefix("postalias: warning: ") for line in made.stderr.splitlines()]
    assert [problem.text for problem in mine.problems if problem.skipped] == [
        text for text in warnings if "duplicate" not in text
    ]


async def test_case_folding(write: Write) -> None:
    path = write("table", "\u00c9t\u00c9 x\nStra\u00dfe y\n")
    folding = Surroundings().tables.open(f"texthash:{path}")
    assert await folding.lookup("\u00e9T\u00c9") == "x"
    assert await folding.lookup("STRASSE") == "y"
    ascii_only = Surroundings(smtputf8=False).tables.open(f"texthash:{path}")
    assert await ascii_only.lookup("\u00c9T\u00c9") == "x"
    assert await ascii_only.lookup("\u00e9t\u00e9") is None


async def test_edit_is_seen(world: Surroundings, write: Write) -> None:
    path = write("table", "a 1\n")
    table = world.tables.open(f"hash:{path}")
    assert isinstance(table, TextTable)
    assert await table.lookup("A") == "1"
    write("table", "a 2\nb 3\n")
    world.later()
    assert await table.lookup("a") == "1"
    world.later(0.3)
    assert await table.lookup("a") == "2"
    assert table.entries == {"a": "2", "b": "3"}


async def test_broken_edit(world: Surroundings, write: Write) -> None:
    path = write("table", "a 1\n")
    table = world.tables.open(f"texthash:{path}")
    write("table", b"a 2\nnovalue\nb\xff 3\n")
    for _ in range(3):
        world.later()
        assert await table.lookup("a") == "1"
    assert len(world.take_warnings()) == 3


async def test_folder_that_must_not_be_searched(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "map.db").write_bytes(b"")
    folder.chmod(0)
    surroundings = Surroundings()
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        table = surroundings.tables.open(f"hash:{folder}/map")
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("x")
    finally:
        os.seteuid(user)
        folder.chmod(0o700)
    said = f"open database {folder}/map: Permission denied"
    assert surroundings.warnings[0] == f"hash:{folder}/map is unavailable. {said}"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("hash:{}/nosuch", "open database {}/nosuch.db: No such file or directory"),
        ("cdb:{}/nosuch", "open database {}/nosuch.cdb: No such file or directory"),
        ("texthash:{}/nosuch", "open database {}/nosuch: No such file or directory"),
        ("pcre:{}/nosuch", "open {}/nosuch: No such file or directory"),
        ("sqlite:{}/nosuch", "open {}/nosuch: No such file or directory"),
    ],
)
async def test_why_a_table_cannot_be_opened_is_an_error(table: str, said: str, tmp_path: Path) -> None:
    """Postfix's words, in the log; the file that we look for, for who checks his configuration."""
    errors: list[str] = []
    surroundings = Surroundings(error=errors.append)
    spec, said = table.format(tmp_path), said.format(tmp_path)
    opened = surroundings.tables.open(spec)
    assert (errors, surroundings.take_warnings()) == ([said], [])
    for _ in range(2):
        with pytest.raises(LookupTemporaryFailure) as failure:
            await opened.lookup("x")
        assert failure.value.reason == said
        assert surroundings.take_warnings() == [f"{spec} is unavailable. {said}"]
    (problem,) = surroundings.tables.problems()
    assert problem.text == f"{spec} is unavailable. open {tmp_path}/nosuch: No such file or directory"
    assert len(errors) == 1

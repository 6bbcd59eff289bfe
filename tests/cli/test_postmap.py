"""postmap, postalias and newaliases beside Postfix's own: what they print, what they tell, what they make."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import cast

import pytest

from gatepost.cli.program import run
from gatepost.tables.cdb_file import cdb_entries
from gatepost.tables.lmdb_file import lmdb_entries
from tests.tables.postmap import make_old, postmap

# Exit status, lines of standard output in some order, lines of standard error without our own notes.
Ran = tuple[int, list[str], list[str]]

SOURCE = """\
# a comment
a 1
B 2
a 3
"q r"@x.example 4
novalue
al: x
  and more
"open x
UmlÄut y
"""
ALIASES = """\
root: joe@x.example, "|cmd with: colon", /file/x
  , kim
Postmaster: root
postmaster: again
"q r" : (comment) bob
user@dom: x
a,b: c
novalue:
ctrl: :include:/etc/list
"a:b": c
group: list: a, b;;
"""
MESSAGE = """\
Subject: one
 two
Content-Type: multipart/mixed;
\tboundary="bb"

before
--bb
Content-Type: text/plain

body
 more
--bb
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/digest; boundary=cc

--cc

In: digest

text
--cc--
--bb--
"""


class Programs:
    """The two programs, each in a folder of its own with the same files."""

    def __init__(self, folder: Path) -> None:
        self.theirs, self.ours = folder / "theirs", folder / "ours"
        self.real = Path(postmap()).parent
        for place in (self.theirs, self.ours):
            (place / "etc").mkdir(parents=True)
            (place / "etc/main.cf").write_text("compatibility_level = 3.6\ndefault_database_type = lmdb\n")
            make_old(place / "etc/main.cf")

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        for place in (self.theirs, self.ours):
            (place / name).write_text(text)
            (place / name).chmod(mode)
            make_old(place / name)

    def run_theirs(self, command: str, *arguments: str, text: bytes = b"") -> Ran:
        environment = {**os.environ, "MAIL_CONFIG": str(self.theirs / "etc")}
        done = subprocess.run(
            [str(self.real / command), *arguments], cwd=self.theirs, input=text, capture_output=True, check=False,
            timeout=60, env=environment,
        )  # fmt: skip
        return _ran(done.returncode, done.stdout, done.stderr)

    def run_ours(self, command: str, *arguments: str, text: bytes = b"") -> Ran:
        status, out, err = self.raw(command, *arguments, text=text)
        return _ran(status, out, err)

    def raw(self, command: str, *arguments: str, text: bytes = b"") -> tuple[int, bytes, bytes]:
        """Our program in this process: status, standard output, standard error."""
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as pipe:  # what the tests write fits into a pipe
            pipe.write(text)
        with pytest.MonkeyPatch.context() as patch, os.fdopen(reading) as stdin:
            out, err = TextIOWrapper(BytesIO()), TextIOWrapper(BytesIO())
            patch.chdir(self.ours)
            patch.setenv("MAIL_CONFIG", str(self.ours / "etc"))
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            status = run(command, list(arguments))
            out.flush()
            err.flush()
        return status, cast(BytesIO, out.buffer).getvalue(), cast(BytesIO, err.buffer).getvalue()


def _ran(status: int, out: bytes, err: bytes) -> Ran:
    told = [line for line in err.decode().splitlines() if ": note: " not in line]
    return status, sorted(out.decode("utf-8", "replace").splitlines()), told


def prepared(folder: Path) -> Programs:
    both = Programs(folder)
    both.write("src", SOURCE, 0o640)
    both.write("al", ALIASES)
    both.write("re", "/^Subject: (.*)/ HEADER\n/e/ LINE\n")
    both.write("nets", "10.0.0.0/8 ten\n")
    return both


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return prepared(tmp_path)


COMMANDS = [
    [
        "postmap lmdb:src",
        "postmap -s lmdb:src",
        "postmap -q a lmdb:src",
        "postmap -q A src",
        "postmap -q zz lmdb:src",
    ],
    ["postmap src", "postmap -f -q B src", "postmap -f -q b src", "postmap -q -f src"],
    ["postmap cdb:src", "postmap -q UMLÄUT cdb:src", "postmap -q b static:c cdb:src", "postmap -d a cdb:src"],
    ["postmap -i cdb:src"],
    ["postmap hash:src", "postmap -q B hash:src", "postmap -s hash:src"],
    ["postmap btree:src", "postmap -q B btree:src", "postmap -s btree:src"],
    ["postmap -f lmdb:src", "postmap -s lmdb:src"],
    ["postmap -u lmdb:src", "postmap -s lmdb:src", "postmap -u -q UMLÄUT lmdb:src"],
    ["postmap -w lmdb:src", "postmap -r cdb:src", "postmap -r lmdb:src", "postmap -s lmdb:src"],
    ["postmap lmdb:src", "postmap -d a lmdb:src", "postmap -d a lmdb:src", "postmap -s lmdb:src"],
    ["postmap lmdb:src lmdb:nets", "postmap -s lmdb:nets", "postmap -s lmdb:nosuch", "postmap -d a lmdb:nosuch"],
    ["postmap lmdb:nosuch", "postmap nosuch", "postmap -q a lmdb:nosuch", "postmap -q a cdb:nosuch"],
    ["postmap -q a texthash:nosuch", "postmap -q a regexp:nosuch", "postmap -q 10.1.1.1 cidr:nets"],
    ["postmap texthash:src", "postmap regexp:src", "postmap cidr:src", "postmap static:src", "postmap inline:src"],
    [
        "postmap nosuchtype:src",
        "postmap -q a nosuchtype:src",
        "postmap proxy:lmdb:src",
        "postmap -s proxy:lmdb:src",
    ],
    ["postmap -q a fail:x", "postmap fail:src", "postmap -s fail:x", "postmap -d a fail:x"],
    ["postmap -s inline:{a=b,c=d}", "postmap -s static:x", "postmap -s regexp:re", "postmap -s unix:passwd.byname"],
    ["postmap -d a static:x", "postmap -d a inline:{a=b}", "postmap -d a regexp:re"],
    ["postmap -q 10.9.9.9 cidr:nets", "postmap -q 11.9.9.9 cidr:nets", "postmap -q a unix:nosuch"],
    ["postmap", "postmap -q a", "postmap -d a", "postmap -s", "postmap -Z", "postmap -q", "postmap -h src"],
    [
        "postmap -q a -s src",
        "postmap -s -q a src",
        "postmap -q a -d a src",
        "postmap -q a -b src",
        "postmap -m src",
    ],
    ["postmap -q a pipemap:{", "postmap -q a inline:a", "postmap -q a :src", "postmap -q a lmdb:"],
    ["postmap src -r"],
    ["postalias lmdb:al", "postalias -q root lmdb:al", "postalias -q ROOT al", "postalias -q nobody al"],
    ["postalias hash:al", "postalias cdb:al", "postalias -q postmaster cdb:al", "postalias -q a:b hash:al"],
    [
        "postalias",
        "postalias -b al",
        "postalias -h al",
        "postalias -m al",
        "postalias texthash:al",
        "postalias nosuch",
    ],
    ["postalias lmdb:src", "postmap lmdb:al"],
]
INPUTS = [
    ("-q - src", 'a\nB\nzz\n\n"q r"@x.example\n'),
    ("-q - src", "zz\n"),
    ("-q - static:all", "a\nb\n"),
    ("-q - src static:rest", "a\nzz\n"),
    ("-q - src", "caf\xe9\na\n"),
    ("-u -q - src", "caf\xe9\na\n"),
    ("-d - src", "a\nzz\n"),
    ("-d - src", "zz\n"),
    ("-i src", "a 9\nb 8\nnew 5\n"),
    ("-i -r src", "a 9\nb 8\nb 7\nnew 5\n"),
    ("-i -w src", "a 9\nb 8\nnew 5\n"),
    ("-i texthash:src", "a 9\n"),
    ("-i regexp:re", ""),
    ("-i fresh", "x y\nnovalue\n"),
    ("-h -q - regexp:re", MESSAGE),
    ("-b -q - regexp:re", MESSAGE),
    ("-hb -q - regexp:re", MESSAGE),
    ("-hm -q - regexp:re", MESSAGE),
    ("-bm -q - regexp:re", MESSAGE),
    ("-hbm -q - regexp:re", MESSAGE),
    ("-m -q - regexp:re", MESSAGE),
    ("-b -q - regexp:re", "no header\nSubject: x\n"),
    ("-h -q - regexp:re", "no header\nSubject: x\n"),
    ("-h -q - regexp:re", "Subject: caf\xe9\r\n"),
    ("-h -U -q - regexp:re", "Subject: caf\xe9\n"),
]
# Command lines one after the other, and what each finds on its standard input.
PLAYS = [
    *([(line, b"") for line in lines] for lines in COMMANDS),
    *(
        [
            (f"postmap {line}", text.encode("latin-1") if line == given else b"")
            for line in ("src", given, "-s src", "-s fresh")
        ]
        for given, text in INPUTS
    ),
]


@pytest.fixture(scope="module")
def their_answers(tmp_path_factory: pytest.TempPathFactory) -> list[list[Ran]]:
    """What Postfix's commands say in all plays, which run side by side: they pause for a second at each fatal error."""
    both = [prepared(tmp_path_factory.mktemp("play")) for _ in PLAYS]

    def answers(programs: Programs, play: list[tuple[str, bytes]]) -> list[Ran]:
        return [programs.run_theirs(*line.split(), text=text) for line, text in play]

    with ThreadPoolExecutor(len(PLAYS)) as pool:
        return list(pool.map(answers, both, PLAYS))


@pytest.mark.parametrize("number", range(len(PLAYS)))
def test_the_same_words_and_the_same_status(programs: Programs, their_answers: list[list[Ran]], number: int) -> None:
    for (line, text), theirs in zip(PLAYS[number], their_answers[number], strict=True):
        assert programs.run_ours(*line.split(), text=text) == theirs, line


@pytest.mark.parametrize("kind", ["lmdb", "cdb"])
@pytest.mark.parametrize("flag", ["-p", "-n", "-N"])
def test_each_reads_what_the_other_made(programs: Programs, kind: str, flag: str) -> None:
    programs.run_theirs("postmap", flag, f"{kind}:src")
    programs.run_ours("postmap", flag, f"{kind}:src")
    index = f"src.{kind}"
    read = lmdb_entries if kind == "lmdb" else lambda path: sorted(cdb_entries(Path(path).read_bytes()))
    assert read(str(programs.ours / index)) == read(str(programs.theirs / index))
    shutil.move(programs.ours / index, programs.ours / "swap")
    shutil.copy(programs.theirs / index, programs.ours / index)
    shutil.copy(programs.ours / "swap", programs.theirs / index)
    for place in (programs.ours, programs.theirs):
        (place / "src").unlink()
    for key in ("a", "b", '"q r"@x.example', "UmlÄut", "zz"):
        assert programs.run_ours("postmap", "-q", key, f"{kind}:src") == programs.run_theirs(
            "postmap", "-q", key, f"{kind}:src"
        )


def test_a_large_table(programs: Programs) -> None:
    programs.write("src", "".join(f"key{number} {'v' * (number % 300)}x\n" for number in range(20_000)))
    assert programs.run_ours("postmap", "lmdb:src", "cdb:src") == (0, [], [])
    for kind in ("lmdb", "cdb"):
        shutil.copy(programs.ours / f"src.{kind}", programs.theirs / f"src.{kind}")
        keys = b"key0\nkey19999\nnokey\nkey777\n"
        status, found, told = programs.run_theirs("postmap", "-q", "-", f"{kind}:src", text=keys)
        assert (status, len(found), told) == (0, 3, [])


def test_values_from_files(programs: Programs) -> None:
    programs.write("one", "content 1\n")
    programs.write("two", "content 2\n")
    programs.write("src", "a one\nb one, two\nc nosuch\n")
    for line in ("-F src", "-s src", "-F -s src", "-F -q b src", "-F -q c src", "-F hash:src", "-F -q b hash:src"):
        assert programs.run_ours("postmap", *line.split()) == programs.run_theirs("postmap", *line.split()), line
    programs.write("bad", "a 1\n")
    for line in ("bad", "-F -s bad", "-F -q a bad"):
        assert programs.run_ours("postmap", *line.split()) == programs.run_theirs("postmap", *line.split()), line


def test_permissions_of_a_new_index(programs: Programs) -> None:
    for kind in ("lmdb", "cdb"):
        for program in (programs.run_ours, programs.run_theirs):
            program("postmap", f"{kind}:src")
        assert _mode(programs.ours / f"src.{kind}") == _mode(programs.theirs / f"src.{kind}") == 0o640
        (programs.ours / f"src.{kind}").unlink()
        programs.run_ours("postmap", "-p", f"{kind}:src")
        assert _mode(programs.ours / f"src.{kind}") == 0o644


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("option", ["-w", "-o"])
def test_the_index_belongs_to_the_owner_of_the_source(programs: Programs, option: str) -> None:
    for place in (programs.theirs, programs.ours):
        for parent in [place, *place.parents[:3]]:
            if parent.stat().st_mode & 0o5 != 0o5:
                parent.chmod(0o755)
        (place / "of").mkdir()
        (place / "of/src").write_text("a 1\n")
        for path in (place / "of", place / "of/src"):
            os.chown(path, 65534, 65534)
    found = []
    for place, program in ((programs.theirs, programs.run_theirs), (programs.ours, programs.run_ours)):
        assert program("postmap", option, "lmdb:of/src")[0] == 0
        status = (place / "of/src.lmdb").stat()
        found.append((status.st_uid, status.st_gid))
    assert found[0] == found[1] == ((0, 0) if option == "-o" else (65534, 65534))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_text_is_changed_with_its_owners_rights(programs: Programs) -> None:
    folder, victim = programs.ours / "of", programs.ours / "etc/victim"
    folder.mkdir()
    (folder / "src").write_text("a 1\n")
    victim.write_text("root 1\n")
    (folder / "link").symlink_to(victim)
    for path in (folder, folder / "src", folder / "link"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    for parent in [folder, *folder.parents[:5]]:
        parent.chmod(parent.stat().st_mode | 0o055)
    assert programs.run_ours("postmap", "-i", "hash:of/src", text=b"b 2\n")[0] == 0
    assert (folder / "src").read_text() == "a 1\nb 2\n"
    assert (folder / "src").stat().st_uid == 65534
    assert programs.run_ours("postmap", "-d", "a", "hash:of/src")[0] == 0
    assert (folder / "src").stat().st_uid == 65534
    status, _, told = programs.run_ours("postmap", "-i", "hash:of/link", text=b"b 2\n")
    assert (status, "Permission denied" in told[0]) == (1, True)
    assert programs.run_ours("postmap", "-d", "root", "hash:of/link")[0] == 1
    assert victim.read_text() == "root 1\n"
    assert programs.run_ours("postmap", "-o", "-i", "hash:of/link", text=b"b 2\n")[0] == 0
    assert victim.read_text() == "root 1\nb 2\n"
    assert (folder / "link").is_symlink()


def test_several_tables_at_once(programs: Programs) -> None:
    for arguments in (
        ("-i", "lmdb:one", "lmdb:two"),
        ("-s", "lmdb:one"),
        ("-s", "lmdb:two"),
        ("-d", "x", "one", "two"),
    ):
        theirs = programs.run_theirs("postmap", *arguments, text=b"x y\n")
        assert programs.run_ours("postmap", *arguments, text=b"x y\n") == theirs


def test_hash_tables_are_changed_in_their_text(programs: Programs) -> None:
    text = "# keep\na 1\n  continued\nb 2\n# this too\nA 3\n"
    programs.write("table", text)
    assert programs.run_ours("postmap", "-i", "hash:table", text=b"c 3\nb 9\n") == (
        0, [], ['postmap: warning: table.db: duplicate entry: "b"']
    )  # fmt: skip
    assert (programs.ours / "table").read_text() == text + "c 3\n"
    assert programs.run_ours("postmap", "-r", "-i", "hash:table", text=b"B 9\n")[0] == 0
    assert programs.run_ours("postmap", "-d", "a", "hash:table")[0] == 0
    assert (programs.ours / "table").read_text() == "# keep\nB 9\n# this too\nc 3\n"
    assert programs.run_ours("postmap", "-d", "a", "hash:table")[0] == 1
    assert programs.run_ours("postmap", "-i", "hash:fresh", text=b"x y\n") == (0, [], [])
    assert programs.run_ours("postmap", "-q", "X", "hash:fresh") == (0, ["y"], [])
    assert programs.run_ours("postalias", "-i", "hash:fresh", text=b"z: y\n") == (0, [], [])
    assert (programs.ours / "fresh").read_text() == "x y\nz: y\n"


def test_notes_where_a_table_is_not_what_it_is_with_postfix(programs: Programs) -> None:
    def notes(*arguments: str, text: bytes = b"") -> str:
        status, _, err = programs.raw("postmap", *arguments, text=text)
        assert status == 0
        return err.decode()

    programs.write("table", "a 1\n")
    assert notes("hash:table") == ""
    (programs.ours / "table.db").write_bytes(b"of Postfix")
    assert notes("hash:table") == ""
    os.utime(programs.ours / "table.db", (1000, 1000))
    assert "table.db was made by Postfix and is out of date" in notes("hash:table")
    assert "table was changed, too" in notes("-i", "hash:table", text=b"b 2\n")
    assert "table was changed, too" in notes("-i", "lmdb:table", text=b"c 2\n")
    assert (programs.ours / "table").read_text() == "a 1\nb 2\nc 2\n"


def test_an_index_without_source_is_named(programs: Programs) -> None:
    (programs.ours / "gone.db").write_bytes(b"of Postfix")
    status, found, told = programs.run_ours("postmap", "-q", "a", "hash:gone")
    assert (status, found) == (1, [])
    assert "postmap -s hash:gone" in told[0]
    assert programs.run_ours("postmap", "-i", "hash:gone", text=b"a b\n")[0] == 1
    assert not (programs.ours / "gone").exists()


@pytest.mark.parametrize("kind", ["lmdb", "cdb"])
def test_a_reader_never_sees_half_a_table(programs: Programs, kind: str) -> None:
    programs.write("src", "".join(f"key{number} value\n" for number in range(3000)))
    programs.run_ours("postmap", f"{kind}:src")
    path = programs.ours / f"src.{kind}"
    sizes = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            data = path.read_bytes()
            sizes.add(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(3):
            assert programs.run_ours("postmap", f"{kind}:src") == (0, [], [])
    finally:
        done.set()
        reader.join()
    assert len(sizes) == 1


def test_newaliases_makes_the_alias_databases(programs: Programs) -> None:
    with (programs.ours / "etc/main.cf").open("a") as main_cf:
        main_cf.write(f"alias_database = lmdb:{programs.ours}/al hash:{programs.ours}/al\n")
    status, _, told = programs.run_ours("newaliases")
    assert status == 0
    assert sum("name must be local" in line for line in told) == 2
    assert programs.run_ours("postalias", "-q", "ctrl", "lmdb:al") == (0, [":include:/etc/list"], [])
    assert programs.run_ours("postmap", "-q", "@", "lmdb:al")[0] == 1
    (programs.ours / "al").unlink()
    assert programs.run_ours("postmap", "-q", "@", "lmdb:al") == (0, ["@"], [])
    assert programs.run_ours("newaliases", "somebody")[0] == 64


@pytest.mark.parametrize("command", ["postmap", "postalias", "newaliases"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, ["--help"]) == 0
    assert "EXIT STATUS" in capsys.readouterr().out


def test_problems_are_in_the_mail_log(programs: Programs) -> None:
    log = programs.ours / "mail.log"
    with (programs.ours / "etc/main.cf").open("a") as main_cf:
        main_cf.write(f"maillog_file = {log}\nmaillog_file_prefixes = {programs.ours}\n")
    assert programs.run_ours("postmap", "-q", "10.1.1.1", "cidr:nets")[0] == 0
    assert not log.exists()
    assert programs.run_ours("postmap", "lmdb:src")[0] == 0
    assert programs.run_ours("postalias", "nosuch:src")[0] == 1
    lines = log.read_text().splitlines()
    assert any(
        line.endswith('warning: lmdb:src: duplicate entry: "a"') and "postfix/postmap[" in line for line in lines
    )
    assert "postfix/postalias[" in lines[-1]
    assert "fatal: unsupported dictionary type: nosuch. Is the postfix-nosuch package installed?" in lines[-1]

"""Tables that are edited to nonsense while they are asked: the last good one stays, the log names file and line."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatepost.tables.cdb_file import cdb_bytes
from tests.scenarios.others import ONE_WORKER, Others, Workers, lasting
from tests.scenarios.server import Gatepost, until
from tests.tables.postmap import postmap

MAIN_CF = """\
smtpd_restriction_classes = {classes}
smtpd_recipient_restrictions = check_sender_access inline:{{ {choice} }}
"""
GOOD = {
    "hash": "listed@ours.example REJECT\n",
    "texthash": "listed@ours.example REJECT\n",
    "lmdb": "listed@ours.example REJECT\n",
    "cdb": "listed@ours.example REJECT\n",
    "cidr": "127.0.0.0/8 REJECT\n",
    "regexp": "/^listed@/ REJECT\n",
    "pcre": "/^listed@(?=ours)/ REJECT\n",
}
BETTER = {kind: text.replace("REJECT", "REJECT mended") for kind, text in GOOD.items()}
BAD_LINE = {
    "hash": "listed@ours.example\n",
    "texthash": "listed@ours.example\n",
    "lmdb": '"listed@ours.example REJECT\n',
    "cdb": "listed@ours.example\n",
    "cidr": "127.0.0.1/8 REJECT\n",
    "regexp": "/^(listed@/ REJECT\n",
    "pcre": "/^listed@(?=ours/ REJECT\n",
}
KINDS = tuple(GOOD)
INDEXED = ("lmdb", "cdb")


class World:
    """Mail from KIND.example is looked up in a table of that kind; from KIND-index.example in an index without text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tables"
        self.folder.mkdir()
        (folder / "etc").mkdir()
        (folder / "etc/main.cf").write_text("compatibility_level = 3.6\n")
        self.write_all()
        specs = {kind: f"{kind}:{self.path(kind)}" for kind in KINDS}
        specs |= {f"{kind}-index": f"{kind}:{self.folder}/index" for kind in INDEXED}
        classes = "".join(
            f"{kind} = check_{'client' if kind == 'cidr' else 'recipient'}_access {spec}\n"
            for kind, spec in specs.items()
        )
        choice = " ".join(f"{{ {kind}.example = {kind} }}" for kind in specs)
        self.server = Gatepost(
            folder, ONE_WORKER + MAIN_CF.format(classes=" ".join(specs), choice=choice) + classes
        ).start()
        self.others = Others(self.server, "bob@ours.example")

    def path(self, kind: str) -> Path:
        return self.folder / kind

    def write_all(self) -> None:
        for kind in KINDS:
            self.path(kind).unlink(missing_ok=True)
            self.path(kind).write_text(GOOD[kind])
        for kind in INDEXED:
            self.make_index(kind)

    def make_index(self, kind: str, text: str = "listed@ours.example REJECT\n") -> None:
        """As postmap(1) of Postfix makes it."""
        source = self.folder / "index"
        source.write_text(text)
        command = [postmap(), "-c", str(self.folder.parent / "etc"), f"{kind}:{source}"]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        source.unlink()

    def ask(self, kind: str) -> str:
        client = self.server.client()
        client.say(f"MAIL FROM:<ann@{kind}.example>")
        reply = client.say("RCPT TO:<listed@ours.example>")
        client.close()
        return reply

    def warned(self, text: str, since: int) -> bool:
        return text in self.server.log()[since:]

    def stop(self) -> None:
        self.others.stop()
        self.server.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


@pytest.fixture(autouse=True)
def tables_as_they_were(world: World) -> None:
    world.write_all()
    for kind in (*KINDS, *(f"{kind}-index" for kind in INDEXED)):
        good = reply_for(kind)
        until(lambda kind=kind, good=good: world.ask(kind) == good, f"the good {kind} table")  # type: ignore[misc]


def reply_for(kind: str, text: str = "Access denied") -> str:
    if kind == "cidr":
        return f"554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: {text}"
    return f"554 5.7.1 <listed@ours.example>: Recipient address rejected: {text}"


def truncated(path: Path) -> None:
    """In the middle of a character."""
    path.write_bytes((BETTER[path.name] + "\u20ac").encode()[:-1])


def unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 0, 0)
    path.chmod(0)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def octets(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def replaced_by_octets(path: Path) -> None:
    new = path.with_suffix(".new")
    octets(new)
    new.rename(path)


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (octets, "{path}, line 1"),
    (truncated, "{path}, line 2"),
    (replaced_by_octets, "{path}, line 1"),
    (Path.unlink, "open {path}: No such file or directory"),
    (unreadable, "open {path}: Permission denied"),
    (a_folder, "{path}: Is a directory"),
]


def mend(world: World) -> None:
    for kind in KINDS:
        path = world.path(kind)
        if path.is_dir():
            path.rmdir()
        new = path.with_suffix(".new")
        new.write_text(BETTER[kind])
        new.rename(path)
    for kind in KINDS:
        until(lambda kind=kind: world.ask(kind) == reply_for(kind, "mended"), f"mended {kind}", 10)  # type: ignore[misc]


def the_good_one_stays_until(world: World, told: Callable[[], bool], what: str) -> None:
    def asked() -> bool:
        for kind in KINDS:
            assert world.ask(kind) == reply_for(kind)
        return told()

    until(asked, what, 10)
    assert asked()
    world.others.go_on()


def test_nonsense_in_one_line(world: World) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    for kind in KINDS:
        world.path(kind).write_text("# a comment\n" + BAD_LINE[kind])

    def told() -> bool:
        return all(
            re.search(rf"warning: .*{re.escape(str(world.path(kind)))}, line 2: ", world.server.log()[since:])
            and world.warned(f"{world.path(kind)} has errors, using the content it had before", since)
            for kind in KINDS
        )

    the_good_one_stays_until(world, told, "the warnings with file and line")
    mend(world)
    workers.are_as_before()


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_file_that_is_no_table(world: World, fault: Callable[[Path], object], words: str) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    for kind in KINDS:
        fault(world.path(kind))

    def told() -> bool:
        return all(world.warned(words.format(path=world.path(kind)), since) for kind in KINDS)

    the_good_one_stays_until(world, told, words)
    mend(world)
    workers.are_as_before()


@pytest.mark.parametrize("kind", INDEXED)
@pytest.mark.parametrize("fault", [replaced_by_octets, Path.unlink, a_folder], ids=["replaced", "unlink", "folder"])
def test_an_index_without_text_goes_away(world: World, kind: str, fault: Callable[[Path], object]) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    path = world.folder / f"index.{kind}"
    fault(path)

    def still_good() -> bool:
        assert world.ask(f"{kind}-index") == reply_for(kind)
        return world.warned(f"open database {path}: ", since)

    until(still_good, "the warning", 10)
    world.others.go_on()
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    world.make_index(kind, "listed@ours.example REJECT mended\n")
    until(lambda: world.ask(f"{kind}-index") == reply_for(kind, "mended"), "the mended table", 10)
    workers.are_as_before()


@pytest.mark.parametrize("kind", INDEXED)
@pytest.mark.parametrize("size", [0, 1000, 5000])
def test_an_index_without_text_is_overwritten_in_its_place(world: World, kind: str, size: int) -> None:
    """Nothing of the old one is left: it cannot be told what was in it. The worker does not fall into the hole."""
    world.make_index(kind, "listed@ours.example REJECT here\n")
    until(lambda: world.ask(f"{kind}-index") == reply_for(kind, "here"), "the table in its place", 10)
    workers, since = Workers(world.server), len(world.server.log())
    path = world.folder / f"index.{kind}"
    with open(path, "r+b") as file:
        if size:
            file.write(b"\xff" * size)
        file.truncate(size)
    cannot_tell = "451 4.3.5 <listed@ours.example>: Recipient address rejected: Server configuration error"
    for _ in range(3):
        assert world.ask(f"{kind}-index") == cannot_tell
    unavailable = f"{kind}:{world.folder}/index is unavailable. open database {path}: "
    until(lambda: world.warned(unavailable, since), "the warning", 10)
    world.others.go_on()
    if kind == "cdb":
        path.write_bytes(cdb_bytes([(b"listed@ours.example\0", b"REJECT mended\0")]))
    else:
        path.unlink()
        world.make_index(kind, "listed@ours.example REJECT mended\n")
    until(lambda: world.ask(f"{kind}-index") == reply_for(kind, "mended"), "the mended table", 10)
    workers.are_as_before()


def test_edits_without_end(world: World) -> None:
    """Good and bad edits in turn, of all tables, while they are asked: no answer is any other than the good ones."""
    workers = Workers(world.server)
    allowed = {kind: {reply_for(kind), reply_for(kind, "mended")} for kind in KINDS}
    for turn in range(12):
        for kind in KINDS:
            path = world.path(kind)
            if turn % 4 == 1:
                path.write_text(BAD_LINE[kind])
            elif turn % 4 == 2:
                octets(path)
            elif turn % 4 == 3:
                path.unlink()
            else:
                path.write_text(GOOD[kind])
        for kind in KINDS:
            reply = world.ask(kind)
            assert reply in allowed[kind], (turn, kind, reply)
    world.others.go_on()
    mend(world)
    workers.are_as_before()

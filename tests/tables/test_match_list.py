import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.surroundings import Surroundings, conformance

Write = Callable[..., str]


def compiled(world: Surroundings, text: str, *, match_parent: bool = True) -> MatchList:
    return MatchList.compile("mynetworks", text, world.tables, match_parent=match_parent)


async def answer(world: Surroundings, text: str, name: str, address: str) -> str:
    try:
        return "YES" if await compiled(world, text, match_parent=False).match_host(name, address) else "NO"
    except LookupTemporaryFailure:
        return "ERROR"


def shell_commands(text: str) -> list[str]:
    """Commands of the script; quoted text may hold line ends."""
    commands: list[str] = []
    for line in text.split("\n"):
        if commands and commands[-1].count("'") % 2:
            commands[-1] += "\n" + line
        else:
            commands.append(line)
    return commands


async def test_conformance(tmp_path: Path) -> None:
    script = conformance("units/namadr_list.in").read_text()
    reference = conformance("units/namadr_list.ref").read_text().splitlines()
    junk = str(tmp_path / "junk")
    answers: list[str] = []
    for command in shell_commands(script):
        written = re.fullmatch(r"echo (.*?) *> *junk; *mv junk /tmp", command, re.S)
        if written:
            (tmp_path / "junk").write_text(" ".join(shlex.split(written.group(1))) + "\n")
        elif "./namadr_list" in command:
            before, _, after = command.partition("./namadr_list")
            environ = {"foo": "x"} if before.startswith("foo=x") else {}
            pattern, name, address = shlex.split(after)
            world = Surroundings(environ=environ)
            text = pattern.replace("/tmp/junk", junk)
            got = await answer(world, text, name, address)
            answers += [f"warning: {warning}" for warning in world.warnings]
            answers.append(f"{name}/{address}: {got}")

    def decided(lines: list[str]) -> list[str]:
        return [line for line in lines if line.rpartition(" ")[2] in ("YES", "NO", "ERROR")]

    assert len(decided(reference)) > 40
    assert decided(answers) == decided(reference)
    wanted = [line.partition("warning: command line: ")[2] for line in reference if "warning: command line" in line]
    mine = "\n".join(answers)
    for text in (text for text in wanted if "#comment" not in text):  # 3.7 has other words for this one
        assert text in mine


async def test_order_decides(world: Surroundings) -> None:
    assert await answer(world, "!10.0.0.1 10.0.0.0/8", "x", "10.0.0.1") == "NO"
    assert await answer(world, "10.0.0.0/8 !10.0.0.1", "x", "10.0.0.1") == "YES"


async def test_names_and_parents(world: Surroundings) -> None:
    parents = compiled(world, "example.com")
    assert await parents.match_host("mx.Example.COM", "192.0.2.1")
    assert not await parents.match_host("notexample.com", "192.0.2.1")
    dotted = compiled(world, ".example.com", match_parent=False)
    assert await dotted.match_host("mx.example.com", "192.0.2.1")
    assert not await dotted.match_host("example.com", "192.0.2.1")


async def test_domain_list_and_string_list(world: Surroundings) -> None:
    domains = compiled(world, "example.com, !bad.example.org example.org")
    assert await domains.match_name("a.b.example.com")
    assert not await domains.match_name("x.bad.example.org")
    assert await domains.match_name("EXAMPLE.org")
    assert not await domains.match_string("a.example.com")
    assert await domains.match_string("Example.com")


async def test_table_items(world: Surroundings) -> None:
    domains = compiled(world, "inline:{example.com=OK}")
    assert await domains.match_name("a.example.com")
    assert not await domains.match_string("a.example.com")
    dotted = compiled(world, "inline:{.example.com=OK}", match_parent=False)
    assert await dotted.match_name("a.example.com")
    pattern = compiled(world, "cidr:{{10.0.0.0/8 x}}")
    assert await pattern.match_host("unknown", "10.1.1.1")
    assert await compiled(world, "inline:{a=}").match_string("a")


async def test_bad_item_fails_when_reached(world: Surroundings) -> None:
    mine = compiled(world, "127.0.0.0/8 10.1.2.3/8 192.168.0.0/16")
    assert await mine.match_host("localhost", "127.0.0.1")
    assert world.take_warnings() == []
    with pytest.raises(LookupTemporaryFailure):
        await mine.match_host("x", "192.168.1.1")
    assert world.take_warnings() == [
        'mynetworks: non-null host address bits in "10.1.2.3/8", perhaps you should use "10.0.0.0/8" instead'
    ]
    assert not await mine.match_host("x", "2001:db8::1")  # of the other family: not reached
    assert [text.partition(":")[0] for text in mine.problems()] == ["10.1.2.3/8"]


def test_blank_after_negation_is_fatal(world: Surroundings) -> None:
    with pytest.raises(ConfigError, match="no pattern after"):
        compiled(world, "! 1.2.3.4")


async def test_problems(world: Surroundings, write: Write) -> None:
    inner = write("inner", "10.0.0.1/8\n!\n")
    mine = compiled(world, f"2001:db8::/32, {inner} /no/such/file")
    found = "\n".join(mine.problems())
    assert "unsupported dictionary type: 2001" in found
    assert "non-null host" in found
    assert "no pattern after" in found
    assert "/no/such/file" in found


async def test_file_is_read_again(world: Surroundings, write: Write) -> None:
    path = write("nets", "10.0.0.0/8\n")
    mine = compiled(world, path)
    assert await mine.match_host("x", "10.1.1.1")
    write("nets", "192.168.0.0/16 #no\n")
    world.later()
    await mine.match_host("x", "10.1.1.1")
    world.later()
    assert not await mine.match_host("x", "10.1.1.1")
    assert await mine.match_host("x", "192.168.1.1")
    world.take_warnings()
    write("nets", "192.168.0.1/16\n")
    world.later()
    await mine.match_host("x", "192.168.1.1")
    world.later()
    assert await mine.match_host("x", "192.168.1.1")
    assert any("using the content it had before" in text for text in world.take_warnings())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("nobody", True),
        (" nobody", True),
        ("#c\n\n  nobody x\nroot", True),
        ("x #foo\nnobody", True),
        (" #c\nnobody", True),
        ("#nobody\nx # a\n b nobody", True),
        ("x #foo nobody", False),
        ("!!nobody", True),
        ("!nobody nobody", False),
        ("inline:{\n nobody=x\n}", True),
    ],
)
async def test_lines_of_a_file(world: Surroundings, write: Write, text: str, answer: bool) -> None:
    # As postqueue(1) of 3.7 reads authorized_mailq_users, but for the last.
    assert await compiled(world, write("users", text + "\n")).match_string("nobody") is answer


def test_circle_of_files(world: Surroundings, tmp_path: Path, write: Write) -> None:
    path = write("circle", str(tmp_path / "circle"))
    assert any("more than 20 deep" in text for text in compiled(world, path).problems())


def test_ranges(world: Surroundings) -> None:
    mine = compiled(world, "127.0.0.0/8 !10.0.0.1 10.0.0.0/8 [::1]/128 [fe80::]/64 name.example")
    assert mine.ranges() == ["127.0.0.0/8", "!10.0.0.1/32", "10.0.0.0/8", "::1/128", "fe80::/64"]


def test_useless_exceptions(world: Surroundings) -> None:
    assert compiled(world, "!10.0.0.1 10.0.0.0/8").useless_exceptions() == []
    (text,) = compiled(world, "10.0.0.0/8 !10.0.0.1").useless_exceptions()
    assert '"!10.0.0.1"' in text
    assert len(compiled(world, "example.com !bad.example.com").useless_exceptions()) == 1


async def test_unknown_address(world: Surroundings) -> None:
    mine = compiled(world, "10.0.0.0/8 unknown")
    assert await mine.match_host("unknown", "unknown")
    assert not await compiled(world, "unknown.").match_host("x", "unknown")


async def test_cache_gives_the_same_answer(world: Surroundings) -> None:
    mine = compiled(world, "10.0.0.0/8")
    for _ in range(3):
        assert await mine.match_host("a", "10.0.0.1")
        assert not await mine.match_host("a", "11.0.0.1")

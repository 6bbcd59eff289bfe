"""`tcp:` and `socketmap:` tables, asked of little servers, which Postfix asks, too."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from gatepost.config.errors import ConfigError
from gatepost.tables.network_tables import percent_decode, percent_encode
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure, Table
from tests.tables.database_servers import closing, garbage, silent, strange_server
from tests.tables.postmap import query
from tests.tables.surroundings import Surroundings

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
KEYS = ["Joe@Example.COM", "a b", "100%", "jürgen", "nobody", "#"]


async def answer_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything but `nobody` is found; the value tells the key as it came."""
    while line := await reader.readline():
        key = line.removeprefix(b"get ").rstrip(b"\n")
        writer.write(b"500 no%20such\n" if key == b"nobody" else b"200 <" + key + b">\n")


async def answer_socketmap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while size := await reader.readuntil(b":"):
        name, _, key = (await reader.readexactly(int(size[:-1]) + 1))[:-1].partition(b" ")
        reply = b"NOTFOUND " if key == b"nobody" else b"OK " + name + b"=" + key
        writer.write(b"%d:%s," % (len(reply), reply))


def saying(*replies: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server that gives these replies, one each time something comes, to all its clients together."""
    left = list(replies)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(left.pop(0))

    return talk


@pytest.fixture
async def world() -> AsyncIterator[Surroundings]:
    world = Surroundings()
    yield world
    world.tables.close()


@pytest.mark.parametrize(
    ("talk", "spec"), [(answer_tcp, "tcp:127.0.0.1:{}"), (answer_socketmap, "socketmap:inet:127.0.0.1:{}:name")]
)
async def test_as_postfix(world: Surroundings, tmp_path: Path, talk: object, spec: str) -> None:
    async with strange_server(talk) as port:  # type: ignore[arg-type]
        spec = spec.format(port)
        theirs, _ = await asyncio.to_thread(query, tmp_path, spec, KEYS)
        table = world.tables.open(spec)
        mine = {key: value for key in KEYS if (value := await table.lookup(key)) is not None}
        assert mine == theirs
        assert not table.fixed
        assert len(mine) == len(KEYS) - 1


async def test_characters_that_end_words(world: Surroundings) -> None:
    async with strange_server(answer_tcp) as port:
        table = world.tables.open(f"tcp:127.0.0.1:{port}")
        assert await table.lookup("a\tb\r\nget c") == "<a\tb\r\nget c>"


async def test_unix_socket(world: Surroundings, tmp_path: Path) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await answer_socketmap(reader, writer)
        writer.close()
        done.set_result(None)

    path = tmp_path / "s"
    async with await asyncio.start_unix_server(talk, path):
        assert await world.tables.open(f"socketmap:unix:{path}:maps").lookup("joe") == "maps=joe"
        world.tables.close()
        await done


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (b"400 try%20later\n", "temporary error: try later"),
        (b"garbage\n", "malformed reply: garbage"),
        (b"200\n", "malformed reply: 200"),
        (b"200 %zz\n", "malformed reply"),
        (b"200 \xff\n", "malformed reply"),
        (b"600 x\n", "bad status code: 600 x"),
        (b"200 " + b"x" * 5000 + b"\n", "longer than 4096"),
        (b"200 x" * 20_000, "longer than 4096"),
    ],
)
async def test_tcp_that_cannot_tell(world: Surroundings, reply: bytes, what: str) -> None:
    async with strange_server(saying(reply, b"200 fine\n")) as port:
        table = world.tables.open(f"tcp:127.0.0.1:{port}")
        with pytest.raises(LookupTemporaryFailure, match=what):
            await table.lookup("joe")
        assert what in world.warnings[0]
        assert await table.lookup("joe") == "fine"


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (b"10:TEMP later,", "temporary error: later"),
        (b"8:PERM no!,", "permanent error: no!"),
        (b"12:TIMEOUT slow,", "timeout error: slow"),
        (b"7:garbage,", "unknown error"),
        (b"4:OK x;", "netstring format error"),
        (b"x:OK x,", "netstring length error"),
        (b"99999999:", "longer than 7"),
        (b"200000:", "netstring length error"),
        (b"4:OK \xff,", "not UTF-8"),
    ],
)
async def test_socketmap_that_cannot_tell(world: Surroundings, reply: bytes, what: str) -> None:
    async with strange_server(saying(reply, b"7:OK fine,")) as port:
        table = world.tables.open(f"socketmap:inet:127.0.0.1:{port}:name")
        with pytest.raises(LookupTemporaryFailure, match=what):
            await table.lookup("joe")
        assert await table.lookup("joe") == "fine"


async def test_nothing(world: Surroundings) -> None:
    async with strange_server(saying(b"200 \n")) as port:
        with pytest.raises(EmptyResult):
            await world.tables.open(f"tcp:127.0.0.1:{port}").lookup("joe")
    async with strange_server(saying(b"3:OK ,", b"2:OK,", b"8:NOTFOUND,")) as port:
        table = world.tables.open(f"socketmap:inet:127.0.0.1:{port}:x")
        with pytest.raises(EmptyResult):
            await table.lookup("joe")
        assert await table.lookup("joe") is None
        assert await table.lookup("joe") is None


async def test_many_at_once(world: Surroundings) -> None:
    async with strange_server(answer_tcp) as port:
        table = world.tables.open(f"tcp:127.0.0.1:{port}")
        answers = await asyncio.gather(*(table.lookup(f"u{number}") for number in range(100)))
    assert answers == [f"<u{number}>" for number in range(100)]


async def test_gone_and_back(world: Surroundings) -> None:
    async with strange_server(answer_tcp) as port:
        table = world.tables.open(f"tcp:127.0.0.1:{port}")
        assert await table.lookup("joe") == "<joe>"
    with pytest.raises(LookupTemporaryFailure, match="refused"):
        await table.lookup("joe")
    async with strange_server(answer_tcp, port):
        assert await table.lookup("joe") == "<joe>"


async def test_an_answer_too_many_is_not_taken_for_the_next_one(world: Surroundings) -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readline():
            asked += 1
            writer.write(b"200 first\n200 second\n" if asked == 1 else b"500 not found\n")

    async with strange_server(talk) as port:
        table = world.tables.open(f"tcp:127.0.0.1:{port}")
        assert await table.lookup("joe") == "first"
        assert await table.lookup("ann") is None
    world.tables.close()


async def test_words_without_end_are_not_waited_for(world: Surroundings) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"x" * (8 << 20))
        await reader.read(100)

    async with strange_server(talk) as port:
        for spec in (f"tcp:127.0.0.1:{port}", f"socketmap:inet:127.0.0.1:{port}:x"):
            with pytest.raises(LookupTemporaryFailure, match="text longer than"):
                await world.tables.open(spec).lookup("joe")


async def test_the_limit_of_a_question_is_a_parameter() -> None:
    world = Surroundings(parameter={"gatepost_table_timeout": "1s"}.get)
    async with strange_server(silent) as port:
        with pytest.raises(LookupTemporaryFailure, match="no answer within 1 s"):
            await world.tables.open(f"tcp:127.0.0.1:{port}").lookup("joe")
    with pytest.raises(ConfigError):
        Surroundings(parameter={"gatepost_table_timeout": "soon"}.get)


@pytest.mark.parametrize("talk", [silent, garbage, closing])
async def test_nothing_is_left_of_questions_without_answer(talk: object) -> None:
    def open_now() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with strange_server(talk) as port:  # type: ignore[arg-type]
        world = Surroundings(parameter={"gatepost_table_timeout": "1s"}.get)
        before, tasks = open_now(), asyncio.all_tasks()
        table = world.tables.open(f"socketmap:inet:127.0.0.1:{port}:x")
        asked = [asyncio.create_task(_outcome(table, f"key{n}")) for n in range(60)]
        await asyncio.sleep(0)
        for task in asked[::3]:
            task.cancel()  # a session that has ended
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, str, str] * 20
        world.tables.close()
        if left := asyncio.all_tasks() - tasks:
            assert not (await asyncio.wait(left, timeout=10))[1]
    for _ in range(10):  # transports are closed by the loop
        await asyncio.sleep(0)
    assert open_now() <= before


async def _outcome(table: Table, key: str) -> str:
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup(key)
    return "cannot tell"


async def test_hangs_up_or_says_nothing(world: Surroundings) -> None:
    async with strange_server(closing) as port:
        with pytest.raises(LookupTemporaryFailure, match=r"EOF|reset"):
            await world.tables.open(f"tcp:127.0.0.1:{port}").lookup("joe")
    async with strange_server(silent) as port:
        # Nobody waits for 100 s here; it is enough that nothing else does.
        waiting = asyncio.create_task(world.tables.open(f"tcp:127.0.0.1:{port}").lookup("joe"))
        async with strange_server(answer_tcp) as other:
            assert await world.tables.open(f"tcp:127.0.0.1:{other}").lookup("joe") == "<joe>"
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize(
    "spec",
    [
        "tcp:host",
        "tcp:host:99999",
        "tcp:host:no-such-service",
        "socketmap:inet:host:25",
        "socketmap:name",
        "socketmap:inet:host:25:",
        "socketmap:fifo:/x:name",
        "socketmap:unix::name",
    ],
)
def test_bad_names(spec: str) -> None:
    with pytest.raises(ConfigError):
        Surroundings().tables.open(spec)


@hypothesis.given(strategies.text())
def test_percent_encoding(text: str) -> None:
    encoded = percent_encode(text)
    assert percent_decode(encoded) == text
    assert encoded.isascii()
    assert not any(octet <= 0x20 for octet in encoded)

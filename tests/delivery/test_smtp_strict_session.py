import asyncio
import contextlib
import random
import re
import time
from typing import Any

import pytest

from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_tables import SmtpTables
from gatepost.dns.fake import FakeResolver
from gatepost.tables.maps import Maps
from gatepost.tables.match_list import MatchList
from tests.delivery.requests import request
from tests.delivery.smtp_peer import PLAIN, peer
from tests.tables.surroundings import Surroundings


def agent(lines: list[str], tables: SmtpTables | None = None, **options: Any) -> SmtpAgent:
    return SmtpAgent(
        SmtpParams(**options), FakeResolver(""), None, lines.append, lines.append, time.time, random.Random(1),
        tables=tables or SmtpTables(),
    )  # fmt: skip


class SlowTable:
    """Answers after a turn of the loop."""

    name, fixed = "slow:", True

    async def lookup(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return "450 4.1.1 later" if key == "550 5.1.1 no" else None


@pytest.mark.parametrize("pieces", [False, True])
async def test_replies_wait_for_tables(pieces: bool) -> None:
    async with peer({"RCPT:b@there.example": b"550 5.1.1 no\r\n"}) as it:
        it.one_by_one = pieces
        maps = Maps("smtp_reply_filter", [SlowTable()], print)
        lines: list[str] = []
        bench = agent(lines, SmtpTables(reply_filter=maps))
        for _ in range(2):
            done = await bench.deliver(request("a@there.example", "b@there.example", nexthop=it.nexthop, keep=True))
            found = {status.index: status.dsn for status in done.statuses}
            assert found == {0: "2.0.0", 1: "4.1.1"}
        assert it.connections == 1
        told = f'{it.name}:{it.port}: replacing server reply "550 5.1.1 no" with "450 4.1.1 later"'
        assert lines.count(told) == 2
        await bench.close()


async def test_a_filter_that_cannot_tell_defers() -> None:
    async with peer() as it:
        maps = Surroundings().tables.maps("smtp_reply_filter", "fail:all")
        done = await agent([], SmtpTables(reply_filter=maps)).deliver(request("a@there.example", nexthop=it.nexthop))
        assert done.statuses[0].text == f"local data error while talking to {it.name}"
        assert done.statuses[0].dsn == "4.3.0"


async def test_a_server_that_trickles_is_given_up() -> None:
    ended = asyncio.Event()

    # Each line comes in time for a limit between two pieces, but never the last one.
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            writer.write(b"220-more\r\n")
            try:
                async with asyncio.timeout(0.02):
                    await reader.read(1)
            except TimeoutError:
                pass
            except OSError:  # reset; to read again would not even wait
                break
        writer.close()
        ended.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bench = agent([], per_request_deadline=True, helo_timeout=0.3)
    done = await bench.deliver(request("a@there.example", nexthop=f"[127.0.0.1]:{port}"))
    assert "timed out while receiving the initial server greeting" in done.statuses[0].text
    await ended.wait()
    server.close()


async def test_large_content_with_deadlines() -> None:
    async with peer({"EHLO": PLAIN}) as it:
        bench = agent([], per_request_deadline=True)
        content = b"Subject: x\n\n" + b"0123456789\n" * 20000
        done = await bench.deliver(request("a@there.example", nexthop=it.nexthop, content=content))
        assert done.statuses[0].action == "sent"


async def test_the_answer_to_quit_is_waited_for() -> None:
    async with peer({"QUIT": b"221 bye\r\n", "EHLO": PLAIN}) as it:
        done = await agent([], skip_quit_response=False).deliver(request("a@there.example", nexthop=it.nexthop))
        assert done.statuses[0].action == "sent"
        async with asyncio.timeout(10):
            await it.all_closed.wait()
        assert it.commands[-1] == "QUIT"


async def test_the_end_of_old_mail_waits_behind_a_pix() -> None:
    async with peer({"greeting": b"220 ***2**0\r\n", "HELO": b"250 peer\r\n"}) as it:
        lines: list[str] = []
        bench = agent(lines, pix_workaround_threshold_time=0, pix_workaround_delay_time=0.05)
        done = await bench.deliver(request("a@there.example", nexthop=it.nexthop))
        assert done.statuses[0].action == "sent"
        assert it.commands[0].startswith("HELO ")
        assert b".\r\n" in it.chunks  # in a packet of its own
        shown = f"enabling PIX workarounds: disable_esmtp delay_dotcrlf for {it.name}:{it.port}"
        assert lines[0] == f"4A1B2C3D4E: {shown}"


@pytest.mark.parametrize(("listed", "connections"), [("127.0.0.1", 1), ("[127.0.0.1]", 2)])
async def test_destinations_whose_sessions_are_always_kept(listed: str, connections: int) -> None:
    async with peer() as it:
        kept = MatchList.compile(
            "smtp_connection_cache_destinations", listed, Surroundings().tables, match_parent=False
        )
        bench = agent([], SmtpTables(cache_destinations=kept))
        for _ in range(2):
            await bench.deliver(request("a@there.example", nexthop=it.nexthop))
        assert it.connections == connections
        await bench.close()


@pytest.mark.parametrize(
    ("words", "expected"), [("size, dsn", ["discarding EHLO keywords: SIZE DSN"]), ("dsn, silent-discard", [])]
)
async def test_offers_that_are_overlooked_are_told(words: str, expected: list[str]) -> None:
    async with peer() as it:
        lines: list[str] = []
        maps = Surroundings().tables.maps(
            "smtp_discard_ehlo_keyword_address_maps", f"inline:{{ {{ 127.0.0.1 = {words} }} }}"
        )
        await agent(lines, SmtpTables(discard_maps=maps)).deliver(request("a@there.example", nexthop=it.nexthop))
        assert lines[:-1] == expected
        assert it.commands[2] == "RCPT TO:<a@there.example>"


async def test_a_table_that_cannot_tell_what_to_overlook() -> None:
    async with peer() as it:
        maps = Surroundings().tables.maps("smtp_discard_ehlo_keyword_address_maps", "fail:all")
        lines: list[str] = []
        done = await agent(lines, SmtpTables(discard_maps=maps)).deliver(request("a@there.example", nexthop=it.nexthop))
        assert done.statuses[0].text == f"local data error while talking to {it.name}"
        assert lines[0] == "4A1B2C3D4E: smtp_discard_ehlo_keyword_address_maps map lookup error for 127.0.0.1"


@pytest.mark.parametrize("flood", [b"x" * 2_000_000, b"220-more\r\n" * 200_000])
async def test_a_server_that_never_comes_to_an_end_fills_no_memory(flood: bytes) -> None:
    """Neither with one line, nor with many while the table takes its time."""

    class Undecided:
        name, fixed = "slow:", True

        async def lookup(self, key: str) -> str | None:
            await asyncio.sleep(3600)
            return None

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(flood)
            await writer.drain()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bench = agent([], SmtpTables(reply_filter=Maps("smtp_reply_filter", [Undecided()], print)))
    done = await asyncio.wait_for(bench.deliver(request("a@there.example", nexthop=f"[127.0.0.1]:{port}")), 30)
    assert re.search("lost connection with .* while receiving the initial server greeting", done.statuses[0].text)
    server.close()
    await bench.close()

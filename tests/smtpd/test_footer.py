"""Footers where the dialogues do not look: exact octets, tables that ask others, time."""

import asyncio
import time

from gatepost.config.configuration import Configuration
from gatepost.config.host_facts import FixedHost
from gatepost.mail.reply import Reply
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.smtpd.footer import RejectFooter
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.restrictions.world import LogLines
from tests.smtpd.world import Talk, World

UNKNOWN_USER = Reply(550, "5.1.1", "<x@y>: User unknown")
FACTS = SessionFacts(Client("c.example", "192.0.2.1", "77"))


class Later:
    """A table that must ask others first."""

    name = "later:x"
    fixed = True

    async def lookup(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return "found later"


def footer_of(template: str, *, maps: str = "") -> RejectFooter:
    main_cf = f"myhostname = mail.ours.example\nsmtpd_reject_footer = {template}\nsmtpd_reject_footer_maps = {maps}\n"
    settings = Configuration.parse(main_cf, host=FixedHost()).settings
    log = LogLines()
    environment = TableEnvironment(clock=lambda: 0.0, warn=log.warning, openers={"later": lambda spec, name: Later()})
    return RejectFooter(settings, Tables(environment), log, lambda: 1700000000.0)


async def wire(template: str, reply: Reply = UNKNOWN_USER) -> bytes:
    return (await footer_of(template).after(reply, FACTS)).encode()


async def test_each_line_has_code_and_status() -> None:
    assert await wire("help") == b"550-5.1.1 <x@y>: User unknown\r\n550 5.1.1 help\r\n"
    assert await wire("\\c! $client\\n\\nend\\n") == (
        b"550-5.1.1 <x@y>: User unknown! c.example[192.0.2.1]\r\n550-5.1.1 \r\n550-5.1.1 end\r\n550 5.1.1 \r\n"
    )
    assert await wire("help", Reply(501, "", "Syntax")) == b"501-Syntax\r\n501 help\r\n"


async def test_local_time() -> None:
    now = time.strftime("%b %d %H:%M:%S", time.localtime(1700000000))
    assert (await wire("\\c ($localtime)")).decode() == f"550 5.1.1 <x@y>: User unknown ({now})\r\n"


async def test_no_template_no_footer() -> None:
    assert not footer_of("")
    assert footer_of("x")
    assert footer_of("", maps="static:x")


async def test_where_nothing_can_be_awaited_the_general_footer_serves() -> None:
    footer = footer_of("general", maps="later:x")
    assert (await footer.after(UNKNOWN_USER, FACTS)).text.endswith("\nfound later")
    assert footer.after_at_once(UNKNOWN_USER, FACTS).text.endswith("\ngeneral")
    assert footer_of("", maps="later:x").after_at_once(UNKNOWN_USER, FACTS) == UNKNOWN_USER
    assert footer_of("general", maps="static:own").after_at_once(UNKNOWN_USER, FACTS).text.endswith("\nown")


async def test_who_is_too_slow_gets_the_footer_too() -> None:
    async with World("smtpd_timeout = 1s\nsmtpd_reject_footer = \\c, $client_address") as world:
        talk = await Talk.open(world)
        await talk.reply()
        assert await talk.reply() == "421 4.4.2 mail.ours.example Error: timeout exceeded, 127.0.0.1"
        assert await talk.ended() == ""

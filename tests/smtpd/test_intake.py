"""In-flow control as a client sees it."""

import asyncio

from gatepost.smtpd.intake import Intake
from tests.smtpd.world import Talk, World, until

CONTENT = "Subject: x\r\n\r\nHello.\r\n."


async def begun(world: World) -> Talk:
    talk = await (await Talk.open(world)).greeted()
    await talk.say("MAIL FROM:<a@x.example>")
    assert (await talk.say("RCPT TO:<alice@ours.example>")).startswith("250")
    return talk


async def test_content_waits_while_the_writer_is_behind() -> None:
    async with World() as world:
        talk = await begun(world)
        world.intake.told(behind=True, full=False)
        waiting = asyncio.ensure_future(talk.say("DATA"))
        other = await begun(world)  # all else is served
        assert not waiting.done()
        world.intake.told(behind=False, full=False)
        assert (await waiting).startswith("354")
        assert (await talk.say(CONTENT)).startswith("250 2.0.0 Ok: queued as")
        assert (await other.say("DATA")).startswith("354")
        assert world.slept == []


async def test_content_waits_while_the_queue_manager_is_silent_whatever_it_said_before() -> None:
    async with World() as world:
        talk = await begun(world)
        world.intake.silent(True)
        world.intake.told(behind=False, full=False)
        waiting = asyncio.ensure_future(talk.say("DATA"))
        await begun(world)
        assert not waiting.done()
        world.intake.told(behind=True, full=False)
        world.intake.silent(False)
        await begun(world)
        assert not waiting.done()
        world.intake.told(behind=False, full=False)
        assert (await waiting).startswith("354")


async def test_a_chunk_waits_too() -> None:
    async with World() as world:
        talk = await begun(world)
        world.intake.told(behind=True, full=False)
        waiting = asyncio.ensure_future(talk.say("BDAT 12 LAST\r\nSubject: x\r"))
        other = await begun(world)
        assert not waiting.done() and not world.writer.messages
        world.intake.told(behind=False, full=False)
        assert (await waiting).startswith("250 2.0.0 Ok: ")
        await other.say("QUIT")


async def test_each_message_is_delayed_while_the_active_queue_is_full() -> None:
    async with World("in_flow_delay = 1s") as world:
        world.intake.told(behind=False, full=True)
        for _ in range(2):
            talk = await begun(world)
            assert (await talk.say("DATA")).startswith("354")
            assert (await talk.say(CONTENT)).startswith("250")
        talk = await begun(world)
        await talk.say("BDAT 12\r\nSubject: x\r")
        await talk.say("BDAT 2 LAST\r\n")
        assert world.slept == [1.0, 1.0, 1.0]
        world.intake.told(behind=False, full=False)
        await begun(world)
        assert world.slept == [1.0] * 3


async def test_a_client_that_has_waited_too_long_may_come_again() -> None:
    async with World() as world:
        world.env.intake = intake = Intake(1.0, world.sleep, patience=0.0)
        intake.told(behind=True, full=False)
        talk = await begun(world)
        assert await talk.say("DATA") == "451 4.3.0 Error: queue file write error"
        intake.told(behind=False, full=False)
        assert (await talk.say("DATA")).startswith("354")


async def test_without_in_flow_delay_a_full_active_queue_delays_nobody() -> None:
    intake = Intake(0, asyncio.sleep)
    intake.told(behind=False, full=True)
    assert not intake.busy
    intake.told(behind=True, full=True)
    assert intake.busy
    waiting = asyncio.ensure_future(intake.admitted(first=True))
    await asyncio.sleep(0)
    intake.told(behind=False, full=False)
    await until(waiting.done)
    assert waiting.result()

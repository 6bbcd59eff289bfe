"""Parameters that change what a session does, seen from the client."""

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.smtpd.parameters import Parameters
from tests.smtpd.world import Talk, World

ALIASES = "virtual_alias_maps = inline:{ b@ours.example=c@else.example }\n"


async def deliver(world: World) -> list[str]:
    """Send a message to b@ours.example; the recipients that reach the queue."""
    talk = await Talk.open(world)
    await talk.reply()
    await talk.say("EHLO client.example")
    await talk.say("MAIL FROM:<a@x.example>")
    await talk.say("RCPT TO:<b@ours.example>")
    await talk.say("DATA")
    assert (await talk.say("Subject: x\r\n\r\n.")).startswith("250 2.0.0 Ok: queued")
    return [recipient.address for recipient in world.writer.messages[-1].recipients]


async def test_no_address_mappings() -> None:
    async with World(ALIASES) as world:
        assert await deliver(world) == ["c@else.example"]
    async with World(ALIASES + "receive_override_options = no_milters, no_address_mappings\n") as world:
        assert await deliver(world) == ["b@ours.example"]


def test_an_unknown_override_option_is_an_error() -> None:
    settings = Configuration.parse("receive_override_options = no_mappings\n").settings
    with pytest.raises(ConfigError, match="unknown option: no_mappings"):
        Parameters.of(settings)


async def test_queue_id_at_once() -> None:
    async with World("smtpd_delay_open_until_valid_rcpt = no\n") as world:
        talk = await Talk.open(world)
        await talk.reply()
        await talk.say("HELO client.example")
        assert await talk.say("MAIL FROM:<a@x.example>") == "250 2.1.0 Ok"
        assert world.take_log()[1:] == ["0000000001: client=localhost[127.0.0.1]"]
        await talk.say("RSET")
        await talk.say("MAIL FROM:<a@x.example>")
        assert world.take_log() == ["0000000002: client=localhost[127.0.0.1]"]
        assert world.writer.messages == []

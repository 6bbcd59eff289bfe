"""Probes as they enter the queue."""

import pytest

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.configuration import Configuration
from gatepost.config.host_facts import FixedHost
from gatepost.mail.envelope import PROBE, PROBE_UNCACHED, Message, Recipient
from gatepost.mail.status import RecipientStatus
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.rewrite.assemble import address_services
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from gatepost.verify.entry import Status
from gatepost.verify.probe import Prober, report

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
myorigin = ours.example
alias_maps =
virtual_alias_domains = alias.example
virtual_alias_maps = inline:{ { one@alias.example = a@x.example } { two@alias.example = a@x.example, b@x.example } }
"""
Found = list[tuple[str, Status, str]]


class World:
    def __init__(self, main_cf: str = "") -> None:
        settings = Configuration.parse(MAIN_CF + main_cf, host=FixedHost()).settings
        self.output = MemoryOutput()
        self.log = log = MailLog(self.output, "postfix", 1)
        log.wake = lambda: None
        warn = log.program("trivial-rewrite").warning
        tables = Tables(TableEnvironment(clock=lambda: 1.0, warn=warn))
        services = address_services(settings, tables, (), clock=lambda: 1.0, warn=warn)
        self.writer = MemoryWriter()
        cleanup = MailCleanup(
            settings, self.writer, log.program("cleanup"), services.rewriter, services.virtual_aliases
        )
        self.found: Found = []
        self.prober = Prober(
            settings,
            cleanup,
            services.rewriter.rewrite_internal,
            log.program("verify"),
            lambda: 1_000_000.0,
            lambda *known: self.found.append(known),
        )

    async def probe(self, address: str) -> Message:
        assert await self.prober.send(address)
        (message,) = self.writer.messages
        return message


async def test_a_probe_is_a_small_message_from_double_bounce() -> None:
    message = await World().probe("User@X.example")
    assert message.sender == "double-bounce@ours.example"
    assert message.recipients == [Recipient("User@X.example", orcpt="rfc822;User@X.example")]
    assert message.trace == PROBE and not message.hold and not message.smtputf8
    assert message.size < 300
    assert message.content.count(b"\n\n") == 0  # headers only


@pytest.mark.parametrize("sender", ["", "<>"])
async def test_the_null_sender(sender: str) -> None:
    assert (await World(f"address_verify_sender = {sender}\n").probe("u@x.example")).sender == ""


async def test_a_sender_that_changes() -> None:
    message = await World("address_verify_sender = probe@x.example\naddress_verify_sender_ttl = 1000s\n").probe("u@y.z")
    assert message.sender == "probe@x.example".replace("@", "118@")  # 1000 in base 31


async def test_addresses_are_completed_and_expanded() -> None:
    assert (await World().probe("user")).recipients == [Recipient("user@ours.example", "user", 0, "rfc822;user")]
    message = await World().probe("one@alias.example")
    assert message.recipients == [Recipient("a@x.example", "one@alias.example", 0, "rfc822;one@alias.example")]


async def test_an_address_that_is_several_is_good_as_it_is() -> None:
    world = World()
    assert await world.prober.send("two@alias.example")
    assert not world.writer.messages
    assert world.found == [("two@alias.example", Status.OK, "aliased to multiple recipients")]
    world.log.flush()
    assert "to=<two@alias.example>, relay=none, delay=" in world.output.lines[-1]
    assert world.output.lines[-1].endswith("dsn=2.0.0, status=deliverable (aliased to multiple recipients)")


async def test_failures_that_are_not_kept_and_addresses_beyond_ascii() -> None:
    message = await World("address_verify_negative_cache = no\n").probe("\u00fcser@x.example")
    assert message.trace == PROBE | PROBE_UNCACHED
    assert message.smtputf8
    assert not (await World("smtputf8_autodetect_classes = sendmail\n").probe("\u00fcser@x.example")).smtputf8


@pytest.mark.parametrize("failure", [QueueUnavailable("no queue manager"), QueueFull()])
async def test_a_probe_that_cannot_be_stored(failure: QueueUnavailable | QueueFull) -> None:
    world = World()
    world.writer.failure = failure
    assert not await world.prober.send("u@x.example")
    world.log.flush()
    assert "probe of <u@x.example> not sent: " in world.output.lines[-1]


def test_results_are_told_of_both_addresses() -> None:
    found: Found = []
    status = RecipientStatus(0, "bounced", "5.1.1", "none", "no")
    report(lambda *known: found.append(known), Recipient("u@x.example", "u", 0, "rfc822;u"), status)
    assert found == [("u", Status.BOUNCED, "no"), ("u@x.example", Status.BOUNCED, "no")]
    found.clear()
    status = RecipientStatus(0, "deferred", "4.1.1", "none", "no")
    report(lambda *known: found.append(known), Recipient("u@x.example", "", 0, "rfc822;u@x.example"), status)
    assert found == [("u@x.example", Status.DEFERRED, "no")]

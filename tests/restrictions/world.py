"""A host with an access policy: real settings, tables, rewriting and resolving; only DNS and clocks are made up."""

from typing import Any

from gatepost.config.configuration import Configuration
from gatepost.config.host_facts import FixedHost
from gatepost.dns.fake import FakeResolver
from gatepost.mail.reply import Reply
from gatepost.net.policy_client import PolicyPools
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import NAME_OK, NAME_PERMANENT, Client, SessionFacts
from gatepost.restrictions.ports import Ports
from gatepost.rewrite.assemble import address_services
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydomain = ours.example
mydestination = ours.example
mynetworks = 127.0.0.0/8 192.168.87.0/24
relay_domains = relayed.example
local_recipient_maps = inline:{alice=x, bob=x}
alias_maps =
"""

ZONE = """
client.example         MX  10 mx.client.example
mx.client.example      A   192.0.2.25
addressonly.example    A   192.0.2.26
sixonly.example        AAAA 2001:db8::26
nomail.example         MX  0 .
broken.example         SERVFAIL
nothing.example        TXT "no mail, no address"
elsewhere.example      MX  10 mx.elsewhere.example
"""


class LogLines:
    """The program's log, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append("warning: " + text)

    def error(self, text: str) -> None:
        self.lines.append("error: " + text)


class World:
    """The host. `lines` is what was logged since it was last taken."""

    def __init__(self, main_cf: str = "", *, base: str = MAIN_CF, zone: str = ZONE, directory: str = "") -> None:
        self.log = LogLines()
        self.slept: list[float] = []
        self.dns = FakeResolver(zone)
        settings = Configuration.parse(base + main_cf + "\n", host=FixedHost()).settings
        tables = Tables(TableEnvironment(clock=lambda: 100.0, warn=self.log.warning, directory=directory))
        own = ("127.0.0.1", "192.0.2.25")
        services = address_services(settings, tables, own, clock=lambda: 100.0, warn=self.log.warning)
        self.ports = Ports(
            resolver=services.resolver,
            rewriter=services.rewriter,
            is_local=services.local_domains.is_local_or_origin,
            tables=tables,
            dns=self.dns,
            log=self.log,
            own_addresses=frozenset(own),
            policy=PolicyPools(directory="", limit=1, clock=lambda: 100.0),
            sleep=self._sleep,
        )
        self.policy = AccessPolicy.compile(settings, self.ports)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def take_log(self) -> list[str]:
        lines, self.log.lines = self.log.lines, []
        return lines

    async def rcpt(self, facts: SessionFacts, recipient: str) -> str:
        """The reply to RCPT as a line; `OK` if there is none."""
        facts.stage, facts.recipient = "RCPT", recipient
        return line(await self.policy.rcpt(facts))


def line(reply: Reply | None) -> str:
    return "OK" if reply is None else reply.line()


def stranger(**more: Any) -> SessionFacts:
    """A client from elsewhere that has said HELO and MAIL."""
    return session("80.62.116.127", name="stranger.example", **more)


def local_client(**more: Any) -> SessionFacts:
    """A client in mynetworks."""
    return session("192.168.87.2", **more)


def session(
    address: str, *, name: str = "unknown", sender: str | None = "a@client.example", **more: Any
) -> SessionFacts:
    known = name != "unknown"
    status = NAME_OK if known else NAME_PERMANENT
    client = Client(name, address, name_status=status, reverse_name=name, reverse_name_status=status)
    return SessionFacts(client, stage="RCPT", helo_name="client.example", sender=sender, **more)


ALICE = "alice@ours.example"
NOBODY = "nobody@ours.example"
ELSEWHERE = "bob@gmail.example"
ACCESS_DENIED = "554 5.7.1 <alice@ours.example>: Recipient address rejected: Access denied"
TRY_LATER = "450 4.3.2 <alice@ours.example>: Recipient address rejected: Try again later"
UNKNOWN_USER = "550 5.1.1 <nobody@ours.example>: Recipient address rejected: User unknown in local recipient table"
SERVER_ERROR = "451 4.3.5 Server configuration error"


async def answers(main_cf: str, *recipients: str, facts: SessionFacts | None = None) -> list[str]:
    """What RCPT is answered for each recipient, under the test host's main.cf with these lines added."""
    world = World(main_cf)
    facts = facts or stranger()
    return [await world.rcpt(facts, recipient) for recipient in recipients]

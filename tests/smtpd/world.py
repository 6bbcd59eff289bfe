"""A whole SMTP server on loopback: real settings, tables, policy and cleanup; a queue in memory, a zone text as DNS."""

import asyncio
import time
from collections.abc import Callable

from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.configuration import Configuration
from gatepost.config.host_facts import FixedHost
from gatepost.config.values import split_list
from gatepost.dns.fake import FakeResolver
from gatepost.dns.names import ClientName
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.servers import listener_sasl
from gatepost.net.policy_client import PolicyPools
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.ports import Ports
from gatepost.rewrite.assemble import address_services
from gatepost.sasl.back_ends import BackEnds
from gatepost.smtpd.connection import SmtpConnection
from gatepost.smtpd.environment import CountedRates, ServerEnvironment, SessionLists
from gatepost.smtpd.footer import RejectFooter
from gatepost.smtpd.intake import Intake
from gatepost.smtpd.parameters import Parameters
from gatepost.smtpd.tls_listener import listener_tls
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.smtpd.probes import Probing

BASE = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydomain = ours.example
myorigin = ours.example
mydestination = ours.example
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
"""


async def until(condition: Callable[[], object], limit: float = 10.0) -> None:
    """Turn the event loop until `condition` holds; at most `limit` seconds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.001)


class World:
    """`main_cf` is added to BASE. `log` has the lines since it was last taken; `writer.messages` what was queued."""

    def __init__(
        self,
        main_cf: str = "",
        *,
        zone: str = "",
        service: str = "smtp",
        base: str = BASE,
        connection: type[SmtpConnection] = SmtpConnection,
    ) -> None:
        self.connection = connection
        self.output = MemoryOutput()
        log = MailLog(self.output, "postfix", 1)
        log.wake = lambda: None
        self.mail_log = log
        self.settings = settings = Configuration.parse(base + main_cf + "\n", host=FixedHost()).settings
        program = log.program("smtpd")
        self.tables = tables = Tables(TableEnvironment(clock=time.monotonic, warn=program.warning))
        own = ("127.0.0.1", "::1")
        # As with Postfix, rewriting and cleanup have open tables of their own, whose troubles are told elsewhere.
        self.other_log = MailLog(MemoryOutput(), "postfix", 1)
        warn = self.other_log.program("trivial-rewrite").warning
        other_tables = Tables(TableEnvironment(clock=time.monotonic, warn=warn))
        reached_at = (*own, *split_list(settings.proxy_interfaces))
        services = address_services(settings, other_tables, reached_at, clock=time.monotonic, warn=warn)
        self.dns = FakeResolver(zone)
        self.slept: list[float] = []
        self.flushed: list[str] = []
        self.can_flush = True
        self.intake = Intake(1.0, self.sleep)
        ports = Ports(
            resolver=services.resolver,
            rewriter=services.rewriter,
            is_local=services.local_domains.is_local_or_origin,
            tables=tables,
            dns=self.dns,
            log=program,
            own_addresses=frozenset(own),
            verifier=Probing(settings, services, self.other_log),
            policy=PolicyPools(directory="/", limit=20, clock=time.time),
            sleep=self.sleep,
        )
        self.writer = MemoryWriter()
        self.free = 2**40
        self.names: dict[str, ClientName] = {}
        policy = AccessPolicy.compile(settings, ports)
        sasl = None
        self.back_ends: BackEnds | None = None
        # Without a path, smtpd.conf would be that of this host.
        if settings.smtpd_sasl_type != "cyrus" or settings.cyrus_sasl_config_path:
            self.back_ends = back_ends = BackEnds(tables, configuration="/", warn=program.warning, secret=b"secret")
            sasl = listener_sasl(settings, tables, back_ends)
        self.env = ServerEnvironment(
            parameters=Parameters.of(settings),
            lists=SessionLists.of(settings, tables),
            service=service,
            tls=listener_tls(settings, tables, program, service),
            log=program,
            policy=policy,
            cleanup=MailCleanup(
                settings, self.writer, log.program("cleanup"), services.rewriter, services.virtual_aliases
            ),
            rates=CountedRates(time.monotonic),
            client_name=self.client_name,
            resolver=services.resolver,
            rewriter=services.rewriter,
            free=lambda: self.free,
            sleep=self.sleep,
            flush=self.flush,
            intake=self.intake,
            footer=RejectFooter(settings, tables, program, time.time) or None,
            tells_server_address=policy.asks_policy_services or sasl is not None,
            sasl=sasl,
        )
        self.talks: list[Talk] = []
        self.connections: set[SmtpConnection] = set()
        self.tasks: set[object] = set()
        self.server: asyncio.Server | None = None

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def flush(self, domain: str) -> bool:
        await asyncio.sleep(0)
        self.flushed.append(domain)
        return self.can_flush

    async def client_name(self, address: str) -> ClientName:
        await asyncio.sleep(0)
        return self.names.get(address, ClientName("localhost", 2, "localhost", 2))

    async def start(self, host: str = "127.0.0.1") -> int:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: self.connection(self.env, loop, self.connections, self.tasks), host, 0
        )
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for talk in self.talks:
            if not talk.writer.is_closing():
                talk.writer.transport.abort()
        for connection in list(self.connections):
            connection.transport.abort()
        await until(lambda: not self.tasks)
        # The transports report their end in a turn of the loop.
        for _ in range(10):
            await asyncio.sleep(0)
        assert not self.connections
        if self.back_ends is not None:
            self.back_ends.close()
        await self.server.wait_closed()

    async def idle(self) -> None:
        """Until all sessions have ended."""
        await until(lambda: not self.connections and not self.tasks)

    async def __aenter__(self) -> "World":
        self.port = await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def take_log(self) -> list[str]:
        self.mail_log.flush()
        lines, self.output.lines = self.output.lines, []
        return lines


class Talk:
    """One client's conversation with a World."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, world: World, host: str = "127.0.0.1") -> "Talk":
        talk = cls(*await asyncio.open_connection(host, world.port))
        world.talks.append(talk)
        return talk

    async def reply(self) -> str:
        """The next reply, all its lines; empty at the end of the connection."""
        lines = []
        while line := (await asyncio.wait_for(self.reader.readline(), 10)).decode():
            lines.append(line.removesuffix("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def send(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def say(self, line: str) -> str:
        self.send(line + "\r\n")
        return await self.reply()

    async def greeted(self, ehlo: str = "EHLO client.example") -> "Talk":
        await self.reply()
        await self.say(ehlo)
        return self

    async def ended(self) -> str:
        """What still comes until the server closes."""
        rest = await asyncio.wait_for(self.reader.read(), 10)
        self.writer.close()
        return rest.decode()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

"""Servers behind tables that hang, answer nonsense, go away and come back: 451 for who asks, nothing for the others."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.faulty_server import (
    BAD_ANSWERS,
    FaultyServer,
    Front,
    Loop,
    Mode,
    OwnServer,
    line,
    netstring,
)
from tests.scenarios.others import ONE_WORKER, Others, Workers, lasting
from tests.scenarios.server import Client, Gatepost, free_port, until
from tests.tables.database_servers import MariaDb, Memcached, Postgres, Slapd

LIMIT = 6
"""Seconds that a question may take here: ample for the others to go on meanwhile."""

# The record of decisions asks tables once more after a refusal, on connections that it keeps for a while.
MAIN_CF = """\
gatepost_decision_log = no
gatepost_table_timeout = {limit}s
smtpd_restriction_classes = {classes}
smtpd_recipient_restrictions = check_sender_access inline:{{ {choice} }}
"""
SQL = (
    "CREATE TABLE access (address varchar(50), action varchar(50));"
    "INSERT INTO access VALUES ('listed@ours.example', 'REJECT')"
)
QUERY = "user = mail\npassword = it's\ndbname = mail\nquery = SELECT action FROM access WHERE address = '%s'\n"
LDIF = """\
dn: dc=example
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=listed,dc=example
objectClass: inetOrgPerson
cn: listed
sn: listed
mail: listed@ours.example
description: REJECT

"""
LISTED = "554 5.7.1 <listed@ours.example>: Recipient address rejected: Access denied"
FREE = "250 2.1.5 Ok"
CANNOT_TELL = "451 4.3.5 <{}>: Recipient address rejected: Server configuration error"


def tcp_answer(question: bytes) -> bytes:
    return b"200 REJECT\n" if question == b"get listed@ours.example\n" else b"500 not found\n"


def socketmap_answer(question: bytes) -> bytes:
    return b"9:OK REJECT," if question == b"access listed@ours.example" else b"9:NOTFOUND ,"


class World:
    """A Gatepost with a class of restrictions for each kind of server; mail from KIND.example asks it."""

    def __init__(self, folder: Path) -> None:
        self.loop = Loop()
        self.databases: list[Postgres | MariaDb | Slapd | Memcached] = []
        self.servers: dict[str, FaultyServer] = {}
        self.tables: dict[str, str] = {}
        try:
            self._start_servers(folder)
            classes = "".join(f"{kind} = check_recipient_access {table}\n" for kind, table in self.tables.items())
            choice = " ".join(f"{{ {kind}.example = {kind} }}" for kind in self.tables)
            main_cf = ONE_WORKER + MAIN_CF.format(limit=LIMIT, classes=" ".join(self.tables), choice=choice)
            self.server = Gatepost(folder, main_cf + classes).start()
        except BaseException:
            self._stop_servers()
            raise
        self.others = Others(self.server, "bob@ours.example")

    def _start_servers(self, folder: Path) -> None:
        for kind, read, answer in (("tcp", line, tcp_answer), ("socketmap", netstring, socketmap_answer)):
            self.servers[kind] = OwnServer(self.loop, free_port(), read, answer)
        self.tables["tcp"] = f"tcp:127.0.0.1:{self.servers['tcp'].port}"
        self.tables["socketmap"] = f"socketmap:inet:127.0.0.1:{self.servers['socketmap'].port}:access"
        for kind, database, sql in (
            ("pgsql", Postgres(), f"{SQL}; GRANT SELECT ON access TO mail"),
            ("mysql", MariaDb(), SQL),
        ):
            self.databases.append(database)
            database.create(sql)
            front = self.servers[kind] = Front(self.loop, free_port(), database.port)
            self._configure(folder, kind, f"hosts = inet:127.0.0.1:{front.port}\ngatepost_timeout = {LIMIT}\n{QUERY}")
        slapd = Slapd()
        self.databases.append(slapd)
        slapd.create(LDIF)
        front = self.servers["ldap"] = Front(self.loop, free_port(), slapd.port)
        self._configure(
            folder,
            "ldap",
            f"server_host = ldap://127.0.0.1:{front.port}\nversion = 3\nsearch_base = dc=example\ntimeout = {LIMIT}\n"
            "query_filter = (mail=%s)\nresult_attribute = description\n",
        )
        memcached = Memcached()
        self.databases.append(memcached)
        memcached.start()
        assert memcached.talk("set listed@ours.example 0 0 6\r\nREJECT\r\n") == "STORED\r\n"
        front = self.servers["memcache"] = Front(self.loop, free_port(), memcached.port)
        self._configure(folder, "memcache", f"memcache = inet:127.0.0.1:{front.port}\ntimeout = {LIMIT}\nmax_try = 1\n")

    def _configure(self, folder: Path, kind: str, text: str) -> None:
        path = folder / f"{kind}.cf"
        path.write_text(text)
        self.tables[kind] = f"{kind}:{path}"

    def session(self, kind: str) -> Client:
        client = self.server.client()
        assert client.say(f"MAIL FROM:<ann@{kind}.example>") == "250 2.1.0 Ok"
        return client

    def ask(self, kind: str, recipient: str) -> str:
        client = self.session(kind)
        reply = client.say(f"RCPT TO:<{recipient}>")
        client.close()
        return reply

    def told(self, kind: str) -> list[str]:
        """Warnings that name the table or its server, without numbers of processes."""
        name = rf"{re.escape(self.tables[kind])}|{kind} server|{kind} query|{kind.upper()} map"
        return [line.partition(": warning: ")[2] for line in self.server.log_lines(f": warning: .*({name})")]

    def names(self, kind: str, recipient: str, since: int, reason: str = "server|query") -> None:
        """The log has told, after the first `since` warnings, which table cannot tell and why."""
        lookup = f'{self.tables[kind]} lookup error for "{recipient}"'

        def told() -> bool:
            lines = self.told(kind)[since:]
            return lookup in lines and any(re.search(reason, line) for line in lines if line != lookup)

        try:
            until(told, f"a warning about {kind}", 10)
        except AssertionError:
            raise AssertionError("\n".join(self.told(kind)[since:]) + self.server.log()[-3000:]) from None

    def works(self, kind: str) -> None:
        """The server is asked again, and it is its answer that counts."""
        assert (self.ask(kind, "listed@ours.example"), self.ask(kind, "free@ours.example")) == (LISTED, FREE)

    def stop(self) -> None:
        self.others.stop()
        try:
            self.server.stop()
        finally:
            self._stop_servers()

    def _stop_servers(self) -> None:
        for server in self.servers.values():
            server.down()
        for database in self.databases:
            database.remove()
        self.loop.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


@pytest.fixture(autouse=True)
def all_is_well(world: World) -> None:
    for server in world.servers.values():
        if server.mode != "well":
            server.hang_up()
        server.up()


KINDS = ("tcp", "socketmap", "pgsql", "mysql", "ldap", "memcache")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", BAD_ANSWERS)
def test_a_server_that_answers_nonsense(world: World, kind: str, mode: Mode) -> None:
    world.works(kind)
    workers, before = Workers(world.server), len(world.told(kind))
    server = world.servers[kind]
    server.mode = mode
    if isinstance(server, Front):
        server.hang_up()
    for recipient in ("listed@ours.example", "free@ours.example"):
        assert world.ask(kind, recipient) == CANNOT_TELL.format(recipient)
    world.names(kind, "free@ours.example", before)
    world.others.go_on()
    server.up()
    if isinstance(server, Front):
        server.hang_up()
    world.works(kind)
    workers.are_as_before()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_goes_and_comes_back(world: World, kind: str) -> None:
    world.works(kind)
    workers, before = Workers(world.server), len(world.told(kind))
    world.servers[kind].down()
    for recipient in ("listed@ours.example", "free@ours.example"):
        assert world.ask(kind, recipient) == CANNOT_TELL.format(recipient)
    world.names(kind, "free@ours.example", before, "refused|Can't contact|failed")
    world.others.go_on()
    world.servers[kind].up()
    world.works(kind)
    workers.are_as_before()


def test_servers_that_hang(world: World) -> None:
    """All of them at once, before a question and in the middle of a conversation."""
    for kind in KINDS:
        world.works(kind)
    workers = Workers(world.server)
    before = {kind: len(world.told(kind)) for kind in KINDS}
    for kind in KINDS:
        world.servers[kind].mode = "hang"
    waiting = [(kind, world.session(kind)) for kind in KINDS for _ in range(3)]
    for _, client in waiting:
        client.sock.sendall(b"RCPT TO:<free@ours.example>\r\n")
    world.others.go_on()
    for kind, client in waiting:
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            print(kind, client.sock.recv(100))
        client.sock.settimeout(60)
    waiting.pop()[1].hang_up()
    for kind, client in waiting:
        assert client.reply() == CANNOT_TELL.format("free@ours.example"), kind
        client.close()
    for kind in KINDS:
        world.names(kind, "free@ours.example", before[kind])
    world.others.go_on()
    for kind in KINDS:
        world.servers[kind].up()
    for kind in KINDS:
        world.works(kind)
    workers.are_as_before()

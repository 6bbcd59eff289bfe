"""Gatepost and a real Postfix as senders, before servers that misbehave: what each logs, and what each says there."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.compat.real_postfix import RealPostfix
from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_forbid_bare_newline = no
minimal_backoff_time = 1000s
maximal_backoff_time = 1000s
queue_run_delay = 1000s
notify_classes =
message_size_limit = 20000000
local_recipient_maps =
transport_maps = inline:{{ {maps} {{ client.example = discard:notices }} }}
"""

SEVEN = {"EHLO": "250-peer.example\r\n250 SIZE"}
"""A sink without 8BITMIME."""


class Case(NamedTuple):
    """Mail to NAME.example. `transport`: may have the sink's {port} and {path}, and {closed}, where nobody listens.

    `sink`: arguments of ScriptedSink, None for no sink; `unix`: it listens on a Unix socket. `mail`, `rcpt`:
    parameters of MAIL FROM and RCPT TO. `certificate`: the sink speaks TLS, and shows this one; `policy`: that of its
    address, or of all that `key=policy` names.
    """

    sink: dict[str, str] | None = None
    transport: str = "smtp:[127.0.0.1]:{port}"
    once: dict[str, str] | None = None
    recipients: tuple[str, ...] = ("one",)
    content: bytes = b"Subject: x\r\n\r\nhello\r\n"
    mail: str = ""
    unix: bool = False
    rcpt: str = ""
    certificate: str = ""
    policy: str = ""


class Told(NamedTuple):
    """What a sender did with one case: its log lines, the commands and the contents that the sink was given."""

    lines: list[str]
    commands: list[str]
    messages: list[bytes]

    def without(self, *commands: str) -> "Told":
        return self._replace(commands=[command for command in self.commands if command not in commands])


class World:
    """The sinks of all cases, and the main.cf that leads there."""

    def __init__(self, cases: Mapping[str, Case], folder: Path) -> None:
        self.cases = cases
        self.sinks: dict[str, ScriptedSink] = {}
        maps = []
        closed = free_port()
        for name, case in cases.items():
            where = {"closed": closed, "port": 0, "path": f"{folder}/{name}"}
            if case.sink is not None:
                sink = self.sink(case, case.sink, str(where["path"]) if case.unix else "")
                self.sinks[name], where["port"] = sink, sink.port
            maps.append(f"{{ {name}.example = {case.transport.format(**where)} }}")
        self.main_cf = MAIN_CF.format(maps=" ".join(maps))

    def sink(self, case: Case, replies: dict[str, str], path: str) -> ScriptedSink:
        return ScriptedSink(replies, lmtp=case.transport.startswith("lmtp:"), path=path, once=case.once)

    def play(self, port: int, log: Callable[[], str]) -> dict[str, Told]:
        """Send the mail of all cases; what became of it, once that is in the log."""
        ids: dict[str, str] = {}
        for name, case in self.cases.items():
            if name in self.sinks:
                self.sinks[name].forget(case.once)
            ids[name] = submit(port, name, case)
        wanted = {queue_id: len(self.cases[name].recipients) for name, queue_id in ids.items()}

        def all_told() -> bool:
            text = log()
            return all(len(re.findall(rf": {i}: to=<[^\n]* status=", text)) >= n for i, n in wanted.items())

        until(all_told, "an outcome for each recipient", 60)
        # Their farewells may still be on the way.
        until(lambda: not any(sink.open for sink in self.sinks.values()), "the end of all sessions")
        text = log()
        return {name: self._told(name, queue_id, text) for name, queue_id in ids.items()}

    def _told(self, name: str, queue_id: str, text: str) -> Told:
        pauses = re.findall(r"~([\d.]+)", " ".join((self.cases[name].sink or {}).values()))
        slow = max(map(float, pauses), default=0.0)
        lines = [
            f"{program}: {_normal(words, slow)}"
            for program, words in re.findall(rf"postfix/(smtp|lmtp|error)\[\d+\]: {queue_id}: (.*)", text)
        ]
        sink = self.sinks.get(name)
        if sink is None:
            return Told(sorted(lines), [], [])
        commands = [re.sub(r"\b(SIZE|PORT|IDENT)=\w+", r"\1", command) for command in sink.commands]
        rcpt = sorted(command for command in commands if command.startswith("RCPT"))
        ordered = [rcpt.pop(0) if command.startswith("RCPT") else command for command in commands]
        return Told(sorted(lines), ordered, [_body(message) for message in sink.messages])

    def about_servers(self, text: str) -> dict[str, list[str]]:
        """The log lines about each sink, beside those that tell what became of mail."""
        found: dict[str, list[str]] = {name: [] for name in self.sinks}
        lines = re.findall(r"postfix/(?:smtp|lmtp)\[\d+\]: (?!\w+: to=)(.*)", text)
        for name, sink in self.sinks.items():
            said = [line for line in lines if re.search(rf":{sink.port}(?!\d)", line)]
            found[name] = sorted(re.sub(r"\b[0-9A-F]{10,}: ", "ID: ", line) for line in said)
        general = [line for line in lines if re.match(r"warning: (to prevent|\w+: table)", line)]
        found["*"] = sorted({re.sub(r"\b[0-9A-F]{10,}: ", "ID: ", line) for line in general})
        return found

    def stop(self) -> None:
        for sink in self.sinks.values():
            sink.stop()


def _normal(words: str, slow: float) -> str:
    """Without what differs from run to run. Where a server pauses (`slow` seconds) it is told which delay has it."""
    if slow and (delays := re.search(r"delays=[^/]+/[^/]+/([^/]+)/([^,]+),", words)):
        # Setting up may take long on a busy machine as well; transmission hardly does.
        paused = "transmission" if float(delays[2]) >= slow else "set-up"
        words = words.replace(delays[0], f"the pause in {paused},")
    words = re.sub(r"delay=[^,]+, (delays=[^,]+, )?", "", words)
    # A server that resets the connection at once: whether connect() or the first read hears of it is a matter of time.
    early = r"relay=none, dsn=4\.4\.1, (.*)\(connect to (127[^:]*):(\d+): Connection reset by peer\)"
    late = r"relay=\2:\3, dsn=4.4.2, \1(lost connection with \2 while receiving the initial server greeting)"
    words = re.sub(early, late, words)
    words = words[:1700]  # the longest lines are cut, some octets more or less
    words = re.sub(r"message size \d+", "message size", words)
    return re.sub(r"(header (?:Received|Date|Message-I[dD])): .*(: primary)", r"\1\2", words)


def _body(message: bytes) -> bytes:
    """Without what differs: the headers that the two add."""
    dropped = rb"(?m)^(Received|(Resent-)?Message-I[dD]|(Resent-)?Date|From):.*\r\n([ \t].*\r\n)*"
    head, separator, body = message.partition(b"\r\n\r\n")
    return re.sub(dropped, b"", head + b"\r\n") + separator[:2] + body


def submit(port: int, name: str, case: Case) -> str:
    client = Client(port)
    client.say("EHLO client.example")
    client.say(f"MAIL FROM:<sender@client.example>{case.mail}")
    for user in case.recipients:
        reply = client.say(f"RCPT TO:<{user}@{name}.example>{case.rcpt}")
        assert reply.startswith("250"), reply
    client.say("DATA")
    client.sock.sendall(case.content + b".\r\n")
    reply = client.reply()
    client.close()
    assert " queued as " in reply, f"{name}: {reply}"
    return reply.rpartition(" ")[2]


# Where Postfix leaves without QUIT.
NO_FAREWELL = {"toobig", "size", "case", "tabs"}


def same(cases: Mapping[str, Case], main_cf: str = "", no_farewell: Collection[str] = NO_FAREWELL) -> None:
    """Fails where Gatepost does not do as Postfix does, under more lines of main.cf."""
    theirs, ours = compare(cases, main_cf)
    for name in cases:
        # Where it may not send ahead, Postfix says RSET before QUIT, and waits for the answer. We save that.
        dropped = ("RSET", "QUIT") if name in no_farewell else ("RSET",)
        ours[name], theirs[name] = (told.without(*dropped) for told in (ours[name], theirs[name]))
    different = [name for name in cases if ours[name] != theirs[name]]
    assert not different, "\n".join(f"{name}:\n  {ours[name]}\n  {theirs[name]}" for name in different)


def same_with_log(cases: Mapping[str, Case], main_cf: str = "") -> None:
    """As `same`; what is logged of servers has to be the same, too."""
    logs: list[dict[str, list[str]]] = []
    theirs, ours = compare(cases, main_cf, logs)
    different = [name for name in cases if ours[name].without("RSET") != theirs[name].without("RSET")]
    assert not different, "\n".join(f"{name}:\n  {ours[name]}\n  {theirs[name]}" for name in different)
    assert logs[1] == logs[0]


def compare(
    cases: Mapping[str, Case], more: str = "", logs: list[dict[str, list[str]]] | None = None
) -> tuple[dict[str, Told], dict[str, Told]]:
    """(Postfix, Gatepost): the same mail through both, one after the other. `more`: lines of main.cf; `logs` gets
    what both have logged about servers.
    """
    with temporary_folder() as folder:
        world = World(cases, folder)
        try:
            with RealPostfix({"real": {}}, world.main_cf + more) as postfix:
                theirs = world.play(postfix.ports["real"], postfix.log)
                their_log = postfix.log()
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n"
            gatepost = Gatepost(folder, world.main_cf + more, port=port, master_cf=master_cf)
            try:
                gatepost.start()
                ours = world.play(gatepost.port, gatepost.log)
            finally:
                gatepost.stop()
            if logs is not None:  # when it has stopped, all that it has to say is there
                logs += [world.about_servers(their_log), world.about_servers(gatepost.log())]
            return theirs, ours
        finally:
            world.stop()

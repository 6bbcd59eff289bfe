"""postqueue and postsuper beside Postfix's own, on the same mail: output, exit status and lines of the log."""

import contextlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.server import Client, Gatepost, queue_id_of, temporary_folder, until

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = relay.example
relay_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
defer_transports = smtp, relay
minimal_backoff_time = 8000s
maximal_backoff_time = 8000s
queue_run_delay = 8000s
in_flow_delay = 0
"""
SENT = (
    ("ann@ours.example", ["one@relay.example"]),
    ("", ["two@far.example", "three@relay.example"]),
    ('"quoted name"@ours.example', ["four@far.example"]),
    ("ann@ours.example", ["five@sub.relay.example"]),
)
"""Messages A to D."""

COMMANDS = """\
postqueue -p
postqueue -j
postsuper -h A -h A -h AAAAAAAAAA -h bad!
postsuper -h A
postqueue -p
postqueue -j
postqueue -i A
postqueue -i bad!
postqueue -i AAAAAAAAAA
postsuper -H A -H B
postsuper -H ALL
postsuper -h ALL deferred active
postsuper -h ALL hold
postsuper -H ALL deferred
postsuper -h ALL nosuch
postsuper -H ALL hold incoming
postsuper -e B
postsuper -e B -e C -e -
postsuper -f A -f bad!
postqueue -p
postqueue -j
postsuper -e ALL hold
postsuper -e ALL
postsuper -d A hold
postsuper -d A -h B
postsuper -s
postsuper -p
postsuper -S -s deferred
postsuper -s nosuch
postsuper -d ALL defer bounce trace flush maildrop
postsuper -h ALL saved
postsuper -H A saved
postsuper -h A
postsuper -H A saved incoming
postsuper -H A nosuch hold
postsuper -H ALL saved hold
postsuper -f A saved
postsuper -r A saved
postsuper -e AAAAAAAAAA saved
postsuper -f ALL saved hold
postsuper -s saved
postsuper -p corrupt
postsuper -S trace
postsuper -r bad! saved
postsuper -d bad! nosuch
postsuper -d bad! -d AAAAAAAAAA nosuch
postsuper -d A ../deferred
postsuper -d bad! -h AAAAAAAAAA nosuch
postsuper -d -
postsuper -d D -h D
postqueue -s bad!
postqueue -s [300.1.1.1]
postqueue -s nothing.relay.example
postqueue
postqueue -p -f
postqueue -p word
postsuper -d ALL -h ALL
postqueue -p
postqueue -j
""".splitlines()
STANDARD_INPUT = "C\nno id\nA\n\nAAAAAAAAAA\n"


class System:
    """One of the two: how its commands are run, and its mail."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.names: dict[str, str] = {}

    def run(self, command: list[str], given: str) -> subprocess.CompletedProcess[str]:
        raise NotImplementedError

    def log(self) -> str:
        raise NotImplementedError

    def send(self) -> None:
        for name, (sender, recipients) in zip("ABCD", SENT, strict=True):
            client = Client(self.port)
            client.say("HELO client.example")
            client.say(f"MAIL FROM:<{sender}>")
            for recipient in recipients:
                assert client.say(f"RCPT TO:<{recipient}>").startswith("250")
            client.say("DATA")
            client.sock.sendall(b"Subject: x\r\n\r\nHello.\r\n.\r\n")
            self.names[queue_id_of(client.reply())] = name
            client.close()
        until(lambda: self.queues() == ["deferred"] * len(SENT), "deferred mail")

    def queues(self) -> list[str]:
        return re.findall(r'"queue_name": "(\w+)"', self.run(["postqueue", "-j"], "").stdout)

    def told(self, line: str) -> list[object]:
        """Exit status, output, errors and what is new in the log, with names for queue IDs."""
        ids = {name: queue_id for queue_id, name in self.names.items()}
        words = [ids.get(word, word) for word in line.split()]
        given = "".join(ids.get(text, text) + "\n" for text in STANDARD_INPUT.splitlines())
        before = len(self.log())
        done = self.run(words, given)
        errors = [text for text in done.stderr.splitlines() if not text.startswith("postqueue: warning: Mail system")]
        expected = sum(": usage: " not in text for text in errors)  # that is told nobody but the caller
        log: list[str] = []

        def logged() -> bool:
            own = [text for text in self.log()[before:].splitlines() if f"/{words[0]}[" in text]
            log[:] = [text.partition("]: ")[2] for text in own]
            return len(log) >= expected

        if "-H" in words or "-f" in words:  # Gatepost tries released mail at once
            until(lambda: not {"active", "incoming"} & set(self.queues()), "mail at rest")
        # Postfix's log is written by another process; and not all that a command says is in it.
        with contextlib.suppress(AssertionError):
            until(logged, "the log", 2.0)
        return [done.returncode, self._listing(done.stdout), self._named(errors), self._named(log)]

    def _listing(self, text: str) -> list[str]:
        """Messages in an order that both have, without times and sizes."""
        text = re.sub(r" +\d+ \w{3} \w{3} [ \d]\d [\d:]{8}  ", " SIZE TIME ", text)
        text = re.sub(r'"(arrival_time|message_size)": \d+', r'"\1": 0', text)
        blocks = text.split("\n\n") if "Arrival" in text else text.splitlines()
        head, rest = (blocks[:1], blocks[1:]) if "Arrival" in text else ([], blocks)
        if head:
            title, _, first = head[0].partition("\n")
            head, rest = [title], [first, *rest]
        return head + sorted(self._named(rest))

    def _named(self, texts: list[str]) -> list[str]:
        for queue_id, name in self.names.items():
            texts = [text.replace(queue_id, name) for text in texts]
        return texts


class Theirs(System):
    def __init__(self, postfix: RealPostfix) -> None:
        super().__init__(postfix.ports["smtp"])
        self._postfix = postfix

    def run(self, command: list[str], given: str) -> subprocess.CompletedProcess[str]:
        words = [command[0], "-c", str(self._postfix.folder / "config"), *command[1:]]
        return subprocess.run(words, input=given, capture_output=True, text=True, timeout=60, check=False)

    def log(self) -> str:
        return self._postfix.log()


class Ours(System):
    def __init__(self, server: Gatepost) -> None:
        super().__init__(server.port)
        self._server = server

    def run(self, command: list[str], given: str) -> subprocess.CompletedProcess[str]:
        return self._server.command(*command, check=False, given=given)

    def log(self) -> str:
        return self._server.log()


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Theirs, Ours]]:
    need_postfix()
    with temporary_folder() as folder, RealPostfix({"smtp": {}}, MAIN_CF) as postfix:
        server = Gatepost(folder, MAIN_CF.partition("\n")[2]).start()  # it says the first line itself
        try:
            theirs, ours = Theirs(postfix), Ours(server)
            for system in (theirs, ours):
                system.send()
            yield theirs, ours
        finally:
            server.stop()


def test_commands(both: tuple[Theirs, Ours]) -> None:
    """One after the other: each finds what those before have left."""
    theirs, ours = both
    differences = []
    for line in COMMANDS:
        expected, got = theirs.told(line), ours.told(line)
        if expected != got:
            differences.append(f"{line}\n  Postfix: {expected}\n  Gatepost: {got}")
    assert not differences, "\n".join(differences)

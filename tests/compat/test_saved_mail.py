"""Finished mail that dont_remove keeps, beside Postfix's own: what its commands and its log tell of it."""

import contextlib
import re
from collections.abc import Iterator

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.test_queue_commands import MAIN_CF, Ours, System, Theirs
from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Gatepost, queue_id_of, temporary_folder, until

SETTINGS = "dont_remove = 1\nrelay_transport = smtp:[127.0.0.1]:{port}\ndefault_transport = discard\n"
SENT = {"A": "one@relay.example", "B": "two@relay.example", "C": "three@relay.example"}
REPLIES = {"RCPT TO:<two": "550 5.1.1 No", "RCPT TO:<three": "450 4.2.0 Later"}
COMMANDS = """\
postqueue -p
postqueue -j
postqueue -i A
postsuper -h A
postsuper -H A
postsuper -e A
postsuper -r A
postsuper -d A
postsuper -h ALL saved
postsuper -e A saved
postsuper -d ALL
postqueue -p
postsuper -r ALL
""".splitlines()


def sent(system: System) -> None:
    """One message is delivered, one returned, one waits."""
    for name, recipient in SENT.items():
        with contextlib.closing(Client(system.port)) as client:
            client.say("HELO client.example")
            system.names[queue_id_of(client.send("ann@ours.example", recipient))] = name
    until(lambda: system.queues() == ["deferred"], "one message that waits")


def shown(system: System) -> list[str]:
    """What postcat shows of A."""
    (queue_id,) = [queue_id for queue_id, name in system.names.items() if name == "A"]
    done = system.run(["postcat", "-q", queue_id], "")
    assert done.returncode == 0, done.stderr
    text = done.stdout.replace(queue_id, "A")
    return re.findall(r"^(?:\*\*\* .*|sender: .*|\w*recipient: .*|Subject: .*|Hello\.)$", text, re.M)


def finished(system: System) -> list[str]:
    """Which the log calls removed, of those that were sent."""
    found = re.findall(r"/qmgr\[\d+\]: (\w+): removed", system.log())
    return sorted(system.names[queue_id] for queue_id in found if queue_id in system.names)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Theirs, Ours]]:
    need_postfix()
    peer = Peer()
    peer.replies.update(REPLIES)
    settings = MAIN_CF.replace("defer_transports = smtp, relay\n", "") + SETTINGS.format(port=peer.port)
    with temporary_folder() as folder, RealPostfix({"smtp": {}}, settings) as postfix:
        server = Gatepost(folder, settings.partition("\n")[2]).start()  # it says the first line itself
        try:
            theirs, ours = Theirs(postfix), Ours(server)
            for system in (theirs, ours):
                sent(system)
            yield theirs, ours
        finally:
            server.stop()
            peer.stop()


def test_finished_mail_is_kept(both: tuple[Theirs, Ours]) -> None:
    theirs, ours = both
    for line in COMMANDS:
        assert theirs.told(line) == ours.told(line), line
    assert finished(ours) == finished(theirs) == ["A", "B"]
    assert shown(ours) == shown(theirs)
    # Theirs are files, which rm deletes.
    deleted = ["A: removed", "Deleted: 1 message"]
    assert ours.told("postsuper -d A saved")[2:] == [[f"postsuper: {line}" for line in deleted], deleted]
    assert ours.told("postsuper -d ALL saved")[2] == ["postsuper: Deleted: 2 messages"]  # B and the notice of it
    assert ours.told("postsuper -d ALL saved")[2] == ["postsuper: Deleted: 0 messages"]

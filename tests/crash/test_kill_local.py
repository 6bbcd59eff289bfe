"""kill -9 of the process that delivers to mailboxes, at work: each message is there and whole, duplicates are few."""

import itertools
import mailbox
import os
import pwd
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.scenarios.server import Gatepost, queue_id_of, temporary_folder, until

pytestmark = pytest.mark.skipif(bool(os.geteuid()), reason="only root delivers to others")

MAIN_CF = """\
myhostname = relay.test
mydestination = local.test
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
transport_retry_time = 1s
mailbox_delivery_lock = fcntl
smtpd_client_connection_count_limit = 0
mail_spool_directory = {spool}
"""
USER = "news"
LINES = ("x" * 70 + "\r\n") * 2000
AT_ONCE = 2
"""local_destination_concurrency_limit"""


def load(server: Gatepost, name: str, acknowledged: list[str], stopping: threading.Event) -> None:
    client = server.client()
    for number in itertools.count():
        if stopping.is_set():
            break
        ident = f"{name}-{number}"
        body = f"X-Id: {ident}\r\nSubject: load\r\n\r\n{LINES}End of {ident}.\r\n"
        queue_id_of(client.send("ann@client.test", f"{USER}@local.test", body))
        acknowledged.append(ident)
    client.close()


def found(path: Path, kind: str) -> tuple[Counter[str], int]:
    """Whole messages by X-Id, and how many are not whole."""
    box: mailbox.Mailbox[mailbox.Message] = (
        mailbox.mbox(path, create=False) if kind == "mbox" else mailbox.Maildir(path, create=False)  # type: ignore[assignment]
    )
    whole: Counter[str] = Counter()
    cut = 0
    for message in box:
        ident = message.get("X-Id", "")
        if str(message.get_payload()).rstrip().endswith(f"End of {ident}."):
            whole[ident] += 1
        else:
            cut += 1
    box.close()
    return whole, cut


def not_sent(log: str) -> list[str]:
    """What tells why a message is not there."""
    return [line for line in log.splitlines() if "warning: " in line or ("status=" in line and "=sent" not in line)]


@pytest.mark.parametrize("kind", ["mbox", "maildir"])
def test_mailboxes(kind: str, long_form: bool, request: pytest.FixtureRequest) -> None:
    chance = random.Random(request.config.getoption("--crash-seed") or int(time.time()))
    # A few kills of each mail system only: from one to the next its master waits twice as long to start another.
    for _ in range(10 if long_form else 1):
        killed_at_work(kind, 3 if long_form else 2, chance)


def killed_at_work(kind: str, kills: int, chance: random.Random) -> None:
    with temporary_folder() as folder:
        spool = folder / "spool"
        spool.mkdir()
        os.chown(spool, pwd.getpwnam(USER).pw_uid, -1)
        path = spool / USER
        server = Gatepost(folder, MAIN_CF.format(spool=f"{spool}{'/' if kind == 'maildir' else ''}")).start()
        acknowledged: list[str] = []
        stopping = threading.Event()
        senders = [threading.Thread(target=load, args=(server, f"s{at}", acknowledged, stopping)) for at in range(3)]
        try:
            for sender in senders:
                sender.start()
            for _ in range(kills):
                before = len(acknowledged)
                wanted = before + chance.randint(2, 12)
                until(lambda wanted=wanted: len(acknowledged) > wanted, "more mail")  # type: ignore[misc]
                until(lambda: bool(server.workers("local")), "who delivers")
                (victim, *_) = server.workers("local")
                os.kill(victim, signal.SIGKILL)
                server.wait_log(rf"warning: process local pid {victim} killed by signal 9")
            stopping.set()
            for sender in senders:
                sender.join()
            until(lambda: server.queued() == [], "an empty queue")
        finally:
            stopping.set()
            server.stop()
        log = server.log()
        whole, cut = found(path, kind)
        assert set(whole) == set(acknowledged), (cut, not_sent(log))
        assert sum(whole.values()) - len(whole) <= kills * AT_ONCE
        assert cut <= (kills if kind == "mbox" else 0)
        assert "panic:" not in log and "Traceback" not in log

"""One message for very many: it goes out a part at a time, everybody gets it once, and memory stays bounded."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.scenarios.server import Gatepost, Sink, queue_id_of, smtp_sink_program, temporary_folder

RECIPIENTS = 20_000
QMGR_MIB = 120
MAIN_CF = f"""\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
smtpd_recipient_limit = {RECIPIENTS}
smtpd_error_sleep_time = 0
qmgr_message_recipient_limit = 2000
"""


def peak_mib(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@pytest.mark.skipif(
    smtp_sink_program() is None and not os.environ.get("CI"), reason="smtp-sink (Debian's postfix) is not installed"
)
def test_twenty_thousand_recipients() -> None:
    with temporary_folder() as folder:
        sink = Sink(folder / "sink")
        server = Gatepost(folder, f"{MAIN_CF}relayhost = [127.0.0.1]:{sink.port}\n").start()
        try:
            client = server.client()
            client.say("MAIL FROM:<list@home.example>")
            for number in range(RECIPIENTS):
                assert client.say(f"RCPT TO:<member{number}@far.example>").startswith("250"), number
            client.say("DATA")
            queue_id = queue_id_of(client.say("Subject: to all\r\n\r\nHello.\r\n."))
            client.close()
            server.wait_log(f"{queue_id}: removed", 120)
            sent = Counter(re.findall(rf"{queue_id}: to=<(member\d+)@far\.example>.* status=sent", server.log()))
            assert len(sent) == RECIPIENTS
            assert set(sent.values()) == {1}
            (manager,) = server.workers("qmgr")
            assert peak_mib(manager) < QMGR_MIB
        finally:
            server.stop()
            sink.stop()

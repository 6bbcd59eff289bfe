"""The postmaster's own mail server refuses what tells him of refusals."""

import re

from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = mail.ours.example
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{port}
notify_classes = protocol
"""


def test_no_transcript_of_a_transcript() -> None:
    sink = ScriptedSink({"MAIL": "501 5.5.4 syntax"})
    try:
        with temporary_folder() as folder:
            gatepost = Gatepost(folder, MAIN_CF.format(port=sink.port)).start()
            try:
                for number in (1, 2):
                    gatepost.send("", f"user{number}@there.example")
                    until(lambda: gatepost.log().count("notification discarded") >= number, "two ends")  # noqa: B023
            finally:
                gatepost.stop()
            log = gatepost.log()
    finally:
        sink.stop()
    assert len(re.findall(": message-id=", log)) == 4
    assert len(set(re.findall(r": (\w+): from=<double-bounce@", log))) == 2

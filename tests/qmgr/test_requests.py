"""Delivery requests made of active messages."""

import msgspec

from gatepost.mail.envelope import PROBE, PROBE_UNCACHED, TRACE, VERIFY, Recipient
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.requests import delivery_request
from tests.queue.messages import a_message


def test_agents_are_told_how_a_probe_is_kept_but_not_whom_results_go_to() -> None:
    """They log a probe's results, and deliver what is traced like any other mail."""
    for trace, told in ((PROBE, PROBE), (PROBE | PROBE_UNCACHED,) * 2, (VERIFY, VERIFY), (TRACE, 0), (0, 0)):
        message = msgspec.structs.replace(a_message(1), recipients=[Recipient("u@x.example")], trace=trace)
        entry = ActiveMessage(message, 1.0, 1)
        assert delivery_request(entry, [0], "smtp", "x.example", b"", 1, 1, False).trace == told

"""smtp(8) and lmtp(8) of Gatepost and of a real Postfix before servers that fail in every way at every stage."""

import pytest

from tests.compat.outgoing import same
from tests.compat.outgoing_faults import ODD, PLAIN, TIMEOUTS, lmtp_faults, smtp_faults


@pytest.mark.parametrize("ehlo", ["", PLAIN], ids=["pipelining", "lockstep"])
def test_smtp_faults(ehlo: str) -> None:
    same(smtp_faults(ehlo), TIMEOUTS)


@pytest.mark.parametrize("lhlo", ["", PLAIN], ids=["pipelining", "lockstep"])
def test_lmtp_faults(lhlo: str) -> None:
    same(lmtp_faults(lhlo), TIMEOUTS)


@pytest.mark.parametrize("deadline", ["no", "yes"])
def test_odd_servers(deadline: str) -> None:
    same(ODD, f"{TIMEOUTS}smtp_per_request_deadline = {deadline}\n")

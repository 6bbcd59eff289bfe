"""Servers by the dice: what Postfix and we make of them is the same. GATEPOST_RANDOM_SEED rolls other ones."""

import os

import pytest

from tests.compat.outgoing import same
from tests.compat.outgoing_faults import TIMEOUTS
from tests.compat.random_servers import servers
from tests.compat.real_postfix import need_postfix

SEED = int(os.environ.get("GATEPOST_RANDOM_SEED", "1"))
COUNT = int(os.environ.get("GATEPOST_RANDOM_SERVERS", "120"))

SETTINGS = {
    "usual": "",
    "other": "soft_bounce = yes\nsmtp_send_xforward_command = yes\nsmtp_line_length_limit = 20\n",
    "bare": "smtp_never_send_ehlo = yes\nsmtp_skip_5xx_greeting = no\ndisable_mime_output_conversion = yes\n",
}


@pytest.fixture(autouse=True)
def _postfix() -> None:
    need_postfix()


@pytest.mark.parametrize("settings", SETTINGS)
def test_smtp(settings: str) -> None:
    cases = servers(SEED + list(SETTINGS).index(settings), COUNT)
    same(cases, TIMEOUTS + SETTINGS[settings], no_farewell=cases)


def test_lmtp() -> None:
    cases = servers(SEED, COUNT, lmtp=True)
    same(cases, TIMEOUTS, no_farewell=cases)

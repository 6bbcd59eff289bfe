"""Servers and headers by the dice: Postfix and we make the same of them. GATEPOST_RANDOM_SEED rolls other ones."""

import os

import pytest

from tests.compat.dice import SEED
from tests.compat.outgoing import Case, same
from tests.compat.outgoing_faults import TIMEOUTS
from tests.compat.random_headers import headers
from tests.compat.random_servers import servers
from tests.compat.real_postfix import need_postfix

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


_GENERIC = r"""
smtp_generic_maps = pcre:{
  {/^a@old[.]example$$/ new@new.example}
  {/^(.*)@sub[.]old[.]example$$/ $$1@moved.example}
  {/^x y@old/ never@new.example}
  {/^"a.*b"@old/ quoted@new.example}
  {/^b@mail[.]ours[.]example$$/ bee@new.example}
  {/^b@old[.]example$$/ local} }
"""
REWRITING = {
    "generic": _GENERIC,
    "extensions": "smtp_generic_maps = inline:{ {@old.example = @new.example} {a+ext@old.example = z@z.example} }\n"
    "recipient_delimiter = +\npropagate_unmatched_extensions = generic\n",
    "canonical": "canonical_maps = pcre:{ {/^a@/ new@c.example} {/^.x y.@old/ y@c.example} {/^a.b@/ dot@c.example} }\n"
    "recipient_delimiter = +\n",
    "remote": "local_header_rewrite_clients =\nremote_header_rewrite_domain = remote.invalid\n"
    f"masquerade_domains = old.example\n{_GENERIC}",
    "none": "swap_bangpath = no\nallow_percent_hack = no\nappend_dot_mydomain = yes\n",
}


@pytest.mark.parametrize("rewriting", REWRITING)
def test_headers(rewriting: str) -> None:
    contents = headers(SEED + list(REWRITING).index(rewriting), COUNT)
    same({name: Case({}, content=content) for name, content in contents.items()}, REWRITING[rewriting])

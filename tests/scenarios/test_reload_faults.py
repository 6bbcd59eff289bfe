"""A reload that meets a fault of Gatepost's own: what serves goes on, and the next reload is done."""

import os
import signal

import pytest

from tests.scenarios.server import GATEPOST, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = mail.ours.example
mydestination =
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = reject
"""

FAULTY = """\
import gatepost.master.reload as reload
whole = reload.prove
def prove(configuration, files=None):
    if configuration.settings.myhostname == "faulty.example":
        raise UnicodeError("a fault")
    return whole(configuration, files)
reload.prove = prove
from gatepost.cli.program import main
main()
"""


@pytest.mark.parametrize("options", [(), ("--single-process",)])
def test_what_serves_goes_on(options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.scenarios.server.GATEPOST", [GATEPOST[0], "-c", FAULTY])
    with temporary_folder() as folder:
        gatepost = Gatepost(folder, MAIN_CF).start(*options)
        try:
            _reload(gatepost, "faulty.example")
            gatepost.wait_log(r"error: reload: panic: UnicodeError: a fault .*; the old configuration goes on")
            assert _greeting(gatepost).startswith("220 mail.ours.example")
            _reload(gatepost, "other.example")
            until(lambda: _greeting(gatepost).startswith("220 other.example"), "the new configuration")
        finally:
            gatepost.stop()


def _greeting(gatepost: Gatepost) -> str:
    client = gatepost.client()
    client.close()
    return client.greeting


def _reload(gatepost: Gatepost, name: str) -> None:
    gatepost.write(MAIN_CF.replace("mail.ours.example", name))
    os.kill(gatepost.master_pid(), signal.SIGHUP)

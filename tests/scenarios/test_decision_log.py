"""A running server keeps its refusals; `gatepost explain` tells of them after the table has been edited."""

from pathlib import Path

import pytest

from tests.scenarios.server import Client, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = mx.ours.example
mydestination = ours.example
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.1
inet_protocols = ipv4
gatepost_smtpd_processes = 2
local_transport = discard:
smtpd_sender_restrictions = check_sender_access texthash:{folder}/senders
{more}
"""


def _refused(server: Gatepost) -> str:
    client = Client(server.port)
    client.say("EHLO laptop")
    client.say("MAIL FROM:<a@spam.example>")
    assert client.say("RCPT TO:<bob@ours.example>").startswith("554 5.7.1")
    client.close()
    server.wait_log("NOQUEUE: reject: RCPT")
    return next(line for line in server.log().splitlines() if "NOQUEUE: reject: RCPT" in line)


def _kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.decisions") if path.stat().st_size]


@pytest.mark.parametrize("options", [(), ("--single-process",)])
def test_a_refusal_is_explained_later(options: tuple[str, ...]) -> None:
    with temporary_folder() as folder:
        (folder / "senders").write_text("spam.example REJECT no more of that\n")
        server = Gatepost(folder, MAIN_CF.format(folder=folder, more="")).start(*options)
        try:
            line = _refused(server)
            until(lambda: bool(_kept(folder)), "the refusal is kept")
            (folder / "senders").write_text("other.example REJECT\n")
            said = server.command("explain", line, check=False).stdout
            assert "Recorded on" in said
            assert f"has spam.example: REJECT no more of that ({folder}/senders, line 1)" in said
            assert "Today: accepted" in said
            past = server.command("explain", "--past", "--client", "127.0.0.1", check=False).stdout
            assert "no more of that" in past
        finally:
            server.stop()


def test_nothing_is_kept_if_that_is_not_wanted() -> None:
    with temporary_folder() as folder:
        (folder / "senders").write_text("spam.example REJECT no more of that\n")
        server = Gatepost(folder, MAIN_CF.format(folder=folder, more="gatepost_decision_log = no")).start()
        try:
            line = _refused(server)
            assert "Recorded on" not in server.command("explain", line, check=False).stdout
        finally:
            server.stop()
        assert not _kept(folder)

"""gatepost explain, as an operator calls it."""

import json
import os
import pwd
from pathlib import Path

import pytest

from gatepost.cli.program import run

MAIN = """\
compatibility_level = 3.6
myhostname = mx.ours.example
mydestination = ours.example
local_recipient_maps =
alias_maps =
inet_interfaces = all
mail_owner = {owner}
mynetworks = 127.0.0.0/8, !192.168.87.1, 192.168.87.0/24
"""
LIST = "smtpd_recipient_restrictions = check_sender_access texthash:{folder}/senders, permit_mynetworks, reject\n"


class Asker:
    """Asks about sessions of one configuration."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.configure("")

    def configure(self, main: str, master: str = "smtp inet n - n - - smtpd\n") -> None:
        owner = pwd.getpwuid(os.geteuid()).pw_name
        (self.folder / "main.cf").write_text(MAIN.format(owner=owner) + main)
        (self.folder / "master.cf").write_text(master)

    def ask(self, *options: str) -> tuple[int, str]:
        status = run("gatepost", ["explain", "-c", str(self.folder), *options])
        return status, self._capsys.readouterr().out

    def session(self, client: str, sender: str, recipient: str, *options: str) -> tuple[int, str]:
        named = ["--client", client, "--client-name", "unknown", "--from", sender, "--to", recipient]
        return self.ask(*named, *options)


@pytest.fixture
def asker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(tmp_path, capsys)


def test_a_stranger_is_refused_and_the_networks_are_told(asker: Asker) -> None:
    status, said = asker.session("80.62.116.127", "a@b.example", "x@gmail.example")
    assert status == 1
    assert "80.62.116.127 is in none of 127.0.0.0/8, not 192.168.87.1/32, 192.168.87.0/24" in said
    assert f"{asker.folder}/main.cf, line 8" in said
    assert "* defer_unauth_destination" in said
    assert "Answer: 454 4.7.1 <x@gmail.example>: Relay access denied" in said
    assert "add 80.62.116.127 to mynetworks (it may then send anywhere)" in said


def test_the_laptop_may(asker: Asker) -> None:
    status, said = asker.session("192.168.87.2", "a@b.example", "x@gmail.example")
    assert status == 0
    assert "192.168.87.2 is in 192.168.87.0/24, which mynetworks trusts" in said


def test_the_router_is_taken_out(asker: Asker) -> None:
    status, said = asker.session("192.168.87.1", "a@b.example", "x@gmail.example")
    assert status == 1
    assert "192.168.87.1 is taken out by !192.168.87.1" in said


def test_an_entry_of_a_table_has_file_and_line(asker: Asker) -> None:
    asker.configure(LIST.format(folder=asker.folder))
    (asker.folder / "senders").write_text("# comment\n\nspam.example  REJECT no, thanks\n")
    status, said = asker.session("192.168.87.2", "a@spam.example", "x@ours.example")
    assert status == 1
    assert (
        f"texthash:{asker.folder}/senders has spam.example: REJECT no, thanks ({asker.folder}/senders, line 3)" in said
    )
    assert "Answer: 554 5.7.1 <a@spam.example>: Sender address rejected: no, thanks" in said


def test_a_list_within_a_list(asker: Asker) -> None:
    asker.configure(LIST.format(folder=asker.folder))
    (asker.folder / "senders").write_text("spam.example  permit_mynetworks, reject\n")
    _, said = asker.session("80.62.116.127", "a@spam.example", "x@ours.example")
    lines = said.splitlines()
    outer = next(line for line in lines if "check_sender_access" in line)
    inner = next(line for line in lines if line.strip(" *") == "reject")
    assert len(inner) - len(inner.lstrip(" *")) > len(outer) - len(outer.lstrip(" *"))


def test_a_user_who_is_not_there(asker: Asker) -> None:
    asker.configure("local_recipient_maps = inline:{known=x}\n")
    status, said = asker.session("192.168.87.2", "a@b.example", "nobody@ours.example")
    assert status == 1
    assert "User unknown in local recipient table" in said
    assert "The address is in no table of users" in said


def test_a_line_of_the_log(asker: Asker) -> None:
    line = (
        "Nov 22 20:00:00 mx postfix/smtpd[33]: NOQUEUE: reject: RCPT from unknown[80.62.116.127]: 454 4.7.1 "
        "<x@gmail.example>: Relay access denied; from=<a@b.example> to=<x@gmail.example> proto=ESMTP helo=<laptop>"
    )
    status, said = asker.ask(line)
    assert status == 1
    assert "Client unknown[80.62.116.127], EHLO laptop" in said
    assert "MAIL FROM <a@b.example>, RCPT TO <x@gmail.example>" in said


def test_another_listener(asker: Asker) -> None:
    master = "smtp inet n - n - - smtpd\n587 inet n - n - - smtpd -o smtpd_relay_restrictions=reject\n"
    asker.configure("", master)
    status, said = asker.session("192.168.87.2", "a@b.example", "x@gmail.example", "--listener", "587")
    assert status == 1
    assert "it holds for everybody" in said


def test_who_has_logged_in(asker: Asker) -> None:
    asker.configure("smtpd_sasl_auth_enable = yes\n")
    status, said = asker.session("80.62.116.127", "a@b.example", "x@gmail.example", "--sasl", "jane")
    assert status == 0
    assert "the client has logged in as jane" in said


def test_json(asker: Asker) -> None:
    _, said = asker.session("80.62.116.127", "a@b.example", "x@gmail.example", "--json")
    told = json.loads(said)
    assert told["reply"].startswith("454 4.7.1")
    assert told["events"][told["decisive"]]["restriction"] == "defer_unauth_destination"


@pytest.mark.parametrize(
    "options", [[], ["--client", "nonsense"], ["a line of nothing"], ["--client", "::1", "--stage", "TEA"]]
)
def test_a_wrong_command_line(asker: Asker, options: list[str]) -> None:
    assert asker.ask(*options)[0] == 64


def test_a_router_is_not_to_be_let_in(asker: Asker) -> None:
    _, said = asker.session("192.168.87.1", "a@b.example", "x@gmail.example")
    assert "Why: defer_unauth_destination: gmail.example is in none of mydestination" in said
    assert "Leave that as it is if it is a router" in said
    assert "add 192.168.87.1 to mynetworks" not in said


def test_what_no_restriction_says(asker: Asker) -> None:
    asker.configure("smtpd_helo_required = yes\n")
    line = "reject: RCPT from unknown[80.62.116.127]: 450 4.7.1 x; from=<a@b.example> to=<x@ours.example> proto=SMTP"
    status, said = asker.ask(line)
    assert status == 1
    assert "Answer: 503 5.5.1 Error: send HELO/EHLO first" in said
    assert "The client has to say HELO or EHLO first (smtpd_helo_required = yes)." in said


def test_an_address_that_is_none(asker: Asker) -> None:
    status, said = asker.session("192.168.87.2", "a@b.example", "x@ours..example")
    assert status == 1
    assert "Answer: 501 5.1.3 Bad recipient address syntax" in said


def test_addresses_are_not_probed(asker: Asker) -> None:
    asker.configure("smtpd_recipient_restrictions = reject_unverified_recipient, permit\n")
    status, said = asker.session("192.168.87.2", "a@b.example", "x@ours.example")
    assert status == 0
    assert "explain sends no probe of its own" in said


def test_a_line_of_another_listener(asker: Asker) -> None:
    strict = "-o syslog_name=postfix/submission -o smtpd_relay_restrictions=reject"
    asker.configure("", f"smtp inet n - n - - smtpd\n587 inet n - n - - smtpd {strict}\n")
    said = (
        "NOQUEUE: reject: RCPT from unknown[192.168.87.2]: 554 5.7.1 no; from=<a@b.example> to=<x@y.example> proto=SMTP"
    )
    assert "at listener 587" in asker.ask(f"mx postfix/submission/smtpd[3]: {said}")[1]
    assert "at listener smtp" in asker.ask(f"mx postfix/smtpd[3]: {said}")[1]

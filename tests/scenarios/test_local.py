"""A stranger writes to the users of this host: mailboxes, aliases, users who have moved, users who do not exist."""

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, system_user, temporary_folder, until

NUMBERS = itertools.count()
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root makes users")

MAIN_CF = """\
myhostname = mail.home.example
myorigin = home.example
mydestination = home.example
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{peer}
local_recipient_maps =
virtual_alias_maps = inline:{{ sales@home.example=alice@far.example }}
relocated_maps = inline:{{ gone@home.example=new@far.example }}
alias_maps = hash:{aliases}
home_mailbox = {mailbox}
mail_spool_directory = {spool}
"""
ALIASES = """\
team: bob@far.example, carol@far.example
postmaster: {alice}
"""


class Home:
    """A server with two local users, and the world beyond it."""

    def __init__(self, folder: Path, alice: str, bob: str, user: str, mailbox: str) -> None:
        self.folder = folder
        self.alice, self.bob = alice, bob
        self.peer = Peer()
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.spool.chmod(0o1777)
        aliases = folder / "aliases"
        aliases.write_text(ALIASES.format(alice=alice))
        main_cf = MAIN_CF.format(peer=self.peer.port, aliases=aliases, mailbox=mailbox, spool=self.spool)
        self.server = Gatepost(folder, main_cf, user=user)

    def mail(self, recipient: str, text: str = "Hello.") -> str:
        return self.server.send("stranger@far.example", recipient, f"Subject: test\r\n\r\n{text}\r\n")

    def stop(self) -> None:
        self.server.stop()
        self.peer.stop()


def _homes(mailbox: str, user: str, *options: str) -> Iterator[Home]:
    number = f"{os.getpid()}{next(NUMBERS)}"
    alice, bob = f"gp{number}a", f"gp{number}b"
    with (
        temporary_folder() as folder,
        system_user(alice, folder / "alice"),
        system_user(bob, folder / "bob"),
    ):
        home = Home(folder, alice, bob, alice if user == "alice" else "", mailbox)
        try:
            home.server.start(*options)
            yield home
        finally:
            home.stop()


@pytest.fixture(scope="module")
def maildirs() -> Iterator[Home]:
    yield from _homes("Maildir/", "root")


@pytest.fixture(scope="module")
def mboxes() -> Iterator[Home]:
    yield from _homes("", "root")


@pytest.fixture(scope="module", params=["processes", "single-process"])
def private(request: pytest.FixtureRequest) -> Iterator[Home]:
    """Run by alice, an ordinary user."""
    yield from _homes("Maildir/", "alice", *(["--single-process"] if request.param == "single-process" else []))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


@needs_root
def test_it_arrives_in_the_maildir_and_belongs_to_the_user(maildirs: Home) -> None:
    queue_id = maildirs.mail(f"{maildirs.bob}@home.example", "For Bob.")
    line = maildirs.server.wait_log(f"{queue_id}: to=")
    assert re.search(
        rf"postfix/local\[\d+\]: {queue_id}: to=<{maildirs.bob}@home\.example>, relay=local, delay=.*, "
        r"dsn=2\.0\.0, status=sent \(delivered to maildir\)$",
        line,
    ), line
    maildirs.server.wait_log(f"{queue_id}: removed")
    (path,) = files(maildirs.folder / "bob" / "Maildir" / "new")
    text = path.read_text()
    assert text.startswith("Return-Path: <stranger@far.example>\nX-Original-To: ")
    assert f"\nDelivered-To: {maildirs.bob}@home.example\n" in text
    assert text.endswith("\n\nFor Bob.\n")
    assert path.owner() == maildirs.bob and path.stat().st_mode & 0o777 == 0o600


@needs_root
def test_it_arrives_in_the_mbox_and_belongs_to_the_user(mboxes: Home) -> None:
    for text in ("First.", "From here."):
        mboxes.server.wait_log(f"{mboxes.mail(f'{mboxes.bob}@home.example', text)}: removed")
    path = mboxes.spool / mboxes.bob
    text = path.read_text()
    assert len(re.findall(r"^From stranger@far\.example  \w{3} ", text, re.M)) == 2
    assert "\n>From here.\n" in text
    assert path.owner() == mboxes.bob and path.stat().st_mode & 0o777 == 0o600
    assert mboxes.server.log_lines(r"status=sent \(delivered to mailbox\)")


@needs_root
def test_an_alias_sends_on(maildirs: Home) -> None:
    queue_id = maildirs.mail("team@home.example", "For the team.")
    line = maildirs.server.wait_log(f"{queue_id}: to=")
    forwarded = re.search(
        r"to=<team@home\.example>, relay=local, .* dsn=2\.0\.0, status=sent \(forwarded as (\w+)\)$", line
    )
    assert forwarded, line
    maildirs.server.wait_log(f"{forwarded[1]}: removed")
    (message,) = [m for m in maildirs.peer.messages if "For the team." in m.content]
    assert sorted(message.recipients) == ["bob@far.example", "carol@far.example"]
    assert message.sender == "stranger@far.example"
    assert "\nDelivered-To: team@home.example\n" in f"\n{message.content}"


@needs_root
def test_an_alias_for_a_local_user_and_a_virtual_alias(maildirs: Home) -> None:
    queue_id = maildirs.mail("postmaster@home.example", "For the postmaster.")
    maildirs.server.wait_log(f"{queue_id}: removed")
    until(
        lambda: any(
            "For the postmaster." in p.read_text() for p in files(maildirs.folder / "alice" / "Maildir" / "new")
        ),
        "mail",
    )
    queue_id = maildirs.mail("sales@home.example", "For sales.")
    line = maildirs.server.wait_log(f"{queue_id}: to=")
    assert ": to=<alice@far.example>, orig_to=<sales@home.example>, relay=127.0.0.1[127.0.0.1]:" in line
    maildirs.server.wait_log(f"{queue_id}: removed")


@needs_root
def test_unknown_and_moved_users_bounce(maildirs: Home) -> None:
    queue_id = maildirs.mail("nosuch@home.example", "For nobody.")
    line = maildirs.server.wait_log(f"{queue_id}: to=")
    assert line.endswith('dsn=5.1.1, status=bounced (unknown user: "nosuch")'), line
    maildirs.server.wait_log(f"{queue_id}: sender non-delivery notification: ")
    client = maildirs.server.client()
    client.say("MAIL FROM:<stranger@far.example>")
    assert client.say("RCPT TO:<gone@home.example>") == (
        "550 5.1.6 <gone@home.example>: Recipient address rejected: User has moved to new@far.example"
    )
    client.close()
    until(lambda: any('unknown user: "nosuch"' in m.content for m in maildirs.peer.messages), "bounce")


@needs_root
def test_an_ordinary_user_delivers_to_himself_only(private: Home) -> None:
    queue_id = private.mail(f"{private.alice}@home.example", "For me.")
    private.server.wait_log(f"{queue_id}: removed")
    assert files(private.folder / "alice" / "Maildir" / "new"), private.server.log()
    (path,) = [p for p in files(private.folder / "alice" / "Maildir" / "new") if "For me." in p.read_text()]
    assert path.owner() == private.alice
    queue_id = private.mail(f"{private.bob}@home.example", "For another.")
    line = private.server.wait_log(f"{queue_id}: to=")
    assert line.endswith(f"status=deferred (delivery to user {private.bob} needs a service that runs as root)"), line
    listed = private.server.command("mailq").stdout
    assert queue_id in listed and f"(delivery to user {private.bob} needs a service that runs as root)" in listed
    assert not files(private.folder / "bob")

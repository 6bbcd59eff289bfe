"""Log lines and statuses as Postfix 3.7's local(8) gives them."""

import os
import pwd
from pathlib import Path
from zlib import crc32

import pytest

from gatepost.cleanup.interface import QueueFull
from gatepost.delivery.local import LocalAgent, LocalParts, system_user
from gatepost.delivery.mailbox import Identity
from gatepost.delivery.virtual import VirtualAgent
from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient
from gatepost.mail.envelope import NOTIFY_FAILURE, NOTIFY_SUCCESS, PROBE, Message, Origin, Recipient
from gatepost.mail.status import RecipientStatus
from gatepost.tables.table import LookupTemporaryFailure
from tests.cleanup.entrance import Entrance
from tests.delivery.requests import NOW, Log, request

ME = Identity("anna", os.getuid(), os.getgid(), "/nonexistent")
OTHER = Identity("other", os.getuid() + 1, os.getgid(), "/nonexistent")


class Host:
    """A host with the user anna and a mail spool in a folder."""

    def __init__(self, folder: Path, aliases: str = "", **changes: str) -> None:
        self.spool = folder
        self.entrance = Entrance(
            mail_spool_directory=str(folder),
            recipient_delimiter="+",
            myorigin="ours.example",
            mydestination="ours.example localhost",
            alias_maps=f"inline:{{ {aliases} }}" if aliases else "",
            **changes,
        )
        self.log = Log("local")
        services = self.entrance.services
        parts = LocalParts(
            aliases=services.all.aliases,
            is_local_domain=services.all.local_domains.is_local_domain,
            cleanup=self.entrance.cleanup,
            open_content=lambda name: (folder / name).open("rb"),
            find_user={"anna": ME, "other": OTHER}.get,
            clock=lambda: NOW,
            hostname="vm",
        )
        self.agent = LocalAgent(services.settings, self.log.program, parts)

    async def deliver(self, *recipients: str | DeliveryRecipient, **more: object) -> DeliveryDone:
        return await self.agent.deliver(request(*recipients, **more))

    @property
    def lines(self) -> list[str]:
        """Without what every line has."""
        return [
            line.replace("4A1B2C3D4E: ", "").replace("relay=local, delay=2, delays=1/1/0/0, ", "")
            for line in self.log.lines
        ]

    @property
    def forwarded(self) -> list[Message]:
        return self.entrance.messages


async def test_mailbox(tmp_path: Path) -> None:
    host = Host(tmp_path)
    done = await host.deliver("Anna+ext@ours.example")
    assert done.statuses == [
        RecipientStatus(0, "sent", "2.0.0", "local", "delivered to mailbox", dsn_action="delivered")
    ]
    assert (done.request_id, done.queue_id) == (7, "4A1B2C3D4E")
    assert host.lines == ["to=<Anna+ext@ours.example>, dsn=2.0.0, status=sent (delivered to mailbox)"]
    head = "X-Original-To: Anna+ext@ours.example\nDelivered-To: Anna+ext@ours.example\nSubject: x\n"
    assert head in (tmp_path / "anna").read_text()


async def test_content_from_a_file(tmp_path: Path) -> None:
    host = Host(tmp_path)
    (tmp_path / "content").write_bytes(b"Subject: big\n\nbody\n")
    await host.deliver("anna@ours.example", "anna+2@ours.example", content=b"", content_file="content")
    assert (tmp_path / "anna").read_text().count("Subject: big\n\nbody\n") == 2
    done = await host.deliver("anna@ours.example", content=b"", content_file="gone")
    assert (done.statuses[0].action, done.statuses[0].text) == ("deferred", "cannot open message content")


async def test_maildirs(tmp_path: Path) -> None:
    await Host(tmp_path).agent.close()
    spool = Host(tmp_path, mailbox_size_limit="0")
    spool.entrance.services.settings.__dict__["mail_spool_directory"] = f"{tmp_path}/"
    await spool.deliver("anna@ours.example")
    assert len(list((tmp_path / "anna" / "new").iterdir())) == 1
    assert spool.lines == ["to=<anna@ours.example>, dsn=2.0.0, status=sent (delivered to maildir)"]


@pytest.mark.parametrize(("home_mailbox", "result"), [("Maildir/", "maildir"), ("mbox", "mailbox")])
async def test_home_mailbox(tmp_path: Path, home_mailbox: str, result: str) -> None:
    host = Host(tmp_path, home_mailbox=home_mailbox)
    at_home = Identity("anna", os.getuid(), os.getgid(), str(tmp_path))
    parts = host.agent._parts
    host.agent._parts = LocalParts(
        parts.aliases, parts.is_local_domain, parts.cleanup, parts.open_content, lambda name: at_home, parts.clock, "vm"
    )
    await host.deliver("anna@ours.example")
    assert host.lines == [f"to=<anna@ours.example>, dsn=2.0.0, status=sent (delivered to {result})"]
    assert (tmp_path / home_mailbox).exists()


async def test_a_user_who_cannot_be_looked_up_now(tmp_path: Path) -> None:
    def cannot(name: str) -> Identity | None:
        raise LookupTemporaryFailure("unix:passwd.byname", name, "Too many open files")

    host = Host(tmp_path)
    parts = host.agent._parts
    host.agent._parts = LocalParts(
        parts.aliases, parts.is_local_domain, parts.cleanup, parts.open_content, cannot, parts.clock, "vm"
    )
    for name in ("anna", "postmaster"):
        done = await host.deliver(f"{name}@ours.example")
        status = done.statuses[0]
        assert (status.action, status.dsn, status.text) == ("deferred", "4.0.0", "user lookup error")
    assert "warning: error looking up passwd info for anna: Too many open files" in "\n".join(host.lines)


async def test_unknown_users(tmp_path: Path) -> None:
    host = Host(tmp_path)
    done = await host.deliver("NoBody2+X@ours.example", "no b@ours.example", "\0@ours.example")
    assert [(status.action, status.dsn, status.text) for status in done.statuses] == [
        ("bounced", "5.1.1", 'unknown user: "nobody2"'),
        ("bounced", "5.1.1", 'unknown user: "no b"'),
        ("bounced", "5.1.1", 'unknown user: "\0"'),
    ]
    assert host.lines[1] == 'to=<"no b"@ours.example>, dsn=5.1.1, status=bounced (unknown user: "no b")'


async def test_postmaster_must_be_there(tmp_path: Path) -> None:
    host = Host(tmp_path)
    await host.deliver("Postmaster+x@ours.example")
    assert host.lines == [
        "warning: required alias not found: postmaster",
        "to=<Postmaster+x@ours.example>, dsn=2.0.0, status=sent (discarded)",
    ]


async def test_loop(tmp_path: Path) -> None:
    host = Host(tmp_path)
    await host.deliver("anna@ours.example", content=b"X: y\nDelivered-To:  Anna@OURS.example\n\nDelivered-To: b@x\n")
    assert host.lines == [
        "to=<anna@ours.example>, dsn=5.4.6, status=bounced (mail forwarding loop for anna@ours.example)"
    ]


ALIASES = (
    "{fred = barney@else.example, wilma@else.example}, {bob = anna}, {mix = anna, x@else.example}, "
    "{self = self, y@else.example}, {cmd = |/bin/true}, {list = a@else.example}, {owner-list = boss}"
)


async def test_alias_to_other_hosts(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    recipient = DeliveryRecipient(0, "fred@ours.example", "fred", NOTIFY_SUCCESS | NOTIFY_FAILURE, "rfc822;f@x")
    origin = Origin("a", "192.0.2.1", context="local")
    done = await host.deliver(recipient, ret="HDRS", envid="e", body="8bitmime", origin=origin)
    (message,) = host.forwarded
    assert done.statuses == [RecipientStatus(0, "sent", "2.0.0", "local", "alias expanded", dsn_action="expanded")]
    assert host.lines == [
        f"to=<fred@ours.example>, orig_to=<fred>, dsn=2.0.0, status=sent (forwarded as {message.queue_id})"
    ]
    assert message.sender == "me@client.example"
    assert message.recipients == [
        Recipient(f"{name}@else.example", "fred", NOTIFY_FAILURE, "rfc822;f@x") for name in ("barney", "wilma")
    ]
    assert (message.ret, message.envid, message.body) == ("HDRS", "e", "8bitmime")
    assert message.content.startswith(
        b"Received: by mail.ours.example (Postfix)\n\tid 0000000001; Sun, 22 Nov 2026 15:35:16 +0000 (GMT)\n"
        b"Delivered-To: fred@ours.example\nSubject: x\n"
    )


async def test_forwarding_large_content(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    (tmp_path / "content").write_bytes(b"Subject: big\n\n" + b"x" * 200000 + b"\n")
    await host.deliver("fred@ours.example", content=b"", content_file="content")
    assert host.entrance.writer.content(host.forwarded[0]).endswith(b"\n\n" + b"x" * 200000 + b"\n")


async def test_alias_to_local_users(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    done = await host.deliver("bob@ours.example", "mix@ours.example")
    (message,) = host.forwarded
    assert [status.text for status in done.statuses] == ["delivered to mailbox", "alias expanded"]
    assert host.lines == [
        "to=<anna@ours.example>, orig_to=<bob@ours.example>, dsn=2.0.0, status=sent (delivered to mailbox)",
        "to=<anna@ours.example>, orig_to=<mix@ours.example>, dsn=2.0.0, status=sent (delivered to mailbox)",
        f"to=<mix@ours.example>, dsn=2.0.0, status=sent (forwarded as {message.queue_id})",
    ]
    assert (tmp_path / "anna").read_text().count(
        "X-Original-To: bob@ours.example\nDelivered-To: bob@ours.example\n"
    ) == 1
    assert [recipient.address for recipient in message.recipients] == ["x@else.example"]


async def test_worst_outcome_counts(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    done = await host.deliver("self@ours.example")
    assert (done.statuses[0].action, done.statuses[0].text) == ("bounced", 'unknown user: "self"')
    assert [message.recipients[0].address for message in host.forwarded] == ["y@else.example"]
    (tmp_path / "anna.lock").touch()
    host.agent._mbox = type(host.agent._mbox)(type(host.agent._mbox.lock)(attempts=1))
    done = await host.deliver("mix@ours.example")
    assert done.statuses[0].action == "deferred"
    assert len(host.forwarded) == 1


async def test_owner_becomes_the_sender(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    await host.deliver("list@ours.example")
    await host.deliver("list@ours.example", sender="")
    assert [message.sender for message in host.forwarded] == ["owner-list@ours.example", ""]


async def test_aliases_that_cannot_be_used(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    assert (await host.deliver("cmd@ours.example")).statuses[0].action == "deferred"
    host.entrance.writer.failure = QueueFull()
    assert (await host.deliver("fred@ours.example")).statuses[0].text == "unable to forward message"
    broken = Host(tmp_path)
    broken.entrance = Entrance(alias_maps="fail:x", mydestination="ours.example")
    services = broken.entrance.services
    parts = LocalParts(
        services.all.aliases,
        services.all.local_domains.is_local_domain,
        broken.entrance.cleanup,
        lambda name: None,  # type: ignore[arg-type,return-value]
    )
    agent = LocalAgent(services.settings, broken.log.program, parts)
    (status,) = (await agent.deliver(request("anna@ours.example"))).statuses
    assert (status.dsn, status.text) == ("4.3.0", "alias database unavailable")


async def test_too_many_hops_when_forwarded(tmp_path: Path) -> None:
    host = Host(tmp_path, ALIASES)
    done = await host.deliver("fred@ours.example", content=b"Received: x\n" * 60 + b"\n")
    assert (done.statuses[0].action, done.statuses[0].dsn) == ("bounced", "5.4.0")


@pytest.mark.skipif(os.getuid() == 0, reason="root delivers to everybody")
async def test_without_root_only_our_own_mail(tmp_path: Path) -> None:
    host = Host(tmp_path)
    done = await host.deliver("other@ours.example")
    assert (done.statuses[0].action, done.statuses[0].text) == (
        "deferred",
        "delivery to user other needs a service that runs as root",
    )


def test_system_user() -> None:
    mine = pwd.getpwuid(os.getuid())
    assert system_user(mine.pw_name) == Identity(mine.pw_name, mine.pw_uid, mine.pw_gid, mine.pw_dir)
    assert system_user("no such user") is None
    assert system_user("\0") is None


async def test_virtual_mailboxes_wait() -> None:
    log = Log("virtual")
    agent = VirtualAgent(Entrance().services.settings, log.program)
    done = await agent.deliver(request("a@x.example"))
    assert (done.statuses[0].action, done.statuses[0].dsn) == ("deferred", "4.3.5")
    assert "delivery to virtual mailboxes is not supported yet" in log.lines[0]
    await agent.close()


@pytest.mark.parametrize(
    ("address", "aliases", "dsn", "text"),
    [
        ("anna@ours.example", "", "2.0.0", "deliverable (delivers to mailbox)"),
        ("anna+x@ours.example", "", "2.0.0", "deliverable (delivers to mailbox)"),
        ("other@ours.example", "", "2.0.0", "deliverable (delivers to mailbox)"),
        ("nobody@ours.example", "", "5.1.1", 'undeliverable (unknown user: "nobody")'),
        ("info@ours.example", "{ info = a@x.example, anna }", "2.0.0", "deliverable (aliased to a@x.example, anna)"),
        ("file@ours.example", "{ file = /var/mail/x }", "2.0.0", "deliverable (aliased to /var/mail/x)"),
        ("postmaster@ours.example", "", "2.0.0", "deliverable (discarded)"),
    ],
)
async def test_probes_are_answered_not_delivered(
    tmp_path: Path, address: str, aliases: str, dsn: str, text: str
) -> None:
    host = Host(tmp_path, aliases)
    done = await host.deliver(address, trace=PROBE)
    assert [status.dsn for status in done.statuses] == [dsn]
    assert host.lines[-1].endswith(f"to=<{address}>, dsn={dsn}, status={text}")
    assert not list(tmp_path.iterdir()) and not host.entrance.writer.messages


async def test_a_probe_tells_of_a_maildir(tmp_path: Path) -> None:
    host = Host(tmp_path, home_mailbox="Maildir/")
    await host.deliver("anna@ours.example", trace=PROBE)
    assert host.lines[-1].endswith("status=deliverable (delivers to maildir)")


LARGE = b"Subject: big\n\nbody\n"


@pytest.mark.parametrize("way", ["mbox", "maildir", "alias"])
async def test_content_that_has_changed_on_the_disk_is_delivered_to_nobody(tmp_path: Path, way: str) -> None:
    host = Host(tmp_path, "{anna = anna, bob@far.example}" if way == "alias" else "")
    if way == "maildir":
        host.entrance.services.settings.__dict__["mail_spool_directory"] = f"{tmp_path}/"
    else:
        (tmp_path / "anna").write_text("From before\n\n")
    (tmp_path / "content").write_bytes(LARGE.replace(b"body", b"b\xefdy"))
    done = await host.deliver("anna@ours.example", content=b"", content_file="content", checksum=crc32(LARGE))
    assert done.damaged and [status.action for status in done.statuses] == ["deferred"]
    assert "content file checksum mismatch" in host.lines[0]
    if way == "maildir":
        assert not [*(tmp_path / "anna" / "new").iterdir(), *(tmp_path / "anna" / "tmp").iterdir()]
    else:
        assert (tmp_path / "anna").read_text() == "From before\n\n"
    assert not host.forwarded


async def test_changed_content_is_not_forwarded(tmp_path: Path) -> None:
    host = Host(tmp_path, "list=bob@far.example")
    (tmp_path / "content").write_bytes(LARGE.replace(b"body", b"b\xefdy"))
    done = await host.deliver("list@ours.example", content=b"", content_file="content", checksum=crc32(LARGE))
    assert done.damaged and done.statuses[0].action == "deferred" and not host.forwarded
    (tmp_path / "content").write_bytes(LARGE)
    done = await host.deliver("list@ours.example", content=b"", content_file="content", checksum=crc32(LARGE))
    assert not done.damaged and len(host.forwarded) == 1

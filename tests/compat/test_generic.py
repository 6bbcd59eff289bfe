"""smtp_generic_maps: what leaves Postfix and what leaves us for the same mail."""

import random
import re
import smtplib
import time
from pathlib import Path
from zlib import crc32

import pytest

from gatepost.delivery.smtp_generic import GenericSmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest
from gatepost.mail.address import parse_path
from gatepost.rewrite.canonical import generic_maps
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.stored_mail import Mail, header_list
from tests.compat.test_canonical import NAMES
from tests.rewrite.services import Services
from tests.scenarios.peers import Peer, Received
from tests.scenarios.server import until

MAIN_CF = """\
myhostname = mx.our.example
mydestination =
inet_interfaces = 127.0.0.1
compatibility_level = 3.6
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_header_rewrite_clients =
local_recipient_maps =
alias_maps =
relayhost = [127.0.0.1]:{port}
recipient_delimiter = +
propagate_unmatched_extensions = {propagate}
smtp_generic_maps = inline:{{{{c@x.example = g@y.example}}, {{g@y.example = gg@y.example}},
 {{@dom.example = @new.example}},
 {{multi@x.example = a@y.example, b@y.example}}, {{ext@x.example = mapped@y.example}}, {{bare@mx.our.example = bare2}},
 {{"q r"@x.example = "s t"@y.example}}, {{self@x.example = SELF@X.example}}}}
"""
ADDRESSES = """c@x.example C@X.Example u@dom.example u+e@dom.example multi@x.example ext+foo@x.example EXT+Foo@x.example
bare@mx.our.example self@x.example none@x.example"""


def mails() -> list[Mail]:
    found = []
    for address in [*ADDRESSES.split(), '"q r"@x.example']:
        headers = f"From: {address}\nTo: Joe <{address}>, o@x.example,\n\tThird (but) <{address}>\nSubject: x\n"
        found.append(Mail(address, [address], headers))
    found.append(Mail("c@x.example", ["c@x.example"], "".join(f"{name}: c@x.example\n" for name in NAMES)))
    found.append(Mail("", ["c@x.example"], "To: c@x.example\nCC:c@x.example\nFrom:\n"))
    long = ",\n ".join(f"Number {number} <c@x.example>" for number in range(20))
    found.append(
        Mail("o@x.example", ["o@x.example"], f"From: o@x.example\nTo: {long}\nCc: {long.replace('c@', 'o@')}\n")
    )
    found.append(Mail("o@x.example", ["o@x.example"], "To: c@x.example\n", body="a large line\n" * 20_000))
    return found


def seen(message: Received) -> tuple[str, list[str], list[str], str]:
    head, _, body = message.content.replace("\r\n", "\n").partition("\n\n")
    return message.sender, message.recipients, header_list(head), body


class Ours:
    """Our agent, with the same configuration."""

    def __init__(self, main_cf: str, folder: Path, port: int) -> None:
        services = Services(main_cf)
        generic = generic_maps(services.settings, services.tables, services.all.rewriter, services.all.local_domains)
        assert generic is not None
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self._folder, self._port = folder, port
        self.agent = GenericSmtpAgent(
            generic, SmtpParams(myhostname="mx.our.example", helo_name="mx.our.example"), FakeResolver(), None,
            self.lines.append, self.warnings.append, time.time, random.Random(1),
            open_content=lambda name: (folder / name).open("rb"),
        )  # fmt: skip

    async def deliver(self, mail: Mail, *, by_file: bool = False) -> DeliveryDone:
        sender, recipient = (
            parse_path(f"<{address}>", strict=False) or "" for address in (mail.sender, *mail.recipients)
        )
        content = f"{mail.headers}\n{mail.body}".encode()
        if by_file:
            (self._folder / "content").write_bytes(content)
        request = DeliveryRequest(
            request_id=7, epoch=1, queue_id="ABC", transport="smtp", nexthop=f"[127.0.0.1]:{self._port}", sender=sender,
            recipients=[DeliveryRecipient(0, recipient)], size=len(content), arrival=time.time(), active=time.time(),
            content=b"" if by_file else content, content_file="content" if by_file else "",
        )  # fmt: skip
        return await self.agent.deliver(request)


@pytest.mark.parametrize("propagate", ["canonical, virtual", "generic"])
async def test_the_same_leaves(propagate: str, tmp_path: Path) -> None:
    need_postfix()
    peer = Peer("127.0.0.1")
    main_cf = MAIN_CF.format(port=peer.port, propagate=propagate)
    ours = Ours(main_cf, tmp_path, peer.port)
    with RealPostfix({"in": {}}, main_cf) as server:
        for mail in mails():
            before = len(peer.messages)
            with smtplib.SMTP("127.0.0.1", server.ports["in"], timeout=60) as client:
                client.helo("client.example")
                client.sendmail(mail.sender, mail.recipients, f"{mail.headers}\n{mail.body}")
            until(lambda count=before: len(peer.messages) > count, "the message")
            rcpt = [command for command in peer.commands if command.startswith("RCPT")][-1]
            theirs = seen(peer.messages[-1])
            for by_file in (False, True):
                done = await ours.deliver(mail, by_file=by_file)
                assert done.statuses[0].action == "sent"
                assert seen(peer.messages[-1]) == theirs
                assert [command for command in peer.commands if command.startswith("RCPT")][-1] == rcpt
        log = server.log()
    await ours.agent.close()
    peer.stop()
    multi = re.findall(r"warning: (multi-valued .*)", log)
    assert sorted(line for line in ours.warnings if "multi-valued" in line) == sorted(multi * 2)
    assert any("to=<c@x.example>" in line for line in ours.lines)


async def test_a_table_that_cannot_tell_defers(tmp_path: Path) -> None:
    main_cf = MAIN_CF.format(port=1, propagate="").partition("smtp_generic_maps")[0] + "smtp_generic_maps = fail:x\n"
    ours = Ours(main_cf, tmp_path, 1)
    done = await ours.deliver(Mail("a@x.example", ["b@x.example"], "To: c@x.example\n"))
    status = done.statuses[0]
    assert (status.action, status.dsn, status.text) == ("deferred", "4.3.0", "unknown mail transport error")
    assert "smtp_generic_maps map lookup problem for b@x.example" in ours.warnings


async def test_a_content_file_that_is_gone_defers(tmp_path: Path) -> None:
    ours = Ours(MAIN_CF.format(port=1, propagate=""), tmp_path, 1)
    mail = Mail("a@x.example", ["b@x.example"], "To: c@x.example\n")
    await ours.deliver(mail, by_file=True)
    (tmp_path / "content").unlink()
    request = DeliveryRequest(
        request_id=7, epoch=1, queue_id="ABC", transport="smtp", nexthop="[127.0.0.1]:1", sender="a@x.example",
        recipients=[DeliveryRecipient(0, "b@x.example")], size=9, arrival=0.0, active=0.0, content_file="content",
    )  # fmt: skip
    assert (await ours.agent.deliver(request)).statuses[0].text == "cannot open message content"


@pytest.mark.parametrize("part", [b"c@x.example", b"text"])
async def test_a_content_file_that_has_changed_goes_to_nobody(part: bytes, tmp_path: Path) -> None:
    """In the headers, which are read beforehand, or behind them."""
    peer = Peer("127.0.0.1")
    ours = Ours(MAIN_CF.format(port=peer.port, propagate="generic"), tmp_path, peer.port)
    content = b"To: c@x.example\n\ntext\n" * 9000
    for written, action in ((content, "sent"), (content.replace(part, part[::-1], 1), "deferred")):
        (tmp_path / "content").write_bytes(written)
        request = DeliveryRequest(
            request_id=7, epoch=1, queue_id="ABC", transport="smtp", nexthop=f"[127.0.0.1]:{peer.port}",
            sender="a@x.example", recipients=[DeliveryRecipient(0, "b@x.example")], size=9, arrival=0.0, active=0.0,
            content_file="content", checksum=crc32(content),
        )  # fmt: skip
        done = await ours.agent.deliver(request)
        assert (done.statuses[0].action, done.damaged) == (action, action == "deferred")
    await ours.agent.close()
    peer.stop()
    assert len(peer.messages) == 1

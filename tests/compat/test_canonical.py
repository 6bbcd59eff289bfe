"""Canonical maps, masquerading and virtual aliases on the same mail: what Postfix stores, and what we store."""

from collections.abc import Iterator
from types import MappingProxyType

import pytest

from gatepost.cleanup.interface import Transaction
from gatepost.mail.address import parse_path
from gatepost.mail.envelope import Origin, Recipient
from tests.cleanup.entrance import Entrance
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.stored_mail import HOLDING, LISTENERS, Mail, Refused, Stored, header_list, stored_by_postfix

TABLES = """\
recipient_delimiter = +
canonical_maps = inline:{{c@x.example = c-mapped@y.example}, {@dom.example = @newdom.example},
 {ring1@x.example = ring2@x.example}, {ring2@x.example = ring1@x.example}, {multi@x.example = a@y.example, b@y.example},
 {self@x.example = SELF@X.example}, {bare@our.example = bare2}, {local = local-mapped@z.example},
 {both@x.example = both-c@x.example}, {both-s@x.example = both-sc@x.example}, {ext@x.example = mapped@y.example},
 {"q r"@x.example = "s t"@y.example}, {chain1@x.example = chain2@x.example}, {chain2@x.example = chain3@x.example},
 {name@x.example = Some Name <named@y.example>}, {bad@x.example = ,}, {odd@x.example = o'brien@y.example},
 {route@x.example = @relay.example:u@y.example}, {percent@x.example = u%in.example}, {null@x.example = <>}}
sender_canonical_maps = inline:{{both@x.example = both-s@x.example}, {s@x.example = s-mapped@y.example}}
recipient_canonical_maps = inline:{{both@x.example = both-r@x.example}, {r@x.example = r-mapped@y.example},
 {to-masked@x.example = u@host.m.example}}
masquerade_domains = !keep.m.example, m.example, UP.example, .dot.example
masquerade_exceptions = root, inline:{tab=x}, POST
virtual_alias_maps = inline:{{c-mapped@y.example = v1@z.example v2@z.example}, {c@x.example = never@z.example},
 {chain3@x.example = c@x.example}}
"""
CLASSES = """\
canonical_maps = inline:{{c@x.example = cc@y.example}}
canonical_classes = header_recipient
sender_canonical_maps = inline:{{s@x.example = ss@y.example}}
sender_canonical_classes = header_sender
recipient_canonical_maps = inline:{{r@x.example = rr@y.example}}
recipient_canonical_classes = envelope_recipient
masquerade_domains = m.example
masquerade_classes = envelope_recipient, header_sender
propagate_unmatched_extensions =
recipient_delimiter = +
remote_header_rewrite_domain = unknown.invalid
always_add_missing_headers = yes
"""
CONFIGURATIONS = MappingProxyType({"tables": TABLES, "classes": CLASSES})

_ADDRESSES = """\
c@x.example C@X.Example u@dom.example u+e@dom.example ring1@x.example multi@x.example self@x.example bare@our.example
local@our.example local+ext@our.example local bare both@x.example ext+foo@x.example EXT+Foo@x.example chain1@x.example
name@x.example bad@x.example "q+r"@x.example o'brien@x.example odd@x.example route@x.example percent@x.example
null@x.example s@x.example r@x.example none@x.example j@m.example j@h.m.example j@g.h.m.example J@H.M.Example
j@keep.m.example j@a.keep.m.example j@hm.example j@h.up.example root@h.m.example tab@h.m.example post@h.m.example
POST@h.m.example j+e@h.m.example root+e@h.m.example j@h.dot.example to-masked@x.example r+e@x.example
"""
_NAMES = """\
Apparently-To Cc Disposition-Notification-To Errors-To From Mail-Followup-To Reply-To Return-Receipt-To Sender To
X-Other Delivered-To Mail-Reply-To Resent-Cc Resent-From Resent-Reply-To Resent-Sender Resent-To
Resent-Message-ID Resent-Date
"""
ADDRESSES = [*_ADDRESSES.split(), '"q r"@x.example', '"j q"@h.m.example']
NAMES = _NAMES.split()


def mails() -> Iterator[Mail]:
    for address in ADDRESSES:
        yield Mail(
            address, [address], f"From: {address}\nTo: Joe <{address}>, o@x.example,\n\tThird (but) <{address}>\n"
        )
    for address in ("both@x.example", "h@host.m.example", "c@x.example", "r@x.example"):
        headers = "".join(f"{name}: {address}\n" for name in NAMES)
        for local in (True, False):
            yield Mail("a@b.example", ["z@b.example"], headers, local)
    for local in (True, False):
        yield Mail("", ["c@x.example", "C@X.example", "r@x.example", "r@x.example"], "Subject: no sender\n", local)
        yield Mail("s@x.example", ["r@x.example"], "Subject: no From, and no To either\n", local)
        yield Mail("both@x.example", ["both@x.example"], "From: joe\nTo: kim@host\nReply-To: c, c@x.example\n", local)
        yield Mail(
            "s@x.example", ["r@x.example"], "FROM : c@x.example\nCc:s@x.example\nTo: list: c@x.example, d;\n", local
        )
        yield Mail(
            "s@x.example", ["c@x.example"], "From: s@x.example\nTo:\nCc: <>\nBcc: c@x.example\nSender: (c)\n", local
        )
    long = ",\n ".join(f"Number {number} <c@x.example>" for number in range(40))
    yield Mail("s@x.example", ["r@x.example"], f"From: c@x.example\nTo: {long}\n")
    yield Mail("s@x.example", ["r@x.example"], "From: c@x.example\nTo: r@x.example\n", body="large line\n" * 30_000)


async def stored_by_us(entrance: Entrance, mail: Mail) -> Stored | Refused:
    origin = Origin(
        "localhost",
        "127.0.0.1",
        "1",
        "localhost",
        "client.example",
        "SMTP",
        context="local" if mail.local else "remote",
    )
    sender, *listed = (parse_path(f"<{address}>", strict=False) or "" for address in (mail.sender, *mail.recipients))
    envelope = Transaction(sender, [Recipient(address) for address in listed], origin)
    content = f"{mail.headers}\n{mail.body}".encode()
    pieces = [content[at : at + 30_000] for at in range(0, len(content), 30_000)]
    result = await entrance.send(*pieces, transaction=envelope, begin=True)
    if result.outcome != "ok":
        return Refused(result.outcome)
    message = entrance.messages[-1]
    recipients = [(recipient.original or recipient.address, recipient.address) for recipient in message.recipients]
    head = entrance.writer.content(message).decode().partition("\n\n")[0]
    return Stored(message.sender, recipients, header_list(head))


@pytest.mark.parametrize("name", list(CONFIGURATIONS))
async def test_postfix_stores_the_same(name: str) -> None:
    need_postfix()
    text = HOLDING + CONFIGURATIONS[name]
    entrance = Entrance(main_cf=text)
    with RealPostfix(LISTENERS, text) as server:
        for mail in mails():
            theirs = stored_by_postfix(server, mail)
            if isinstance(theirs, Refused):
                assert theirs.reply == "451 4.3.0 Error: queue file write error"
                theirs = Refused("write")
            assert await stored_by_us(entrance, mail) == theirs, mail
        for warning in ("multi-valued", "unreasonable", "non-address", "lookup problem"):
            assert _warnings(server.log().splitlines(), warning) == _warnings(entrance.log, warning)


def _warnings(lines: list[str], wanted: str) -> list[str]:
    """What stands behind the queue ID; recipients and senders are mapped in no particular order."""
    return sorted(line.partition("warning: ")[2].split(": ", 1)[-1] for line in lines if wanted in line)

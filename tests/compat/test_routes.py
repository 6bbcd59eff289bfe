"""Where mail goes by sender, by content filter and by table: delivery lines of Postfix and of ours."""

import re
import smtplib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compat.real_postfix import RealPostfix, free_port, need_postfix
from tests.scenarios.server import MASTER_CF, Gatepost, temporary_folder, until

COMMON = """\
myhostname = mail.ours.example
mydomain = ours.example
mydestination = ours.example, mail.ours.example
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
smtp_dns_support_level =
smtp_host_lookup = native
in_flow_delay = 0
compatibility_level = 3.6
relay_domains = relayed.example
local_transport = retry:4.0.0 local
"""
BY_SENDER = """\
relayhost = [127.0.0.1]:2
empty_address_default_transport_maps_lookup_key = nobody
{keys}
sender_dependent_default_transport_maps = inline:{{
  {{ direct@s.example = retry:4.0.0 sent by sender }}, {{ @dom.example = retry:4.0.0 sent by domain }},
  {{ bare@s.example = retry: }}, {{ name@s.example = smtp }}, {{ dunno@s.example = DUNNO }},
  {{ dunno@dom.example = dunno }}, {{ next@s.example = smtp:[127.0.0.1]:3 }},
  {{ both@s.example = smtp:[127.0.0.1]:5 }},
  {{ nobody = retry:4.0.0 sent by nobody }}, {{ <> = retry:4.0.0 brackets }} }}
sender_dependent_relayhost_maps = inline:{{
  {{ both@s.example = [127.0.0.1]:6 }}, {{ relay@s.example = [127.0.0.1]:7 }}, {{ @far.example = [127.0.0.1]:8 }},
  {{ no@far.example = DUNNO }}, {{ ext+one@s.example = [127.0.0.1]:9 }}, {{ ext@s.example = [127.0.0.1]:11 }},
  {{ bare@s.example = [127.0.0.1]:12 }}, {{ name@s.example = [127.0.0.1]:13 }},
  {{ <> = [127.0.0.1]:14 }}, {{ mailer = [127.0.0.1]:15 }},
  {{ list@s.example = [127.0.0.1]:16, [127.0.0.1]:17 }}, {{ blanks@s.example = [127.0.0.1]:16 [127.0.0.1]:17 }} }}
recipient_delimiter = +
transport_maps = inline:{{
  {{ fixed.example = retry:4.0.0 by table }}, {{ hop.example = :[127.0.0.1]:18 }},
  {{ keep.example = : }}, {{ bare.example = retry: }}, {{ two.example = smtp:[127.0.0.1]:19,[127.0.0.1]:20 }} }}
"""
SENDERS = [
    "", "plain@o.example", "direct@s.example", "any@dom.example", "dunno@dom.example", "bare@s.example",
    "name@s.example", "dunno@s.example", "next@s.example", "both@s.example", "relay@s.example", "x@far.example",
    "no@far.example", "ext+one@s.example", "ext+two@s.example", "RELAY@S.Example", "list@s.example",
    "blanks@s.example",
]  # fmt: skip
FILTERED = """\
content_filter = smtp:[127.0.0.1]:2
default_filter_nexthop = {nexthop}
virtual_alias_domains = v.example
virtual_alias_maps = inline:{{ {{ a@v.example = real@else.example, two@[127.0.0.1] }} }}
transport_maps = inline:{{ {{ else.example = retry:4.0.0 delivered }}, {{ [127.0.0.1] = retry:4.0.0 literal }} }}
smtpd_sender_restrictions = check_sender_access inline:{{
  {{ filter@x.example = FILTER smtp:[127.0.0.1]:3 }}, {{ named@x.example = FILTER relay: }} }}
"""
LISTENERS = {
    "main": {},
    "own": {"content_filter": "smtp:[127.0.0.1]:4"},
    "bare": {"content_filter": "relay"},
    "colon": {"content_filter": "relay:"},
    "text": {"content_filter": "retry:4.0.0 filter"},
    "list": {"content_filter": "smtp:[127.0.0.1]:5, [127.0.0.1]:6"},
    "missing": {"content_filter": "nosuch:x"},
    "again": {
        "content_filter": "",
        "receive_override_options": "no_unknown_recipient_checks,no_address_mappings,no_header_body_checks,no_milters",
    },
}  # fmt: skip


def lines_of(log: str, queue_ids: dict[str, str]) -> dict[str, list[str]]:
    """What became of each message, without what differs from run to run."""
    found: dict[str, list[str]] = {name: [] for name in queue_ids}
    for name, queue_id in queue_ids.items():
        if " " in queue_id:
            found[name] = [queue_id]
            continue
        for line in re.findall(rf"postfix\S*: {queue_id}: (to=.*)", log):
            # Which of several messages finds that a destination is dead is a matter of time.
            text = line.replace("delivery temporarily suspended: ", "")
            found[name].append(re.sub(r"delay=\S+ delays=\S+ ", "", text))
        found[name].sort()
    return found


def play(ports: Mapping[str, int], mails: Mapping[str, tuple[str, str, str]]) -> dict[str, str]:
    """`mails`: name -> (listener, sender, recipient); the queue IDs, or the refusals."""
    queue_ids = {}
    for name, (listener, sender, recipient) in mails.items():
        with smtplib.SMTP("127.0.0.1", ports[listener], timeout=60) as client:
            client.ehlo("client.example")
            client.mail(sender)
            code, reply = client.rcpt(recipient)
            if code == 250:
                code, reply = client.data("Subject: x\r\n\r\nx\r\n")
            text = f"{code} {reply.decode()}"
            queue_ids[name] = text.split()[-1] if code == 250 else text
    return queue_ids


def compare(main_cf: str, listeners: Mapping[str, Mapping[str, str]], mails: dict[str, tuple[str, str, str]]) -> None:
    need_postfix()
    recipients = 1 if "virtual_alias_maps" not in main_cf else 2

    def all_there(lines: dict[str, list[str]]) -> bool:
        return all(
            len(lines[name]) >= (recipients if mail[2] == "a@v.example" and mail[0] != "again" else 1)
            for name, mail in mails.items()
        )

    with RealPostfix(listeners, COMMON + main_cf) as postfix:
        theirs_ids = play(postfix.ports, mails)
        until(lambda: all_there(lines_of(postfix.log(), theirs_ids)), "Postfix's deliveries")
        theirs = lines_of(postfix.log(), theirs_ids)
    with temporary_folder() as folder:
        ours = our_lines(folder, main_cf, listeners, mails, all_there)
    for name in mails:
        assert ours[name] == theirs[name], name


def our_lines(
    folder: Path,
    main_cf: str,
    listeners: Mapping[str, Mapping[str, str]],
    mails: dict[str, tuple[str, str, str]],
    all_there: "object",
) -> dict[str, list[str]]:
    assert callable(all_there)
    ports = {name: free_port() for name in listeners}
    first, _, rest = MASTER_CF.partition("\n")
    services = "".join(
        first.format(listen=f"127.0.0.1:{ports[name]}")
        + "".join(f"\n  -o {{ {key} = {value} }}" for key, value in overrides.items())
        + "\n"
        for name, overrides in listeners.items()
    )
    port = next(iter(ports.values()))
    server = Gatepost(folder, COMMON + main_cf, port=port, master_cf=services + rest).start("--single-process")
    try:
        queue_ids = play(ports, mails)
        until(lambda: all_there(lines_of(server.log(), queue_ids)), f"our deliveries\n{server.output()}")
        return lines_of(server.log(), queue_ids)
    finally:
        server.stop()


@pytest.mark.parametrize("keys", ["", "empty_address_relayhost_maps_lookup_key = mailer"])
def test_by_sender_as_postfix(keys: str) -> None:
    mails = {f"{sender} to other": ("in", sender, "a@else.example") for sender in SENDERS}
    for sender in ("plain@o.example", "direct@s.example", "both@s.example", "relay@s.example"):
        for domain in ("ours", "relayed", "fixed", "hop", "keep", "bare", "two"):
            mails[f"{sender} to {domain}"] = ("in", sender, f"a@{domain}.example")
    compare(BY_SENDER.format(keys=keys), {"in": {}}, mails)


@pytest.mark.parametrize("nexthop", ["", "[127.0.0.1]:7"])
def test_by_filter_as_postfix(nexthop: str) -> None:
    mails = {}
    for listener in LISTENERS:
        for sender in ("joe@o.example", "filter@x.example", "named@x.example", ""):
            for recipient in ("a@v.example", "a@else.example", "a@[127.0.0.1]", "double-bounce@mail.ours.example"):
                if listener != "again" or recipient != "a@v.example":
                    mails[f"{listener} <{sender}> {recipient}"] = (listener, sender, recipient)
    compare(FILTERED.format(nexthop=nexthop), LISTENERS, mails)

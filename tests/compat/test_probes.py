"""Address probes of Gatepost and of a real Postfix against the same servers: what is said there, and every log line."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps = inline:{{ {{ friends = a@good.example, b@good.example }} }}
alias_database =
virtual_alias_domains = alias.example
virtual_alias_maps = inline:{{
  {{ one@alias.example = a@good.example }}
  {{ two@alias.example = a@good.example, b@good.example }} }}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = reject_unverified_recipient
address_verify_poll_delay = 1s
transport_maps = inline:{{
  {{ good.example = smtp:[127.0.0.1]:{good} }}
  {{ bad.example = smtp:[127.0.0.1]:{bad} }}
  {{ soft.example = smtp:[127.0.0.1]:{soft} }}
  {{ mail.example = smtp:[127.0.0.1]:{mail} }}
  {{ closed.example = smtp:[127.0.0.1]:{closed} }}
  {{ error.example = error:5.7.1 nope }}
  {{ late.example = retry:4.7.1 later }}
  {{ hole.example = discard:silently }} }}
"""
RECIPIENTS = [
    "u@good.example",
    "U@good.example",
    '"a b"@good.example',
    "u@bad.example",
    "u@soft.example",
    "u@mail.example",
    "u@closed.example",
    "u@error.example",
    "u@late.example",
    "u@hole.example",
    "root@ours.example",
    "nosuchuser@ours.example",
    "friends@ours.example",
    "one@alias.example",
    "none@alias.example",
    "double-bounce@ours.example",
]
VARIANTS = {
    "usual": "",
    "uncached": "address_verify_negative_cache = no\n",
    "data": "smtp_address_verify_target = data\nhome_mailbox = Maildir/\n",
    "other": "address_verify_sender = <>\naddress_verify_transport_maps =\nsoft_bounce = yes\n"
    "address_verify_default_transport = error:other\n",
}


class Servers:
    def __init__(self) -> None:
        self.good = Peer()
        self.bad = Peer(RCPT="550 5.1.1 no such user")
        self.soft = Peer(RCPT="450 4.2.1 try later")
        self.mail = Peer(MAIL="550 5.7.1 not from you")
        self.closed = free_port()

    def ports(self) -> dict[str, int]:
        peers = {name: value.port for name, value in vars(self).items() if isinstance(value, Peer)}
        return {**peers, "closed": self.closed}

    def commands(self) -> list[str]:
        """What all were told since they were last asked."""
        told: list[str] = []
        for peer in (self.good, self.bad, self.soft, self.mail):
            told += [command for command in peer.commands if command != "QUIT"]
            peer.commands.clear()
        return told

    def stop(self) -> None:
        for peer in (self.good, self.bad, self.soft, self.mail):
            peer.stop()


def talk(port: int) -> list[str]:
    """All recipients are asked about at the same time."""

    def ask(recipient: str) -> str:
        client = Client(port)
        client.say("EHLO client.example")
        client.say("MAIL FROM:<a@client.example>")
        reply = client.say(f"RCPT TO:<{recipient}>")
        client.close()
        return reply

    with ThreadPoolExecutor(len(RECIPIENTS)) as threads:
        return list(threads.map(ask, RECIPIENTS))


def lines(log: Callable[[], str]) -> dict[str, list[str]]:
    """By recipient, the lines of its first probe, without what differs from run to run."""
    text = ""

    def all_gone() -> bool:
        nonlocal text
        text = log()
        begun = set(re.findall(r"qmgr\[\d+\]: (\w+): from=", text))
        return begun == set(re.findall(r"qmgr\[\d+\]: (\w+): removed", text))

    until(all_gone, "probes gone")
    by_id: dict[str, list[str]] = {}
    for program, queue_id, words in re.findall(r"postfix/(\w+)\[\d+\]: (\w{9,}): (.*)", text):
        if program == "smtpd":
            continue
        words = re.sub(r"(conn_use=\d+, )?delay=\S+ delays=\S+", "delay", words)
        words = re.sub(r"size=\d+", "size", re.sub(r"<\d{14}\.\w+@", "<TIME.QID@", words))
        by_id.setdefault(queue_id, []).append(f"{program}: {words}")
    found: dict[str, list[str]] = {}
    for told in by_id.values():
        recipient = re.search(r"to=<([^>]*)>(?:, orig_to=<([^>]*)>)?", " ".join(told))
        if recipient:
            found.setdefault(recipient[2] or recipient[1], told)
    return found


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_probes_and_their_lines_are_as_postfixs(variant: str) -> None:
    need_postfix()
    servers = Servers()
    try:
        main_cf = MAIN_CF.format(**servers.ports()) + VARIANTS[variant]
        with RealPostfix({"real": {}}, main_cf) as postfix:
            replies = talk(postfix.ports["real"])
            theirs = lines(postfix.log)
            commands = servers.commands()
        with temporary_folder() as folder:
            gatepost = Gatepost(folder, main_cf + f"data_directory = {folder}/data\n").start()
            try:
                assert talk(gatepost.port) == replies
                ours = lines(gatepost.log)
            finally:
                gatepost.stop()
        assert ours == theirs
        assert len(theirs) == len(RECIPIENTS)
        # Probes that are repeated while nothing is known of an address are one with us.
        assert sorted(set(servers.commands())) == sorted(set(commands))
        assert not servers.good.messages
    finally:
        servers.stop()

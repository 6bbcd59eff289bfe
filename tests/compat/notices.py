"""The same mail through a real Postfix and through Gatepost, and the notices that come of it.

    python -m tests.compat.notices [--ours] [GROUP...]     run me under `unshare -n -m`

Prints JSON: group -> [Postfix's, ours], each case -> [notices, log lines]. Who asks DNS finds our own server there.
"""

import asyncio
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.compat.notice_cases import GROUPS, ZONE, Case, Group
from tests.compat.real_postfix import RealPostfix
from tests.compat.scripted_sink import EHLO, ScriptedSink
from tests.compat.traced_mail import send_ours, send_real
from tests.dns_server import DnsServer
from tests.namespaces import prepare_namespaces
from tests.scenarios.peers import Peer
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_forbid_bare_newline = no
smtpd_peername_lookup = no
smtpd_reject_unlisted_recipient = no
smtpd_authorized_verp_clients = 127.0.0.1
smtp_host_lookup = dns
smtp_skip_5xx_greeting = no
smtp_connection_cache_on_demand = no
alias_maps = inline:{{ {{ team = anna@nodsn.example, nosuch@rej.example }} {{ one = anna@nodsn.example }}
  {{ owner-team = teamowner@client.example }} {{ fails = nosuch@rej.example }}
  {{ all = anna@nodsn.example, other@nodsn.example }} }}
mail_spool_directory = {spool}
local_recipient_maps =
relocated_maps = inline:{{ {{ moved@rej.example = new@elsewhere.example }} }}
virtual_alias_domains =
virtual_alias_maps = inline:{{ {{ virtual@rej.example = nosuch@rej.example }} {{ several@rej.example =
  anna@nodsn.example, nosuch@rej.example }} {{ single@rej.example = anna@nodsn.example }}
  {{ local@rej.example = nobody@ours.example }} }}
bounce_notice_recipient = bounces@boss.example
2bounce_notice_recipient = doubles@boss.example
delay_notice_recipient = delays@boss.example
error_notice_recipient = errors@boss.example
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
relayhost = [127.0.0.1]:{home}
transport_maps = inline:{{ {maps} }}
"""

SLOW = "RCPT TO:<slow"
LOGIN = EHLO.replace("250-ENHANCED", "250-AUTH PLAIN\r\n250-ENHANCED")
# What the servers at the destinations do; they listen as long as the tests run.
SINKS: dict[str, dict[str, str]] = {
    "rej": {
        "RCPT TO:<nosuch": "550 5.1.1 <nosuch> No such user here; this is a rather long text that goes on and on "
        "beyond the usual width of a line",
        "RCPT TO:<nocode": "550 no enhanced code",
        "RCPT TO:<multi": "550-5.7.1 first line\r\n550-5.7.1 second line\r\n550 5.7.1 third",
        "RCPT TO:<later": "451 4.2.0 Not now",
        "RCPT TO:<full": "452-4.2.2 the mailbox\r\n452 4.2.2 is full",
        "RCPT TO:<odd": "550 4.1.1 of two minds",
        "RCPT TO:<latin": "550 5.1.1 gr\u00fc\u00dfe",
        SLOW: "451 4.2.1 Slowly",
        "RCPT TO:<word": "550 5.1.1 " + "w" * 120 + " end",
    },
    "nodsn": {"EHLO": EHLO.replace("\r\n250 DSN", "").replace("250-ENHANCED", "250 ENHANCED")},
    "data": {"DATA": "554 5.5.1 no data, please"},
    "end": {".": "554 5.7.1 smells of spam"},
    "mail": {"MAIL": "550 5.1.8 bad sender"},
    "greet": {"CONNECT": "554 5.3.2 not here"},
    "seven": {"EHLO": "250-peer.example\r\n250 DSN"},
    "tiny": {"EHLO": "250-peer.example\r\n250-DSN\r\n250 SIZE 100"},
    "helo": {"EHLO": "502 5.5.1 no"},
    "auth": {"EHLO": LOGIN, "AUTH": "535-5.7.8 Error: authentication failed:\r\n535 5.7.8 no such user"},
    "authlater": {"EHLO": LOGIN, "AUTH": "454 4.7.0 Temporary authentication failure"},
    "strange": {"EHLO": LOGIN.replace("PLAIN", "GSSAPI")},
    "challenge": {"EHLO": LOGIN, "AUTH": "334 *"},
}
PLACES = {
    "error.example": "error:5.1.2 no such domain as this one",
    "plain.example": "error:we do not like it",
    "retry.example": "retry:4.3.0 at another time",
    "discard.example": "discard:into the void",
    "closed.example": "smtp:[127.0.0.1]:{closed}",
    "nohost.example": "smtp:[nohost.zone.example]",
    "nomx.example": "smtp:nodomain.zone.example",
    "nullmx.example": "smtp:nullmx.zone.example",
    "lmtp.example": "lmtp:inet:127.0.0.1:{lmtp}",
    "lmtpdsn.example": "lmtp:inet:127.0.0.1:{lmtpdsn}",
    "nosuchtransport.example": "nonesuch:there",
}


class World:
    """The servers around, and what is sent to and told by one mail system."""

    def __init__(self, group: Group, folder: Path) -> None:
        self.group = group
        self.sinks = {name: ScriptedSink(replies) for name, replies in SINKS.items()}
        self.sinks["lmtp"] = ScriptedSink(SINKS["nodsn"] | {"LHLO": SINKS["nodsn"]["EHLO"]}, lmtp=True)
        self.sinks["lmtpdsn"] = ScriptedSink({}, lmtp=True)
        self.home = Peer()
        ports: dict[str, int] = {name: sink.port for name, sink in self.sinks.items()}
        ports["closed"] = free_port()
        places = {f"{name}.example": f"smtp:[127.0.0.1]:{ports[name]}" for name in SINKS} | PLACES
        maps = " ".join(f"{{ {name} = {place.format(**ports)} }}" for name, place in places.items())
        self.main_cf = MAIN_CF.format(maps=maps, home=self.home.port, spool=folder / "spool") + group.main_cf

    def play(self, port: int, log: Callable[[], str], trace: Callable[..., str]) -> dict[str, Any]:
        """Send the mail of all cases, wait until all is told, and sort it. `trace` sends that of sendmail."""
        self.home.messages.clear()
        for sink in self.sinks.values():
            sink.forget()
        self.home.replies = dict(self.group.home)
        self.sinks["rej"].replies[SLOW] = SINKS["rej"][SLOW]
        ids = {}
        for name, case in self.group.cases.items():
            if case.trace:
                sender, text = f"{name}@client.example", case.content.decode().replace("\r", "")
                ids[name] = trace(case.trace, sender, list(case.recipients), text)
            else:
                ids[name] = submit(port, name, case)

        def told() -> bool:
            text = log()
            if all(f": {ids[name]}: sender delay notification" in text for name in self.group.cleared):
                self.sinks["rej"].replies.pop(SLOW, None)
            notices = re.findall(r"(?: notification: |forwarded as )(\w+)", text)
            return not self._left(ids, text) and all(f": {notice}: removed" in text for notice in notices)

        try:
            until(told, "all notices", 30)
        except AssertionError as error:
            text = log()
            left = self._left(ids, text)
            lines = [line for line in text.splitlines() if any(i in line for i in left.values())]
            raise AssertionError("\n".join([f"{error}: {left}", *lines[-100:]])) from None
        return self._sorted(ids, log())

    def _left(self, ids: dict[str, str], text: str) -> dict[str, str]:
        """The messages of which not all has been told."""
        left = {}
        for name, queue_id in ids.items():
            waits = self.group.cases[name].waits
            if f": {queue_id}: removed" in text:
                continue
            if not waits or not all(f": {queue_id}: {words}" in text for words in waits):
                left[name] = queue_id
        return left

    def _sorted(self, ids: dict[str, str], text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        notices = re.findall(r": (\w+): [a-z -]* notification: (\w+)", text)
        for name, queue_id in ids.items():
            forwarded = set(re.findall(rf": {queue_id}: .*forwarded as (\w+)", text))
            own = {notice for original, notice in notices if original in forwarded | {queue_id}}
            # Notices of notices belong to the same case.
            for _ in range(3):
                own |= {notice for original, notice in notices if original in own}
            known = {queue_id: "QID"} | dict.fromkeys(own, "NID") | dict.fromkeys(forwarded, "FID")
            mails = [
                [m.mail, *m.rcpts, normalised(m.content, known)]
                for m in self.home.messages
                if any(re.search(rf"\tid {notice}\b|\({notice}\)|id {notice};", m.content) for notice in own)
            ]
            found[name] = [sorted(mails), [*self._senders(name), *log_of(text, known)]]
        return found

    def _senders(self, name: str) -> list[str]:
        """The MAIL commands of a case, as servers have heard them."""
        heard = {command for sink in self.sinks.values() for command in sink.commands}
        own = re.compile(rf"MAIL FROM:<{name}[^a-z0-9].*")
        return sorted({re.sub(r" SIZE=\d+", "", command) for command in heard if own.fullmatch(command)})

    def stop(self) -> None:
        for sink in self.sinks.values():
            sink.stop()
        self.home.stop()


_DATES = re.compile(r"\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4} \(\w+\)")


def normalised(content: str, known: Mapping[str, str]) -> str:
    """Without queue IDs, dates and boundaries."""
    content = _DATES.sub("DATE", content)
    content = re.sub(r"message size \d+", "message size", content)
    content = re.sub(r"\]:\d+", "]:PORT", content)
    content = re.sub(r"\b([0-9A-F]{8,})\.\d{10}/", r"\1.TIME/", content)
    content = re.sub(r"<\d{14}\.(\w+)@", r"<TIME.\1@", content)
    for queue_id, word in known.items():
        content = re.sub(rf"\b{queue_id}\b", word, content)
    return content


def log_of(text: str, known: Mapping[str, str]) -> list[str]:
    """The lines about one case, but for what has nothing to do with notices."""
    lines = []
    for program, queue_id, words in re.findall(r"postfix/(\w+)\[\d+\]: (?:warning: )?(\w+): (.*)", text):
        if queue_id not in known or program in ("smtpd", "cleanup", "pickup"):
            continue
        words = re.sub(r"delay=\S+ delays=\S+", "delay", words)
        words = re.sub(r"\]:\d+", "]:PORT", words)
        words = re.sub(r"conn_use=\d+, ", "", words)
        words = re.sub(r"size[= ]\d+", "size", words)
        for name, word in known.items():
            words = re.sub(rf"\b{name}\b", word, words)
        if words.startswith("from=<") and "queue active" in words:
            continue
        if words == "skipped, still being delivered":  # Postfix's queue run met what was just ending
            continue
        line = f"{program}: {known[queue_id]}: {words}"
        if line not in lines:  # tried more often by one than by the other
            lines.append(line)
    return sorted(lines)


def submit(port: int, name: str, case: Case) -> str:
    client = Client(port)
    client.say("EHLO client.example")
    sender = f"{name}@client.example" if case.sender is None else case.sender
    reply = client.say(f"MAIL FROM:<{sender}>{case.mail}")
    assert reply.startswith("250"), f"{name}: {reply}"
    for recipient in case.recipients:
        reply = client.say(f"RCPT TO:{recipient}")
        assert reply.startswith("250"), f"{name}: {reply}"
    client.say("DATA")
    client.sock.sendall(case.content + b".\r\n")
    reply = client.reply()
    client.close()
    assert " queued as " in reply, f"{name}: {reply}"
    return reply.rpartition(" ")[2]


def play(group: Group, *, only_ours: bool = False) -> list[dict[str, Any]]:
    """What Postfix and we make of the cases of a group."""
    with temporary_folder() as folder:
        (folder / "spool").mkdir()
        (folder / "spool").chmod(0o1777)
        world = World(group, folder)
        try:
            more = ""
            if group.templates:
                (folder / "bounce.cf").write_text(group.templates)
                more = f"bounce_template_file = {folder}/bounce.cf\n"
            theirs: dict[str, Any] = {}
            if not only_ours:
                with RealPostfix({"postfix": {"syslog_name": "postfix"}}, world.main_cf + more) as postfix:
                    trace = partial(send_real, postfix.folder / "config", postfix.log)
                    theirs = world.play(postfix.ports["postfix"], postfix.log, trace)
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n"
            gatepost = Gatepost(folder, world.main_cf + more, port=port, master_cf=master_cf)
            try:
                gatepost.start()
                trace = partial(send_ours, gatepost.queue / "private" / "queue")
                return [theirs, world.play(gatepost.port, gatepost.log, trace)]
            finally:
                gatepost.stop()
        finally:
            world.stop()


@contextmanager
def dns_server() -> Iterator[None]:
    """Our DNS server, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    server = DnsServer(ZONE)
    loop.run_until_complete(server.start("127.0.0.1", 53))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main(arguments: list[str]) -> None:
    prepare_namespaces()
    only_ours = "--ours" in arguments
    names = [name for name in arguments if name != "--ours"] or list(GROUPS)
    with dns_server(), ThreadPoolExecutor(3) as pool:
        played = pool.map(lambda name: play(GROUPS[name], only_ours=only_ours), names)
        json.dump(dict(zip(names, played, strict=True)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Where mail goes by DNS, for Postfix and for Gatepost, in namespaces of our own where our DNS server is the resolver.

    python -m tests.compat.play_outgoing_dns     run me under `unshare -n -m`

Prints JSON: setting -> domain -> [Postfix's log lines, Gatepost's].
"""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.compat.real_postfix import RealPostfix
from tests.compat.scripted_sink import ScriptedSink
from tests.dns_server import DnsServer
from tests.namespaces import prepare_namespaces
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
notify_classes =
local_recipient_maps =
minimal_backoff_time = 1000s
maximal_backoff_time = 1000s
smtp_connect_timeout = 3s
smtp_randomize_addresses = no
transport_maps = inline:{ { ours.example = discard:notices } }
"""
ZONE = """\
ok.example A 127.0.0.12
busy.example A 127.0.0.13
closed.example A 127.0.0.14
own.example A 127.0.0.1
mirror.example A 127.0.0.15
six.example AAAA ::1
dual.example A 127.0.0.12
dual.example AAAA ::2
mail.ours.example A 127.0.0.1
d-null.example MX 0 .
d-mx.example MX 10 closed.example
d-mx.example MX 20 ok.example
d-busy.example MX 10 busy.example
d-busy.example MX 20 ok.example
d-loop.example MX 10 own.example
d-loop.example MX 20 ok.example
d-equal.example MX 10 ok.example
d-equal.example MX 10 own.example
d-backup.example MX 10 ok.example
d-backup.example MX 20 own.example
d-backup.example MX 30 busy.example
d-sickbackup.example MX 10 closed.example
d-sickbackup.example MX 20 own.example
d-onlybackup.example MX 10 gone.example
d-onlybackup.example MX 20 own.example
d-noaddress.example MX 10 gone.example
d-somenone.example MX 10 gone.example
d-somenone.example MX 20 ok.example
d-sickaddress.example MX 10 sick.example
d-mixed.example MX 10 sick.example
d-mixed.example MX 20 gone.example
sick.example SERVFAIL
d-sick.example SERVFAIL
d-text.example TXT "nothing"
d-text2.example A 127.0.0.12
d-ownaddress.example A 127.0.0.1
d-alias.example CNAME d-mx.example
d-toalias.example MX 10 alias.example
alias.example CNAME ok.example
d-literal.example MX 10 127.0.0.12
d-mirror.example MX 10 mirror.example
d-mirror.example MX 20 ok.example
d-lesser.example MX 10 closed.example
d-lesser.example MX 20 mirror.example
d-limit.example MX 10 closed.example
d-limit.example MX 20 c1.example
d-limit.example MX 30 c2.example
d-limit.example MX 40 c3.example
d-limit.example MX 50 c4.example
d-limit.example MX 60 ok.example
c1.example A 127.0.0.21
c2.example A 127.0.0.22
c3.example A 127.0.0.23
c4.example A 127.0.0.24
d-sessions.example MX 10 busy.example
d-sessions.example MX 20 busy2.example
d-sessions.example MX 30 ok.example
busy2.example A 127.0.0.16
d-six.example MX 10 six.example
d-dual.example MX 10 dual.example
d-garbage.example GARBAGE
"""
DOMAINS = sorted({*re.findall(r"(?m)^(d-\S+)", ZONE), "d-nobody.example"})
MIRROR = {"CONNECT": "220 mail.ours.example ESMTP", "EHLO": "250-mail.ours.example\r\n250 DSN"}
SETTINGS = {
    "usual": "",
    "bestmx": "best_mx_transport = discard:ours\n",
    "fallback": "smtp_fallback_relay = ok.example\n",
    "nofallback": "smtp_fallback_relay = gone.example\n",
    "ignore": "ignore_mx_lookup_error = yes\nsmtp_defer_if_no_mx_address_found = yes\n",
    "limits": "smtp_mx_address_limit = 2\nsmtp_mx_session_limit = 1\n",
    "nolimits": "smtp_mx_address_limit = 0\nsmtp_mx_session_limit = 0\n",
    "nodns": "smtp_dns_support_level = disabled\nsmtp_host_lookup = native\n",
    "native": "smtp_host_lookup = dns, native\n",
    "four": "smtp_address_preference = ipv4\n",
    "six": "smtp_address_preference = ipv6\n",
    "onlyfour": "inet_protocols = ipv4\n",
    "proxy": "proxy_interfaces = 127.0.0.12\n",
    "relayhost": "relayhost = gone.example\n",
    "relayloop": "relayhost = own.example\n",
    "filter": "smtp_dns_reply_filter = pcre:{ {/ MX 10 / IGNORE} }\n",
    "bind": "smtp_bind_address = 127.0.0.77\n",
    "badbind": "smtp_bind_address = 192.0.2.1\n",
    "enforced": "smtp_bind_address = 192.0.2.1\nsmtp_bind_address_enforce = yes\n",
}
AT_A_TIME = 6


def play(port: int, log: Callable[[], str]) -> dict[str, list[str]]:
    ids: dict[str, str] = {}
    client = Client(port)
    client.say("EHLO client.example")
    for domain in DOMAINS:
        reply = client.send("sender@ours.example", f"one@{domain}")
        assert " queued as " in reply, f"{domain}: {reply}"
        ids[domain] = reply.rpartition(" ")[2]
    client.close()
    until(lambda: all(f": {i}: to=<" in log() for i in ids.values()), "an outcome for each", 60)
    text = log()
    return {domain: _told(queue_id, text) for domain, queue_id in ids.items()}


def _told(queue_id: str, text: str) -> list[str]:
    # How soon a dead destination is found dead depends on how fast mail comes.
    text = re.sub(r"postfix/error(.*)delivery temporarily suspended: ", r"postfix/smtp\1", text)
    found = re.findall(rf"postfix/(smtp|discard)\[\d+\]: {queue_id}: (.*)", text)
    return [f"{program}: {re.sub(r'delay=[^,]+, delays=[^,]+, ', '', words)}" for program, words in found]


def _serve_dns() -> None:
    async def serve() -> None:
        await DnsServer(ZONE).start("127.0.0.1", 53)
        started.set()
        await asyncio.Event().wait()

    started = threading.Event()
    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    started.wait()


def _main() -> dict[str, dict[str, list[list[str]]]]:
    subprocess.run(["ip", "addr", "add", "::2/128", "dev", "lo"], check=True)
    _serve_dns()
    sinks = [
        ScriptedSink({}, host="127.0.0.12", port=25), ScriptedSink({}, host="::1", port=25),
        ScriptedSink({"CONNECT": "421 4.3.2 busy"}, host="127.0.0.13", port=25),
        ScriptedSink({"CONNECT": "421 4.3.2 busy"}, host="127.0.0.16", port=25),
        ScriptedSink(MIRROR, host="127.0.0.15", port=25),
    ]  # fmt: skip
    # Most of the time they wait for a name server that does not answer.
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        found = dict(zip(SETTINGS, threads.map(_both, SETTINGS.values()), strict=True))
    for sink in sinks:
        sink.stop()
    return found


def _both(more: str) -> dict[str, list[list[str]]]:
    with RealPostfix({"real": {}}, MAIN_CF + more) as postfix:
        theirs = play(postfix.ports["real"], postfix.log)
    with temporary_folder() as folder:
        port = free_port()
        server = Gatepost(folder, MAIN_CF + more, port=port, master_cf=MASTER_CF.format(listen=f"127.0.0.1:{port}"))
        server.start()
        try:
            ours = play(port, server.log)
        finally:
            server.stop()
    return {domain: [theirs[domain], ours[domain]] for domain in DOMAINS}


if __name__ == "__main__":
    prepare_namespaces()
    print(json.dumps(_main()))

"""Mail from several addresses to a Gatepost with Debian's policyd-spf, in namespaces where our DNS is the resolver.

    unshare -n -m python -m tests.scenarios.spf_play

Prints JSON: {"replies": {case: [reply to each RCPT, ...]}, "headers": {case: [the Received-SPF: headers]}}.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.dns_server import DnsServer
from tests.namespaces import prepare_namespaces
from tests.scenarios.server import MASTER_CF, Client, Gatepost, temporary_folder

ZONE = """
good.example        TXT "v=spf1 ip4:192.0.2.7 -all"
soft.example        TXT "v=spf1 ~all"
none.example        A   192.0.2.99
"""
MAIN_CF = """\
myhostname = mail.ours.example
mydestination = ours.example
local_recipient_maps =
alias_maps =
mynetworks =
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_sender_restrictions = check_sender_access static:HOLD
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/policyd-spf
policyd-spf_time_limit = 3600
"""
SPAWN = """\
policyd-spf  unix  -       n       n       -       0       spawn
    user=policyd-spf argv=/usr/bin/policyd-spf
"""
CASES = {
    "pass": ("192.0.2.7", "a@good.example"),
    "fail": ("192.0.2.8", "a@good.example"),
    "softfail": ("192.0.2.8", "a@soft.example"),
    "none": ("192.0.2.8", "a@none.example"),
}
RECIPIENTS = ("bob@ours.example", "alice@ours.example")


def _send(server: Gatepost, address: str, sender: str) -> tuple[list[str], str]:
    """The replies to RCPT, and the queue ID; empty if nothing was queued."""
    client: Client = server.client()
    client.say(f"XCLIENT NAME=[UNAVAILABLE] ADDR={address}")
    client.say("EHLO client.example")
    client.say(f"MAIL FROM:<{sender}>")
    replies = [client.say(f"RCPT TO:<{recipient}>") for recipient in RECIPIENTS]
    queue_id = ""
    if client.say("DATA").startswith("354"):
        queue_id = client.say("Subject: x\r\n\r\nbody\r\n.").split()[-1]
    client.close()
    return replies, queue_id


def _play(folder: Path) -> dict[str, Any]:
    server = Gatepost(folder, MAIN_CF)
    server.write(MAIN_CF, MASTER_CF.format(listen=server.listen) + SPAWN)
    server.start()
    replies, headers = {}, {}
    try:
        for case, (address, sender) in CASES.items():
            replies[case], queue_id = _send(server, address, sender)
            content = server.command("postcat", "-q", queue_id).stdout if queue_id else ""
            headers[case] = [line for line in content.splitlines() if line.startswith("Received-SPF:")]
    finally:
        server.stop()
    return {"replies": replies, "headers": headers}


async def _main() -> dict[str, Any]:
    dns = DnsServer(ZONE)
    await dns.start("127.0.0.1", 53)
    with temporary_folder() as folder:
        try:
            return await asyncio.to_thread(_play, folder)
        finally:
            await dns.stop()


if __name__ == "__main__":
    prepare_namespaces()
    print(json.dumps(asyncio.run(_main())))

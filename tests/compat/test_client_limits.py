"""Several connections of one client, played to Postfix and to us: replies, warnings, anvil's statistics are equal."""

import re
from collections.abc import Callable

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.server import Client, Gatepost, temporary_folder, until

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
mynetworks = 127.0.87.0/24
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 2
smtpd_client_connection_rate_limit = 5
smtpd_client_message_rate_limit = 1
smtpd_client_recipient_rate_limit = 2
smtpd_client_auth_rate_limit = 1
"""


def play(port: int) -> list[str]:
    """The replies to four connections at once, and then some more."""
    told: list[str] = []

    def greeted(source: str = "") -> Client:
        client = Client(port, source=source)
        told.append(client.greeting)
        return client

    at_once = [greeted() for _ in range(3)]
    at_once.append(greeted("127.0.87.2"))
    for line in (
        "AUTH PLAIN", "EHLO client.example", "AUTH PLAIN", "AUTH", "MAIL FROM:<a@away.example>",
        *["RCPT TO:<b@ours.example>"] * 4, "RSET", "MAIL FROM:<a@away.example>", "MAIL FROM:<bad",
    ):  # fmt: skip
        told.append(at_once[0].say(line))
        told.append(at_once[3].say(line))
    for client in at_once:
        client.close()
    for _ in range(3):
        greeted().close()
    return told


def normalised(log: str, port: int) -> list[str]:
    """What smtpd and anvil said, without times and process IDs, the address of the listener as SERVICE."""
    texts = [found[1] for found in re.finditer(r"/(?:smtpd|anvil)\[\d+\]: (.*)", log)]
    told = [re.sub(r" at \w{3} [ \d]\d [\d:]{8}$", " at TIME", text) for text in texts]
    told = [text.replace(f"127.0.0.1:{port}", "SERVICE") for text in told if "connect from" not in text]
    return sorted(re.sub(r"^\w+: client=", "ID: client=", text) for text in told)


def test_what_one_client_may_do_is_what_postfix_allows() -> None:
    need_postfix()
    with RealPostfix({"postfix": {}}, MAIN_CF + "anvil_status_update_time = 3s\n") as postfix:
        port = postfix.ports["postfix"]
        theirs = play(port)
        until(lambda: "max cache size" in postfix.log(), "Postfix's statistics")
        their_log = normalised(postfix.log(), port)
    with temporary_folder() as folder:
        server = Gatepost(folder, MAIN_CF + "gatepost_smtpd_processes = 3\n")
        server.launch()
        try:
            until(_takes(server), "a listening server")
            ours = play(server.port)
        finally:
            server.stop()
        our_log = normalised(server.log(), server.port)
    assert ours == theirs
    assert our_log == their_log
    assert len([text for text in our_log if text.startswith("statistics: ")]) == 6


def _takes(server: Gatepost) -> Callable[[], bool]:
    def connected() -> bool:
        try:
            Client(server.port, source="127.0.87.9").close()  # who is not counted
        except OSError:
            return False
        return True

    return connected

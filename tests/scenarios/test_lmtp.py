"""Mail for virtual mailboxes goes to an LMTP server on a Unix socket."""

from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder

MAIN_CF = """\
myhostname = mail.ours.example
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = boxes.example
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{path}
relay_domains = relayed.example
relay_transport = lmtp:inet:127.0.0.1:{port}
"""


def test_mailboxes_behind_lmtp() -> None:
    with temporary_folder() as folder:
        boxes = ScriptedSink({".full@": "552 5.2.2 over quota"}, lmtp=True, path=f"{folder}/lmtp")
        relayed = ScriptedSink({"LHLO": "250-peer.example\r\n250 8BITMIME"}, lmtp=True)
        port = free_port()
        server = Gatepost(
            folder,
            MAIN_CF.format(path=boxes.path, port=relayed.port),
            port=port,
            master_cf=MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n",
        )
        try:
            server.start()
            server.send("a@ours.example", "one@boxes.example")
            line = server.wait_log(r"lmtp\[\d+\]: \w+: to=<one@boxes.example>")
            assert f"relay=mail.ours.example[{boxes.path}], " in line
            assert "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as X)" in line
            server.send("a@boxes.example", "full@boxes.example")
            line = server.wait_log(r"to=<full@boxes.example>")
            assert "dsn=5.2.2, status=bounced" in line
            # Its notice is an LMTP delivery, too.
            server.wait_log(r"lmtp\[\d+\]: \w+: to=<a@boxes.example>.* status=sent")
            server.send("a@ours.example", "two@relayed.example")
            line = server.wait_log(r"to=<two@relayed.example>")
            assert f"relay=127.0.0.1[127.0.0.1]:{relayed.port}, " in line
            assert all(command.split()[0] != "EHLO" for command in boxes.commands + relayed.commands)
        finally:
            server.stop()
            boxes.stop()
            relayed.stop()

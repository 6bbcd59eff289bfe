"""A listener with as many sessions as it may have: new ones are served under stress, whichever worker has them."""

import select
import socket

import pytest

from tests.scenarios.server import MASTER_CF, Client, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
gatepost_smtpd_processes = 2
"""
TOO_MANY = "421 4.7.0 relay.home.example Error: too many errors"


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_who_finds_no_session_free_waits_for_one(options: list[str]) -> None:
    """On loopback, too, where there is no stress; in whichever worker the next session becomes free."""
    with temporary_folder() as folder:
        server = Gatepost(folder, MAIN_CF)
        server.write(MAIN_CF, MASTER_CF.format(listen=server.listen).replace("- n - - smtpd", "- n - 2 smtpd"))
        server.start(*options)
        until(lambda: bool(server.log_lines("disconnect")), "the end of the first session")
        served: list[Client | socket.socket] = [Client(server.port) for _ in range(2)]
        waiting = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(4)]
        try:
            waiting[0].sendall(b"NOOP\r\n")
            readable, _, _ = select.select(waiting, [], [], 0.5)
            assert not readable
            waiting.pop(1).close()  # nobody waits for ever
            while waiting:
                served.pop(0).close()
                readable, _, _ = select.select(waiting, [], [], 30)
                assert len(readable) == 1
                waiting.remove(readable[0])
                served += readable
                assert readable[0].recv(100).startswith(b"220 relay.home.example")
        finally:
            for connection in [*waiting, *served]:
                connection.close()
            server.stop()
        assert not server.log_lines("panic|warning")


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_stress_begins_with_the_last_free_session_and_goes_on(options: list[str]) -> None:
    with temporary_folder() as folder:
        server = Gatepost(folder, MAIN_CF)
        port = server.port
        master_cf = MASTER_CF.format(listen=f"0.0.0.0:{port}").replace("- n - - smtpd", "- n - 4 smtpd")
        server.write(MAIN_CF, master_cf)
        server.start(*options)
        try:
            until(lambda: bool(server.log_lines("disconnect")), "the end of the first session")
            clients = [Client(port) for _ in range(4)]
            for client in clients[:3]:
                client.say("NONSENSE")
                assert client.say("NOOP") == "250 2.0.0 Ok"
                client.close()
            for client in (clients[3], Client(port)):
                assert client.say("NONSENSE") == "500 5.5.2 Error: command not recognized"
                assert client.reply() == TOO_MANY
                client.close()
        finally:
            server.stop()
        warnings = server.log_lines(r"postfix/master\[\d+\]: warning")
        assert len(warnings) == 3
        assert warnings[0].endswith(
            f': warning: service "0.0.0.0:{port}" ([0.0.0.0]:{port}) has reached its process limit "4": '
            "new clients may experience noticeable delays"
        )

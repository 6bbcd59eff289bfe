"""A listener with as many sessions as it may have: new ones are served under stress, whichever worker has them."""

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

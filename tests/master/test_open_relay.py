"""A start and a reload refuse what lets strangers relay."""

from gatepost.config.configuration import Configuration
from gatepost.master.prove import prove

PRELUDE = "compatibility_level = 3.6\nmyhostname = mx.ours.example\nmydestination = ours.example\nmail_owner = nobody\n"
BELIEVES_SENDERS = """\
inet_interfaces = all
smtpd_relay_restrictions = permit_mynetworks, check_sender_access inline:{example.com=OK}, reject_unauth_destination
"""


def errors(main: str, master: str = "smtp inet n - n - - smtpd\n") -> list[str]:
    found = prove(Configuration.parse(PRELUDE + main, master)).errors
    return [text for text in found if "mail_owner" not in text and "gateway of this container" not in text]


def test_the_reason_names_parameter_and_line() -> None:
    (text,) = errors(BELIEVES_SENDERS)
    assert text.startswith("/etc/gatepost/main.cf, line 6: parameter smtpd_relay_restrictions: strangers can relay by ")
    assert "check_sender_access inline:{example.com=OK}: mail from <someone@example.com>" in text
    assert "gatepost_allow_open_relay" in text


def test_the_world_in_mynetworks() -> None:
    (text,) = errors("inet_interfaces = all\nmynetworks = 0.0.0.0/0\n")
    assert "strangers can relay by permit_mynetworks" in text


def test_who_insists_may() -> None:
    main = BELIEVES_SENDERS + "gatepost_allow_open_relay = yes\n"
    assert errors(main) == []
    proof = prove(Configuration.parse(PRELUDE + main, "smtp inet n - n - - smtpd\n"))
    assert any("strangers can relay" in text for text in proof.remarks)


def test_a_listener_of_its_own_lists() -> None:
    master = "smtp inet n - n - - smtpd\n2525 inet n - n - - smtpd -o mynetworks=0.0.0.0/0\n"
    assert len(errors("inet_interfaces = all\n", master)) == 1


def test_nobody_is_asked() -> None:
    # No server listens there; what it may answer is no reason not to start.
    assert (
        errors("inet_interfaces = all\nsmtpd_relay_restrictions = check_client_access tcp:127.0.0.1:9, reject\n") == []
    )
    assert errors("inet_interfaces = all\nmynetworks = tcp:127.0.0.1:9\n") == []


def test_what_only_this_host_can_reach() -> None:
    assert errors("inet_interfaces = loopback-only\nmynetworks = 0.0.0.0/0\n") == []

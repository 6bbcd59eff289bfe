import pytest

from gatepost.config.configuration import Configuration
from gatepost.master.services import pickup_settings, service_problems

MASTER_CF = """\
smtp inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
smtp unix - - n - - smtp
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
uucp unix - n n - - pipe
  flags=Fqhu user=uucp argv=uux $recipient
"""


def problems(main_cf: str, more: str = "") -> tuple[list[str], list[str]]:
    configuration = Configuration.parse(main_cf, MASTER_CF + more, directory="/etc/gatepost")
    errors, warnings = service_problems(configuration)
    return [str(error) for error in errors], [str(warning) for warning in warnings]


@pytest.mark.parametrize(
    ("main_cf", "line", "idle"),
    [
        ("", "", "virtual, uucp"),
        ("virtual_mailbox_domains = v.example\n", "4: transport virtual: virtual", "uucp"),
        ("default_transport = uucp:host\n", "6: transport uucp: pipe", "virtual"),
        ("relay_domains = r.example\nrelay_transport = lmtp:[10.0.0.1]\n", "", "virtual, uucp"),
    ],
)
def test_transports_that_are_not_supported(main_cf: str, line: str, idle: str) -> None:
    errors, warnings = problems(main_cf)
    told = [f"/etc/gatepost/master.cf, line {line} is not supported yet; its mail would be deferred"] if line else []
    told.append(
        "/etc/gatepost/master.cf: not supported yet, and only tables could name them: "
        f"{idle}; their mail would be deferred"
    )
    assert (errors, warnings) == ([], told)


def test_other_lines() -> None:
    errors, warnings = problems("", "628 inet n - n - - qmqpd\nx unix - - n - - odd\n")
    assert errors == ["/etc/gatepost/master.cf, line 8: 628 inet qmqpd: not supported yet; take the line out"]
    assert warnings[0] == "/etc/gatepost/master.cf, line 9: x unix odd: not supported yet, ignored"


FILTERS = """\
25 inet n - n - - smtpd
  -o content_filter=spam:x
pickup unix n - n 60 1 pickup
  -o content_filter=
  -o receive_override_options=no_header_body_checks
spam unix - n n - - pipe
  user=nobody argv=/bin/cat
idle unix - n n - - pipe
  user=nobody argv=/bin/cat
"""


def test_pickup_has_its_own_filter() -> None:
    configuration = Configuration.parse("content_filter = smtp:[127.0.0.1]:10025\n", FILTERS)
    assert pickup_settings(configuration).content_filter == ""
    assert pickup_settings(configuration).receive_override_options == "no_header_body_checks"
    bare = Configuration.parse("content_filter = smtp:[127.0.0.1]:10025\n", "25 inet n - n - - smtpd\n")
    assert pickup_settings(bare).content_filter == "smtp:[127.0.0.1]:10025"


def test_a_pipe_that_a_listener_filters_with_is_used() -> None:
    _, warnings = service_problems(Configuration.parse("", FILTERS))
    texts = [str(warning) for warning in warnings]
    assert any("line 6" in text and "transport spam: pipe is not supported yet" in text for text in texts), texts
    assert any("only tables could name them: idle;" in text for text in texts), texts

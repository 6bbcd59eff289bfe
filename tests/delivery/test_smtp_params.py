from types import SimpleNamespace

import msgspec
import pytest

from gatepost.config import parameters
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import FixedHost
from gatepost.config.main_cf import MainCf
from gatepost.config.settings import Settings
from gatepost.delivery.smtp_params import SmtpParams, parameter_name
from gatepost.protocol.smtp_client_events import Stage


def test_from_settings() -> None:
    settings = SimpleNamespace(
        myhostname="mail.example",
        smtp_helo_name="mail.example",
        smtp_fallback_relay="[a.example], b.example",
        smtp_host_lookup="dns, native",
        inet_protocols="all",
        smtp_discard_ehlo_keywords="DSN, silent-discard",
        smtp_connection_cache_time_limit=3,
        smtp_mail_timeout=7,
        smtp_always_send_ehlo=True,
        smtp_never_send_ehlo=False,
    )
    params = SmtpParams.of(settings)
    assert params.fallback_relay == ("[a.example]", "b.example")
    assert params.host_lookup == ("dns", "native")
    assert params.inet_protocols == ("ipv4", "ipv6")
    assert params.ignored_keywords == {"dsn", "silent-discard"}
    assert params.limits()[Stage.MAIL] == 7
    assert params.limits()[Stage.IDLE] == 2  # connection_cache_ttl_limit
    assert params.ehlo == "always"
    assert params.rcpt_timeout == 300


def test_never_send_ehlo() -> None:
    assert SmtpParams.of(SimpleNamespace(smtp_never_send_ehlo=True)).ehlo == "never"
    assert SmtpParams.of(SimpleNamespace(smtp_always_send_ehlo=False)).ehlo == "if ESMTP"


def test_every_parameter_is_one_of_main_cf() -> None:
    view = Settings(
        MainCf.parse(b"myhostname = mail.ours.example\nsmtp_mail_timeout = 2m\n", "main.cf").settings, FixedHost()
    )
    params = SmtpParams.of(view)
    assert (params.helo_name, params.mail_timeout, params.mx_address_limit) == ("mail.ours.example", 120, 5)
    names = {"myhostname": "localhost", "helo_name": "localhost", "queue_directory": "."}
    assert msgspec.structs.replace(params, mail_timeout=300, **names) == SmtpParams()
    lmtp = SmtpParams.of(view, "lmtp")
    own = {"tcp_port": "24", "connect_timeout": 0, "fallback_relay": (), "skip_quit_response": False}
    assert lmtp == msgspec.structs.replace(params, mail_timeout=300, **own)


@pytest.mark.parametrize("prefix", ["smtp", "lmtp"])
def test_every_field_has_its_parameter(prefix: str) -> None:
    known = set(parameters.PARAMETERS)
    missing = {parameter_name(name, prefix) for name in SmtpParams.__struct_fields__} - known
    alone = {"smtp": {"smtp_assume_final", "smtp_ehlo"}, "lmtp": {"lmtp_lhlo"}}
    assert missing == alone[prefix]


@pytest.mark.parametrize(
    ("level", "without", "expected"),
    [("", True, True), ("", False, False), ("disabled", False, True), ("enabled", True, False)],
)
def test_dns_support_level(level: str, without: bool, expected: bool) -> None:
    settings = SimpleNamespace(smtp_dns_support_level=level, disable_dns_lookups=without)
    assert SmtpParams.of(settings).disable_dns_lookups is expected


def test_values_that_make_no_sense() -> None:
    with pytest.raises(ConfigError) as raised:
        SmtpParams.of(SimpleNamespace(lmtp_dns_support_level="perhaps"), "lmtp")
    assert raised.value.parameter == "lmtp_dns_support_level"

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import FixedHost

MASTER = """\
smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       y       -       -       smtpd -o syslog_name=postfix/submission
  -o { smtpd_client_restrictions = permit_mynetworks, reject } -o smtpd_timeout=$mine
relay      unix  -       -       y       -       -       smtp -o syslog_name=postfix/$service_name
slow       unix  -       -       n       -       -       smtp
"""


def configuration(main: str, master: str = MASTER) -> Configuration:
    return Configuration.parse(main, master, directory="/etc/g", host=FixedHost())


def test_each_service_has_its_own_view() -> None:
    config = configuration("mine = 7\n")
    smtp, submission, relay, _ = config.master
    assert config.settings_for(submission).smtpd_timeout == 7
    assert config.settings_for(smtp).smtpd_timeout == 300
    assert config.settings_for(smtp, stress="yes").smtpd_timeout == 10
    assert config.settings_for(relay).syslog_name == "postfix/relay"
    assert config.settings_for(submission).where("smtpd_timeout") == ("/etc/g/master.cf", 2)
    assert (config.settings.config_directory, config.settings.service_name) == ("/etc/g", "")


def test_unused_names() -> None:
    main = """\
smtpd_restriction_classes = cls1, cls2
cls1 = permit
cls2 = reject $foo
foo = bar
unused1 = x
mine = 5
slow_destination_rate_delay = 5s
fast_destination_rate_delay = 5s
virtual_alias_maps = ldap:source
source_server_host = localhost
other_server_host = localhost
"""
    assert configuration(main).unused() == ["unused1", "fast_destination_rate_delay", "other_server_host"]


def test_errors_of_both_files() -> None:
    config = configuration("smtpd_recipient_limit = x\n", MASTER + "  -o smtp_connect_timeout=5y\n")
    errors = config.check()
    # $mine is not defined, so that submission's smtpd_timeout is empty.
    assert [(error.path, error.line, error.parameter) for error in errors] == [
        ("/etc/g/main.cf", 1, "smtpd_recipient_limit"),
        ("/etc/g/master.cf", 2, "smtpd_timeout"),
        ("/etc/g/master.cf", 5, "smtp_connect_timeout"),
    ]


def test_what_may_not_be_neglected() -> None:
    config = configuration(
        "smtpd_milters = inet:localhost:1\nsmtpd_tls_security_level = may\ncontent_filter =\ndebug_peer_level = 3\n",
        "smtps inet n - y - - smtpd -o smtpd_hide_client_session=yes -o smtpd_tls_security_level=$nothing\n",
    )
    assert [(error.path, error.line, error.parameter) for error in config.refusals()] == [
        ("/etc/g/main.cf", 1, "smtpd_milters"),
        ("/etc/g/master.cf", 1, "smtpd_hide_client_session"),
    ]
    assert "debug_peer_level" in [error.parameter for error in config.not_honoured()]
    assert "content_filter" not in [error.parameter for error in config.not_honoured()]


def test_files_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"main\.cf: No such file"):
        Configuration.read(str(tmp_path))
    (tmp_path / "main.cf").write_text("biff = no\nbiff = yes\n")
    (tmp_path / "master.cf").write_text(MASTER)
    config = Configuration.read(str(tmp_path), FixedHost())
    assert config.settings.biff is True
    assert config.warnings == [f"{tmp_path}/main.cf, line 2: overriding earlier entry: biff=no"]


def test_it_can_be_sent_to_another_process() -> None:
    config = pickle.loads(pickle.dumps(configuration("mine = 7\n")))
    assert config.settings_for(config.master[1]).smtpd_timeout == 7


_WORDS = st.sampled_from(
    [
        "$mine",
        "${mine",
        "{",
        "}",
        " ",
        "-o",
        "smtpd_milters",
        "myorigin",
        "mydomain",
        "mynetworks",
        "mine",
        "=",
        "\n",
        "$",
    ]
)


@given(st.lists(_WORDS).map("".join), st.lists(_WORDS).map("".join))
def test_only_config_errors(main: str, arguments: str) -> None:
    try:
        config = configuration(main, f"smtp inet n - - - - smtpd {arguments}")
    except ConfigError:
        return
    config.check()
    config.refusals()
    config.not_honoured()
    config.unused()


DEBIAN = Path("/usr/share/postfix")


@pytest.mark.skipif(not (DEBIAN / "main.cf.debian").exists(), reason="Debian's stock files are not installed")
def test_debians_stock_configuration_starts() -> None:
    main = (DEBIAN / "main.cf.debian").read_text()
    # What the package's installation adds.
    main += "alias_maps = hash:/etc/aliases\nsmtpd_tls_security_level = may\nsmtp_tls_security_level = may\n"
    config = configuration(main, (DEBIAN / "master.cf.dist").read_text())
    assert config.check() == []
    assert config.refusals() == []
    assert config.unused() == []

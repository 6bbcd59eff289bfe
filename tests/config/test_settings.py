import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.config.errors import ConfigError
from gatepost.config.generate_stub import stub
from gatepost.config.host_facts import FixedHost
from gatepost.config.main_cf import MainCf
from gatepost.config.parameters import PARAMETERS
from gatepost.config.settings import Settings


def settings(text: str = "", **host: str) -> Settings:
    return Settings(MainCf.parse(text.encode(), "main.cf").settings, FixedHost(**host))


def test_values_have_types() -> None:
    view = settings("myhostname = mail.ours.example\nsmtpd_timeout = 5m\nsmtpd_helo_required = YES\n")
    assert view.smtpd_timeout == 300
    assert view.smtpd_helo_required is True
    assert view.smtpd_recipient_limit == 1000
    assert view.message_size_limit == 10240000
    assert view.smtpd_banner == "mail.ours.example ESMTP Postfix"
    assert view.forward_path == "$home/.forward${recipient_delimiter}${extension}, $home/.forward"
    assert view["2bounce_notice_recipient"] == "postmaster"
    assert view.mail_version == "3.7.11"


def test_each_time_has_its_own_unit() -> None:
    view = settings("delay_warning_time = 4\nmaximal_queue_lifetime = 1\nqueue_run_delay = 7\n")
    assert (view.delay_warning_time, view.maximal_queue_lifetime, view.queue_run_delay) == (14400, 86400, 7)


def test_values_are_worked_out_once_and_cannot_be_set() -> None:
    view = settings()
    assert view.smtpd_timeout == 300
    assert vars(view)["smtpd_timeout"] == 300
    with pytest.raises(AttributeError, match="immutable"):
        view.smtpd_timeout = 5  # type: ignore[misc]
    with pytest.raises(AttributeError, match="no_such_parameter"):
        _ = view.no_such_parameter  # type: ignore[attr-defined]


def test_they_survive_pickling() -> None:
    view = settings("smtpd_timeout = 5m\n")
    again = pickle.loads(pickle.dumps(view))
    assert (again.smtpd_timeout, again.myhostname) == (300, view.myhostname)


def test_names_of_the_administrator() -> None:
    view = settings("mine = $yours!\nyours = 1\n")
    assert (view.text("mine"), view.raw("mine"), view.text("nosuch"), view.expand("<$mine>")) == (
        "1!",
        "$yours!",
        "",
        "<1!>",
    )
    assert (view.defined("mine"), view.defined("biff"), view.where("mine"), view.where("biff")) == (
        True,
        False,
        ("main.cf", 1),
        None,
    )


def test_transports() -> None:
    view = settings("slow_destination_rate_delay = 5\ndefault_destination_concurrency_limit = 7\n")
    assert view.transport("slow", "destination_rate_delay") == 5
    assert view.transport("slow", "destination_concurrency_limit") == 7
    assert view.transport("local", "destination_recipient_limit") == 1
    assert view.transport("smtp", "destination_concurrency_positive_feedback") == "1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hash_queue_depth = abc", "bad numerical configuration: hash_queue_depth = abc"),
        ("hash_queue_depth = 0", "invalid hash_queue_depth parameter value 0 < 1"),
        ("delay_logging_resolution_limit = 7", "invalid delay_logging_resolution_limit parameter value 7 > 6"),
        ("soft_bounce = maybe", "bad boolean configuration: soft_bounce = maybe"),
        ("ipc_timeout = 5x", "bad time value or unit: 5x"),
        ("ipc_timeout = 0", "invalid ipc_timeout: 0 (min 1)"),
        ("myorigin =", "bad string length 0 < 1: myorigin = "),
        ("default_verp_delimiters = a", "bad string length 1 < 2: default_verp_delimiters = a"),
        ("compatibility_level = a", 'malformed compatibility level syntax: "a"'),
        ("relayhost = $relayhost", 'unreasonable macro call nesting: "relayhost"'),
        ("myorigin = $myorigin", 'unreasonable macro call nesting: "myorigin"'),
        ("mine = ${x", 'truncated macro reference: "${x"'),
    ],
)
def test_bad_values_are_named_with_their_line(line: str, message: str) -> None:
    view = settings(f"# head\n{line}\n")
    (error,) = view.check()
    name = line.partition(" ")[0]
    assert (error.message, error.path, error.line, error.parameter) == (message, "main.cf", 2, name)
    if name in PARAMETERS:
        with pytest.raises(ConfigError):
            getattr(view, name)


def test_names_of_this_host() -> None:
    assert settings(name="vm").myhostname == "vm.localdomain"
    assert settings(name="vm").mydomain == "localdomain"
    assert settings("mydomain = d.example\n", name="vm").myhostname == "vm.d.example"
    assert settings("mydomain = $myhostname\n", name="vm").myhostname == "vm."
    assert settings("myhostname = vm\n").mydomain == "localdomain"
    assert settings(name="a.b.example").mydomain == "b.example"
    assert settings(name="a.b.example").mydestination == "a.b.example, localhost.b.example, localhost"


def test_mynetworks_by_style() -> None:
    assert settings().mynetworks == "127.0.0.0/8 [::1]/128"
    assert settings("compatibility_level = 3.6\n").mynetworks == "127.0.0.1/32 [::1]/128"
    (error,) = settings("mynetworks_style = foo\nx = $mynetworks\n").check()
    assert error.message == 'unknown mynetworks mask style value "foo" in "foo"'


def test_where_the_queue_is() -> None:
    assert settings().gatepost_queue_directory == "/var/spool/gatepost"
    assert settings(state="/home/u/.local/state").gatepost_queue_directory == "/home/u/.local/state/gatepost/queue"
    assert settings("gatepost_queue_directory = /q\n").gatepost_queue_directory == "/q"


def test_myorigin_may_name_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mailname"
    file.write_text("mail.example\nignored\n")
    view = settings(f"myorigin = {file}\nx = <$myorigin>\n")
    assert (view.myorigin, view.text("x")) == ("mail.example", "<mail.example>")
    with pytest.raises(ConfigError, match="/nonexistent: cannot open file: No such file or directory"):
        _ = settings("myorigin = /nonexistent\n").myorigin


def test_functions() -> None:
    assert settings("mydomain = bücher.example\n").expand("${domain_to_ascii{$mydomain}}") == "xn--bcher-kva.example"


def test_the_stub_is_current() -> None:
    import gatepost.config.settings as module

    assert module.__file__ is not None
    current = Path(module.__file__).with_suffix(".pyi").read_text()
    assert current == stub(), "run: python -m gatepost.config.generate_stub"


@given(st.dictionaries(st.sampled_from(sorted(PARAMETERS)), st.text(alphabet="$n{}?:= 1yesx,/"), max_size=5))
def test_only_config_errors(values: dict[str, str]) -> None:
    text = "".join(f"{name} = {value}\n" for name, value in values.items())
    view = settings(text)
    view.check()
    for name in values:
        try:
            view.value(name)
        except ConfigError as error:
            assert error.parameter

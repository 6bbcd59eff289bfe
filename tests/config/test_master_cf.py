import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.config.errors import ConfigError
from gatepost.config.master_cf import MasterCf, Service


def services(text: str) -> list[Service]:
    return MasterCf.parse(text.encode(), "master.cf").services


def test_fields_and_their_defaults() -> None:
    first, second, third = services(
        "smtp inet n - y - 50 smtpd\n# c\nflush unix - n n 1000? 0 flush\npickup unix n - - 60 1 pickup -v\n"
    )
    assert (first.name, first.type, first.private, first.unpriv, first.chroot) == ("smtp", "inet", False, True, True)
    assert (first.wakeup, first.wakeup_if_used, first.maxproc, first.program) == (0, False, 50, "smtpd")
    assert (second.private, second.unpriv, second.chroot, second.wakeup) == (True, False, False, 1000)
    assert (second.wakeup_if_used, second.maxproc, second.line) == (True, 0, 3)
    assert (third.private, third.args, third.key) == (False, ["-v"], "pickup/unix")
    assert services("smtp inet - - - - - smtpd")[0].maxproc is None


def test_overrides_and_other_arguments() -> None:
    (service,) = services(
        "smtp inet n - - - - smtpd -o a=b\n"
        "  -o { c = d e } -v -ox=y\n  -o {z={1 2}} flags=R { user = x } -o not=option\n"
    )
    assert service.overrides == {"a": "b", "c": "d e", "x": "y", "z": "{1 2}"}
    assert service.args == ["-v", "flags=R", "user = x", "-o", "not=option"]


def test_the_later_line_of_one_name_and_type_counts() -> None:
    master = MasterCf.parse(b"a inet n - - - - x\na unix n - - - - y\na inet n - - - - z\n", "master.cf")
    assert [(service.key, service.program) for service in master.services] == [("a/inet", "z"), ("a/unix", "y")]
    assert master.warnings == ['duplicate master.cf entry for service "a" (inet) -- using the last entry']


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("smtp inet n - - - -", "bad field count"),
        ("smtp inet x - - - - smtpd", 'field "private": bad value: "x"'),
        ("smtp foo n - - - - smtpd", 'field "type": bad value: "foo"'),
        ("smtp inet n - - 5x - smtpd", 'field "wakeup time": bad value: "5x"'),
        ("smtp inet n - - 5? 5? smtpd", 'field "process limit": bad value: "5?"'),
        ("smtp inet n - - 5 -1 smtpd", 'field "process limit": bad value: "-1"'),
        ("smtp inet n - - 5 0 smtpd -o x", "-o option: missing '=' after attribute name: \"x\""),
        ("smtp inet n - - 5 0 smtpd -o", "missing argument of -o"),
        ("smtp inet n - - 5 0 smtpd {a", "missing '}' in \"{a\""),
        ("smtp inet n - - 5 0 smtpd {a}b", "syntax error after '}' in \"{a}b\""),
    ],
)
def test_errors_name_the_line(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        services(f"ok inet n - - - - smtpd\n{line}\n")
    assert (caught.value.message, caught.value.path, caught.value.line) == (message, "master.cf", 2)


@given(st.lists(st.text(alphabet="-o{}=ab ?\n#", max_size=20)))
def test_only_config_errors(arguments: list[str]) -> None:
    try:
        services(f"smtp inet n - - - - smtpd {' '.join(arguments)}")
    except ConfigError as error:
        assert error.path == "master.cf"

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gatepost.audit.lint.finding import Severity
from gatepost.audit.lint.run import checks
from gatepost.config.errors import ConfigError
from gatepost.config.parameters import PARAMETERS
from tests.audit.lint.configurations import MASTER_CF, Folder

NAMES = sorted(name for name in PARAMETERS if name.startswith(("smtpd_", "smtp_", "my", "virtual_", "relay", "alias_")))
WORDS = """
    permit reject permit_mynetworks warn_if_reject reject_unauth_destination reject_rbl_client check_sender_access
    check_client_access check_policy_service sleep nonsense yes no hash:/etc/postfix/table cidr:/etc/postfix/table
    regexp:/etc/postfix/table inline:{a=b} static:OK { } $mydestination $smtpd_banner $nothing ! !a /etc/postfix/table
    10.0.0.1/8 [::1]/128 ::1 [ ] : = , # @ . * example.com [example.com]:587 a@b inet:127.0.0.1:1 unix:private/x 0 1 -1
    99999999999 2h zen.spamhaus.org=127.0.0.[2..11] x=127.0.0 TLSv1 !SSLv2 >=TLSv1.2 may \\ " ' \u00e9
"""
PIECES = st.sampled_from((*WORDS.split(), "cidr:{{10.0.0.0/8 OK}}", "pcre:{{/a/ b}", "{ a = b }", "\x00"))
VALUES = st.lists(PIECES, max_size=5).map(" ".join)
ROWS = st.lists(st.lists(PIECES, max_size=4).map(" ".join), max_size=4).map("\n".join)


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6), VALUES, ROWS)
def test_whatever_is_written_there_it_says_something_or_nothing(
    settings: list[tuple[str, str]], override: str, table: str
) -> None:
    main = "".join(f"{name} = {value}\n" for name, value in settings)
    master = f"{MASTER_CF}587 inet n - n - - smtpd -o {{ smtpd_recipient_restrictions = {override} }}\n"
    with tempfile.TemporaryDirectory() as folder:
        there = Folder(Path(folder))
        there.write("/etc/postfix/table", table)
        try:
            findings = there.lint(main, master)
        except ConfigError:
            return  # the files cannot be read
    for finding in findings:
        assert finding.message and finding.remedy and finding.path


def test_the_gravest_first_and_each_once(tmp_path: Path) -> None:
    found = Folder(tmp_path).lint("old_thing = 1\nmydestinations = x\nmynetworks = 10.0.0.1/8\nrelayhost = a@b\n")
    ranks = [list(Severity).index(finding.severity) for finding in found]
    assert ranks == sorted(ranks)
    assert len(set(found)) == len(found)
    errors = [finding.line for finding in found if finding.severity is Severity.ERROR]
    assert errors == sorted(errors)


def test_a_disabled_check_is_left_out(tmp_path: Path) -> None:
    assert [finding.check for finding in Folder(tmp_path).lint("old_thing = 1\n")] == ["parameter-unused"]
    assert "parameter-unused" in checks()

from pathlib import Path

import pytest

from gatepost.bounce.template import FAILURE
from gatepost.bounce.template_file import Texts, previewed
from gatepost.config.errors import ConfigError
from tests.bounce.template_files import FILES
from tests.rewrite.services import Services


def texts(folder: Path, name: str, **changes: str) -> tuple[Texts, list[str]]:
    path = folder / name
    path.write_text(FILES[name])
    warnings: list[str] = []
    settings = Services(**{"bounce_template_file": str(path), **changes}).settings
    return Texts(settings, lambda text: warnings.append(text.replace(f"{folder}/", ""))), warnings


def test_templates_from_a_file(tmp_path: Path) -> None:
    found, warnings = texts(tmp_path, "two")
    assert (found.failure.subject, found.failure.sender, found.failure.text) == ("a", "b@c.example", "one\n")
    assert found.failure.postmaster_subject == FAILURE.postmaster_subject
    assert found.delay.text == "EOF\n"
    assert found.success.origin == "[built-in]"
    assert warnings == []


def test_names_are_filled_in(tmp_path: Path) -> None:
    found, warnings = texts(tmp_path, "macros")
    assert found.filled(found.failure) == "mail.ours.example yes $x Postfix\n7200\n"
    assert warnings[0] == 'macros: excessive result "7200" in failure template conversion of parameter ' + (
        '"maximal_queue_lifetime_minutes"'
    )
    warnings.clear()
    found.filled(found.failure)
    assert warnings == []


def test_times(tmp_path: Path) -> None:
    found, warnings = texts(tmp_path, "cautions", delay_warning_time="5400s", maximal_queue_lifetime="600s")
    assert found.filled(found.failure) == "0 600 1\n"
    assert warnings == [
        'cautions: zero result in failure template conversion of parameter "delay_warning_time_weeks"',
        'please reduce time unit "weeks" of "delay_warning_time_weeks" in failure template',
        "for instructions see the bounce(5) manual",
    ]


def test_names_of_hosts_as_people_read_them() -> None:
    texts = Texts(Services(myhostname="mail.xn--bcher-kva.example").settings, print)
    assert texts.filled(texts.failure).startswith("This is the mail system at host mail.b\u00fccher.example.\n")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("undefined", "undefined: undefined $name in failure template: $nosuchparameter"),
        ("unit", 'unit: unrecognized suffix "fortnights" in parameter "delay_warning_time_fortnights"'),
        ("nomarker", "nomarker, line 2: missing end marker after <<"),
        ("noequals", "noequals, line 2: missing '=' after attribute name: \"some garbage\""),
    ],
)
def test_faults_that_postfix_ends_with(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        texts(tmp_path, name)[0].check()
    assert str(error.value) == f"{tmp_path}/{problem}"


@pytest.mark.parametrize("name", ["unknownheader", "emptyheader", "notext", "subject8", "text8", "inapplicable"])
def test_templates_that_are_not_used(tmp_path: Path, name: str) -> None:
    found, warnings = texts(tmp_path, name)
    assert all(template.origin == "[built-in]" for template in found)
    assert "ignoring this template" in warnings[-1]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="open /nonexistent: No such file or directory"):
        Texts(Services(bounce_template_file="/nonexistent").settings, print)


def test_obsolete_form_of_the_sender() -> None:
    found = Texts(Services(header_from_format="obsolete").settings, print)
    assert {template.sender for template in found} == {"MAILER-DAEMON (Mail Delivery System)"}
    assert previewed(found).count("_text = <<EOF\n") == 4

from pathlib import Path

import pytest

from gatepost.audit.lists import broken_items, compile_list, ranges_in_words, useless_exceptions
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables


def a_list(text: str) -> tuple[MatchList, Settings]:
    settings = Configuration.parse(f"#\nmynetworks = {text}\n").settings
    tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None))
    return compile_list("mynetworks", settings, tables), settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("127.0.0.0/8 [::1]/128", "127.0.0.0/8, ::1/128"),
        ("!192.168.87.1, 192.168.87.0/24", "not 192.168.87.1/32, 192.168.87.0/24"),
        ("10.0.0.1/8 10.0.0.0/8", "10.0.0.1/8 (an error), 10.0.0.0/8"),
        (".Example.com !hash:/nonexistent", ".Example.com, not hash:/nonexistent"),
        ("", "nobody"),
    ],
)
def test_a_list_in_words(text: str, words: str) -> None:
    assert ranges_in_words(a_list(text)[0]) == words


def test_networks_in_a_file_stand_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "networks"
    file.write_text("10.0.0.0/8\n!172.16.0.1\n")
    assert (
        ranges_in_words(a_list(f"127.0.0.1 {file} [::1]")[0]) == "127.0.0.1/32, 10.0.0.0/8, not 172.16.0.1/32, ::1/128"
    )


def test_an_item_that_cannot_be_compared_has_its_place() -> None:
    (error,) = broken_items(*a_list("127.0.0.1 10.0.0.1/8"))
    assert (error.path, error.line, error.parameter) == ("/etc/gatepost/main.cf", 2, "mynetworks")
    assert error.message.startswith('10.0.0.1/8: non-null host address bits in "10.0.0.1/8"')


def test_an_exception_that_comes_too_late() -> None:
    (error,) = useless_exceptions(*a_list("192.168.87.0/24 !192.168.87.1"))
    assert str(error) == (
        '/etc/gatepost/main.cf, line 2: parameter mynetworks: "!192.168.87.1" has no effect: "192.168.87.0/24" before '
        "it matches first; put the exception before it"
    )
    assert list(useless_exceptions(*a_list("!192.168.87.1 192.168.87.0/24"))) == []


def test_what_postfix_would_not_start_with() -> None:
    with pytest.raises(ConfigError, match=r"main.cf, line 2: parameter mynetworks: no pattern after '!'"):
        a_list("127.0.0.1 !")

from pathlib import Path

import pytest

from gatepost.restrictions import access
from gatepost.restrictions.compile import FAMILIES
from gatepost.restrictions.registry import REMOVED, find, registered, restriction

PAGE = (Path(__file__).parents[2] / "docs" / "restrictions.md").read_text()


def test_every_name_is_on_the_page() -> None:
    names = [name for entry in registered() for name in (entry.name, *entry.aliases)]
    assert FAMILIES
    for name in [*names, *REMOVED, "warn_if_reject"]:
        assert f"`{name}`" in PAGE, name
    for action in [*access._ACTIONS, "OK", "RELAY", "DISCARD"]:
        assert f"`{action}`" in PAGE, action


def test_no_name_is_two_things() -> None:
    for name in REMOVED:
        assert find(name) is None
    with pytest.raises(RuntimeError, match="registered twice"):
        restriction("permit")(access.apply_result)


def test_each_restriction_says_what_it_is_for() -> None:
    for entry in registered():
        assert entry.function.__name__ == entry.name
        assert entry.function.__doc__

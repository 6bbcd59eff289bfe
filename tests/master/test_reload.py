"""Reasons of failed reloads. (That a reload fails, and what then serves: tests/scenarios/test_reload.py.)"""

from gatepost.config.errors import ConfigError
from gatepost.master.reload import reason


def test_a_fault_of_ours_is_told_with_its_place() -> None:
    assert reason(ConfigError("bad", parameter="x")) == "parameter x: bad"
    assert reason(FileNotFoundError(2, "No such file", "f")) == "[Errno 2] No such file: 'f'"
    try:
        raise UnicodeError("what")
    except UnicodeError as error:
        text = reason(error)
    assert text.startswith(f"panic: UnicodeError: what ({__file__}, line ")

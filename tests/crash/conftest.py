"""How many runs: a dozen in the test run, 200 with `make crash`; what they came to, at the end."""

from collections import Counter

import pytest

RELAY = """\
myhostname = relay.test
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
relayhost = [127.0.0.1]:{port}
"""
"""The main.cf of a server that relays to a port."""

KILLED: Counter[str] = Counter()
"""Runs by what was killed, and messages, duplicates: filled by the tests of this process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash-runs", type=int, default=12, help="runs that kill a process under load")
    parser.addoption("--long-faults", action="store_true", help="the fault runs in their long form")
    parser.addoption("--crash-seed", type=int, default=0, help="seed of the first run; 0: from the clock")


@pytest.fixture
def long_form(request: pytest.FixtureRequest) -> bool:
    """Is this `make faults`, which may take its time?"""
    return bool(request.config.getoption("--long-faults"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "crash_run" in metafunc.fixturenames:
        metafunc.parametrize("crash_run", range(metafunc.config.getoption("--crash-runs")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if KILLED:
        terminalreporter.write_sep("=", "crash runs")
        for what, count in sorted(KILLED.items()):
            terminalreporter.write_line(f"{what}: {count}")

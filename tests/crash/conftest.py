"""How many runs: a dozen in the test run, 200 with `make crash`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash-runs", type=int, default=12, help="runs that kill a process under load")
    parser.addoption("--crash-seed", type=int, default=0, help="seed of the first run; 0: from the clock")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "crash_run" in metafunc.fixturenames:
        metafunc.parametrize("crash_run", range(metafunc.config.getoption("--crash-runs")))

"""For every test: which event loop, how long the property tests search, and what a missing peer means.

--loop uvloop (the default): as in service. --loop debug: asyncio's own loop in debug mode, for the unit tests;
those that are no coroutines are left out then.
"""

import asyncio
import os
from collections.abc import Callable, Mapping

import hypothesis
import pytest
import uvloop
from pytest_asyncio import is_async_test

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("long", deadline=None, max_examples=20_000)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
# A check of one change should judge that change: what chance finds is found at the desk and by `make fuzz`.
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop", choices=("uvloop", "debug"), default="uvloop", help="event loop of the asynchronous tests"
    )

    parser.addoption("--tls-sessions", type=int, default=1000, help="TLS sessions after which memory is looked at")

def debug_loop() -> asyncio.AbstractEventLoop:
    """In debug mode slow callbacks, forgotten coroutines and calls from wrong threads are found."""
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if config.getoption("--loop") == "debug":
        return {"debug": debug_loop}
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is no coroutine is no other test on another loop."""
    if config.getoption("--loop") == "debug":
        config.hook.pytest_deselected(items=[item for item in items if not is_async_test(item)])
        items[:] = filter(is_async_test, items)


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Skips are said aloud; in CI, where everything is installed, there must be none for a missing program."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("CI"):
        terminalreporter.write_line(f"{len(skipped)} tests were skipped under CI=true; see the reasons above")

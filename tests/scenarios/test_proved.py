"""What `gatepost prove` has proved closed is closed over the wire too: to nmap, coming from a stranger's address."""

import os
import shutil
from typing import Any

import pytest

from tests.namespaces import played_in_namespaces
from tests.scenarios.proved_play import DISGUISES, OPEN

MISSING = [name for name in ("nmap", "ip", "unshare") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(
    bool(os.geteuid()) or (bool(MISSING) and not os.environ.get("CI")),
    reason=f"needs root, nmap, iproute2 and util-linux; missing: {', '.join(MISSING)}",
)


@pytest.fixture(scope="module")
def played() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = played_in_namespaces("tests.scenarios.proved_play", limit=300)
    return cases


def test_nmap_gets_in_nowhere_where_it_was_proved_that_nobody_does(played: list[dict[str, Any]]) -> None:
    proved = [case for case in played if case["outcome"] == "proved"]
    assert len(proved) >= 9, "some of the corpus and some random ones"
    for case in proved:
        assert len(case["said"]) == len(DISGUISES), case
        for said in case["said"]:
            # A random one may refuse the connection already; those of the corpus hear it all.
            heard = "Server doesn't seem to be an open relay, all tests failed"
            assert said == heard if "random" not in case["name"] else "is an open relay (" not in said, case


def test_nmap_gets_in_where_strangers_were_found_to(played: list[dict[str, Any]]) -> None:
    open_to = {case["name"]: case["said"] for case in played if case["outcome"] == "refuted"}
    assert set(open_to) == set(OPEN)
    for name, said in open_to.items():
        assert any("Server is an open relay (" in text for text in said), (name, said)

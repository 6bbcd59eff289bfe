import ipaddress
import pickle

import pytest

from gatepost.config.host_facts import FixedHost, HostFacts, ThisHost


@pytest.mark.parametrize("host", [ThisHost(), FixedHost()])
def test_both_hosts_answer_alike(host: HostFacts) -> None:
    assert host.hostname()
    assert ipaddress.ip_address("127.0.0.1") in {interface.address for interface in host.interfaces()}
    assert ipaddress.ip_address("127.0.0.1") in host.addresses_of("localhost")
    assert host.addresses_of("no-such-host.invalid") == []
    assert host.process_id() > 0
    assert pickle.loads(pickle.dumps(host)).hostname() == host.hostname()


def test_the_state_directory_of_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert ThisHost().state_directory() == "/home/u/.local/state"
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert ThisHost().state_directory() == "/s"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert ThisHost().state_directory() == ""

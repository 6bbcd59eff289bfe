"""Sockets of spawn lines: opened by master, kept over a reload, closed when no line wants them."""

import os
import pwd
import socket
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.command_listeners import CommandListener, close_others, open_command_listeners
from tests.scenarios.server import free_port

USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def configured(folder: Path, *services: str) -> Configuration:
    (folder / "private").mkdir(exist_ok=True)
    (folder / "main.cf").write_text(f"gatepost_queue_directory = {folder}\n")
    lines = [f"{service} - n n - 0 spawn user={USER} argv=/bin/cat\n" for service in services]
    (folder / "master.cf").write_text("".join(lines))
    return Configuration.read(str(folder))


def sockets_of(listeners: list[CommandListener]) -> list[socket.socket]:
    return [sock for listener in listeners for sock in listener.sockets.values()]


def close(listeners: list[CommandListener]) -> None:
    close_others(listeners, ())


def test_who_connects_before_anybody_serves_waits(tmp_path: Path) -> None:
    port = free_port()
    listeners = open_command_listeners(configured(tmp_path, "asked unix", f"127.0.0.1:{port} inet"), None)
    assert [listener.service.name for listener in listeners] == ["asked", f"127.0.0.1:{port}"]
    with socket.socket(socket.AF_UNIX) as local, socket.socket() as remote:
        local.connect(f"{tmp_path}/private/asked")
        remote.connect(("127.0.0.1", port))
    close(listeners)


def test_a_reload_keeps_the_sockets_that_are_still_wanted(tmp_path: Path) -> None:
    port = free_port()
    old = open_command_listeners(configured(tmp_path, "asked unix", f"127.0.0.1:{port} inet"), None)
    new = open_command_listeners(configured(tmp_path, "other unix", f"127.0.0.1:{port} inet"), None, old)
    assert sockets_of(new)[1] is sockets_of(old)[1]
    close_others(old, new)
    assert not (tmp_path / "private/asked").exists()
    assert [sock.fileno() >= 0 for sock in sockets_of(old)] == [False, True]
    assert all(sock.fileno() >= 0 for sock in sockets_of(new))
    close(new)


def test_a_port_that_is_taken_leaves_all_as_it_was(tmp_path: Path) -> None:
    old = open_command_listeners(configured(tmp_path, "asked unix"), None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        configuration = configured(tmp_path, "asked unix", "new unix", f"127.0.0.1:{port} inet")
        with pytest.raises(ConfigError) as refused:
            open_command_listeners(configuration, None, old)
    assert str(refused.value) == (
        f"{tmp_path}/master.cf, line 3: cannot listen on 127.0.0.1:{port}: Address already in use"
    )
    assert sockets_of(old)[0].fileno() >= 0
    with socket.socket(socket.AF_UNIX) as nobody, pytest.raises(ConnectionRefusedError):
        nobody.connect(f"{tmp_path}/private/new")
    close(old)

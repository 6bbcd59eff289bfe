"""Policy services beside a whole server: one that hangs or dies, one that is run by a spawn line, and real ones."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.namespaces import played_in_namespaces
from tests.scenarios.others import DISCARDING
from tests.scenarios.server import MASTER_CF, Client, Gatepost, children, free_port, temporary_folder, until
from tests.scenarios.threaded_policy import ThreadedPolicy

MAIN_CF = DISCARDING + """\
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_client_connection_count_limit = 0
"""


class Sessions:
    """Clients of a server, as a front end gives them. All are closed in the end."""

    def __init__(self, server: Gatepost) -> None:
        self.server = server
        self.clients: list[Client] = []

    def __call__(self, address: str = "192.0.2.7", name: str = "[UNAVAILABLE]") -> Client:
        client = _introduced(self.server.client(), address, name)
        self.clients.append(client)
        return client

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()
        self.server.stop()


def _introduced(client: Client, address: str, name: str) -> Client:
    assert client.say(f"XCLIENT NAME={name} ADDR={address}").startswith("220")
    assert client.say("EHLO client.example").startswith("250")
    return client


def rcpt(client: Client, sender: str = "a@x.example", recipient: str = "bob@ours.example") -> str:
    assert client.say("RSET") == "250 2.0.0 Ok"
    assert client.say(f"MAIL FROM:<{sender}>") == "250 2.1.0 Ok"
    return client.say(f"RCPT TO:<{recipient}>")


def _ask(service: str) -> str:
    return f"smtpd_recipient_restrictions = check_policy_service {{ {service} }}\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield Path(path)


def test_a_service_that_hangs_holds_up_its_own_session_only(folder: Path) -> None:
    def answer(request: dict[str, str]) -> str:
        if request["sender"] == "hang@x.example":
            release.wait(30)
        return "dunno"

    release = threading.Event()
    with ThreadedPolicy(answer) as policy:
        server = Gatepost(folder, MAIN_CF + _ask(f"inet:127.0.0.1:{policy.port}, timeout=3s, try_limit=1")).start()
        with Sessions(server) as session:
            hanging = [session() for _ in range(5)]
            for client in hanging:
                assert client.say("MAIL FROM:<hang@x.example>") == "250 2.1.0 Ok"
                client.sock.sendall(b"RCPT TO:<bob@ours.example>\r\n")
            until(lambda: sum(r["sender"] == "hang@x.example" for r in policy.requests) == 5, "the questions")
            other = session()
            for _ in range(20):
                assert rcpt(other) == "250 2.1.5 Ok"
            for client in hanging:
                assert client.reply() == (
                    "451 4.3.5 <bob@ours.example>: Recipient address rejected: Server configuration problem"
                )
            server.wait_log(f"problem talking to server 127.0.0.1:{policy.port}: Connection timed out")
            release.set()


def test_a_service_that_answers_garbage_or_dies_is_named_and_forgiven(folder: Path) -> None:
    with ThreadedPolicy(lambda request: {"garbage@x.example": ""}.get(request["sender"], "dunno")) as policy:
        main_cf = MAIN_CF + _ask(f"inet:127.0.0.1:{policy.port}, try_limit=1")
        with Sessions(Gatepost(folder, main_cf).start("--single-process")) as session:
            client, server = session(), session.server
            refused = "451 4.3.5 <bob@ours.example>: Recipient address rejected: Server configuration problem"
            assert rcpt(client, "garbage@x.example") == refused
            server.wait_log(f"missing attribute action in input from 127.0.0.1:{policy.port}")
            assert rcpt(client) == "250 2.1.5 Ok"
            policy.stop()
            assert rcpt(client) == refused
            server.wait_log(f"connect to 127.0.0.1:{policy.port}: Connection refused")
            policy.start()
            assert rcpt(client) == "250 2.1.5 Ok"


SCRIPT = """\
#!/bin/sh
while read line; do
    case $line in
    "") echo "action=reject $(id -un) $FROM_MAIN_CF"; echo;;
    sender=exit@*) exit 3;;
    esac
done
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs commands as others")
def test_a_spawn_line_runs_a_command_for_each_connection(folder: Path) -> None:
    script = folder / "policy"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    main_cf = MAIN_CF + _ask("unix:private/asked, try_limit=1")
    main_cf += "export_environment = FROM_MAIN_CF=yes\nasked_time_limit = 3600\n"
    server = Gatepost(folder, main_cf)
    line = f"asked unix - n n - 0 spawn\n  user=nobody argv={script}\n"
    server.write(main_cf, MASTER_CF.format(listen=server.listen) + line)
    with Sessions(server.start()) as session:
        (spawn,) = server.workers("spawn")
        client = session()
        told = "554 5.7.1 <bob@ours.example>: Recipient address rejected: nobody yes"
        assert rcpt(client) == told
        assert rcpt(client) == told
        assert len(children(spawn)) == 1
        assert rcpt(client, "exit@x.example").startswith("451 4.3.5 ")
        server.wait_log(f"spawn.*warning: command {script} exit status 3")
        assert rcpt(client) == told
        server.command("reload")
        server.wait_log("reload -- version")
        until(lambda: bool(server.workers("spawn")) and server.workers("spawn") != [spawn], "another spawn process")
        assert rcpt(session()) == told
        os.kill(server.workers("spawn")[-1], signal.SIGKILL)
        assert rcpt(session()) == told  # who comes while there is no process for it waits until there is
    until(lambda: not _runs(script), "the end of the commands")


def _runs(script: Path) -> bool:
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return any(str(script).encode() in command for command in commands)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("user=nobody", "missing argv= command-line attribute"),
        ("argv=/bin/cat", "missing user= command-line attribute"),
        ("user=root argv=/bin/cat", "user= command-line attribute specifies root privileges"),
        ("user=nosuchuser argv=/bin/cat", "asked: unknown user or group: nosuchuser"),
        ("foo=bar argv=/bin/cat", "unknown attribute name: foo"),
    ],
)
def test_spawn_lines_that_make_no_sense_are_refused(folder: Path, line: str, words: str) -> None:
    server = Gatepost(folder, MAIN_CF)
    server.write(MAIN_CF, MASTER_CF.format(listen=server.listen) + f"asked unix - n n - 0 spawn\n  {line}\n")
    done = server.command("check", check=False)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr


# Real policy services, from Debian's packages.


def needed(program: str, package: str) -> str:
    """The program, or the test is skipped; under CI=true a missing one is a failure."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin")
    if found and os.geteuid() == 0:
        return found
    reason = f"{package} is not installed" if not found else f"{package} wants root"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def test_postgrey_greylists(folder: Path) -> None:
    program = needed("postgrey", "postgrey")
    port = free_port()
    database = folder / "postgrey"
    database.mkdir()
    user = pwd.getpwnam("postgrey")
    os.chown(database, user.pw_uid, user.pw_gid)
    command = [program, f"--inet=127.0.0.1:{port}", f"--dbdir={database}", "--delay=2", f"--pidfile={database}/pid"]
    with (folder / "postgrey.log").open("wb") as log:
        postgrey = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        with Sessions(Gatepost(folder, MAIN_CF + _ask(f"inet:127.0.0.1:{port}")).start()) as session:
            client = session(name="mx.stranger.example")
            until(lambda: "Greylisted" in rcpt(client), "a word from postgrey")
            assert rcpt(client).startswith("450 4.2.0 <bob@ours.example>: Recipient address rejected: Greylisted, see ")
            session.server.wait_log("reject: RCPT from mx.stranger.example.*Greylisted, see ")
            until(lambda: rcpt(client) == "250 2.1.5 Ok", "the end of the greylisting")
            assert client.say("DATA").startswith("354")
            assert client.say("Subject: x\r\n\r\nbody\r\n.").startswith("250 2.0.0 Ok: queued")
    finally:
        postgrey.terminate()
        postgrey.wait(10)


def test_policyd_spf_run_by_a_spawn_line() -> None:
    needed("policyd-spf", "postfix-policyd-spf-python")
    needed("ip", "iproute2")
    played = played_in_namespaces("tests.scenarios.spf_play", limit=120)
    assert played["replies"]["pass"] == played["replies"]["softfail"] == ["250 2.1.5 Ok"] * 2
    for reply in played["replies"]["fail"]:
        assert reply.startswith("550 5.7.23 <")
        assert "Recipient address rejected: Message rejected due to: SPF fail - not authorized." in reply
    # It knows by the instance that both recipients are of one message, whose header it has given already.
    for case, word in (("pass", "Pass"), ("softfail", "Softfail"), ("none", "None")):
        (header,) = played["headers"][case]
        assert header.startswith(f"Received-SPF: {word} (mailfrom) identity=mailfrom; client-ip=192.0.2.")

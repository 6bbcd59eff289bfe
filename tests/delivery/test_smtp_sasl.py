"""Whom the client tells its passwords, and which sessions serve whom. (What it says: compat/test_outgoing_auth.py.)"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatepost.delivery.lmtp import LmtpAgent
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_sasl import SmtpLogin
from gatepost.delivery.smtp_sasl_cache import LoginFailures
from gatepost.delivery.smtp_sasl_params import SaslParams
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryDone
from gatepost.net.stepping import carry_out_taskless
from gatepost.rewrite.address_classes import LocalDomains
from gatepost.tables.match_list import MatchList
from tests.compat.auth_sink import AuthSink, offers
from tests.delivery.requests import request
from tests.rewrite.services import settings_for
from tests.tables.surroundings import Surroundings

ENABLED = "smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n"
EVERY = offers("PIPELINING", "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256")
IN_CLEAR = offers("AUTH PLAIN LOGIN")
ZONE = """
one.example. MX 10 mx.example.
two.example. MX 10 mx.example.
mx.example. A 127.0.0.1
"""


class Bench:
    """An agent with what it logs; `main_cf`: its smtp_sasl_*."""

    def __init__(
        self, main_cf: str, *, kind: type[SmtpAgent] = SmtpAgent, cache: Path | None = None, **more: Any
    ) -> None:
        self.lines: list[str] = []
        self.now = time.time()
        surroundings = Surroundings()
        settings = settings_for(ENABLED + main_cf)
        params = SaslParams.of(settings, surroundings.tables, "smtp")
        assert params is not None
        ours = LocalDomains(MatchList.compile("mydestination", "", surroundings.tables, match_parent=False), (), "me")
        failures = LoginFailures(cache, 60, lambda: self.now, self.lines.append) if cache is not None else None
        numbers = itertools.count()
        self.login = SmtpLogin(params, ours, failures, lambda: f"nonce{next(numbers)}", self.lines.append)
        self.agent = kind(
            SmtpParams(myhostname="me.example", helo_name="me.example", **more), FakeResolver(ZONE), None,
            self.lines.append, self.lines.append, time.time, random.Random(1), login=self.login,
        )  # fmt: skip
        self._under_way: set[Any] = set()

    async def deliver(self, nexthop: str, sender: str = "me@client.example", **more: Any) -> str:
        """Status code and text of the outcome."""
        wanted = request("you@there.example", nexthop=nexthop, sender=sender, keep=True, **more)
        done: asyncio.Future[DeliveryDone] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                done.set_result(await self.agent.deliver(wanted))
            except Exception as fault:
                done.set_exception(fault)

        carry_out_taskless(work(), self._under_way)
        status = (await done).statuses[0]
        self.lines.append(repr(status))
        return f"{status.dsn} {status.text}"


@pytest.fixture
def sink() -> Iterator[Callable[..., AuthSink]]:
    made: list[AuthSink] = []

    def start(ehlo: str = EVERY, **replies: str) -> AuthSink:
        options = {name: replies.pop(name) for name in ("path", "lmtp") if name in replies}
        made.append(AuthSink({"EHLO": ehlo, "LHLO": ehlo, "AUTH": "@", **replies}, **options))
        return made[-1]

    yield start
    for each in made:
        each.stop()


Sinks = Callable[..., AuthSink]


async def test_senders_with_their_own_passwords_do_not_share_sessions(sink: Sinks) -> None:
    it = sink()
    site = f"[127.0.0.1]:{it.port}"
    table = "smtp_sasl_password_maps = inline:{ a@client.example=user:secret, b@client.example=other:word }\n"
    bench = Bench(table + "smtp_sender_dependent_authentication = yes\n")
    for sender in ("a@client.example", "b@client.example", "a@client.example", "nobody@client.example", ""):
        assert (await bench.deliver(site, sender)).startswith("2.0.0"), sender
    await bench.agent.close()
    assert it.users == ["user", "other"]
    senders = [
        [command[10:].partition(">")[0] for command in session if command.startswith("MAIL")] for session in it.sessions
    ]
    assert sorted(map(sorted, senders)) == [
        ["<"], ["<a@client.example", "<a@client.example"], ["<b@client.example"], ["<nobody@client.example"],
    ]  # fmt: skip


@pytest.mark.parametrize("prefix", ["smtp", "lmtp"])
def test_each_program_has_its_own_parameter(prefix: str) -> None:
    text = f"{ENABLED}smtp_sasl_password_maps = static:user:secret\n".replace("smtp_", f"{prefix}_")
    for wanted in ("smtp", "lmtp"):
        settings = settings_for(f"{text}{wanted}_sender_dependent_authentication = yes\n")
        params = SaslParams.of(settings, Surroundings().tables, prefix)
        assert params is not None and params.by_sender == (wanted == prefix)


async def test_without_it_senders_share_a_session(sink: Sinks) -> None:
    it = sink()
    bench = Bench("smtp_sasl_password_maps = inline:{ a@client.example=other:word, 127.0.0.1=user:secret }\n")
    for sender in ("a@client.example", "b@client.example"):
        assert (await bench.deliver(f"[127.0.0.1]:{it.port}", sender)).startswith("2.0.0")
    await bench.agent.close()
    assert it.users == ["user"]
    assert len(it.sessions) == 1


async def test_next_hops_with_their_own_passwords_do_not_share_a_server(sink: Sinks) -> None:
    it = sink()
    bench = Bench(
        "smtp_sasl_password_maps = inline:{ one.example=user:secret, two.example=other:word }\n", tcp_port=str(it.port)
    )
    for site in ("one.example", "two.example", "one.example"):
        assert (await bench.deliver(site)).startswith("2.0.0")
    await bench.agent.close()
    assert it.users == ["user", "other"]
    assert len(it.sessions) == 2


async def test_a_password_is_for_the_server_that_it_stands_for(sink: Sinks) -> None:
    """A fallback relay, or the next of several servers, has an entry of its own or gets none."""
    busy, other = sink(AUTH="454 4.7.0 later"), sink()
    table = f"smtp_sasl_password_maps = inline:{{ [127.0.0.1]:{busy.port}=user:secret }}\n"
    bench = Bench(table, fallback_relay=(f"[127.0.0.1]:{other.port}",))
    assert (await bench.deliver(f"[127.0.0.1]:{busy.port}")).startswith("2.0.0")
    await bench.agent.close()
    assert any(command.startswith("AUTH") for command in busy.commands)
    assert not any(command.startswith("AUTH") for command in other.commands)
    assert other.messages and not busy.messages


async def test_no_password_goes_out_in_clear_where_options_forbid_it(sink: Sinks) -> None:
    it = sink(IN_CLEAR)
    bench = Bench("smtp_sasl_password_maps = static:user:secret\nsmtp_sasl_security_options = noplaintext\n")
    assert (await bench.deliver(f"[127.0.0.1]:{it.port}")).endswith("no mechanism available")
    await bench.agent.close()
    assert {command[:4] for command in it.commands} <= {"EHLO", "QUIT"}
    assert "SASL authentication failure: No worthy mechs found" in bench.lines


async def test_a_server_that_does_not_prove_itself_gets_no_mail(sink: Sinks) -> None:
    it = sink(offers("AUTH SCRAM-SHA-256"), FINAL="-")
    bench = Bench("smtp_sasl_password_maps = static:user:secret\n")
    outcome = await bench.deliver(f"[127.0.0.1]:{it.port}")
    assert outcome.startswith("4.7.0 SASL authentication failed; cannot authenticate to server 127.0.0.1[127.0.0.1]:")
    assert outcome.endswith("server failed mutual authentication step")
    assert not it.messages
    await bench.agent.close()


async def test_many_iterations_hold_up_nobody(sink: Sinks) -> None:
    """That is done in a thread; the sink's own keys are for 4096, so it cannot be convinced."""
    it = sink(offers("AUTH SCRAM-SHA-256"), FIRST="r={nonce}x,s={salt},i=60000")
    bench = Bench("smtp_sasl_password_maps = static:user:secret\n")
    assert "535 5.7.8" in await bench.deliver(f"[127.0.0.1]:{it.port}")
    await bench.agent.close()


async def test_a_refused_login_is_not_tried_again(sink: Sinks, tmp_path: Path) -> None:
    it = sink()
    passwords = tmp_path / "passwords"
    passwords.write_text("127.0.0.1 user:wrong\n")
    cache = tmp_path / "cache.sqlite"
    bench = Bench(f"smtp_sasl_password_maps = texthash:{passwords}\n", cache=cache)
    site = f"[127.0.0.1]:{it.port}"
    said = "said: 535 5.7.8 Error: authentication failed"
    first = await bench.deliver(site)
    assert first == f"4.7.8 SASL authentication failed; server 127.0.0.1[127.0.0.1] {said}"
    for each in (bench, Bench(f"smtp_sasl_password_maps = texthash:{passwords}\n", cache=cache)):
        assert await each.deliver(site) == f"4.7.8 SASL [CACHED] authentication failed; server 127.0.0.1 {said}"
        await each.agent.close()
    assert sum(command.startswith("AUTH") for command in it.commands) == 1
    bench.now += 60
    assert await bench.deliver(site) == first
    passwords.write_text("127.0.0.1 user:secret\n")
    better = Bench(f"smtp_sasl_password_maps = texthash:{passwords}\n", cache=cache)
    assert (await better.deliver(site)).startswith("2.0.0")
    for last in (bench, better):
        await last.agent.close()


@pytest.mark.parametrize(
    "replies",
    [
        {"GOOD": "235 2.7.0 {0} is welcome", "MAIL": "451 4.3.0 I know {0} and {1}"},
        {"AUTH": "535 5.7.8 {0} is wrong"},
        {"AUTH": "500 5.5.1 what is AUTH PLAIN {1}"},
        {"AUTH": "334 ", "RESPONSE": "334 {1}"},
        {"AUTH": "334 !{1}"},
        {"AUTH": ""},
    ],
)
async def test_nothing_shows_a_password(sink: Sinks, replies: dict[str, str]) -> None:
    """Though the server repeats it, before and after."""
    encoded = "AHVzZXIAc2VjcmV0"
    it = sink(IN_CLEAR, **{key: text.format("secret", encoded) for key, text in replies.items()})
    bench = Bench("smtp_sasl_password_maps = static:user:secret\n")
    await bench.deliver(f"[127.0.0.1]:{it.port}")
    shown = [*bench.lines, repr(bench.login), repr(bench.agent), repr(vars(bench.login)["_keys"])]
    await bench.agent.close()
    if "MAIL" not in replies:  # what servers say in other places is nothing that we could know
        assert not [line for line in shown if "secret" in line or encoded in line]
    assert any(encoded in command for command in it.commands), "else nothing was tried"


async def test_lmtp_over_a_socket(sink: Sinks, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    it = sink(EVERY, path=path, lmtp=True)
    bench = Bench("smtp_sasl_password_maps = inline:{ me.example=user:secret }\n", kind=LmtpAgent)
    for _ in range(2):
        assert (await bench.deliver(f"unix:{path}")).startswith("2.0.0")
    await bench.agent.close()
    assert it.users == ["user"]


@pytest.mark.parametrize(
    ("main_cf", "words"),
    [
        ("smtp_sasl_password_maps =\n", "specify a password table"),
        ("smtp_sasl_type = dovecot\n", 'unsupported SASL client implementation: "dovecot"'),
        ("smtp_sasl_security_options = strong\n", "strong"),
        ("smtp_sasl_tls_security_options = strong\n", "strong"),
    ],
)
def test_what_cannot_be(main_cf: str, words: str) -> None:
    from gatepost.config.errors import ConfigError

    settings = settings_for(f"{ENABLED}smtp_sasl_password_maps = static:a:b\n{main_cf}")
    with pytest.raises(ConfigError, match=words):
        SaslParams.of(settings, Surroundings().tables, "smtp")


def test_nothing_is_there_where_nobody_logs_in() -> None:
    assert SaslParams.of(settings_for("smtp_sasl_password_maps = static:a:b\n"), Surroundings().tables, "smtp") is None
    assert SaslParams.of(settings_for(ENABLED), Surroundings().tables, "lmtp") is None


@pytest.mark.parametrize("kind", ["texthash", "hash", "proxy:lmdb"])
def test_what_is_wrong_with_a_table_is_told_without_its_lines(kind: str, tmp_path: Path) -> None:
    table = tmp_path / "passwords"
    table.write_bytes(b' host secret\nuser:s\xe4cret secret\nho"st user:secret\nhost: user:secret\nhost: user:secret\n')
    surroundings = Surroundings()
    settings = settings_for(f"{ENABLED}smtp_sasl_password_maps = {kind}:{table}\n")
    assert SaslParams.of(settings, surroundings.tables, "smtp") is not None
    told = [problem.text for problem in surroundings.tables.problems()] + surroundings.warnings
    assert any("non-UTF-8 input" in text for text in told)
    assert any("duplicate entry" in text for text in told)
    assert not [text for text in told if "cret" in text]

"""AUTH against back ends that run: a scripted Dovecot, and a table of our own."""

import asyncio
import base64
import hashlib
import re
import ssl

import pytest
import scramp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.certificates import placed
from tests.dovecot_auth import GREETING, ScriptedDovecot
from tests.smtpd.world import Talk, World, until

USERS = "inline:{{joe={PLAIN}secret},{ann={PLAIN}pass word}}"
TABLE = f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = gatepost\ngatepost_sasl_users = {USERS}\n"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(name: str, password: str, authorization: str = "") -> str:
    return b64(f"{authorization}\0{name}\0{password}")


def dovecot(server: ScriptedDovecot) -> str:
    return f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {server.path}\n"


async def test_mechanisms_are_those_of_the_service() -> None:
    greeting = GREETING.replace(b"SPID", b"MECH\tX-OURS\tprivate\nMECH\tANONYMOUS\tanonymous\nSPID")
    async with ScriptedDovecot([], greeting) as server, World(dovecot(server)) as world:
        talk = await Talk.open(world)
        await talk.reply()
        assert "250-AUTH PLAIN LOGIN\n" in await talk.say("EHLO client.example")
        await talk.close()
    assert server.heard[0] == b"VERSION\t1\t0\n"
    assert server.heard[1].startswith(b"CPID\t")


async def test_login_and_what_the_service_is_told() -> None:
    async with (
        ScriptedDovecot([b"CONT\tID\tVXNlcm5hbWU6\n", b"CONT\tID\tUGFzc3dvcmQ6\n", b"OK\tID\tuser=joe\n"]) as server,
        World(dovecot(server) + "smtpd_sasl_service = submission\n") as world,
    ):
        talk = await (await Talk.open(world)).greeted()
        assert await talk.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert await talk.say(b64("joe")) == "334 UGFzc3dvcmQ6"
        assert await talk.say(b64("secret")) == "235 2.7.0 Authentication successful"
        port = talk.writer.get_extra_info("sockname")[1]
        await talk.say("QUIT")
        await world.idle()
        told = f"lip=127.0.0.1\trip=127.0.0.1\tlport={world.port}\trport={port}"
        assert server.heard[2:] == [
            f"AUTH\t1\tLOGIN\tservice=submission\tnologin\t{told}\n".encode(),
            b"CONT\t1\tam9l\n",
            b"CONT\t1\tc2VjcmV0\n",
        ]
        assert "disconnect from localhost[127.0.0.1] ehlo=1 auth=1 quit=1 commands=3" in world.take_log()


async def test_a_service_that_hangs_up_is_asked_again() -> None:
    async with ScriptedDovecot([None, b"OK\tID\tuser=joe\n"]) as server, World(dovecot(server)) as world:
        talk = await (await Talk.open(world)).greeted()
        command = f"AUTH PLAIN {plain('joe', 'secret')}"
        words = "Connection lost to authentication server"
        assert await talk.say(command) == f"454 4.7.0 Temporary authentication failure: {words}"
        assert await talk.say(command) == "235 2.7.0 Authentication successful"
        assert server.connections == 2


@pytest.mark.parametrize("why", ["temp", "code=temp_fail"])
async def test_a_service_that_cannot_tell_now(why: str) -> None:
    async with ScriptedDovecot([f"FAIL\tID\tuser=joe\t{why}\n".encode()]) as server, World(dovecot(server)) as world:
        talk = await (await Talk.open(world)).greeted()
        reply = await talk.say(f"AUTH PLAIN {plain('joe', 'secret')}")
        assert reply == "454 4.7.0 Temporary authentication failure: (reason unavailable)"


async def test_without_the_service_strangers_are_served_and_others_told_to_come_again() -> None:
    main_cf = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = /nonexistent/auth\n"
    async with World(main_cf) as world:
        talk = await Talk.open(world)
        await talk.reply()
        assert "250-AUTH PLAIN LOGIN CRAM-MD5\n" in await talk.say("EHLO client.example")
        reply = await talk.say(f"AUTH PLAIN {plain('joe', 'secret')}")
        assert reply == "454 4.7.0 Temporary authentication failure: Can't connect to authentication server"
        assert await talk.say("MAIL FROM:<a@x.example>") == "250 2.1.0 Ok"
        assert await talk.say("RCPT TO:<b@ours.example>") == "250 2.1.5 Ok"
        log = world.take_log()
    why = "SASL: Connect to Dovecot auth socket '/nonexistent/auth' failed: No such file or directory"
    assert f"warning: {why}" in log


async def test_who_gives_up_is_cancelled() -> None:
    async with ScriptedDovecot([b"CONT\tID\tVXNlcm5hbWU6\n"]) as server, World(dovecot(server)) as world:
        talk = await (await Talk.open(world)).greeted()
        await talk.say("AUTH LOGIN")
        await talk.close()
        await world.idle()
        await until(lambda: b"CANCEL\t1\n" in server.heard)
        assert "lost connection after AUTH from localhost[127.0.0.1]" in world.take_log()


async def test_the_table_knows_who_may() -> None:
    async with World(TABLE) as world:
        talk = await Talk.open(world)
        await talk.reply()
        assert "250-AUTH PLAIN LOGIN SCRAM-SHA-256\n" in await talk.say("EHLO client.example")
        wrong = "535 5.7.8 Error: authentication failed: authentication failure"
        assert await talk.say(f"AUTH PLAIN {plain('joe', 'bad')}") == wrong
        assert await talk.say(f"AUTH PLAIN {plain('nobody', 'secret')}") == wrong
        assert await talk.say(f"AUTH PLAIN {plain('joe', 'secret', 'ann')}") == wrong
        assert await talk.say(f"AUTH PLAIN {plain('joe', 'secret')}") == "235 2.7.0 Authentication successful"
        log = world.take_log()
    failed = "warning: localhost[127.0.0.1]: SASL PLAIN authentication failed: authentication failure, sasl_username="
    assert [line for line in log if "SASL" in line] == [f"{failed}joe", f"{failed}nobody", f"{failed}joe"]


@pytest.mark.parametrize("verifier", ["{PLAIN}x", "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=,Zm9v,YmFy"])
async def test_salts_do_not_tell_who_is_known(verifier: str) -> None:
    """Nor do those of other ways to write a name: the table knows Joe as joe@home.example, and so it does nobody."""
    keys = ",".join((*verifier.split(",")[:2], *[b64("k" * 32)] * 2)) if "," in verifier else verifier
    users = f"inline:{{{{joe@home.example={keys}}}}}"
    main_cf = TABLE.replace(USERS, users) + "smtpd_sasl_local_domain = home.example\n"
    async with World(main_cf) as world:
        talk = await (await Talk.open(world)).greeted()
        for name in ("joe", "nobody"):
            salts = set()
            for written in (name, name.upper(), f"{name}@home.example", f"{name}@Home.Example"):
                reply = await talk.say(f"AUTH SCRAM-SHA-256 {b64(f'n,,n={written},r=abc')}")
                salts.add(base64.b64decode(reply.removeprefix("334 ")).split(b",")[1])
                await talk.say("*")
            assert len(salts) == 1


async def test_the_login_goes_with_the_message() -> None:
    relay = "smtpd_relay_restrictions = permit_sasl_authenticated, reject\n"
    main_cf = f"{TABLE}smtpd_sasl_authenticated_header = yes\n{relay}"
    async with World(main_cf) as world:
        talk = await (await Talk.open(world)).greeted()
        await talk.say("MAIL FROM:<a@x.example>")
        assert (await talk.say("RCPT TO:<b@else.example>")).startswith("554 5.7.1")
        await talk.say("RSET")
        await talk.say(f"auth plain {plain('joe', 'secret')}")
        await talk.say("MAIL FROM:<a@x.example> AUTH=a+40b")
        assert await talk.say("RCPT TO:<b@else.example>") == "250 2.1.5 Ok"
        await talk.say("DATA")
        assert (await talk.say("Subject: x\r\n\r\nx\r\n.")).startswith("250")
        log = world.take_log()
        content = world.writer.messages[-1].content.decode()
    assert [line.partition(": ")[2] for line in log if "client=" in line] == [
        "client=localhost[127.0.0.1], sasl_method=plain, sasl_username=joe, sasl_sender=a+40b"
    ]
    assert "\t(Authenticated sender: joe)\n" in content
    assert "with ESMTPA id" in content


async def test_a_table_that_cannot_tell_is_no_refusal() -> None:
    main_cf = TABLE.replace(USERS, "fail:users")
    async with World(main_cf) as world:
        talk = await (await Talk.open(world)).greeted()
        reply = await talk.say(f"AUTH PLAIN {plain('joe', 'secret')}")
        assert reply == "454 4.7.0 Temporary authentication failure: authentication back end unavailable"


async def test_no_credential_is_logged() -> None:
    secret = b64("opensesame")
    main_cf = TABLE + "smtpd_command_filter = regexp:{{/^(AUTH FOO) .*/ $$1}}\nsmtpd_forbid_unauth_pipelining = no\n"
    async with World(main_cf) as world:
        talk = await (await Talk.open(world)).greeted("EHLO client.example\r\nAUTH PLAIN " + secret)
        await talk.reply()
        await talk.say("AUTH PLAIN " + secret * 300)
        await talk.say("AUTH FOO " + secret)
        await talk.say("AUTH LOGIN")
        await talk.say(secret * 2000)
        await talk.say("AUTH LOGIN")
        await talk.say(b64("joe"))
        await talk.say(secret)
        await talk.say("QUIT")
        await world.idle()
        log = "\n".join(world.take_log())
    assert "SASL LOGIN authentication failed" in log and "improper command pipelining" in log
    assert "request longer than" in log and "replacing command" in log
    assert secret[:6] not in log and "opensesame" not in log


TLS = "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_CAfile = CERTS/ca.pem\n"


async def secured(talk: Talk, maximum: ssl.TLSVersion, chain: str = "") -> ssl.SSLObject:
    """STARTTLS, and EHLO behind it."""
    assert (await talk.say("STARTTLS")).startswith("220")
    context = ssl.create_default_context(cafile=placed("CERTS/ca.pem"))
    context.check_hostname = False
    context.maximum_version = maximum
    if chain:
        context.load_cert_chain(placed(chain))
    await talk.writer.start_tls(context)
    found = talk.writer.get_extra_info("ssl_object")
    assert isinstance(found, ssl.SSLObject)
    return found


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_scram_bound_to_the_channel(maximum: ssl.TLSVersion) -> None:
    main_cf = TABLE + placed(TLS)
    async with World(main_cf) as world:
        talk = await (await Talk.open(world)).greeted()
        tls = await secured(talk, maximum)
        assert "250-AUTH PLAIN LOGIN SCRAM-SHA-256-PLUS SCRAM-SHA-256\n" in await talk.say("EHLO client.example")
        certificate = tls.getpeercert(True)
        assert certificate is not None
        binding = ("tls-server-end-point", hashlib.sha256(certificate).digest())
        client = scramp.ScramClient(["SCRAM-SHA-256-PLUS"], "joe", "secret", channel_binding=binding)
        reply = await talk.say(f"AUTH SCRAM-SHA-256-PLUS {b64(client.get_client_first())}")
        client.set_server_first(base64.b64decode(reply.partition(" ")[2]).decode())
        reply = await talk.say(b64(client.get_client_final()))
        client.set_server_final(base64.b64decode(reply.partition(" ")[2]).decode())
        assert await talk.say("") == "235 2.7.0 Authentication successful"
        await talk.say("QUIT")
        await talk.close()


async def test_without_tls_there_is_no_auth_and_starttls_forgets_who_has_logged_in() -> None:
    async with World(TABLE + placed(TLS) + "smtpd_tls_auth_only = yes\n") as world:
        talk = await Talk.open(world)
        await talk.reply()
        assert "AUTH" not in await talk.say("EHLO client.example")
        command = f"AUTH PLAIN {plain('joe', 'secret')}"
        assert await talk.say(command) == "503 5.5.1 Error: authentication not enabled"
        await secured(talk, ssl.TLSVersion.TLSv1_3)
        assert "250-AUTH " in await talk.say("EHLO client.example")
        assert await talk.say(command) == "235 2.7.0 Authentication successful"
        await talk.close()
    async with World(TABLE + placed(TLS)) as world:
        talk = await (await Talk.open(world)).greeted()
        assert await talk.say(command) == "235 2.7.0 Authentication successful"
        await secured(talk, ssl.TLSVersion.TLSv1_3)
        await talk.say("EHLO client.example")
        assert await talk.say(command) == "235 2.7.0 Authentication successful"
        await talk.close()


async def test_a_certificate_says_who_it_is() -> None:
    users = "inline:{laptop.ours.example=x}"
    more = "smtpd_tls_ask_ccert = yes\ngatepost_sasl_mechanisms = EXTERNAL PLAIN\nsmtpd_sasl_mechanism_filter =\n"
    main_cf = TABLE.replace(USERS, users) + placed(TLS) + more
    async with World(main_cf) as world:
        talk = await (await Talk.open(world)).greeted()
        await secured(talk, ssl.TLSVersion.TLSv1_3)
        assert "EXTERNAL" not in await talk.say("EHLO client.example")
        assert (await talk.say("AUTH EXTERNAL =")).startswith("535")
        await talk.close()
        for name, reply in (("client", "235 2.7.0"), ("deep", "535 5.7.8"), ("stranger", "535 5.7.8")):
            talk = await (await Talk.open(world)).greeted()
            await secured(talk, ssl.TLSVersion.TLSv1_3, f"CERTS/{name}.chain")
            offered = "250-AUTH EXTERNAL PLAIN\n" in await talk.say("EHLO client.example")
            assert offered == (name != "stranger")
            assert (await talk.say("AUTH EXTERNAL =")).startswith(reply)
            await talk.close()


WORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "=", "*", ""]
WORDS += [plain("joe", "bad"), b64("joe"), b64("n,,n=joe,r=a")]
LINES = st.one_of(
    st.builds(lambda words: " ".join(["AUTH", *words]), st.lists(st.sampled_from(WORDS), max_size=3)),
    st.sampled_from([*WORDS, "EHLO x", "RSET", "NOOP"]),
    st.binary(max_size=80).map(lambda data: base64.b64encode(data).decode()),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40),
)


@given(st.lists(LINES, max_size=12))
@settings(max_examples=40, deadline=None)
def test_whatever_is_said_there_is_an_answer_and_nobody_is_let_in(lines: list[str]) -> None:
    async def talk() -> None:
        main_cf = f"{TABLE}gatepost_sasl_mechanisms = PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\nsmtpd_hard_error_limit = 99\n"
        async with World(main_cf.replace("secret", "xyzzy of all things")) as world:
            client = await Talk.open(world)
            assert (await client.reply()).startswith("220")
            for line in lines:
                client.send(line.encode("latin-1") + b"\r\n")
                reply = await client.reply()
                assert re.match(r"[2-5]\d\d", reply) and not reply.startswith(("235", "451"))
                if reply.startswith("221"):
                    break
            await client.close()
            await world.idle()
            log = "\n".join(world.take_log())
            assert "Traceback" not in log and "Server local data error" not in log

    asyncio.run(talk())

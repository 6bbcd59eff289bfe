"""The script language, command by command; what Postfix's own scripts show is compared in tests/cli."""

import time

import pytest

from gatepost.audit.session_script import SessionScript
from gatepost.dns.fake import FakeResolver
from gatepost.net.policy_client import PolicyPools
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.policy_server import PolicyServer

SERVER_ERROR = "451 4.3.5 Server configuration error"


class Script:
    """A script under way. `last` is the reply to the last of some lines, `log` what was logged since."""

    def __init__(self, zone: str = "") -> None:
        self.log: list[str] = []
        self.session = SessionScript(
            FakeResolver(zone), lambda warn: Tables(TableEnvironment(clock=time.monotonic, warn=warn))
        )

    async def last(self, *lines: str) -> str:
        self.log.clear()
        reply = ""
        for line in lines:
            *log, reply = [*await self.session.answer(line)] or [""]
            self.log += log
        return reply


@pytest.mark.parametrize("line", ["", "   ", "# mail a@b", "#", "\t"])
async def test_nothing_is_answered_with_nothing(line: str) -> None:
    assert await Script().session.answer(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "helo",
        "helo a b",
        "client a",
        "client a 1.2.3.4 3",
        "client a 1.2.3.4 2 2",
        "mail",
        "rcpt a b",
        "rewrite x",
        "fingerprint",
        "flush_dnsxl_cache now",
        "reverse_client_restrictions reject",
        "no_such_parameter 1",
        "mynetworks",
        "mynetworks 10.0.0.0/8 192.168.0.0/16",
        "restriction_class ,reject",
        " #",
    ],
)
async def test_bad_commands(line: str) -> None:
    assert await Script().last(line) == "bad command"


async def test_names_in_any_case() -> None:
    script = Script()
    assert (
        await script.last("Helo_Restrictions REJECT", "HELO x") == "554 5.7.1 <x>: Helo command rejected: Access denied"
    )
    assert await script.last("Reject_Code 550", "helo x") == "550 5.7.1 <x>: Helo command rejected: Access denied"


async def test_braces_stay_in_the_word() -> None:
    script = Script()
    reply = await script.last("sender_restrictions check_sender_access,inline:{{a@b = reject no way}}", "mail a@b")
    assert reply == "554 5.7.1 <a@b>: Sender address rejected: no way"


@pytest.mark.parametrize(
    ("client", "reply"),
    [
        ("client a.example 192.0.2.1", "OK"),
        ("client a.example 192.0.2.1 2", "OK"),
        ("client unknown 192.0.2.1", "450"),
        ("client a.example 192.0.2.1 4", "450"),
        ("client a.example 192.0.2.1 5", "550"),
        ("client a.example 192.0.2.1 6", "550"),
        ("client unknown 192.0.2.1 2", "OK"),
    ],
)
@pytest.mark.parametrize("kind", ["", "_reverse"])
async def test_status_of_a_name(client: str, reply: str, kind: str) -> None:
    lists = f"client_restrictions reject_unknown{kind or '_client'}{'_client' if kind else ''}_hostname"
    assert (await Script().last("unknown_client_reject_code 550", lists, client)).startswith(reply)


async def test_what_came_before_stays() -> None:
    script = Script()
    await script.last("client c.example 192.0.2.1", "helo h", "mail s@x")
    await script.last("recipient_restrictions reject", "client d.example 192.0.2.2", "rcpt r@x")
    assert script.log[0].startswith("smtpd: <queue id>: reject: RCPT from d.example[192.0.2.2]: 554 ")
    assert script.log[0].endswith("; from=<s@x> to=<r@x> proto=SMTP helo=<h>")
    await script.last("helo_restrictions reject", "helo i")
    assert script.log[0].endswith("; from=<s@x> proto=SMTP helo=<i>")


async def test_rcpt_judges_all_of_it_again() -> None:
    script = Script()
    reply = await script.last("helo x", "helo_restrictions reject", "rcpt a@localhost")
    assert reply == "554 5.7.1 <x>: Helo command rejected: Access denied"
    assert await script.last("smtpd_delay_reject 0", "rcpt a@localhost") == "OK"


async def test_a_deferral_waits_for_the_recipient() -> None:
    script = Script()
    deferred = "450 4.7.0 <localhost[127.0.0.1]>: Client host rejected: defer_if_permit requested"
    lines = ("smtpd_delay_reject 0", "client_restrictions defer_if_permit", "client localhost 127.0.0.1")
    assert await script.last(*lines, "helo x", "mail a@b") == "OK"
    assert [await script.last("rcpt a@localhost"), await script.last("rcpt b@localhost")] == [deferred] * 2
    assert await script.last("client_restrictions permit", "client localhost 127.0.0.1", "rcpt a@localhost") == deferred
    assert await script.last("helo x", "mail a@b", "rcpt a@localhost") == "OK"


async def test_classes_may_be_defined_anew() -> None:
    script = Script()
    await script.last("restriction_class mine,check_helo_access,inline:{x=ok},reject", "helo_restrictions mine")
    assert await script.last("helo x") == "OK"
    assert (await script.last("helo y")).startswith("554 ")
    assert await script.last("restriction_class mine,permit", "helo y") == "OK"


async def test_address_classes() -> None:
    script = Script()
    await script.last("recipient_restrictions reject_unauth_destination")
    await script.last("virtual_alias_domains va", "virtual_mailbox_domains vm", "relay_domains r.example")
    await script.last("inet_interfaces 127.0.0.1")
    for domain in ("localhost", "vm", "r.example", "sub.r.example", "[127.0.0.1]"):
        assert await script.last(f"rcpt a@{domain}") == "OK", domain
    assert await script.last("rcpt a@va") == "550 5.1.1 <a@va>: Recipient address rejected: user unknown"
    assert await script.last("virtual_alias_maps inline:{a@va=b@c}", "rcpt a@va") == "OK"
    for domain in ("sub.va", "localhost.example", "[127.0.0.2]", "elsewhere.example"):
        assert await script.last(f"rcpt a@{domain}") == f"554 5.7.1 <a@{domain}>: Relay access denied"
    await script.last("parent_domain_matches_subdomains {}", "relay_domains r.example,.s.example")
    assert await script.last("rcpt a@sub.s.example") == "OK"
    assert (await script.last("rcpt a@sub.r.example")).startswith("554")


async def test_own_addresses() -> None:
    script = Script(
        "us.example A 192.0.2.9\nb.example MX 10 mx.example\nb.example MX 20 192-0-2-9.example\n"
        "mx.example A 192.0.2.1\n192-0-2-9.example A 192.0.2.9\n"
    )
    await script.last(
        "client_restrictions permit_inet_interfaces,reject", "recipient_restrictions permit_mx_backup,reject"
    )
    await script.last("smtpd_delay_reject 0")
    for interfaces in ("192.0.2.9", "127.0.0.1,[192.0.2.9]", "us.example"):
        assert await script.last(f"inet_interfaces {interfaces}", "client x 192.0.2.9") == "OK"
        assert await script.last("rcpt a@b.example") == "OK"
    assert await script.last("inet_interfaces 127.0.0.1", "client x 192.0.2.9") != "OK"
    assert (await script.last("rcpt a@b.example")).startswith("554 ")
    assert await script.last("proxy_interfaces 192.0.2.9", "rcpt a@b.example") == "OK"
    assert await script.last("inet_interfaces gone.example", "client x 192.0.2.9") == SERVER_ERROR


async def test_unknown_users() -> None:
    reply = await Script().last("local_recipient_maps inline:{a=x}", "rcpt b@localhost")
    assert reply == "550 5.1.1 <b@localhost>: Recipient address rejected: User unknown in local recipient table"


async def test_rewrite_context() -> None:
    script = Script()
    assert await script.last("rewrite") == "OK"
    assert await script.last("local_header_rewrite_clients fail:x", "rewrite") == "451 4.3.0 Temporary lookup error"


async def test_null_sender() -> None:
    script = Script()
    refused = "554 5.7.1 <>: Sender address rejected: Access denied"
    lines = ("sender_restrictions check_sender_access,inline:{null=reject}", "smtpd_null_access_lookup_key null")
    assert await script.last(*lines, "mail <>") == refused


async def test_unsound_values_are_told() -> None:
    script = Script()
    assert await script.last("reject_code many", "helo x") == SERVER_ERROR
    assert script.log == ["smtpd: warning: parameter reject_code: bad numerical configuration: reject_code = many"]
    assert await script.last("reject_code 554", "helo x") == "OK"
    assert await script.last("unknown_address_tempfail_action perhaps", "helo x") == SERVER_ERROR


async def test_sleep_does_not_pause() -> None:
    assert await Script().last("helo_restrictions sleep,3600,reject", "helo x") != "OK"


async def test_times_and_booleans() -> None:
    script = Script()
    assert await script.last("smtpd_policy_service_timeout 2x", "helo x") == SERVER_ERROR
    assert await script.last("smtpd_policy_service_timeout 2m", "helo x") == "OK"
    assert await script.last("soft_bounce perhaps", "helo x") == SERVER_ERROR
    assert await script.last("soft_bounce yes", "helo_restrictions reject", "helo x") != SERVER_ERROR


async def test_certificates() -> None:
    script = Script()
    plaintext = "450 4.7.1 Session encryption is required"
    certificates = "relay_clientcerts inline:{AA:BB=x}", "client_restrictions permit_tls_clientcerts,reject"
    assert await script.last("client_restrictions reject_plaintext_session", "client a 192.0.2.1") == plaintext
    assert await script.last("fingerprint AA:BB", "client a 192.0.2.1") == "OK"
    assert await script.last(*certificates, "client a 192.0.2.1") == "OK"
    assert (await script.last("fingerprint CC:DD", "client a 192.0.2.1")).startswith("554")
    by_key = "client_restrictions check_ccert_access,inline:{CC:DD=reject}"
    assert (await script.last(by_key, "client a 192.0.2.1")).startswith("554 5.7.1 <>: Client certificate rejected:")


async def test_every_address_is_deliverable() -> None:
    lines = ("sender_restrictions reject_unverified_sender", "recipient_restrictions reject_unverified_recipient")
    assert await Script().last(*lines, "mail a@b.example", "rcpt c@localhost") == "OK"


async def test_dns_lists_are_asked_once() -> None:
    dns = FakeResolver("1.2.0.192.list.example A 127.0.0.2\n")
    session = SessionScript(dns, lambda warn: Tables(TableEnvironment(clock=time.monotonic, warn=warn)))
    await session.answer("client_restrictions reject_rbl_client,list.example")
    for _ in range(2):
        assert (await session.answer("client a 192.0.2.1"))[-1].startswith("554 ")
        await session.answer("client b 192.0.2.2")
    assert len([name for name, rrtype in dns.asked if rrtype == "A"]) == 2
    await session.answer("flush_dnsxl_cache")
    await session.answer("client a 192.0.2.1")
    assert len([name for name, rrtype in dns.asked if rrtype == "A"]) == 3


async def test_policy_services() -> None:
    async with PolicyServer(["action=reject not today"]) as server:
        pools = PolicyPools(directory="", limit=1, clock=time.time)
        session = SessionScript(
            FakeResolver(""), lambda warn: Tables(TableEnvironment(clock=time.monotonic, warn=warn)), policy=pools
        )
        await session.answer(f"recipient_restrictions check_policy_service,inet:127.0.0.1:{server.port}")
        reply = (await session.answer("rcpt a@localhost"))[-1]
    assert reply == "554 5.7.1 <a@localhost>: Recipient address rejected: not today"
    assert "recipient=a@localhost\n" in server.requests[0]

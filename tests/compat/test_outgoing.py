"""smtp(8) and lmtp(8) of Gatepost and of a real Postfix before the same servers."""

import pytest

from tests.compat.outgoing import SEVEN, Case, same
from tests.compat.outgoing_contents import CHECKED, CHECKS
from tests.compat.real_postfix import need_postfix

THREE = ("one", "two", "three")
INET = "lmtp:inet:127.0.0.1:{port}"
UNIX = "lmtp:unix:{path}"
BARE = "250-peer.example\r\n250-8BITMIME\r\n250 SIZE"
LMTP = {
    "plain": Case({}, INET, recipients=THREE),
    "bracket": Case({}, "lmtp:[127.0.0.1]:{port}"),
    "bare": Case({"LHLO": BARE}, INET, recipients=THREE, mail=" BODY=8BITMIME"),
    "socket": Case({}, UNIX, recipients=THREE, unix=True),
    "nosocket": Case(None, "lmtp:unix:private/nobody"),
    "closed": Case(None, "lmtp:inet:127.0.0.1:{closed}"),
    "answers": Case({".two@": "452 4.2.2 full", ".three@": "550 5.1.1 gone"}, INET, recipients=THREE),
    "refused": Case({"RCPT TO:<one@": "550 5.1.1 no"}, UNIX, recipients=THREE, unix=True),
    "slowed": Case({"RCPT TO:<one@": "450 4.1.1 no", "LHLO": BARE}, INET, recipients=THREE),
    "nobody": Case({"RCPT": "550 5.1.1 no"}, INET, recipients=THREE),
    "last": Case({".two@": ""}, UNIX, recipients=("one", "two"), unix=True),
    "all": Case({".": "451 4.3.0 no"}, INET, recipients=THREE),
    "lhlo": Case({"LHLO": "500 5.5.1 what"}, INET),
    "busy": Case({"LHLO": "421 4.5.1 busy"}, INET),
    "gone": Case({"LHLO": ""}, INET),
    "greeting": Case({"CONNECT": "554 5.1.1 no"}, UNIX, unix=True),
    "later": Case({"CONNECT": "421 4.1.1 no"}, UNIX, unix=True),
    "data": Case({"DATA": "451 4.3.0 later"}, INET, recipients=THREE),
    "indata": Case({"CONTENT": ""}, INET),
}


LOCKSTEP = "250-peer.example\r\n250 SIZE"
SMTP = {
    "good": Case({}, recipients=THREE),
    "lockstep": Case({"EHLO": LOCKSTEP}, recipients=THREE),
    "closed": Case(None, "smtp:[127.0.0.1]:{closed}"),
    "greeting4": Case({"CONNECT": "421 4.3.2 busy"}),
    "greeting5": Case({"CONNECT": "554 5.7.1 not you"}),
    "greetingdrop": Case({"CONNECT": ""}),
    "greetingsaid": Case({"CONNECT": "421 4.3.2 bye!"}),
    "ehlo5": Case({"EHLO": "502 5.5.1 no"}),
    "ehlohelo5": Case({"EHLO": "502 5.5.1 no", "HELO": "550 5.7.1 no"}),
    "ehlohelo4": Case({"EHLO": "502 5.5.1 no", "HELO": "450 4.7.1 no"}),
    "ehlo421": Case({"EHLO": "421 4.3.2 busy"}),
    "ehlodrop": Case({"EHLO": ""}),
    "helodrop": Case({"EHLO": "502 5.5.1 no", "HELO": ""}),
    "mail4": Case({"MAIL": "451 4.7.1 greylisted"}, recipients=THREE),
    "mail5": Case({"MAIL": "550 5.1.8 no sender"}, recipients=THREE),
    "mail421": Case({"MAIL": "421 4.7.0 go away!"}, recipients=THREE),
    "maildrop": Case({"MAIL": ""}, recipients=THREE),
    "maillock": Case({"EHLO": LOCKSTEP, "MAIL": "550 5.1.8 no sender"}, recipients=THREE),
    "rcptgrey": Case({"RCPT": "450 4.2.0 greylisted"}, recipients=THREE),
    "rcpt5": Case({"RCPT": "550 no enhanced code"}, recipients=THREE),
    "rcptone": Case({"RCPT TO:<one": "250 2.1.5 Ok", "RCPT": "550 5.1.1 no"}, recipients=THREE),
    "rcptmixed": Case({"RCPT TO:<one": "450 4.2.1 slow", "RCPT TO:<two": "554 5.7.1 no"}, recipients=THREE),
    "rcptlock": Case({"EHLO": LOCKSTEP, "RCPT TO:<one": "452 4.5.3 too many"}, recipients=THREE),
    "rcptdrop": Case({"RCPT TO:<two": ""}, recipients=("one", "two")),
    "rcpt421": Case({"RCPT TO:<two": "421 4.3.2 shutting down!"}, recipients=("one", "two")),
    "rcpt3": Case({"RCPT": "354 what"}),
    "rcptwrongclass": Case({"RCPT": "550 4.1.1 mixed"}),
    "rcptmulti": Case({"RCPT": "550-5.1.1 first\r\n550-5.1.1 second\r\n550 5.1.1 third"}),
    "data4": Case({"DATA": "451 4.3.0 later"}, recipients=THREE),
    "data5": Case({"DATA": "554 5.5.1 no"}, recipients=THREE),
    "datadrop": Case({"DATA": ""}),
    "data250": Case({"DATA": "250 2.0.0 what"}),
    "datanobody": Case({"RCPT": "550 5.1.1 no", "DATA": "554 5.5.1 none"}, recipients=THREE),
    "datalax": Case({"RCPT": "550 5.1.1 no", ".": "554 5.5.1 none"}, recipients=THREE),
    "indata": Case({"CONTENT": ""}),
    "end4": Case({".": "451 4.3.0 later"}, recipients=THREE),
    "end5": Case({".": "554 5.7.1 spam"}, recipients=THREE),
    "enddrop": Case({".": ""}),
    "end421": Case({".": "421 4.3.2 bye!"}),
    "end552": Case({".": "552 5.3.4 too big"}),
    "slow": Case({"RCPT": "~0.5 250 2.1.5 Ok", ".": "~0.5 250 2.0.0 Ok"}),
    "garbage": Case({"EHLO": "hello there\r\n250 peer.example"}),
    "garbagercpt": Case({"RCPT": "\x01\x02what?\r\n250 2.1.5 Ok"}),
    "digits": Case({"MAIL": "999 what"}),
    "one": Case({"MAIL": "199 what"}),
    "bye": Case({"QUIT": ""}),
    "toobig": Case({"EHLO": "250-peer.example\r\n250 SIZE 100"}),
    "badsize": Case({"EHLO": "250-peer.example\r\n250 SIZE many"}),
    "utf8": Case({}, mail=" SMTPUTF8", content="Subject: ä\r\n\r\nx\r\n".encode()),
    "utf8ascii": Case({}, mail=" SMTPUTF8"),
    "utf8ok": Case({"EHLO": "250-peer.example\r\n250-8BITMIME\r\n250 SMTPUTF8"}, mail=" SMTPUTF8"),
    "dsn": Case({}, mail=" RET=HDRS ENVID=a+20b"),
}


TWICE = "smtp:[127.0.0.1]:{port},[127.0.0.1]:{port}"
SEVERAL = {
    "next": Case({}, "smtp:[127.0.0.1]:{closed},[127.0.0.1]:{port}", recipients=THREE),
    "rest": Case({}, TWICE, once={"RCPT TO:<one": "450 4.2.1 slow", "RCPT TO:<two": "550 5.1.1 no"}, recipients=THREE),
    "greeting": Case({}, TWICE, once={"CONNECT": "421 4.3.2 busy"}),
    "greeting5": Case({}, TWICE, once={"CONNECT": "554 5.7.1 no"}),
    "mail4": Case({}, TWICE, once={"MAIL": "451 4.3.0 later"}),
    "mail5": Case({}, TWICE, once={"MAIL": "550 5.7.1 no"}),
    "dropped": Case({}, TWICE, once={"RCPT": ""}),
    "enddropped": Case({}, TWICE, once={".": ""}),
    "end4": Case({}, TWICE, once={".": "451 4.3.0 later"}, recipients=THREE),
    "both": Case({"DATA": "451 4.3.0 later"}, TWICE, recipients=THREE),
    "lmtp": Case({}, "lmtp:inet:127.0.0.1:{port},127.0.0.1:{port}", once={".two": "452 4.2.2 full"}, recipients=THREE),
}


@pytest.mark.parametrize(
    "main_cf",
    [
        "",
        "soft_bounce = yes\n",
        "smtp_skip_5xx_greeting = no\nsmtp_never_send_ehlo = yes\n",
        "smtp_always_send_ehlo = no\nsmtp_line_length_limit = 12\ndisable_mime_output_conversion = yes\n",
    ],
)
def test_smtp_is_as_postfixs(main_cf: str) -> None:
    same(SMTP, main_cf)


@pytest.mark.parametrize("main_cf", ["", "soft_bounce = yes\n", "smtp_fallback_relay = [127.0.0.1]:9\n"])
def test_several_servers(main_cf: str) -> None:
    same(SEVERAL, main_cf)


@pytest.fixture(autouse=True)
def _postfix() -> None:
    need_postfix()


def test_lmtp_is_as_postfixs() -> None:
    same(LMTP)


def test_header_and_body_checks() -> None:
    same({"eight": Case({}, content=CHECKED), "seven": Case(SEVEN, content=CHECKED)}, CHECKS)


@pytest.mark.parametrize("which", ["header", "body"])
def test_a_check_that_cannot_tell(which: str) -> None:
    same({"fail": Case({}, content=CHECKED)}, f"smtp_{which}_checks = fail:all\n")


FILTERS = r"""
smtp_reply_filter = pcre:{
  {/^550 5.1.1 (.*)/ 450 4.1.1 soft $$1}
  {/^550-5.7.1 one/ 550-5.7.9 uno}
  {/^250 DSN/ 250 XDSN}
  {/^220 tarpit/ 421 no thanks} }
smtp_delivery_status_filter = pcre:{
  {/fine/ 2.9.9 very fine}
  {/wrongway/ 4.0.0 no}
  {/tohard/ 5.9.9 hard now}
  {/tosoft/ 4.9.8 soft now}
  {/nocode/ text only}
  {/barest/ 2.9.7}
  {/baresoft/ 4.9.7}
  {/barehard/ 5.9.7}
  {/refused$$/ 5.4.4 give up} }
"""


def test_filters_of_replies_and_outcomes() -> None:
    same(
        {
            "soft": Case({"RCPT TO:<two": "550 5.1.1 no such"}, recipients=THREE),
            "multi": Case({"RCPT": "550-5.7.1 one\r\n550 5.7.1 two"}),
            "tarpit": Case({"CONNECT": "220 tarpit ESMTP"}),
            "nodsn": Case({}),
            "fine": Case({".": "250 2.0.0 fine"}),
            "wrongway": Case({".": "250 2.0.0 wrongway"}),
            "tohard": Case({"RCPT": "450 4.2.1 tohard"}),
            "tosoft": Case({"RCPT": "550 5.1.2 tosoft"}),
            "nocode": Case({"RCPT": "550 5.1.2 nocode"}),
            "conn": Case(None, "smtp:[127.0.0.1]:{closed}"),
            "bare": Case({".": "250 2.0.0 barest"}),
            "baresoft": Case({"RCPT": "550 5.1.2 baresoft"}),
            "barehard": Case({"RCPT": "450 4.2.1 barehard"}),
        },
        FILTERS,
    )


@pytest.mark.parametrize("which", ["smtp_reply_filter", "smtp_delivery_status_filter"])
def test_filters_that_cannot_tell(which: str) -> None:
    same({"good": Case({}, recipients=THREE), "bad": Case({"RCPT": "550 5.1.1 no"})}, f"{which} = fail:all\n")


PIX = {"CONNECT": "220 ****************200**0*2"}


@pytest.mark.parametrize(
    "main_cf",
    [
        "smtp_pix_workaround_threshold_time = 0s\nsmtp_pix_workaround_delay_time = 1s\n",
        "smtp_pix_workarounds = delay_dotcrlf\n",
        "smtp_pix_workarounds =\n",
        "smtp_pix_workaround_maps = inline:{ 127.0.0.1=disable_esmtp }\n",
        "smtp_pix_workaround_maps = fail:all\n",
    ],
)
def test_pix_workarounds(main_cf: str) -> None:
    same({"pix": Case(PIX), "other": Case({}), "words": Case({"CONNECT": "220 *** hello"})}, main_cf)


def test_quotes_and_keywords() -> None:
    same(
        {"quoted": Case({}, recipients=('"a b"',)), "usual": Case({})},
        "smtp_quote_rfc821_envelope = no\nsmtp_discard_ehlo_keywords = size\n"
        "smtp_discard_ehlo_keyword_address_maps = inline:{ {127.0.0.1=dsn, pipelining} }\n",
    )


def test_xforward() -> None:
    lock = "250-peer.example\r\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
    pipe = lock.replace("250 X", "250-PIPELINING\r\n250 X")
    same(
        {
            "pipe": Case({"EHLO": pipe}, recipients=THREE),
            "lock": Case({"EHLO": lock}),
            "some": Case({"EHLO": "250-peer.example\r\n250 XFORWARD PROTO IDENT FOO"}),
            "none": Case({"EHLO": "250-peer.example\r\n250 XFORWARD"}),
            "refused": Case({"EHLO": pipe, "XFORWARD": "500 5.5.1 no"}),
            "first": Case({"EHLO": pipe, "XFORWARD NAME": ""}),
            "second": Case({"EHLO": lock, "XFORWARD PROTO": ""}),
            "late": Case({"EHLO": lock, "XFORWARD": "~3 250 ok"}),
            "lmtp": Case({"LHLO": pipe}, INET),
        },
        "smtp_send_xforward_command = yes\nlmtp_send_xforward_command = yes\nsmtp_xforward_timeout = 1s\n",
    )


@pytest.mark.parametrize(
    "main_cf",
    [
        "lmtp_lhlo_name = other.example\nlmtp_discard_lhlo_keywords = dsn\nlmtp_skip_5xx_greeting = no\n",
        "lmtp_discard_lhlo_keyword_address_maps = inline:{ {127.0.0.1=dsn, pipelining} }\n"
        "lmtp_line_length_limit = 12\n",
        "lmtp_assume_final = yes\nlmtp_fallback_relay = [127.0.0.1]:9\nlmtp_bind_address = 127.0.0.9\n",
        FILTERS.replace("smtp_", "lmtp_") + CHECKS.replace("smtp_", "lmtp_"),
        "lmtp_generic_maps = inline:{ { one@plain.example = other@plain.example } }\nlmtp_mx_session_limit = 1\n",
        "lmtp_quote_rfc821_envelope = no\nlmtp_per_request_deadline = yes\nlmtp_min_data_rate = 1\n",
    ],
)
def test_parameters_of_lmtp(main_cf: str) -> None:
    odd = {
        "quoted": Case({}, INET, recipients=('"a b"',)),
        "checked": Case({}, INET, content=CHECKED),
        "seven": Case({"LHLO": "250-peer.example\r\n250 SIZE"}, INET, content=CHECKED),
        "dsn": Case({}, INET, mail=" RET=HDRS ENVID=a+20b", rcpt=" NOTIFY=SUCCESS,DELAY"),
    }
    same(LMTP | odd, main_cf)

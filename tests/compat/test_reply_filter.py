"""smtp_reply_filter of Gatepost and of a real Postfix before the same servers: what is done, and what is logged."""

import pytest

from tests.compat.outgoing import Case, same_with_log
from tests.compat.real_postfix import need_postfix

LMTP = "lmtp:inet:127.0.0.1:{port}"
THREE = ("one", "three", "two")  # in the order in which Postfix sends them
SHORT = "".join(
    f"{client}_{stage}_timeout = 2s\n"
    for client, stages in {"smtp": "helo", "lmtp": "lhlo"}.items()
    for stage in (stages, "connect", "mail", "rcpt", "data_init", "data_done")
)
RULES = {
    "garbage": "complete garbage",
    "twodigits": "25",
    "threedigits": "250",
    "nospace": "250xyz",
    "thousand": "1000 many",
    "six": "654 what",
    "classup": "550 5.9.9 now hard",
    "classdown": "450 4.9.9 now soft",
    "nodsn": "550 plain",
    "wrongdsn": "550 4.1.1 mixed",
    "okify": "250 2.1.5 fine",
    "tomulti": "550-5.7.1 going on",
    "to421": "421 4.3.2 busy",
    "to354": "354 go",
    "utf8": "550 5.1.1 größe",
}
FILTER = (
    "smtp_reply_filter = pcre:{ "
    + " ".join(f"{{/{word}/ {result}}}" for word, result in RULES.items())
    + r" {/masked\?\? x/ 550 5.1.1 seen masked} {/raw\x01/ 550 5.1.1 seen raw} {/tab(.*)/ 450 4.1.1 [$$1]}"
    + r" {/(\d+)-swap (.*)/ 550 5.5.5 $$2 [$$1]} }"
)


@pytest.fixture(autouse=True)
def _postfix() -> None:
    need_postfix()


def test_replies_to_recipients() -> None:
    cases = {word: Case({"RCPT TO:<two": f"550 5.1.1 {word}"}, recipients=THREE) for word in RULES}
    lines = "550-5.1.1 first\r\n550-{} second\r\n550 5.1.1 last"
    cases |= {f"{word}-in": Case({"RCPT TO:<two": lines.format(word)}, recipients=THREE) for word in RULES}
    cases |= {
        "masked": Case({"RCPT": "550 5.1.1 masked\x01\x02 x"}),
        "raw": Case({"RCPT": "550 5.1.1 raw\x01\x02 x"}),
        "tabs": Case({"RCPT": "550 5.1.1 tab\tb  \t "}),
        "swap": Case({"RCPT": "550-swap one\r\n550 5.1.1 two"}),
        "behind": Case({"RCPT": "550-" + "x" * 3000 + "garbage\r\n550 5.1.1 no"}),
        "before": Case({"RCPT": "550-garbage" + "x" * 3000 + "\r\n550 5.1.1 no"}),
        "emptyline": Case({"RCPT": "\r\n550 5.1.1 classdown"}),
    }
    same_with_log(cases, f"{FILTER}\n{SHORT}")


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "DATA", "."])
def test_replies_at_other_stages(stage: str) -> None:
    usual = {"CONNECT": "220 peer ESMTP", "EHLO": "250 peer", "MAIL": "250 2.1.0 ok", "DATA": "354", ".": "250 2.0.0"}
    code = usual[stage][:3]
    cases = {word: Case({stage: f"{usual[stage]} {word}"}) for word in RULES}
    cases |= {
        "first": Case({stage: f"{code}-garbage\r\n{usual[stage]}"}),
        "second": Case({stage: f"{code}-first\r\n{code}-garbage\r\n{usual[stage]}"}),
        "unprintable": Case({stage: f"{code}-\x01 garbage\r\n{usual[stage]}"}),
        "farewell": Case({"QUIT": "221 garbage"}),
    }
    same_with_log(cases, f"{FILTER}\n{SHORT}")


def test_lines_that_are_no_replies() -> None:
    """Without a filter as well: they are told of where commands are sent ahead."""
    replies = {"CONNECT": "220 peer ESMTP", "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", ".": "250 2.0.0 ok"}
    cases = {}
    for number, (stage, said) in enumerate(replies.items()):
        cases[f"stray{number}"] = Case({stage: f"junk\r\n{said}"})
        cases[f"within{number}"] = Case({stage: f"{said[:3]}-x\r\njunk\r\n{said}"})
    cases["lmtp"] = Case({"RCPT": "junk\r\n250 2.1.5 ok"}, LMTP)
    cases["ehlo"] = Case({"EHLO": "250-peer\r\njunk\r\n250 PIPELINING"})
    same_with_log(cases, SHORT)
    same_with_log(cases, f"{SHORT}helpful_warnings = no\n")


def test_an_empty_result_stands_for_the_line() -> None:
    cases = {
        "only": Case({"RCPT": "550 5.1.1 empty"}),
        "first": Case({"RCPT": "550-5.1.1 empty\r\n550 5.1.1 no"}),
        "greeting": Case({"CONNECT": "220-empty\r\n220 x ESMTP"}),
        "offer": Case({"EHLO": "250-peer\r\n250-empty\r\n250 PIPELINING"}),
        "end": Case({".": "250-empty\r\n250 2.0.0 fine"}),
    }
    same_with_log(cases, f"smtp_reply_filter = pcre:{{ {{/empty(x?)/ $$1}} }}\n{SHORT}")


@pytest.mark.parametrize("line", ["^220", "8BIT", "2.1.0", "2.1.5", "^354", "^250 2.0.0", "^221", "^5"])
def test_a_table_that_cannot_tell(line: str) -> None:
    same_with_log(
        {
            "good": Case({}, recipients=THREE),
            "no": Case({"RCPT": "550 5.1.1 no"}),
            "mail": Case({"MAIL": "550 5.1.1 no"}),
            "greeting": Case({"CONNECT": "554 no"}),
            "unprintable": Case({"CONNECT": "220 \x01\x02 x"}),
            "twice": Case({}, "smtp:[127.0.0.1]:{port},[127.0.0.1]:{port}"),
        },
        f"smtp_reply_filter = pipemap:{{pcre:{{{{/{line}/ x}}}},fail:all}}\n{SHORT}",
    )


def test_lmtp() -> None:
    cases = {
        "no": Case({"RCPT": "550 5.1.1 garbage"}, LMTP),
        "soft": Case({".one": "550 5.1.1 classdown"}, LMTP),
        "lhlo": Case({"LHLO": "250-garbage\r\n250 PIPELINING"}, LMTP),
    }
    same_with_log(cases, f"{FILTER.replace('smtp_', 'lmtp_')}\n{SHORT}")

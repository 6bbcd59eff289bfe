"""Parameters of MAIL and RCPT."""

import pytest

from gatepost.mail.envelope import NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS
from gatepost.smtpd.esmtp_parameters import MailParameters, mail_parameters, rcpt_parameters
from gatepost.smtpd.replies import Refused
from tests.smtpd.world import World

PARAMS = World().env.parameters


def test_all_of_mail() -> None:
    words = ["SIZE=0100", "body=8bitmime", "SMTPUTF8", "RET=hdrs", "ENVID=QQ+2B", "AUTH=<>"]
    found = mail_parameters(words, PARAMS, True, "")
    assert found == MailParameters("8bitmime", 100, True, "HDRS", "QQ+")


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("SIZE=1x", 501),
        ("SIZE=²", 501),
        ("SIZE=99999999999999999999", 552),
        ("RET=", 501),
        ("ENVID=", 501),
        ("ENVID=+4", 501),
        ("ENVID=+07", 501),
        ("SMTPUTF8", 555),
        ("BODY=BINARYMIME", 555),
        ("SIZE", 555),
        ("X=\x07", 555),
    ],
)
def test_what_mail_refuses(word: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        mail_parameters([word], PARAMS, False, "")
    assert refused.value.reply.code == code
    assert refused.value.reply.line().isprintable()


def test_rcpt() -> None:
    found = rcpt_parameters(["NOTIFY=success,Failure,DELAY", "ORCPT=rfc822;a+40b"], PARAMS)
    assert found.notify == NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY
    assert found.orcpt == "rfc822;a@b"
    assert rcpt_parameters(["NOTIFY=NEVER"], PARAMS).notify == NOTIFY_NEVER
    assert rcpt_parameters(["ORCPT=utf-8;a\\x{E9}"], PARAMS).orcpt == "utf-8;aé"
    for bad in ("NOTIFY=NEVER,DELAY", "NOTIFY=X", "ORCPT=x", "ORCPT=rfc822;+", "FOO"):
        with pytest.raises(Refused):
            rcpt_parameters([bad], PARAMS)

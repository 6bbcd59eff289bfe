"""Parameters of MAIL and RCPT (RFC 1870, RFC 3461, RFC 4954, RFC 6152, RFC 6531), judged as Postfix judges them."""

import re

import msgspec

from gatepost.mail.envelope import NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS, Body, Ret
from gatepost.mail.reply import Reply
from gatepost.protocol import xtext
from gatepost.rewrite.verp import valid_delimiters
from gatepost.smtpd import replies
from gatepost.smtpd.parameters import Parameters
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.words import printable

_SIZE_LIMIT = 2**63
_NOTIFY = {"NEVER": NOTIFY_NEVER, "SUCCESS": NOTIFY_SUCCESS, "FAILURE": NOTIFY_FAILURE, "DELAY": NOTIFY_DELAY}
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


class MailParameters(msgspec.Struct):
    """What came with MAIL. `size` None: not given. `smtputf8` is set before the address is looked at. `verp`: its two
    delimiters. `auth`: who has submitted the message first (RFC 4954 5), as it was given; for log and policies only.
    """

    body: Body = ""
    size: int | None = None
    smtputf8: bool = False
    ret: Ret = ""
    envid: str = ""
    verp: str = ""
    auth: str | None = None


class RcptParameters(msgspec.Struct):
    """What came with RCPT: NOTIFY bits, and ORCPT as `type;address` decoded (empty: not given)."""

    notify: int = 0
    orcpt: str = ""


def mail_parameters(
    words: list[str], params: Parameters, smtputf8: bool, earlier_ret: str, *, verp: bool = False
) -> MailParameters:
    """Raises Refused. `earlier_ret` is what a refused MAIL of this transaction has left; `verp`: XVERP is allowed."""
    found = MailParameters(smtputf8=smtputf8)
    for word in words:
        name, equals, value = word.partition("=")
        name = name.upper()
        if name == "SIZE" and equals:
            found.size = _size(value)
        elif name == "BODY" and value.upper() in ("8BITMIME", "7BIT"):
            found.body = "8bitmime" if value[0] == "8" else "7bit"
        elif word.upper() == "SMTPUTF8" and smtputf8:
            pass
        elif name == "AUTH" and equals:
            found.auth = None if value == "<>" else printable(value)
        elif name == "RET" and equals:
            if "DSN" in params.discard_ehlo:
                raise Refused(replies.NO_DSN)
            ret = value.upper()
            if found.ret or earlier_ret or ret not in ("FULL", "HDRS"):
                raise Refused(replies.BAD_RET)
            found.ret = "FULL" if ret == "FULL" else "HDRS"
        elif name == "ENVID" and equals:
            if "DSN" in params.discard_ehlo:
                raise Refused(replies.NO_DSN)
            if found.envid:
                raise Refused(replies.BAD_ENVID)
            found.envid = _envid(value)
        elif name == "XVERP" and verp:
            found.verp = _verp(value if equals else params.default_verp_delimiters, params)
        else:
            raise Refused(Reply(555, "5.5.4", f"Unsupported option: {printable(word)}"))
    return found


def _size(value: str) -> int:
    if _DIGITS.fullmatch(value) is None:
        raise Refused(replies.BAD_SIZE)
    # 20 digits are more than any file system has octets; int() of a whole line of them would take its time.
    if len(value.lstrip("0")) > 19 or int(value) >= _SIZE_LIMIT:
        raise Refused(replies.SIZE_OVERFLOW)
    return int(value)


def _envid(value: str) -> str:
    """The envelope ID in plain text: notices show it so, and who sends the message on encodes it anew."""
    try:
        plain = xtext.decode(value)
    except xtext.XtextError:
        raise Refused(replies.BAD_ENVID) from None
    if not plain or not plain.isprintable():
        raise Refused(replies.BAD_ENVID)
    return plain


def _verp(delimiters: str, params: Parameters) -> str:
    if not valid_delimiters(delimiters, params.verp_delimiter_filter):
        text = f"Error: XVERP needs two characters from {params.verp_delimiter_filter}"
        raise Refused(Reply(501, "5.5.4", text))
    return delimiters


def rcpt_parameters(words: list[str], params: Parameters) -> RcptParameters:
    """Raises Refused."""
    found = RcptParameters()
    for word in words:
        name, equals, value = word.partition("=")
        name = name.upper()
        if name == "NOTIFY" and equals:
            if "DSN" in params.discard_ehlo:
                raise Refused(replies.NO_DSN)
            if found.notify:
                raise Refused(replies.BAD_NOTIFY)
            found.notify = _notify(value)
        elif name == "ORCPT" and equals:
            if "DSN" in params.discard_ehlo:
                raise Refused(replies.NO_DSN)
            if found.orcpt:
                raise Refused(replies.BAD_ORCPT)
            found.orcpt = _orcpt(value)
        else:
            raise Refused(Reply(555, "5.5.4", f"Unsupported option: {printable(word)}"))
    return found


def _notify(value: str) -> int:
    mask = 0
    for word in filter(None, value.upper().split(",")):
        if word not in _NOTIFY:
            raise Refused(replies.BAD_NOTIFY)
        mask |= _NOTIFY[word]
    if not mask or (mask & NOTIFY_NEVER and mask != NOTIFY_NEVER):
        raise Refused(replies.BAD_NOTIFY)
    return mask


def _orcpt(value: str) -> str:
    kind, semicolon, coded = value.partition(";")
    if not semicolon or not kind:
        raise Refused(replies.BAD_ORCPT)
    try:
        plain = xtext.decode_utf8(coded) if kind.lower() == "utf-8" else xtext.decode(coded)
    except xtext.XtextError:
        raise Refused(replies.BAD_ORCPT) from None
    return f"{kind};{printable(plain)}" if plain else ""

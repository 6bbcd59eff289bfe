"""Mails that fail, are late, or are asked after, in groups that share their parameters."""

from typing import NamedTuple

ZONE = """\
nullmx.zone.example MX 0 .
there.zone.example A 127.0.0.1
"""

MAIL = b"""\
From: A Sender <sender@client.example>\r
To: somebody@rej.example\r
Subject: a subject that is\r
 folded\r
Message-ID: <one@client.example>\r
Date: Sun, 22 Nov 2026 12:00:00 +0000\r
\r
The text.\r
.. and a line with a dot\r
"""
LATIN = MAIL.replace(b"The text", b"Gr\xfc\xdfe")
LARGE = MAIL + b"a line of the large message\r\n" * 3000
UTF8 = MAIL.replace(b"A Sender", "Jörg".encode())


class Case(NamedTuple):
    """`recipients`: what follows `RCPT TO:`. `sender` None: one of this case alone. `mail`: parameters of MAIL FROM.

    `trace`: it comes from sendmail with this option (then `recipients` are mere addresses).
    `waits`: the message stays in the queue; what the log says of it (patterns) when all has been told.
    """

    recipients: tuple[str, ...]
    mail: str = ""
    content: bytes = MAIL
    sender: str | None = None
    waits: tuple[str, ...] = ()
    trace: str = ""


class Group(NamedTuple):
    """`home`: what the server that gets the notices answers. `templates`: the text of bounce_template_file.

    Mail to slow@rej.example is taken once the delays of the cases `cleared` have been told.
    """

    cases: dict[str, Case]
    main_cf: str = ""
    templates: str = ""
    home: dict[str, str] = {}  # noqa: RUF012
    cleared: tuple[str, ...] = ()


def to(*recipients: str, mail: str = "", content: bytes = MAIL, sender: str | None = None) -> Case:
    return Case(recipients, mail, content, sender)


NO = "<nosuch@rej.example>"
FAILURES = {
    "rcpt5": to(NO),
    "nocode": to("<nocode@rej.example>"),
    "multi": to("<multi@rej.example>"),
    "odd": to("<odd@rej.example>"),
    "latin": to("<latin@rej.example>"),
    "word": to("<word@rej.example>"),
    "data5": to("<x@data.example>"),
    "end5": to("<x@end.example>"),
    "mail5": to("<x@mail.example>"),
    "greet5": to("<x@greet.example>"),
    "tiny": to("<x@tiny.example>"),
    "helo": to("<x@helo.example>"),
    "error": to("<x@error.example>"),
    "plain": to("<x@plain.example>"),
    "nohost": to("<x@nohost.example>"),
    "nomx": to("<x@nomx.example>"),
    "nullmx": to("<x@nullmx.example>"),
    "unknown": to("<nobodyhere@ours.example>"),
    "unknownext": to("<nobodyhere+ext@ours.example>"),
    "several": to(NO, "<nocode@rej.example>", "<multi@rej.example>"),
    "some": to("<good@rej.example>", NO),
    "errors": to("<x@error.example>", "<y@error.example>"),
    "alike": to(NO, "<nosuch2@rej.example>", "<NOSUCH3@rej.example>"),
    "hdrs": to(NO, mail=" RET=HDRS"),
    "full": to(NO, mail=" RET=FULL"),
    "envid": to(NO, mail=" ENVID=an+20id+2B"),
    "orcpt": to(NO + " ORCPT=rfc822;the+2Boriginal@x.example"),
    "orcptx": to(NO + " ORCPT=x400;/c=us/"),
    "orcptutf8": to(NO + " ORCPT=utf-8;gr\\x{FC}n@x.example"),
    "never": to(NO + " NOTIFY=NEVER"),
    "onlydelay": to(NO + " NOTIFY=DELAY"),
    "onlysuccess": to(NO + " NOTIFY=SUCCESS"),
    "failure": to(NO + " NOTIFY=FAILURE"),
    "mixed": to(NO + " NOTIFY=NEVER", "<multi@rej.example> NOTIFY=FAILURE,DELAY"),
    "quoted": to('<"nosuch user"@rej.example>', '<"nosuch b"@rej.example>'),
    "quotederror": to('<"a b"@error.example>'),
    "quotedsender": to(NO, sender='"quoted sender"@client.example'),
    "bit8": to(NO, content=LATIN),
    "bit8said": to(NO, mail=" BODY=8BITMIME", content=LATIN),
    "bit7said": to(NO, mail=" BODY=7BIT"),
    "large": to(NO, content=LARGE),
    "largefull": to(NO, content=LARGE, mail=" RET=FULL"),
    "utf8": to("<größe@error.example>", mail=" SMTPUTF8", content=UTF8),
    "utf8hdrs": to("<größe@error.example>", mail=" SMTPUTF8 RET=HDRS", content=UTF8),
    "utf8sender": to("<größe@error.example>", mail=" SMTPUTF8", content=UTF8, sender="jörg@client.example"),
    "utf8ascii": to("<x@error.example>", mail=" SMTPUTF8"),
    "utf8refused": to("<größe@rej.example>", mail=" SMTPUTF8", content=UTF8),
    "null": to(NO, sender=""),
    "nullutf8": to("<größe@error.example>", mail=" SMTPUTF8", content=UTF8, sender=""),
    "double": to(NO, sender="double-bounce@mail.ours.example"),
    "moved": to("<moved@rej.example>"),
    "virtual": to("<virtual@rej.example>"),
    "virtualorcpt": to("<virtual@rej.example> ORCPT=rfc822;other@x.example"),
    "alias": to("<fails@ours.example>"),
    "noheaders": to(NO, content=b"\r\nonly text\r\n"),
    "nobody": to(NO, content=b"Subject: only headers\r\n"),
    "empty": to(NO, content=b""),
    "lines": to(NO, content=b"Subject: x\r\n\r\n" + b"y" * 3000 + b"\r\n--x\r\n"),
    "fromline": to(NO, content=b"Subject: x\r\n\r\nFrom me\r\n.\x00\r\n".replace(b".\x00", b"..")),
    "lmtp": to("<x@lmtp.example>", "<y@lmtp.example>"),
}

GOOD = "<good@nodsn.example>"
ASK = " NOTIFY=SUCCESS"
SUCCESSES = {
    "relayed": to(GOOD + ASK),
    "dsnserver": to("<good@rej.example>" + ASK),
    "discarded": to("<x@discard.example>" + ASK),
    "lmtp": to("<x@lmtp.example>" + ASK),
    "lmtpdsn": to("<x@lmtpdsn.example>" + ASK),
    "two": to(GOOD + ASK, "<better@nodsn.example> NOTIFY=SUCCESS,FAILURE"),
    "one": to(GOOD + ASK, "<better@nodsn.example>"),
    "both": to(GOOD + ASK, NO + " NOTIFY=SUCCESS,FAILURE"),
    "full": to(GOOD + ASK, mail=" RET=FULL ENVID=abc"),
    "orcpt": to(GOOD + ASK + " ORCPT=rfc822;o@x.example"),
    "bit8": to(GOOD + ASK, content=LATIN, mail=" BODY=8BITMIME"),
    "utf8": to(GOOD + ASK, mail=" SMTPUTF8", content=MAIL),
    "null": to(GOOD + ASK, sender=""),
    "double": to(GOOD + ASK, sender="double-bounce@mail.ours.example"),
    "virtual": to("<single@rej.example>" + ASK),
    "virtualmany": to("<several@rej.example> NOTIFY=SUCCESS,FAILURE"),
    "virtualonly": to("<several@rej.example>" + ASK),
    "virtuallocal": to("<local@rej.example>" + ASK),
    "virtualnull": to("<single@rej.example>" + ASK, sender=""),
    "virtualtwo": to("<single@rej.example>" + ASK, "<several@rej.example> NOTIFY=SUCCESS", GOOD + ASK),
    "mailbox": to("<nobody@ours.example>" + ASK),
    "noowner": to("<all@ours.example>" + ASK),
    "alias": to("<one@ours.example>" + ASK),
    "list": to("<team@ours.example> NOTIFY=SUCCESS,FAILURE"),
    "none": to(GOOD),
    "never": to(GOOD + " NOTIFY=NEVER"),
}

SLOW = ("to=<", "sender delay notification")
LATE = "<later@rej.example>"
DELAYS = {
    "later": Case((LATE,), waits=SLOW),
    "full": Case(("<full@rej.example>",), waits=SLOW),
    "closed": Case(("<x@closed.example>",), waits=SLOW),
    "retry": Case(("<x@retry.example>",), waits=SLOW),
    "two": Case((LATE, "<full@rej.example>"), waits=SLOW),
    "some": Case((LATE, "<good@rej.example>", NO), waits=(*SLOW, "sender non-delivery notification")),
    "asked": Case((LATE + " NOTIFY=DELAY",), waits=SLOW),
    "notasked": Case((LATE + " NOTIFY=FAILURE",), waits=("to=<",)),
    "never": Case((LATE + " NOTIFY=NEVER",), waits=("to=<",)),
    "hdrs": Case((LATE,), " RET=FULL ENVID=x", waits=SLOW),
    "bit8": Case((LATE,), " BODY=8BITMIME", LATIN, waits=SLOW),
    "large": Case((LATE,), "", LARGE, waits=SLOW),
    "utf8": Case(("<größe@retry.example>",), " SMTPUTF8", UTF8, waits=SLOW),
    "null": Case((LATE,), "", sender="", waits=("to=<",)),
    "double": Case(
        (LATE,),
        "",
        sender="double-bounce@mail.ours.example",
        waits=("to=<", "undeliverable postmaster notification discarded"),
    ),
}
POSTMASTER = "postmaster delay notification"
COPIED = DELAYS["later"]._replace(waits=(*SLOW, POSTMASTER))

TEMPLATES = """\
# A comment

failure_template = <<EOF
Charset: iso-8859-1
From: Poststelle <post@ours.example>
Subject: Nicht zugestellt
Postmaster-Subject: Kopie: nicht zugestellt

Host $myhostname, domain $mydomain, $$5, ${mail_name}, $(relayhost).
$delay_warning_time seconds; ${delay_warning_time_minutes} minutes, $delay_warning_time_days days, after
$maximal_queue_lifetime_hours hours, $maximal_queue_lifetime_weeks weeks; $bounce_size_limit.
  A backslash \\ and leading blanks are kept.

${mydomain?there is one}${mydomain:there is none}
EOF

delay_template = <<THE_END
Subject: Wartet

$delay_warning_time_seconds, $maximal_queue_lifetime_days
THE_END
success_template = <<EOF
FROM: a@b.example
subject:Angekommen

No blank line after this, and no more.
EOF
"""

# Servers that do not offer SMTPUTF8, and mail that declares it: what needs it, and do the notices about that?
PART = MAIL.replace(
    b"\r\n\r\n",
    b"\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Description: gr\xc3\xbcn\r\n\r\n",
)
INNER = b"Content-Type: message/rfc822\r\n\r\nSubject: gr\xc3\xbcn\r\n\r\nText\r\n"
EAI = {
    "recipient": to("<grün@error.example>", mail=" SMTPUTF8"),
    "header": to("<x@error.example>", mail=" SMTPUTF8", content=UTF8),
    "sender": to("<x@error.example>", mail=" SMTPUTF8", sender="jörg@client.example"),
    "none": to("<x@error.example>", mail=" SMTPUTF8"),
    "body": to("<x@error.example>", mail=" SMTPUTF8 BODY=8BITMIME", content=LATIN),
    "undeclared": to("<x@error.example>", content=UTF8),
    "hdrs": to("<x@error.example>", mail=" SMTPUTF8 RET=HDRS", content=UTF8),
    "orcpt": to("<x@error.example> ORCPT=utf-8;gr\\x{FC}n@x.example", mail=" SMTPUTF8"),
    "null": to("<grün@error.example>", mail=" SMTPUTF8", sender=""),
    "sentrecipient": to("<grün@rej.example>", mail=" SMTPUTF8"),
    "sentheader": to("<good@rej.example>", mail=" SMTPUTF8", content=UTF8),
    "sentsender": to("<good@rej.example>", mail=" SMTPUTF8", sender="jörg@client.example"),
    "sentpart": to("<good@rej.example>", mail=" SMTPUTF8", content=PART),
    "sentinner": to("<good@rej.example>", mail=" SMTPUTF8", content=INNER),
    "sentglobal": to("<good@rej.example>", mail=" SMTPUTF8", content=INNER.replace(b"rfc822", b"global")),
    "sentbody": to("<good@rej.example>", mail=" SMTPUTF8", content=INNER.replace(b"message/rfc822", b"text/plain")),
    "sentboth": to("<good@rej.example>", "<grün@rej.example>", mail=" SMTPUTF8"),
    "told": to(GOOD + ASK, mail=" SMTPUTF8"),
    "discardheader": to("<x@discard.example>" + ASK, mail=" SMTPUTF8", content=UTF8),
    "forwarded": to("<one@ours.example>", mail=" SMTPUTF8", content=UTF8),
    "forwardedplain": to("<one@ours.example>", mail=" SMTPUTF8"),
}
NO_EAI = {"EHLO": "250-peer.example\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN"}

CLEARED = {"one": "", "asked": " NOTIFY=DELAY", "success": " NOTIFY=SUCCESS,DELAY", "failure": " NOTIFY=FAILURE"}
# Else recipients who get deliveries of their own end in any order.
ONE_BY_ONE = "smtp_destination_concurrency_limit = 1\n"
LOGINS = """\
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:user:secret
smtp_sasl_security_options =
smtp_sasl_auth_soft_bounce = no
"""
GROUPS = {
    "failures": Group(FAILURES),
    "copies": Group(FAILURES, "notify_classes = bounce\n"),
    "doubles": Group(
        {name: FAILURES[name] for name in ("null", "nullutf8", "double", "rcpt5", "large")}
        | {"nulllarge": to(NO, content=LARGE, sender=""), "nullhdrs": to(NO, mail=" RET=HDRS", sender="")},
        "notify_classes = 2bounce\n",
    ),
    "returned": Group(
        {"rcpt5": to(NO), "hdrs": to(NO, mail=" RET=HDRS"), "null": to(NO, sender=""), "success": to(GOOD + ASK)},
        "notify_classes = bounce, 2bounce, delay\n",
        home={"RCPT TO:<": "550 5.1.1 nobody at home"},
    ),
    "bouncedbounces": Group(
        {
            "rcpt5": to(NO), "hdrs": to(NO, mail=" RET=HDRS"), "success": to(GOOD + ASK),
            "utf8": to("<größe@error.example>", mail=" SMTPUTF8", content=UTF8, sender="jörg@client.example"),
        },
        "notify_classes = 2bounce\n",
        home={f"RCPT TO:<{name}@": "550 5.1.1 nobody at home" for name in ("rcpt5", "hdrs", "success")}
        | {"RCPT TO:<jörg@": "550 5.1.1 nobody at home"},
    ),
    "successes": Group(SUCCESSES),
    "successcopies": Group(SUCCESSES, "notify_classes = bounce, 2bounce, delay\n"),
    "delays": Group(DELAYS, "delay_warning_time = 2s\n"),
    "delaycopies": Group(
        {
            name: case._replace(waits=case.waits if name in ("never", "double", "null") else (*case.waits, POSTMASTER))
            for name, case in DELAYS.items()
            if name != "some"
        }
        | {"some": DELAYS["some"]._replace(waits=(*DELAYS["some"].waits, POSTMASTER, "postmaster non-delivery"))},
        "delay_warning_time = 2s\nnotify_classes = delay, bounce\n",
    ),
    "expired": Group(
        {
            "later": to(LATE), "closed": to("<x@closed.example>"), "retry": to("<x@retry.example>"),
            "two": to(LATE, "<full@rej.example>"), "hdrs": to(LATE, mail=" RET=HDRS ENVID=e"),
            "null": to(LATE, sender=""), "never": to(LATE + " NOTIFY=NEVER"),
        },
        "maximal_queue_lifetime = 1s\nbounce_queue_lifetime = 1s\nnotify_classes = bounce\n",
    ),
    "templates": Group(
        {name: FAILURES[name] for name in ("rcpt5", "bit8", "utf8", "utf8ascii", "null")}
        | {"relayed": SUCCESSES["relayed"], "later": COPIED},
        "notify_classes = bounce, delay\ndelay_warning_time = 2s\nmaximal_queue_lifetime = 15d\n",
        TEMPLATES,
    ),
    "threads": Group(
        {name: FAILURES[name] for name in ("rcpt5", "hdrs", "bit8", "utf8", "null", "noheaders", "empty")}
        | {
            "references": to(NO, content=b"References: <r1@x>\r\n <r2@x>\r\nIn-Reply-To: <r3@x>\r\n" + MAIL),
            "folded": to(NO, content=b"Subject: x\r\nMessage-Id:\r\n <folded@x.example> (comment)\r\n\r\n"),
            "badid": to(NO, content=b"Subject: x\r\nMessage-ID: not one\r\n\r\n"),
            "relayed": SUCCESSES["relayed"], "later": COPIED,
        },
        "enable_threaded_bounces = yes\nnotify_classes = bounce, delay\ndelay_warning_time = 2s\n",
    ),
    "obsoletefrom": Group(
        {"rcpt5": to(NO), "relayed": to(GOOD + ASK), "noheaders": FAILURES["noheaders"]},
        "header_from_format = obsolete\nnotify_classes = bounce\n",
    ),
    "noutf8": Group(
        {name: FAILURES[name] for name in ("rcpt5", "latin", "bit8", "bit8said", "bit7said", "hdrs")}
        | {"relayed": SUCCESSES["relayed"], "relayed8": SUCCESSES["bit8"]},
        "smtputf8_enable = no\nnotify_classes = bounce\n",
    ),
    "limits": Group(
        {"small": to(NO, content=b"Subject: x\r\n\r\nx\r\n"), "rcpt5": to(NO), "large": to(NO, content=LARGE)},
        "bounce_size_limit = 300\nnotify_classes = bounce\n",
    ),
    "verp": Group(
        {
            "one": to(NO, mail=" XVERP"),
            "two": to(NO, "<multi@rej.example>", mail=" XVERP=-="),
            "quoted": to('<"nosuch user"@rej.example>', mail=" XVERP"),
            "good": to(GOOD + ASK, "<better@nodsn.example>" + ASK, mail=" XVERP"),
            "virtual": to("<virtual@rej.example>", mail=" XVERP"),
            "hdrs": to(NO, "<nocode@rej.example>", mail=" XVERP=+= RET=HDRS ENVID=x"),
            "never": to(NO + " NOTIFY=NEVER", "<nocode@rej.example>", mail=" XVERP"),
            "later": Case((LATE, "<full@rej.example>"), " XVERP", waits=COPIED.waits),
        },
        "notify_classes = bounce, delay\ndelay_warning_time = 2s\n" + ONE_BY_ONE,
    ),
    "traces": Group(
        {
            "sent": Case(("good@nodsn.example",), trace="-v"),
            "dsnserver": Case(("good@rej.example",), trace="-v"),
            "lmtp": Case(("x@lmtp.example",), trace="-v"),
            "lmtpdsn": Case(("x@lmtpdsn.example",), trace="-v"),
            "failed": Case(("good@rej.example", "nosuch@rej.example"), trace="-v"),
            "late": Case(("later@rej.example",), trace="-v", waits=("sender delivery status notification",)),
            "mailbox": Case(("nobody@ours.example",), trace="-v"),
            "verify": Case(("good@rej.example", "later@rej.example", "nosuch@rej.example"), trace="-bv"),
            "verifydiscard": Case(("x@discard.example",), trace="-bv"),
            "verifylocal": Case(("nobody@ours.example",), trace="-bv"),
            "verifyunknown": Case(("nobodyhere@ours.example",), trace="-bv"),
            "verifylmtp": Case(("x@lmtp.example",), trace="-bv"),
            "verifyerror": Case(("x@error.example",), trace="-bv"),
            "verifyclosed": Case(("x@closed.example",), trace="-bv"),
        },
        "notify_classes = bounce\n",
    ),
    "verpexpired": Group(
        {"two": to(LATE, "<full@rej.example>", mail=" XVERP"), "retry": to("<x@retry.example>", mail=" XVERP")},
        "maximal_queue_lifetime = 1s\nnotify_classes = bounce\n",
    ),
    "noverpbounces": Group(
        {"two": to(NO, "<multi@rej.example>", mail=" XVERP"), "good": to(GOOD, mail=" XVERP")},
        "disable_verp_bounces = yes\ndefault_verp_delimiters = =-\nnotify_classes = bounce\n" + ONE_BY_ONE,
    ),
    "cleared": Group(
        {name: to("<slow@rej.example>" + notify) for name, notify in CLEARED.items()}
        | {"two": to("<slow@rej.example>", NO)},
        "delay_warning_time = 1s\nconfirm_delay_cleared = yes\n",
        cleared=("one", "asked", "two"),
    ),
    "eai": Group(EAI, "notify_classes = bounce, 2bounce\n", home=NO_EAI),
    "soft": Group(
        {
            "rcpt5": Case((NO,), waits=("to=<",)), "end5": Case(("<x@end.example>",), waits=("to=<",)),
            "error": Case(("<x@error.example>",), waits=("to=<",)),
            "unknown": Case(("<nobodyhere@ours.example>",), waits=("to=<",)),
        },
        "soft_bounce = yes\n",
    ),
    "logins": Group(
        {
            "refused": to("<x@auth.example>", "<y@auth.example>"), "strange": to("<x@strange.example>"),
            "challenge": to("<x@challenge.example>"), "late": to("<x@authlater.example>"),
        },
        LOGINS + "maximal_queue_lifetime = 1s\nnotify_classes = bounce\n",
    ),
    "plainlogins": Group(
        {"plain": to("<x@auth.example>")},
        LOGINS.replace("options =", "options = noplaintext") + "maximal_queue_lifetime = 1s\nnotify_classes = bounce\n",
    ),
    "latelogins": Group(
        {"late": Case(("<x@auth.example>",), waits=("sender delay notification",))},
        LOGINS.replace("soft_bounce = no", "soft_bounce = yes") + "delay_warning_time = 1s\n",
    ),
}  # fmt: skip

"""The texts of notices (bounce(5)). The words are Postfix's, since programs that read notices know them."""

import msgspec

BUILT_IN = "[built-in]"


class Template(msgspec.Struct, frozen=True):
    """`name` is the log's word for it, `origin` the file it comes from.

    Names of parameters stand in the text, which may have octets of any character set (surrogate escapes).
    `postmaster_subject` is that of the copy for the postmaster, which goes without the text.
    """

    name: str
    subject: str
    postmaster_subject: str
    text: str
    sender: str = "Mail Delivery System <MAILER-DAEMON>"
    charset: str = "us-ascii"
    origin: str = BUILT_IN


_BANNER = "This is the mail system at host $myhostname.\n\n"
_HELP = """
For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.
"""
_SIGNATURE = "\n                   The mail system\n"

FAILURE = Template(
    "failure",
    "Undelivered Mail Returned to Sender",
    "Postmaster Copy: Undelivered Mail",
    _BANNER
    + """\
I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.
"""
    + _HELP
    + _SIGNATURE,
)

DELAY = Template(
    "delay",
    "Delayed Mail (still being retried)",
    "Postmaster Warning: Delayed Mail",
    _BANNER
    + """\
####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than $delay_warning_time_hours hour(s).
It will be retried until it is $maximal_queue_lifetime_days day(s) old.
"""
    + _HELP
    + _SIGNATURE,
)

SUCCESS = Template(
    "success",
    "Successful Mail Delivery Report",
    "",
    _BANNER
    + """\
Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.
"""
    + _SIGNATURE,
)

VERIFY = Template(
    "verify",
    "Mail Delivery Status Report",
    "",
    _BANNER + "Enclosed is the mail delivery report that you requested.\n" + _SIGNATURE,
)

ALL = (FAILURE, DELAY, SUCCESS, VERIFY)

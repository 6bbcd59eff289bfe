"""The replies whose text never changes, and the exception by which a command is refused."""

from gatepost.mail.reply import Reply


class FixedReply(Reply, frozen=True):
    """A reply that is encoded once."""

    wire: bytes = b""

    def encode(self) -> bytes:
        return self.wire


def fixed(code: int, dsn: str, text: str, fault: str = "") -> FixedReply:
    """A reply that will be given many times."""
    return FixedReply(code, dsn, text, fault, Reply(code, dsn, text).encode())


class Refused(Exception):
    """A command is answered with this reply and counts as an error."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply)


OK = fixed(250, "2.0.0", "Ok")
MAIL_OK = fixed(250, "2.1.0", "Ok")
RCPT_OK = fixed(250, "2.1.5", "Ok")
BYE = fixed(221, "2.0.0", "Bye")
END_DATA_WITH = fixed(354, "", "End data with <CR><LF>.<CR><LF>")

SYNTAX_HELO = fixed(501, "", "Syntax: HELO hostname")
SYNTAX_EHLO = fixed(501, "", "Syntax: EHLO hostname")
SYNTAX_MAIL = fixed(501, "5.5.4", "Syntax: MAIL FROM:<address>")
SYNTAX_RCPT = fixed(501, "5.5.4", "Syntax: RCPT TO:<address>")
SYNTAX_DATA = fixed(501, "5.5.4", "Syntax: DATA")
SYNTAX_BDAT = fixed(521, "5.5.4", "Syntax: BDAT count [LAST]", "protocol")
SYNTAX_RSET = fixed(501, "5.5.4", "Syntax: RSET")
SYNTAX_STARTTLS = fixed(501, "5.5.4", "Syntax: STARTTLS")
TLS_ACTIVE = fixed(554, "5.5.1", "Error: TLS already active", "protocol")
TLS_UNAVAILABLE = fixed(454, "4.7.0", "TLS not available due to local problem", "software")
TLS_READY = fixed(220, "2.0.0", "Ready to start TLS")
MUST_STARTTLS = fixed(530, "5.7.0", "Must issue a STARTTLS command first", "none")
SYNTAX_AUTH = fixed(501, "5.5.4", "Syntax: AUTH mechanism")
SYNTAX_VRFY = fixed(501, "5.5.4", "Syntax: VRFY address")
SYNTAX_VRFY_UTF8 = fixed(501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]")
SYNTAX_ETRN = fixed(500, "", "Syntax: ETRN domain")
SYNTAX_XCLIENT = fixed(501, "5.5.4", "Syntax: XCLIENT attribute=value...")
SYNTAX_XFORWARD = fixed(501, "5.5.4", "Syntax: XFORWARD attribute=value...")

SEND_HELO_FIRST = fixed(503, "5.5.1", "Error: send HELO/EHLO first", "policy")
SEND_HELO_FIRST_ETRN = fixed(503, "", "Error: send HELO/EHLO first", "policy")
NESTED_MAIL = fixed(503, "5.5.1", "Error: nested MAIL command")
MAIL_AFTER_BDAT = fixed(503, "5.5.1", "Error: MAIL after BDAT")
RCPT_AFTER_BDAT = fixed(503, "5.5.1", "Error: RCPT after BDAT")
DATA_AFTER_BDAT = fixed(503, "5.5.1", "Error: DATA after BDAT")
NEED_MAIL = fixed(503, "5.5.1", "Error: need MAIL command")
NEED_RCPT = fixed(503, "5.5.1", "Error: need RCPT command")
NO_VALID_RECIPIENTS = fixed(554, "5.5.1", "Error: no valid recipients", "none")
IN_TRANSACTION = fixed(503, "5.5.1", "Error: MAIL transaction in progress")
IN_TRANSACTION_ETRN = fixed(503, "", "Error: MAIL transaction in progress")

BAD_SENDER = fixed(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = fixed(501, "5.1.3", "Bad recipient address syntax")
BAD_SIZE = fixed(501, "5.5.4", "Bad message size syntax")
NULL_VERP = fixed(503, "5.5.4", "Error: XVERP requires non-null sender")
BAD_RET = fixed(501, "5.5.4", "Bad RET parameter syntax")
BAD_ENVID = fixed(501, "5.5.4", "Bad ENVID parameter syntax")
BAD_NOTIFY = fixed(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
BAD_ORCPT = fixed(501, "5.5.4", "Error: Bad ORCPT parameter syntax")
ETRN_STARTED = fixed(250, "", "Queuing started")
ETRN_UNABLE = fixed(458, "", "Unable to queue messages", "none")
BAD_ETRN = fixed(501, "", "Error: invalid parameter syntax")
NO_DSN = fixed(501, "5.7.1", "DSN support is disabled")
SIZE_OVERFLOW = fixed(552, "5.3.4", "Message size exceeds file system imposed limit")
SIZE_LIMIT = fixed(552, "5.3.4", "Message size exceeds fixed limit")
CHUNK_LIMIT = fixed(552, "5.3.4", "Chunk exceeds message size limit")
NULL_BDAT = fixed(551, "5.7.1", "Null BDAT request", "none")
NO_SPACE = fixed(452, "4.3.1", "Insufficient system storage", "resource")
TOO_MANY_RECIPIENTS = fixed(452, "4.5.3", "Error: too many recipients")
UNDECLARED_UTF8 = fixed(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")

NOT_RECOGNIZED = fixed(500, "5.5.2", "Error: command not recognized")
BAD_SYNTAX = fixed(500, "5.5.2", "Error: bad syntax")
BAD_UTF8 = fixed(500, "5.5.2", "Error: bad UTF-8 syntax")
NOT_IMPLEMENTED = fixed(502, "5.5.1", "Error: command not implemented")
NOT_IMPLEMENTED_CLOSE = fixed(521, "5.5.1", "Error: command not implemented")
NO_AUTH = fixed(503, "5.5.1", "Error: authentication not enabled")
ALREADY_AUTHENTICATED = fixed(503, "5.5.1", "Error: already authenticated")
AUTHENTICATED = fixed(235, "2.7.0", "Authentication successful")
AUTH_ABORTED = fixed(501, "5.7.0", "Authentication aborted", "none")
RESPONSE_TOO_LONG = fixed(500, "5.5.6", "SASL response limit exceeded", "none")
VRFY_DISABLED = fixed(502, "5.5.1", "VRFY command is disabled", "policy")
NOT_AUTHORIZED = fixed(550, "5.7.0", "Error: insufficient authorization")
BREAKS_RULES = fixed(221, "2.7.0", "Error: I can break rules, too. Goodbye.")
SYNCHRONIZATION = fixed(554, "5.5.0", "Error: SMTP protocol synchronization", "none")

WRITE_ERROR = fixed(451, "4.3.0", "Error: queue file write error", "resource")
TOO_BIG = fixed(552, "5.3.4", "Error: message file too big", "bounce")
TOO_MANY_HOPS = fixed(554, "5.4.0", "Error: too many hops", "bounce")
CONTENT_REJECTED = fixed(550, "5.7.1", "Error: message content rejected")
SERVICE_UNAVAILABLE = fixed(451, "4.7.1", "Error: service unavailable")

"""Refusals that come from no restriction: what the server finds wrong by itself."""

_KNOWN = (
    ("send HELO/EHLO first", "The client has to say HELO or EHLO first (smtpd_helo_required = yes)."),
    ("Bad sender address syntax", "No mail could ever be sent to this sender: the address is not well-formed."),
    ("Bad recipient address syntax", "No mail could ever be sent to this address: it is not well-formed."),
    ("Syntax: ", "The command is not well-formed."),
    ("Must declare SMTPUTF8", "The address is beyond ASCII, and the client has not announced that (SMTPUTF8)."),
    ("access denied for", "The client was refused when it connected; since then it may only say goodbye."),
    ("Insufficient system storage", "The disk that holds the queue has too little room (queue_minfree)."),
    ("Server local data error", "A table that the server needs cannot be asked; the log says which one."),
    ("queue file write error", "The queue takes no mail at the moment."),
    ("Message size exceeds", "The message is larger than message_size_limit."),
    ("too many recipients", "There are more recipients than smtpd_recipient_limit."),
    ("too much mail from", "The client sends more often than smtpd_client_message_rate_limit allows."),
    ("too many connections", "The client has more connections than smtpd_client_connection_..._limit allows."),
    ("protocol synchronization", "The client does not wait for answers (smtpd_forbid_unauth_pipelining)."),
    ("too many errors", "The client has made more errors than smtpd_hard_error_limit."),
    ("bare <LF> received", "The client ends lines in a bare newline (smtpd_forbid_bare_newline)."),
    ("command not recognized", "There is no such command."),
    ("message content rejected", "header_checks or body_checks have refused the content."),
)


def outside(reply: str) -> str:
    """Why the server answers so although no restriction does, as a sentence."""
    for words, reason in _KNOWN:
        if words in reply:
            return reason
    return "No restriction says so: the server finds it by itself, before it asks any."

"""What a line of the mail log means: who writes it, and what it is about, for people who have not seen many."""

import re
from collections.abc import Callable

_PREFIX = re.compile(r"^.*?\s(?P<tag>[\w.-]+(?:/[\w.-]+)+)\[\d+\]: ")
_PROGRAMS = {
    "smtpd": "the server that takes mail in by SMTP",
    "smtp": "the client that sends mail on by SMTP",
    "lmtp": "the client that hands mail to a mailbox server by LMTP",
    "local": "delivery to users of this host",
    "virtual": "delivery to virtual mailboxes",
    "pipe": "delivery to a program",
    "qmgr": "the queue manager, which schedules deliveries",
    "cleanup": "what takes messages into the queue",
    "pickup": "what takes in mail that was submitted on this host",
    "bounce": "what writes notices to senders",
    "error": "the delivery that always fails, as the configuration has ordered",
    "discard": "the delivery that throws mail away, as the configuration has ordered",
    "anvil": "what counts connections and rates",
    "verify": "what probes addresses",
    "trivial-rewrite": "what rewrites and resolves addresses",
    "master": "the process that starts all others",
    "postsuper": "the command by which an operator acts on the queue",
}
# RFC 3463 3: the second number of a status.
_SUBJECTS = {
    "0": "nothing more is said",
    "1": "it is about the address",
    "2": "it is about the mailbox",
    "3": "it is about the receiving mail system",
    "4": "it is about the network, or the way there",
    "5": "it is about the protocol",
    "6": "it is about the content",
    "7": "it is about permission or policy",
}
_DELIVERY = re.compile(
    r"to=<(?P<to>.*?)>, (?:orig_to=<(?P<orig>.*?)>, )?relay=(?P<relay>[^,]+), (?:conn_use=\d+, )?"
    r"delay=(?P<delay>[^,]+), delays=(?P<a>[^/]+)/(?P<b>[^/]+)/(?P<c>[^/]+)/(?P<d>[^,]+), "
    r"dsn=(?P<dsn>[\d.]+), status=(?P<status>\S+) "
    r"\((?P<text>.*)\)$"
)
_STATUSES = {
    "sent": "It was delivered: the other side has taken responsibility for it.",
    "deferred": "Not delivered this time. It waits in the queue and is tried again, until maximal_queue_lifetime.",
    "bounced": "It was not delivered and never will be. The sender gets a notice that says so.",
    "expired": "It has waited too long (maximal_queue_lifetime). The sender gets it back with a notice.",
    "undeliverable": "A probe has found that mail for this address cannot be delivered.",
    "deliverable": "A probe has found that mail for this address can be delivered.",
}

_Told = Callable[[re.Match[str]], list[str]]


def _fixed(*lines: str) -> _Told:
    return lambda found: list(lines)


def _delivery(found: re.Match[str]) -> list[str]:
    status, relay, text = found["status"], found["relay"], found["text"]
    lines = [f"One attempt to deliver to <{found['to']}>."]
    if found["orig"]:
        lines.append(f"The mail came for <{found['orig']}>; an alias or a table made that address of it.")
    lines.append(_STATUSES.get(status, f"It came to: {status}."))
    if " said: " in text:
        lines.append(f"So said the other server, {relay}: the reason lies there, not here.")
    elif "connect to" in text:
        lines.append("No connection came about: the other server is down, or something in between blocks (port 25?).")
    elif "Host or domain name not found" in text or "name service" in text.lower():
        lines.append("Name service (DNS) has no answer for the destination: mistyped, gone, or DNS fails here.")
    elif relay == "none" and status != "sent":
        lines.append("No other server was asked: what stands in brackets was found out on this host.")
    subject = found["dsn"].split(".")[1] if found["dsn"].count(".") == 2 else "0"
    if status != "sent":
        lines.append(f"Status {found['dsn']} (RFC 3463): {_SUBJECTS.get(subject, 'it is of a new kind')}.")
    lines.append(
        f"It took {found['delay']} s: {found['a']} until it was in the queue, {found['b']} waiting there, "
        f"{found['c']} to connect, {found['d']} to hand over."
    )
    lines.append(f"`gatepost route {found['to']}` tells why it goes there.")
    return lines


def _client(found: re.Match[str]) -> list[str]:
    login = re.search(r"sasl_username=([^,]+)", found.string)
    who = f", logged in as {login[1]}" if login is not None else ""
    return [f"A message begins; it comes from {found['who']} by SMTP{who}."]


def _queued(found: re.Match[str]) -> list[str]:
    sender = f"from <{found['sender']}>" if found["sender"] else "without a sender (a notice)"
    recipients = "one recipient" if found["count"] == "1" else f"{found['count']} recipients"
    return [
        f"The message {sender}, {found['size']} octets for {recipients}, is about to be delivered. "
        "With messages that wait, the line comes anew with each round."
    ]


_WARNINGS: tuple[tuple[str, str], ...] = (
    (
        "does not resolve to address",
        "The client's address has a name, but the name has another address, or none. The client counts as `unknown`. "
        "Harmless, unless restrictions ask for a name (reject_unknown_client_hostname).",
    ),
    ("Illegal address syntax", "The client gave an address to which no mail could ever be sent; it was answered 501."),
    (
        "limit exceeded",
        "One client does more than smtpd_client_*_limit allows (per anvil_rate_time_unit), and is put off.",
    ),
    ("not enough free space", "The disk that holds the queue is nearly full: no mail is taken (queue_minfree)."),
    ("queue file size limit", "The message is larger than message_size_limit and was refused."),
    (
        "problem talking to server",
        "A service that this process needs does not answer; what it does without is told next.",
    ),
    (
        "lookup error",
        "A table could not be asked: a database is down, a file cannot be read. Mail is put off meanwhile.",
    ),
    (
        "error: open ",
        "A table cannot be opened: wherever it is needed, clients are put off. `gatepost check` says more.",
    ),
    (
        "connect to TCP map",
        "The server of a tcp: table cannot be reached: where its answer is needed, clients are put off.",
    ),
    (
        "is unavailable",
        "A table cannot be opened. Wherever it is needed, clients are put off: `gatepost check` says more.",
    ),
    ("request longer than", "The client has sent a line longer than line_length_limit; the rest was ignored."),
    (
        "non-SMTP command",
        "The client speaks something else, such as HTTP (smtpd_forbidden_commands). It was sent away.",
    ),
    (
        "unknown smtpd restriction",
        "A list of restrictions has a name that there is not: clients are answered 451 4.3.5.",
    ),
    ("returns OK for", "A table that may only refuse says OK. Write DUNNO there. Meanwhile clients are put off."),
    (
        "backwards-compatible default",
        "The configuration is silent, so that an old default holds: see compatibility_level.",
    ),
)

_VERBS = {
    "reject_warning": "would have been refused, but warn_if_reject makes a mere warning of that",
    "permit": "was permitted by the restriction that is named (smtpd_log_access_permit_actions)",
    "hold": "is taken, but put on hold until somebody looks at it (`postsuper -H` releases it)",
    "discard": "is taken and thrown away; the sender is not told",
    "filter": "is taken, and goes to a content filter instead of its destination",
    "redirect": "is taken, and goes to another recipient instead",
    "bcc": "is taken, and somebody else gets a copy",
    "warn": "has met a WARN entry of a table, which only logs",
    "info": "has met an INFO entry of a table, which only logs",
    "hangup": "has met a HANGUP entry of a table: the connection was closed without a word",
    "reject": "was refused; `gatepost explain` with all of the line tells why",
}


def _decided(found: re.Match[str]) -> list[str]:
    return [f"What {found['who']} said at {found['stage']} {_VERBS[found['verb']]}."]


_KINDS: tuple[tuple[str, _Told], ...] = (
    (rf": (?P<verb>{'|'.join(_VERBS)}): (?P<stage>\S+) from (?P<who>[^\s\]]+\])", _decided),
    (
        r"replacing command ",
        _fixed("smtpd_command_filter has put another command in the place of the client's."),
    ),
    (r"^ignoring DNS RR: ", _fixed("A reply of name service was filtered out (smtp_dns_reply_filter, smtpd_...).")),
    (r"^mapping DSN status ", _fixed("A table gives a status that does not fit what it is about; it was corrected.")),
    (_DELIVERY.pattern, _delivery),
    (r"client=(?P<who>[^,\s]+)", _client),
    (r"from=<(?P<sender>.*?)>, size=(?P<size>\d+), nrcpt=(?P<count>\d+) \(queue active\)", _queued),
    (
        r"from=<.*?>, status=(?:force-)?expired",
        _fixed("It has waited too long (maximal_queue_lifetime, bounce_queue_lifetime). It goes back to the sender."),
    ),
    (
        r"uid=(?P<uid>\d+) from=<",
        lambda found: [f"Submitted on this host, by the user with the number {found['uid']}."],
    ),
    (r"message-id=", _fixed("The message's own identification, by which it can be found on other servers, too.")),
    (r": removed$", _fixed("All recipients are settled, and the message has left the queue.")),
    (
        r"(?P<kind>[\w -]+) notification: (?P<id>\w+)$",
        lambda found: [f"A {found['kind'].strip()} notice was written. It is message {found['id']}."],
    ),
    (r"^connect from ", _fixed("Somebody has opened a connection to this server. It says nothing about mail yet.")),
    (
        r"^disconnect from ",
        _fixed("The connection is over. Then its commands: how many succeeded, or how many of how many."),
    ),
    (
        r"^lost connection after (?P<stage>\S+)",
        lambda found: [f"The client hung up without goodbye, after {found['stage']}. Scanners and spam senders do."],
    ),
    (
        r"^timeout after (?P<stage>\S+)",
        lambda found: [
            f"The client was silent for too long after {found['stage']} (smtpd_timeout), or the network lost it."
        ],
    ),
    (r"^too many errors after", _fixed("The client made smtpd_hard_error_limit errors and was sent away.")),
    (
        r"^improper command pipelining",
        _fixed(
            "The client did not wait for answers where it must; only spam senders do (smtpd_forbid_unauth_pipelining)."
        ),
    ),
    (r"^statistics: ", _fixed("How much the busiest client did, for choosing smtpd_client_*_limit. Nothing is wrong.")),
)


def meaning(line: str) -> list[str]:
    """Sentences about a line; empty if it is of no known kind."""
    prefix = _PREFIX.match(line)
    text = line[prefix.end() :] if prefix is not None else line
    said = _said(text)
    if prefix is not None and said:
        program = _PROGRAMS.get(prefix["tag"].rpartition("/")[2])
        if program is not None:
            said.append(f"Written by {prefix['tag'].rpartition('/')[2]}: {program}.")
    return said


def _said(text: str) -> list[str]:
    for words, sentence in _WARNINGS:
        if words in text:
            return [sentence]
    for pattern, told in _KINDS:
        found = re.search(pattern, text)
        if found is not None:
            return told(found)
    if text.startswith(("warning: ", "error: ", "fatal: ", "panic: ")):
        return [
            {
                "warning": "Something is not as it should be, but mail goes on.",
                "error": "Something failed that somebody should look at.",
                "fatal": "A process could not go on.",
                "panic": "A fault of Gatepost itself: please report it.",
            }[text.partition(":")[0]]
        ]
    return []

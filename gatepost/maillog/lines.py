"""The text of each mail-log line, one function per kind, as Postfix 3.7 words it (logformats in postfix-logwatch(1),
smtpd(8), qmgr(8)).

Pure: every value comes as an argument. Addresses come in external (quoted) form.
"""

from collections.abc import Mapping, Sequence
from time import ctime

COMMAND_ORDER = (
    "helo",
    "ehlo",
    "xclient",
    "xforward",
    "starttls",
    "auth",
    "mail",
    "rcpt",
    "data",
    "bdat",
    "rset",
    "noop",
    "vrfy",
    "etrn",
    "quit",
    "unknown",
)
_PLACES = {command: place for place, command in enumerate(COMMAND_ORDER)}


def connect_from(namaddr: str) -> str:
    return "connect from " + namaddr


def disconnect_from(namaddr: str, counts: Mapping[str, Sequence[int]]) -> str:
    """`counts`: command -> (succeeded, total); commands that were not used are left out."""
    good = total = 0
    parts = ["disconnect from ", namaddr]
    for command in sorted(counts, key=_PLACES.__getitem__):
        ok, all_ = counts[command]
        if all_:
            good += ok
            total += all_
            parts.append(f" {command}={ok}" if ok == all_ else f" {command}={ok}/{all_}")
    parts.append(f" commands={good}" if good == total and total else f" commands={good}/{total}")
    return "".join(parts)


def client(queue_id: str, namaddr: str, sasl: str = "", original: str = "") -> str:
    """`sasl` and `original` (XFORWARD) are the ready-made further parts, each beginning with `, `."""
    return f"{queue_id}: client={namaddr}{sasl}{original}"


def reject(
    queue_id: str,
    verb: str,
    stage: str,
    namaddr: str,
    text: str,
    sender: str | None,
    recipient: str | None,
    protocol: str,
    helo: str | None,
) -> str:
    """`verb`: reject, reject_warning, hold, discard, filter, redirect, bcc, warn, info, permit, hangup."""
    parts = [f"{queue_id or 'NOQUEUE'}: {verb}: {stage} from {namaddr}: {text};"]
    if sender is not None:
        parts.append(f" from=<{sender}>")
    if recipient is not None:
        parts.append(f" to=<{recipient}>")
    parts.append(f" proto={protocol}")
    if helo is not None:
        parts.append(f" helo=<{helo}>")
    return "".join(parts)


def lost_connection(stage: str, namaddr: str) -> str:
    return f"lost connection after {stage} from {namaddr}"


def ended_in_data(reason: str, stage: str, octets: int, namaddr: str) -> str:
    """`reason`: lost connection, timeout, ...; `stage`: DATA or BDAT."""
    return f"{reason} after {stage} ({octets} bytes) from {namaddr}"


def timeout(stage: str, namaddr: str) -> str:
    return f"timeout after {stage} from {namaddr}"


def too_many_errors(stage: str, namaddr: str) -> str:
    return f"too many errors after {stage} from {namaddr}"


def improper_pipelining(stage: str, namaddr: str, input_: str) -> str:
    """`input_`: what was sent ahead, escaped, at most 100 octets."""
    return f"improper command pipelining after {stage} from {namaddr}: {input_}"


def message_id(queue_id: str, text: str, resent: bool = False) -> str:
    return f"{queue_id}: {'resent-' if resent else ''}message-id={text}"


def queue_active(queue_id: str, sender: str, size: int, nrcpt: int) -> str:
    return f"{queue_id}: from=<{sender}>, size={size}, nrcpt={nrcpt} (queue active)"


def removed(queue_id: str) -> str:
    return f"{queue_id}: removed"


def expired(queue_id: str, sender: str, forced: bool = False) -> str:
    return f"{queue_id}: from=<{sender}>, status={'force-' if forced else ''}expired, returned to sender"


def notification(queue_id: str, kind: str, new_id: str) -> str:
    """`kind`: sender non-delivery, postmaster non-delivery, sender delay, postmaster delay, sender delivery status."""
    return f"{queue_id}: {kind} notification: {new_id}"


def no_status_notification(queue_id: str, kind: str) -> str:
    """`kind`: single (the message is a notice) or double (one about a notice)."""
    return f"{queue_id}: not sending trace/success notification for {kind}-bounce message"


def pickup(queue_id: str, uid: int, sender: str, orig_id: str = "") -> str:
    """`orig_id`: of the message that is taken in anew (postsuper -r)."""
    return f"{queue_id}: uid={uid} from=<{sender}>{' orig_id=' if orig_id else ''}{orig_id}"


def delivery(
    queue_id: str,
    recipient: str,
    original: str,
    relay: str,
    conn_use: int,
    delays: tuple[float, float, float, float],
    dsn: str,
    status: str,
    text: str,
    resolution: int = 2,
) -> str:
    """One recipient's outcome. `delays`: seconds before the queue manager, in it, setting up, transmitting; `original`
    empty if the same.
    """
    a, b, c, d = delays
    orig = f", orig_to=<{original}>" if original and original.lower() != recipient.lower() else ""
    use = f", conn_use={conn_use}" if conn_use > 1 else ""
    f = format_delay
    return (
        f"{queue_id}: to=<{recipient}>{orig}, relay={relay}{use}, delay={f(a + b + c + d, resolution)}, "
        f"delays={f(a, resolution)}/{f(b, resolution)}/{f(c, resolution)}/{f(d, resolution)}, "
        f"dsn={dsn}, status={status} ({text})"
    )


def format_delay(seconds: float, resolution: int = 2) -> str:
    """Two significant digits, at most `resolution` decimals, no trailing zeros: 0.07, 0.3, 1.2, 11, 105
    (delay_logging_resolution_limit).
    """
    if seconds < 1 and resolution == 2:  # nearly always
        return _HUNDREDTHS[int(seconds * 100 + 0.5)] if seconds > 0 else "0"
    # As Postfix's format_tv(): two significant digits, rounded to the last one that is printed.
    digits = min(resolution, 2) if seconds < 1 else min(resolution, 1) if seconds < 10 else 0
    units = int(seconds * 10**digits + 0.5) if seconds > 0 else 0
    if not digits:
        return str(units)
    whole, part = divmod(units, 10**digits)
    text = f"{part:0{digits}d}".rstrip("0")
    return f"{whole}.{text}" if text else str(whole)


_HUNDREDTHS = tuple(f"{units / 100:.2f}".rstrip("0").rstrip(".") for units in range(101))


def superuser_act(queue_id: str, past: str) -> str:
    """postsuper(1): removed, placed on hold, released from hold."""
    return f"{queue_id}: {past}"


# smtpd(8): what it logs apart from verdicts.


def limit_exceeded(what: str, count: int, namaddr: str, service: str) -> str:
    """`what`: Connection concurrency, Connection rate, Message delivery request rate, Recipient address rate, AUTH
    command rate.
    """
    return f"{what} limit exceeded: {count} from {namaddr} for service {service}"


def peak_rate(what: str, value: int, unit: int, service: str, client: str, when: float) -> str:
    """anvil(8): `what` is connection, message, recipient, newtls, auth; `unit` seconds, `when` wall-clock seconds."""
    return f"statistics: max {what} rate {value}/{unit}s for ({service}:{client}) at {_peak_time(when)}"


def peak_count(what: str, value: int, service: str, client: str, when: float) -> str:
    return f"statistics: max {what} count {value} for ({service}:{client}) at {_peak_time(when)}"


def peak_cache(value: int, when: float) -> str:
    return f"statistics: max cache size {value} at {_peak_time(when)}"


def _peak_time(when: float) -> str:
    return ctime(when)[4:19]


def process_limit(service: str, name: str, limit: int) -> list[str]:
    """master(8), about a listener that has no session left to give. `name`: its address and port, or its port."""
    return [
        f'service "{service}" ({name}) has reached its process limit "{limit}": '
        "new clients may experience noticeable delays",
        "to avoid this condition, increase the process count in master.cf or reduce the service time per client",
        "see http://www.postfix.org/STRESS_README.html for examples of stress-adapting configuration settings",
    ]


def local_data_error(queue_id: str, stage: str, namaddr: str, reply: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: reject: {stage} from {namaddr}: {reply}"


def illegal_address(namaddr: str, command: str, text: str) -> str:
    return f"Illegal address syntax from {namaddr} in {command} command: {text}"


def request_too_long(namaddr: str, limit: int, text: str) -> str:
    """`text`: the first 30 characters."""
    return f"{namaddr}: request longer than {limit}: {text}..."


def authentication_aborted(namaddr: str, mechanism: str) -> str:
    return f"{namaddr}: SASL {mechanism} authentication aborted"


def authentication_failed(namaddr: str, mechanism: str, reason: str, username: str) -> str:
    """`username`: whom the client claims to be."""
    return f"{namaddr}: SASL {mechanism} authentication failed: {reason}, sasl_username={username}"


def non_smtp_command(namaddr: str, text: str) -> str:
    """`text`: the first 100 characters."""
    return f"non-SMTP command from {namaddr}: {text}"


def not_enough_space(free: int) -> str:
    return f"not enough free space in mail queue: {free} bytes < 1.5*message size limit"


def size_limit_exceeded(queue_id: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: queue file size limit exceeded"


def malformed_bdat(queue_id: str, namaddr: str, line: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: malformed BDAT command syntax from {namaddr}: {line:.100}"


def null_bdat(queue_id: str, namaddr: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: null BDAT request from {namaddr}"


def bdat_too_large(queue_id: str, namaddr: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: BDAT request from {namaddr} exceeds message size limit"


def etrn_rejected(name: str, namaddr: str) -> str:
    return f"reject: ETRN {name:.100}... from {namaddr}"


def replaced_command(namaddr: str, command: str, by: str) -> str:
    """smtpd_command_filter."""
    return f'{namaddr}: replacing command "{command}" with "{by}"'


def discarding_keywords(keywords: str) -> str:
    return f"discarding EHLO keywords: {keywords}"


# TLS in smtpd(8).


def tls_begins(namaddr: str) -> str:
    return f"setting up TLS connection from {namaddr}"


def tls_cipherlist(namaddr: str, ciphers: str) -> str:
    return f'{namaddr}: TLS cipher list "{ciphers}"'


def tls_depth(peer: str, depth: int, verified: int, subject: str) -> str:
    """A certificate that was looked at in a handshake (smtpd_tls_loglevel = 2). `peer`: the log's `name[address]`."""
    return f"{peer}: depth={depth} verify={verified} subject={subject}"


def tls_certificate(namaddr: str, subject: str, issuer: str, certificate: str, public_key: str) -> str:
    """Of the peer; the last two are fingerprints."""
    return f"{namaddr}: subject_CN={subject}, issuer={issuer}, fingerprint={certificate}, pkey_fingerprint={public_key}"


def tls_established(status: str, namaddr: str, server_name: str, summary: str) -> str:
    """`status`: Anonymous, Untrusted, Trusted; `server_name`: the one by which our certificate was chosen."""
    return f"{status} TLS connection established from {namaddr}{' to ' if server_name else ''}{server_name}: {summary}"


def tls_accept_error(namaddr: str, why: str) -> str:
    """`why`: `lost connection`, the system's words, or `-1` for what tls_library_problem tells."""
    return f"SSL_accept error from {namaddr}: {why}"


def tls_library_problem(words: str) -> str:
    return f"TLS library problem: {words}"


def tls_abort(namaddr: str, why: str) -> str:
    return f"NOQUEUE: abort: TLS from {namaddr}: {why}"


def refusing_starttls(what: str, namaddr: str, service: str) -> str:
    """`what`: STARTTLS, or TLS service (of a port that begins with TLS)."""
    return f"Refusing {what} request from {namaddr} for service {service}"


def wrapper_dropped(namaddr: str, service: str) -> str:
    return (
        f"Wrapper-mode request dropped from {namaddr} for service {service}. TLS context initialization failed. "
        "For details see earlier warnings in your logs."
    )


def unknown_keywords(namaddr: str) -> str:
    """smtpd_discard_ehlo_keyword_address_maps cannot tell."""
    return f"don't know what EHLO features to announce to {namaddr}"


def unknown_offer(keyword: str, namaddr: str) -> str:
    return f"don't know if EHLO feature {keyword} should be announced to {namaddr}"

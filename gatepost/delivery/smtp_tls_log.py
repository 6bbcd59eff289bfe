"""What smtp_tls_loglevel asks for, and the lines of the log about TLS as smtp(8) words them."""

from gatepost.delivery.interface import Log

_ALL = frozenset(("summary", "peercert", "certmatch", "cache", "verbose"))
_WORDS = {
    "0": frozenset[str](), "none": frozenset[str](),
    "1": frozenset(("summary",)), "routine": frozenset(("summary",)), "summary": frozenset(("summary",)),
    "debug": _ALL, "ssl-expert": _ALL, "ssl-developer": _ALL, **dict.fromkeys("23456789", _ALL),
    "untrusted": frozenset(("untrusted",)), "peercert": frozenset(("peercert",)),
    "certmatch": frozenset(("certmatch",)), "cache": frozenset(("cache",)), "verbose": frozenset(("verbose",)),
    "ssl-debug": frozenset[str](), "ssl-handshake-packet-dump": frozenset[str](),
    "ssl-session-packet-dump": frozenset[str](),
}  # fmt: skip


def log_features(text: str, parameter: str, warn: Log) -> frozenset[str]:
    """What to log: `summary`, `untrusted`, `peercert`, `certmatch`, `cache`, `verbose`. OpenSSL's own steps and dumps
    of octets, which Postfix has as well, are not among them.
    """
    found: frozenset[str] = frozenset()
    for word in text.replace(",", " ").split():
        features = _WORDS.get(word.lower())
        if features is None:
            warn(f'unknown {parameter} value "{word}" in "{text}"')
        else:
            found |= features
    return found


def established(status: str, where: str, summary: str) -> str:
    """`status`: Anonymous, Untrusted, Trusted, Verified; `summary`: connection_summary's words."""
    return f"{status} TLS connection established to {where}: {summary}"


def connect_error(where: str, words: str) -> str:
    """`words`: the system's, `lost connection`, or -1 where the reason is OpenSSL's."""
    return f"SSL_connect error to {where}: {words}"


def library_problem(words: str) -> str:
    """For a warning."""
    return f"TLS library problem: {words}:"

"""What is told of TLS: the values of smtpd_tls_loglevel and its kin."""

TOLD = (
    "", "0", "1", "2", "none", "routine", "debug", "summary", "untrusted", "peercert", "certmatch", "cache", "verbose",
)  # fmt: skip

UNTOLD = "3 and 4 tell what 2 does: each step of OpenSSL, and dumps of octets, are not there"

"""Cipher grades (`smtpd_tls_ciphers`, `smtp_tls_mandatory_ciphers`, ...) as OpenSSL's cipher lists."""

import re

from gatepost.tls.values import BadTlsValue, LibraryValues


def cipher_list(grade: str, exclusions: str, library: LibraryValues) -> str:
    """What `SSLContext.set_ciphers` takes (TLSv1.3 has ciphers of its own, which no grade touches).

    OpenSSL's security level is 0, as in Postfix: weaker than what the system may have configured, since plaintext is
    the alternative. Raises BadTlsValue.
    """
    lists = {
        "high": library.tls_high_cipherlist,
        "medium": library.tls_medium_cipherlist,
        "low": library.tls_low_cipherlist,
        "export": library.tls_export_cipherlist,
        "null": library.tls_null_cipherlist,
    }
    ciphers = lists.get(grade.lower())
    if ciphers is None:
        raise BadTlsValue(f'invalid cipher grade: "{grade}"')
    if not ciphers:
        raise BadTlsValue(f'empty "{grade}" cipherlist')
    words = ["@SECLEVEL=0", ciphers]
    for word in re.split(r"[\s,:]+", exclusions):
        if not word:
            continue
        if word[0] in "!+-@":
            raise BadTlsValue(f"invalid unary '!+-@' in cipher exclusion: {word}")
        words.append(f"!{word}")
    return ":".join(words)


def joined_exclusions(*lists: str) -> str:
    """Several exclusion lists as one: `*_exclude_ciphers`, `*_mandatory_exclude_ciphers`, and what a policy adds."""
    return " ".join(filter(None, lists))

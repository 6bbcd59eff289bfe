import ssl

import pytest

from gatepost.tls.ciphers import cipher_list, joined_exclusions
from gatepost.tls.values import BadTlsValue, LibraryValues


def names(grade: str, exclusions: str = "") -> list[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(cipher_list(grade, exclusions, LibraryValues()))
    return [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]


@pytest.mark.parametrize("grade", ["high", "medium", "low", "export", "null", "MEDIUM"])
def test_every_grade_has_ciphers(grade: str) -> None:
    assert names(grade)


def test_grades_differ() -> None:
    assert "ECDHE-RSA-NULL-SHA" in names("null")
    assert "ECDHE-RSA-NULL-SHA" not in names("medium")
    assert all("AES" in name or "CHACHA" in name or "ARIA" in name or "CAMELLIA" in name for name in names("high"))
    assert "ADH-AES256-GCM-SHA384" in names("medium")


def test_exclusions() -> None:
    assert not [name for name in names("medium", "aNULL, SHA1:kRSA") if name.startswith(("ADH", "AES"))]
    assert joined_exclusions("aNULL", "", "MD5, DES") == "aNULL MD5, DES"


@pytest.mark.parametrize(
    ("grade", "exclusions", "words"),
    [
        ("foo", "", 'invalid cipher grade: "foo"'),
        ("", "", 'invalid cipher grade: ""'),
        ("medium", "-AES", "invalid unary '!+-@' in cipher exclusion: -AES"),
        ("medium", "aNULL, @STRENGTH", "invalid unary '!+-@' in cipher exclusion: @STRENGTH"),
    ],
)
def test_what_cannot_be_had(grade: str, exclusions: str, words: str) -> None:
    with pytest.raises(BadTlsValue) as bad:
        cipher_list(grade, exclusions, LibraryValues())
    assert bad.value.lines == (words,)


def test_an_empty_list() -> None:
    with pytest.raises(BadTlsValue, match='empty "high" cipherlist'):
        cipher_list("high", "", LibraryValues(tls_high_cipherlist=""))

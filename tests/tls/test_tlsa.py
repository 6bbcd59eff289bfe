from gatepost.tls.tlsa import TlsaRecord, for_smtp, parse_tlsa


def test_text() -> None:
    read = parse_tlsa("3 1 1 00ff")
    assert read == TlsaRecord(3, 1, 1, b"\x00\xff")
    assert str(read) == "3 1 1 00FF"
    assert str(TlsaRecord(2, 0, 0, bytes(65))) == f"2 0 0 {'00' * 32}...{'00' * 32}"
    assert parse_tlsa("255 255 255 ") == TlsaRecord(255, 255, 255, b"")
    assert [usage for usage in range(256) if for_smtp(TlsaRecord(usage, 1, 1, b""))] == [2, 3]

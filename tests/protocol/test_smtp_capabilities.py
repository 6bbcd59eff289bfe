from gatepost.protocol.smtp_capabilities import parse_capabilities
from gatepost.protocol.smtp_reply import SmtpReply


def reply(*lines: str) -> SmtpReply:
    text = "\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
    return SmtpReply(250, "2.0.0", text)


def test_offers() -> None:
    offers = parse_capabilities(
        reply("mx.example greets you", "Pipelining", "SIZE 1000", "AUTH=LOGIN", "8bitmime", "DSN")
    )
    assert offers.hostname == "mx.example"
    assert (offers.pipelining, offers.size, offers.size_limit, offers.eightbitmime, offers.dsn) == (
        True,
        True,
        1000,
        True,
        True,
    )
    assert (offers.smtputf8, offers.starttls, offers.chunking) == (False, False, False)
    assert "auth" in offers.keywords


def test_the_first_line_offers_nothing() -> None:
    assert not parse_capabilities(reply("PIPELINING")).pipelining


def test_size_without_and_with_bad_argument() -> None:
    bad: list[str] = []
    assert parse_capabilities(reply("x", "SIZE"), bad_size=bad.append).size
    assert parse_capabilities(reply("x", "SIZE abc"), bad_size=bad.append).size  # as Postfix has it
    assert bad == ["abc"]


def test_what_is_offered_twice_or_with_more() -> None:
    bad: list[str] = []
    offered = parse_capabilities(
        reply("x", "SIZE 200 300", "SIZE", "SIZE \x1f", "XFORWARD NAME", "XFORWARD addr"), bad_size=bad.append
    )
    assert (offered.size, offered.size_limit, offered.xforward) == (True, 200, {"NAME", "ADDR"})
    assert bad == ["\x1f"]
    assert parse_capabilities(reply("x", "SMTPUTF8")).eightbitmime


def test_ignored_keywords() -> None:
    assert not parse_capabilities(reply("x", "PIPELINING", "DSN"), frozenset({"pipelining"})).pipelining


def test_separators() -> None:
    """As Postfix has them."""
    offers = parse_capabilities(SmtpReply(250, "2.0.0", "250-peer.example\n250-SIZE=10\n250-8BITMIME\tx\n250 DSN"))
    assert offers.size_limit == 10
    assert offers.eightbitmime
    assert offers.dsn

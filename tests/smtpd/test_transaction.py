"""Content on its way into the queue."""

from gatepost.cleanup.interface import CleanupResult, QueueFull, Transaction
from gatepost.protocol.data_scanner import DataScanner
from gatepost.smtpd.transaction import MailTransaction


class Gathered:
    """An Incoming that keeps what it gets."""

    queue_id = "1"

    def __init__(self, full: bool = False) -> None:
        self.pieces: list[bytes] = []
        self.abandoned = False
        self.full = full

    def begin(self, transaction: Transaction) -> None: ...

    def write(self, data: bytes) -> None:
        if self.full:
            raise QueueFull
        self.pieces.append(data)

    async def finish(self, transaction: Transaction) -> CleanupResult:
        return CleanupResult("ok")

    def abandon(self) -> None:
        self.abandoned = True


def begun(incoming: Gathered) -> tuple[MailTransaction, DataScanner]:
    transaction = MailTransaction("a@b", "", "", "", False, False)
    transaction.incoming = incoming
    transaction.content = scanner = DataScanner()
    return transaction, scanner


def test_an_indented_first_line_is_no_header() -> None:
    incoming = Gathered()
    transaction, scanner = begun(incoming)
    for piece in (b"\t", b"first\r\n", b" second\r\n.\r\n"):
        transaction.write(scanner.feed(piece), 0)
    assert b"".join(incoming.pieces) == b"\n\tfirst\n second\n"


def test_too_large() -> None:
    incoming = Gathered()
    transaction, scanner = begun(incoming)
    assert transaction.write(scanner.feed(b"12345\r\n67\r\n"), 10)
    assert not transaction.write(scanner.feed(b"890\r\n"), 10)
    assert transaction.failure == "size"
    assert incoming.abandoned
    # Said once; what follows is dropped.
    assert transaction.write(scanner.feed(b"x\r\n"), 10)


def test_no_space() -> None:
    transaction, scanner = begun(Gathered(full=True))
    assert transaction.write(scanner.feed(b"12345\r\n.\r\n"), 0)
    assert transaction.failure == "space"

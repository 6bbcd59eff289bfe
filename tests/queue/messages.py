"""Messages for the tests of the store."""

import zlib
from typing import Any

from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.mail.queue_id import short_queue_id

ORIGIN = Origin("client.example", "192.0.2.1", "1234", "client.example", "helo.example", "ESMTP")


def a_message(number: int, *, recipients: int = 1, content: bytes = b"Subject: x\n\nHello\n", **fields: Any) -> Message:
    """A message with that number in its queue ID; `arrival` is 1000 unless given."""
    fields.setdefault("arrival", 1000.0)
    fields.setdefault("origin", ORIGIN)
    return Message(
        queue_id=short_queue_id(number),
        sender="sender@example.com",
        recipients=[Recipient(f"user{at}@example.org", notify=at % 3) for at in range(recipients)],
        size=len(content),
        content=content,
        checksum=zlib.crc32(content),
        **fields,
    )

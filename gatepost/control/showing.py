"""One queued message in full as the control socket tells it (postcat)."""

import msgspec

from gatepost.mail.envelope import Message
from gatepost.queue.store import Stored


class ShownMessage(msgspec.Struct):
    """The message itself, its queue, the numbers of its open recipients.

    `content` is in base64 on the way. Large content stays where it is: `content_path`, and `content` is empty.
    """

    queue_name: str
    message: Message
    open: list[int]
    content_path: str = ""


_encode = msgspec.json.Encoder().encode
decode_shown = msgspec.json.Decoder(ShownMessage).decode


def shown_line(stored: Stored, active: bool, content_path: str) -> str:
    """What is told of a stored message, encoded for `decode_shown`."""
    queue = "active" if active else stored.queue
    return _encode(ShownMessage(queue, stored.message, stored.open, content_path)).decode()

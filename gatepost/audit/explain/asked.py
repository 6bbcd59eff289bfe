"""What is asked about: who connects, and what it says."""

import msgspec

from gatepost.restrictions.facts import Client


class Asked(msgspec.Struct):
    """A session to be explained. None: the client does not come to say it.

    `sender` and `recipient` are written as the client writes them, without brackets. `protocol`: SMTP (HELO) or ESMTP.
    """

    client: Client
    helo: str | None = None
    sender: str | None = None
    recipient: str | None = None
    protocol: str = "ESMTP"
    sasl_username: str = ""
    encrypted: bool = False

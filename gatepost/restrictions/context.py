"""One command under judgement: what the restrictions may look at, and the flags that travel from list to list."""

import msgspec

from gatepost.mail.address import fold
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.policy_parts import PolicyParts
from gatepost.restrictions.ports import Ports
from gatepost.restrictions.verdict import CannotTell
from gatepost.rewrite.address_classes import AddressClass
from gatepost.rewrite.resolve import Resolved
from gatepost.tables.table import LookupTemporaryFailure


class Destination(msgspec.Struct, frozen=True, gc=False):
    """Where an address leads; `recipient` is the resolved address in lower case; `error`: it is not valid."""

    transport: str
    nexthop: str
    recipient: str
    address_class: AddressClass
    routed: bool
    error: bool


def destination_of(resolved: Resolved) -> Destination:
    return Destination(
        resolved.transport,
        resolved.nexthop,
        fold(resolved.recipient),
        resolved.address_class,
        resolved.routed,
        resolved.error,
    )


class Context:
    """What a restriction gets to see.

    `reply_name` and `reply_class` are those of the list that runs now, as replies show them. `recipient` is None where
    none is known, or more than one. `warning`: warn_if_reject is in force. The two deferrals are set by the evaluator.
    """

    __slots__ = (
        "_destinations",
        "client",
        "default_access",
        "defer_if_permit",
        "defer_if_reject",
        "depth",
        "facts",
        "helo_name",
        "params",
        "parts",
        "ports",
        "recipient",
        "recipient_checked",
        "reply_class",
        "reply_name",
        "sender",
        "sender_checked",
        "warning",
    )

    def __init__(self, parts: PolicyParts, facts: SessionFacts) -> None:
        self.parts = parts
        self.params: AccessParameters = parts.params
        self.ports: Ports = parts.ports
        self.facts = facts
        self.client: Client = facts.client
        self.helo_name = facts.helo_name
        self.sender = facts.sender
        self.recipient = facts.recipient
        self.reply_name = ""
        self.reply_class = ""
        self.default_access = ""
        self.warning = False
        self.depth = 0
        self.defer_if_permit: Reply | None = None
        self.defer_if_reject: Reply | None = None
        self.sender_checked = False
        self.recipient_checked = False
        self._destinations: dict[tuple[str, str], Destination] | None = None

    def begin(self, reply_name: str, reply_class: str, default_access: str) -> None:
        """A new list starts: defer_if_reject and warn_if_reject do not outlive the one before."""
        self.reply_name = reply_name
        self.reply_class = reply_class
        self.default_access = default_access
        self.warning = False
        self.depth = 0
        self.defer_if_reject = None

    async def resolve(self, sender: str | None, address: str) -> Destination:
        """Where `address` leads in mail from `sender`, asked once per command. Raises CannotTell."""
        key = (sender or "", address)
        if self._destinations is None:
            self._destinations = {}
        else:
            known = self._destinations.get(key)
            if known is not None:
                return known
        try:
            resolved = await self.ports.resolver.resolve(key[0], self.ports.rewriter.rewrite_internal(address))
        except LookupTemporaryFailure:
            raise CannotTell(address) from None
        destination = self._destinations[key] = destination_of(resolved)
        return destination

    async def resolve_recipient(self, recipient: str) -> Destination:
        """Where the recipient leads."""
        return await self.resolve(self.sender, recipient)

    async def resolve_sender(self, sender: str) -> Destination:
        """Where an answer to the sender would lead."""
        return await self.resolve(self.recipient, sender)

    def log(self, verb: str, text: str) -> None:
        """The line that tells of a decision about this client (log_whatsup)."""
        facts = self.facts
        sender, recipient = self.sender, self.recipient
        line = lines.reject(
            facts.queue_id,
            verb,
            facts.stage,
            self.client.namaddr,
            text,
            quote_822_local(sender) if sender else sender,
            quote_822_local(recipient) if recipient else recipient,
            facts.protocol,
            self.helo_name,
        )
        self.ports.log.info(line)
        if self.parts.told is not None:
            self.parts.told(facts, verb, text)

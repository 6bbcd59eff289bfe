"""The recipients of a message: standard form, virtual aliases, duplicates, and what access(5) results make of them."""

from gatepost.cleanup.interface import Transaction
from gatepost.mail.address import fold
from gatepost.mail.envelope import NOTIFY_NEVER, NOTIFY_SUCCESS, Recipient
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.virtual_alias import VirtualAliases


class Envelope:
    """Makes the final list of recipients. `duplicate_limit`: duplicate_filter_limit, addresses; 0 is without limit."""

    __slots__ = ("_aliases", "_duplicate_limit", "_keep_original", "_rewriter")

    def __init__(
        self, rewriter: Rewriter, aliases: VirtualAliases | None, *, duplicate_limit: int, keep_original: bool
    ) -> None:
        self._rewriter = rewriter
        self._aliases = aliases or None
        self._duplicate_limit = duplicate_limit
        self._keep_original = keep_original

    def sender(self, address: str) -> str:
        """The envelope sender in standard form; "" stays "" (the null sender)."""
        return self._rewriter.rewrite_internal(address)

    async def recipients(self, transaction: Transaction, queue_id: str) -> list[Recipient]:
        """Raises AliasExpansionError and LookupTemporaryFailure, after a warning in the log."""
        given = transaction.recipients
        if len(given) == 1 and not transaction.bcc and (self._aliases is None or not transaction.mappings):
            # Nearly all mail.
            listed = [self._standard(given[0])]
        else:
            listed = await self._expanded(transaction, queue_id)
        if transaction.redirect and listed:
            # All recipients become one; the first one's original address stays in sight.
            first = listed[0]
            address = self._rewriter.rewrite_internal(transaction.redirect)
            return [Recipient(address, first.original or first.address, first.notify, first.orcpt)]
        return listed

    def _standard(self, recipient: Recipient) -> Recipient:
        address = self._rewriter.rewrite_internal(recipient.address)
        if address == recipient.address and self._keep_original:
            return recipient
        original = (recipient.original or recipient.address) if self._keep_original else ""
        return Recipient(address, original, recipient.notify, recipient.orcpt)

    async def _expanded(self, transaction: Transaction, queue_id: str) -> list[Recipient]:
        listed: list[Recipient] = []
        seen: set[tuple[str, str, str, int]] = set()
        blind = [Recipient(address, notify=NOTIFY_NEVER) for address in transaction.bcc]
        for recipient in transaction.recipients + blind:
            standard = self._standard(recipient)
            expanded = [standard.address]
            if self._aliases is not None and transaction.mappings:
                expanded = await self._aliases.expand(standard.address, queue_id)
                if standard.notify & NOTIFY_SUCCESS and expanded != [standard.address]:
                    standard = _told(standard, transaction)
            original = standard.original or (standard.address if self._keep_original else "")
            for address in expanded:
                key = (fold(address), fold(original), fold(standard.orcpt), standard.notify)
                if key in seen:
                    continue
                if not self._duplicate_limit or len(seen) < self._duplicate_limit:
                    seen.add(key)
                if address == standard.address:
                    listed.append(standard)
                else:
                    listed.append(Recipient(address, original, standard.notify, standard.orcpt))
        return listed


def _told(alias: Recipient, transaction: Transaction) -> Recipient:
    """Of an alias its sender hears that it was expanded, and of its addresses no success (RFC 3461 5.2.7.3)."""
    transaction.expanded += (alias,)
    return Recipient(alias.address, alias.original, alias.notify & ~NOTIFY_SUCCESS or NOTIFY_NEVER, alias.orcpt)

"""permit_mx_backup: mail for domains that name this host as a mail exchanger, but not as their first (postconf(5))."""

from gatepost.dns.answers import Record
from gatepost.mail.hostname import domain_to_ascii
from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_lookup import Status
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.relay import permit_auth_destination
from gatepost.restrictions.reply import RECIPIENT_ADDRESS
from gatepost.restrictions.verdict import DUNNO, PERMIT, CannotTell, DeferIfReject, Verdict
from gatepost.rewrite.address_classes import AddressClass
from gatepost.tables.table import LookupTemporaryFailure


class _Trouble(Exception):
    """Something could not be looked up, so that a later refusal is to be a deferral; the words tell what."""


@restriction("permit_mx_backup", permits="recipient")
async def permit_mx_backup(ctx: Context) -> Verdict:
    """Permit recipients that this host is a backup mail exchanger for, and those of permit_auth_destination."""
    recipient = ctx.recipient
    if recipient is None:
        return DUNNO
    if await permit_auth_destination(ctx) is PERMIT:
        return PERMIT
    destination = await ctx.resolve_recipient(recipient)
    domain = destination.recipient.rpartition("@")[2]
    if (destination.routed and not ctx.params.allow_untrusted_routing) or (
        domain.startswith("[") and domain.endswith("]")
    ):
        return DUNNO
    backup = _Backup(ctx)
    try:
        permitted = await backup.is_for(domain_to_ascii(domain) or domain)
    except _Trouble as trouble:
        backup.note(str(trouble))
        permitted = False
    if permitted:
        return PERMIT
    if not backup.trouble:
        return DUNNO
    return DeferIfReject(Reply(450, "4.4.4", f"<{recipient}>: {RECIPIENT_ADDRESS} rejected: {backup.trouble}"))


class _Backup:
    """One question. `trouble`: the first thing that could not be looked up."""

    __slots__ = ("ctx", "trouble")

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.trouble = ""

    def note(self, trouble: str) -> None:
        self.trouble = self.trouble or trouble

    async def is_for(self, domain: str) -> bool:
        """Are we a mail exchanger of the domain, but none of the first, and the first are where they may be?"""
        found = await self.ctx.parts.dns.lookup(domain, "MX")
        if found.status is Status.RETRY or found.status is Status.POLICY:
            raise _Trouble(f"Unable to look up mail exchanger information: {found.error}")
        if found.status is not Status.OK:
            return False
        exchangers = sorted(found.records, key=lambda record: record.preference)
        first = [one for one in exchangers if one.preference == exchangers[0].preference]
        others = exchangers[len(first) :]
        if await self._is_among(first) or not others or not await self._is_among(others):
            return False
        networks = self.ctx.parts.permit_mx_backup_networks
        return not networks or await self._all_within(first)

    async def _is_among(self, exchangers: list[Record]) -> bool:
        """Is one of them this host, by its name or else by its address?"""
        for one in exchangers:
            if await self._is_local(one.data):
                return True
        own = self.ctx.parts.own_or_proxied
        for one in exchangers:
            addresses, error = await self.ctx.parts.dns.addresses(one.data)
            if error:
                self.note(f"Unable to look up mail exchanger host {one.data}: {error}")
            elif not own.isdisjoint(addresses):
                return True
        return False

    async def _is_local(self, host: str) -> bool:
        try:
            destination = await self.ctx.resolve(None, f"postmaster@{host}")
        except CannotTell:
            return False
        return destination.address_class is AddressClass.LOCAL

    async def _all_within(self, exchangers: list[Record]) -> bool:
        """Are all addresses of the exchangers in permit_mx_backup_networks?"""
        networks = self.ctx.parts.permit_mx_backup_networks
        for one in exchangers:
            host = one.data
            found = await self.ctx.parts.dns.every(host)
            if found.status is not Status.OK:
                raise _Trouble(f"Unable to look up host {host} as mail exchanger: {found.error}")
            for record in found.records:
                try:
                    if not await networks.match_host(host, record.data):
                        return False
                except LookupTemporaryFailure:
                    self.ctx.ports.log.warning(
                        f"all_auth_mx_addr: permit_mx_backup_networks lookup error for address {record.data} for {host}"
                    )
                    raise _Trouble(f"Unable to verify host {host} as mail exchanger") from None
        return True

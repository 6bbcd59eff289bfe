"""Is there such a user? reject_unlisted_recipient and reject_unlisted_sender, asked for or implied."""

from gatepost.mail.reply import Reply
from gatepost.restrictions.address_entry import find_entry
from gatepost.restrictions.context import Context, Destination
from gatepost.restrictions.reply import RECIPIENT_ADDRESS, SENDER_ADDRESS, fix_dsn, split_dsn
from gatepost.restrictions.verdict import DUNNO, Reject, Verdict
from gatepost.rewrite.address_classes import AddressClass
from gatepost.tables.address_find import QueryForm
from gatepost.tables.maps import Maps

_DEFAULT = AddressClass.DEFAULT


async def check_recipient_listed(ctx: Context, recipient: str) -> Verdict:
    """Refuse an unknown recipient. Done once per recipient, unless warn_if_reject makes it a mere warning."""
    if ctx.recipient_checked or ctx.params.no_unknown_recipient_checks:
        return DUNNO
    if not ctx.warning:
        ctx.recipient_checked = True
    return await _check_listed(ctx, recipient, await ctx.resolve_recipient(recipient), RECIPIENT_ADDRESS)


async def check_sender_listed(ctx: Context, sender: str) -> Verdict:
    """Refuse an unknown sender."""
    if ctx.sender_checked or ctx.params.no_unknown_recipient_checks:
        return DUNNO
    if not ctx.warning:
        ctx.sender_checked = True
    return await _check_listed(ctx, sender, await ctx.resolve_sender(sender), SENDER_ADDRESS)


async def _check_listed(ctx: Context, address: str, destination: Destination, reply_class: str) -> Verdict:
    parts = ctx.parts
    key = destination.recipient
    # An address that is replaced by another is taken for good: its replacement is not known here.
    if parts.replaces_addresses and (
        (parts.recipient_canonical_maps and await _lists(ctx, parts.recipient_canonical_maps, address, key))
        or (
            parts.sender_canonical_maps
            and reply_class == SENDER_ADDRESS
            and await _lists(ctx, parts.sender_canonical_maps, address, key)
        )
        or (parts.canonical_maps and await _lists(ctx, parts.canonical_maps, address, key))
        or (parts.virtual_alias_maps and await _lists(ctx, parts.virtual_alias_maps, address, key))
    ):
        return DUNNO
    if destination.transport == "error" or destination.transport == "retry":
        return _undeliverable(ctx, address, destination, reply_class)
    if destination.address_class is _DEFAULT:
        return DUNNO
    return await _in_class(ctx, address, destination, reply_class)


async def _lists(ctx: Context, maps: Maps, address: str, key: str) -> bool:
    """Has a table an entry? One of an address in quotes may lack them: smtpd(8) finds it, though cleanup(8) will not.

    Raises CannotTell, ServerConfigurationError.
    """
    return await find_entry(ctx, maps, address, key, QueryForm.EXTERNAL_FIRST) is not None


async def _in_class(ctx: Context, address: str, destination: Destination, reply_class: str) -> Verdict:
    """The table of the address class; an empty parameter means that every user is known."""
    params, parts = ctx.params, ctx.parts
    key = destination.recipient
    match destination.address_class:
        case AddressClass.RELAY:
            maps, code, table = (
                parts.relay_recipient_maps,
                params.unknown_relay_recipient_reject_code,
                "relay recipient",
            )
        case AddressClass.LOCAL:
            maps, code, table = (
                parts.local_recipient_maps,
                params.unknown_local_recipient_reject_code,
                "local recipient",
            )
            if maps and _always_local(ctx, key):
                return DUNNO
        case AddressClass.VIRTUAL_MAILBOX:
            code, table = params.unknown_virtual_mailbox_reject_code, "virtual mailbox"
            maps = parts.virtual_mailbox_maps
        case _:
            return DUNNO
    if not maps or await _lists(ctx, maps, address, key):
        if destination.address_class is AddressClass.RELAY and "relay_domains" in params.unset:
            setting = "using backwards-compatible default setting relay_domains=$mydestination"
            ctx.ports.log.info(f'{setting} to accept mail for address "{address}"')
        return DUNNO
    suffix = f" in {table} table" if params.show_user_unknown_table_name else ""
    dsn = "5.1.0" if reply_class == SENDER_ADDRESS else "5.1.1"
    return Reject(Reply(code, dsn, f"<{address}>: {reply_class} rejected: User unknown{suffix}"), "bounce")


def _always_local(ctx: Context, address: str) -> bool:
    """Users that every host has: RFC 5321 4.5.1, and the senders of our own notices."""
    local = address.rpartition("@")[0]
    return local in ("postmaster", "mailer-daemon") or local == ctx.params.double_bounce_sender.lower()


def _undeliverable(ctx: Context, address: str, destination: Destination, reply_class: str) -> Verdict:
    """The transport itself tells what is wrong: its nexthop is the text."""
    detail = "1.0" if reply_class == SENDER_ADDRESS else "1.1"
    if destination.transport == "error":
        alias = destination.address_class is AddressClass.VIRTUAL_ALIAS
        code = ctx.params.unknown_virtual_alias_reject_code if alias else 550
        dsn, text = split_dsn(f"5.{detail}", destination.nexthop)
    else:
        code = 450
        dsn, text = split_dsn(f"4.{detail}", destination.nexthop)
    dsn = fix_dsn(dsn, reply_class, ctx.ports.log.info)
    return Reject(Reply(code, dsn, f"<{address}>: {reply_class} rejected: {text}"), "bounce")

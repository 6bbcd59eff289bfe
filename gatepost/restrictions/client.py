"""Restrictions that look at the client's name and address."""

from gatepost.mail.reply import Reply
from gatepost.restrictions.access_lookup import check_client, check_name_and_address
from gatepost.restrictions.context import Context
from gatepost.restrictions.facts import NAME_OK, NAME_PERMANENT
from gatepost.restrictions.not_ok import forbid_ok
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.reply import UNVERIFIED_CLIENT_HOST
from gatepost.restrictions.verdict import DUNNO, PERMIT, Reject, Verdict
from gatepost.tables.maps import Maps


@restriction("permit_mynetworks", permits="client")
async def permit_mynetworks(ctx: Context) -> Verdict:
    """Permit clients in mynetworks."""
    client = ctx.client
    if not await ctx.parts.mynetworks.match_host(client.name, client.address):
        return DUNNO
    if "mynetworks" in ctx.params.unset and client.address not in ctx.ports.own_addresses:
        # With mynetworks_style=host, the default of compatibility_level 2, it would be a stranger.
        ctx.ports.log.info(
            f"using backwards-compatible default setting mynetworks_style={ctx.params.mynetworks_style} "
            f'to permit request from client "{client.namaddr}"'
        )
    return PERMIT


@restriction("permit_inet_interfaces", permits="client")
async def permit_inet_interfaces(ctx: Context) -> Verdict:
    """Permit connections from an address of this host that is in inet_interfaces. XCLIENT does not change where a
    connection comes from."""
    address = ctx.facts.connected_from or ctx.client.address
    return PERMIT if address in ctx.ports.own_addresses else DUNNO


@restriction("permit_sasl_authenticated", permits="client")
async def permit_sasl_authenticated(ctx: Context) -> Verdict:
    """Permit clients that have logged in, other than anonymously; nobody while SASL is off."""
    method = ctx.facts.sasl_method
    if method and method.lower() != "anonymous" and ctx.params.smtpd_sasl_auth_enable:
        return PERMIT
    return DUNNO


@restriction("reject_unknown_client_hostname", aliases=("reject_unknown_client",))
async def reject_unknown_client_hostname(ctx: Context) -> Verdict:
    """Refuse clients without a name that leads back to their address."""
    if ctx.client.name_status == NAME_OK:
        return DUNNO
    text = f"Client host rejected: cannot find your hostname, [{ctx.client.address}]"
    # RFC 7372 3.3: status 7.25.
    return Reject(Reply(_unknown_code(ctx, ctx.client.name_status), "4.7.25", text))


@restriction("reject_unknown_reverse_client_hostname")
async def reject_unknown_reverse_client_hostname(ctx: Context) -> Verdict:
    """Refuse clients whose address leads to no name at all."""
    if ctx.client.reverse_name_status == NAME_OK:
        return DUNNO
    text = f"Client host rejected: cannot find your reverse hostname, [{ctx.client.address}]"
    return Reject(Reply(_unknown_code(ctx, ctx.client.reverse_name_status), "4.7.1", text))


def _unknown_code(ctx: Context, status: int) -> int:
    return ctx.params.unknown_client_reject_code if status >= NAME_PERMANENT else 450


@restriction("check_client_access", argument="table")
async def check_client_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the client's name and address."""
    return await check_client(ctx, maps)


@restriction("check_reverse_client_hostname_access", argument="table")
async def check_reverse_client_hostname_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the client's unverified name, then its address. It may refuse only."""
    name = ctx.client.reverse_name
    answer = check_name_and_address(ctx, maps, name, name, UNVERIFIED_CLIENT_HOST)
    return await forbid_ok(ctx, "check_reverse_client_hostname_access", name, answer)

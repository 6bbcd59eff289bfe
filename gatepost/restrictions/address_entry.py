"""What a table of addresses that is no access table has for one: tables of users, of owners, of replacements."""

from gatepost.restrictions.context import Context
from gatepost.restrictions.verdict import CannotTell, ServerConfigurationError
from gatepost.tables.address_find import AddressHit, QueryForm, find_address
from gatepost.tables.maps import Maps
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure


async def find_entry(
    ctx: Context, maps: Maps, address: str, key: str, form: QueryForm = QueryForm.EXTERNAL
) -> AddressHit | None:
    """The entry for `key`, which is the address as it was resolved; None: there is none.

    Raises CannotTell, and ServerConfigurationError for an empty value.
    """
    try:
        return await find_address(
            maps,
            key,
            recipient_delimiter=ctx.params.recipient_delimiter,
            is_local=ctx.ports.is_local,
            query_form=form,
            owner_request_special=ctx.params.owner_request_special,
            double_bounce_sender=ctx.params.double_bounce_sender,
        )
    except EmptyResult:
        raise ServerConfigurationError from None
    except LookupTemporaryFailure:
        raise CannotTell(address) from None

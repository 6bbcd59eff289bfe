"""Restrictions that look at TLS: is there any, and who is it that the client's certificate names?

A certificate is known by its fingerprint, and by that of its public key.
"""

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.mail.reply import Reply
from gatepost.restrictions.access import apply_result, lookup_failed
from gatepost.restrictions.context import Context
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.verdict import DUNNO, PERMIT, Reject, Verdict
from gatepost.tables.braces import SEPARATORS, BraceError, split_name_value, strip_braces
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

CLIENT_CERTIFICATE = "Client certificate"

SEARCH_ORDER = ("cert_fingerprint", "pubkey_fingerprint")
"""What may be asked for; the place in facts.fingerprints is that in here."""


class CertificateTable(msgspec.Struct, frozen=True):
    """An access table, and in which order it is asked for which of the fingerprints."""

    maps: Maps
    order: tuple[int, ...] = (0, 1)


def certificate_options(text: str) -> tuple[str, tuple[int, ...]]:
    """Table and search order of `type:table`, or of `{ type:table, search_order = ... }`. Raises ConfigError."""
    if not text.startswith("{"):
        return text, (0, 1)
    try:
        table, *options = split_list(strip_braces(text), SEPARATORS)
        order: tuple[int, ...] = (0, 1)
        for option in options:
            inside = strip_braces(option) if option.startswith("{") else option
            name, value = split_name_value(inside)
            if name != "search_order":
                raise ConfigError(f'unknown option: "{name} = {value}"')
            order = tuple(SEARCH_ORDER.index(word.lower()) for word in split_list(value))
    except (BraceError, ValueError) as error:
        raise ConfigError(f"{text}: {error}") from None
    return table, order


@restriction("check_ccert_access", argument="certificates")
async def check_ccert_access(ctx: Context, table: CertificateTable) -> Verdict:
    """Ask an access table about the client's certificate."""
    fingerprints = ctx.facts.fingerprints
    if not fingerprints:
        if not ctx.params.smtpd_tls_ask_ccert:
            ctx.ports.log.warning('check_ccert_access is requested, but "smtpd_tls_ask_ccert = no"')
        return DUNNO
    name = ctx.facts.ccert_name
    for place in table.order:
        fingerprint = fingerprints[place]
        try:
            hit = await table.maps.find(fingerprint)
        except LookupTemporaryFailure:
            return lookup_failed(name, CLIENT_CERTIFICATE)
        if hit is not None:
            return await apply_result(ctx, hit.value, hit.table, fingerprint, name, CLIENT_CERTIFICATE)
    return DUNNO


@restriction("permit_tls_clientcerts", permits="client")
async def permit_tls_clientcerts(ctx: Context) -> Verdict:
    """Permit clients whose certificate is in relay_clientcerts; who has signed it does not matter."""
    return await _permit_known(ctx, "permit_tls_clientcerts")


@restriction("permit_tls_all_clientcerts", permits="client")
async def permit_tls_all_clientcerts(ctx: Context) -> Verdict:
    """Permit clients with any certificate that an authority we trust has signed, and those in relay_clientcerts."""
    if ctx.facts.ccert_trusted:
        return PERMIT
    return await _permit_known(ctx, "permit_tls_all_clientcerts")


async def _permit_known(ctx: Context, name: str) -> Verdict:
    fingerprints = ctx.facts.fingerprints
    if not fingerprints:
        if ctx.facts.encrypted and not ctx.params.smtpd_tls_ask_ccert:
            ctx.ports.log.warning(f'{name} is requested, but "smtpd_tls_ask_ccert = no"')
        return DUNNO
    for fingerprint in fingerprints:
        if await ctx.parts.relay_clientcerts.find(fingerprint) is not None:
            return PERMIT
    return DUNNO


@restriction("reject_plaintext_session")
async def reject_plaintext_session(ctx: Context) -> Verdict:
    """Refuse a client that does not use TLS (plaintext_reject_code)."""
    if ctx.facts.encrypted:
        return DUNNO
    return Reject(Reply(ctx.params.plaintext_reject_code, "4.7.1", "Session encryption is required"))

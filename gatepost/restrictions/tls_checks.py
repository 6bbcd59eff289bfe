"""Restrictions that look at TLS: is there any, and who is it that the client's certificate names?

A certificate is known by its fingerprint, and by that of its public key.
"""

import msgspec

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


class BadSpecification(Exception):
    """`{ type:table, ... }` that makes no sense: what to say of it at load, and when it is met in a list."""

    def __init__(self, at_load: tuple[str, ...], when_met: str) -> None:
        self.at_load = at_load
        self.when_met = when_met
        super().__init__(at_load[0])


def certificate_options(text: str) -> tuple[str, tuple[int, ...]]:
    """Table and search order of `type:table`, or of `{ type:table, search_order = ... }`. Raises BadSpecification."""
    if not text.startswith("{"):
        return text, (0, 1)
    met = f"See earlier parsing error messages for '{text}"
    no_table = f'restriction check_ccert_access: bad argument "{text}": need maptype:mapname'
    try:
        items = split_list(strip_braces(text), SEPARATORS)
    except BraceError as error:
        raise BadSpecification((f"{error} in map specification",), met) from None
    if not items:
        raise BadSpecification((f"empty map specification: '{text}'",), no_table)
    table, *options = items
    if ":" not in table:
        words = (f"malformed map specification: '{text}'", f"expected maptype:mapname instead of '{table}'")
        raise BadSpecification(words, no_table)
    order: tuple[int, ...] = (0, 1)
    for option in options:
        try:
            name, value = split_name_value(strip_braces(option) if option.startswith("{") else option)
        except BraceError as error:
            raise BadSpecification((f"malformed map attribute in '{text}': '{error}'",), met) from None
        if name.lower() != "search_order":
            raise BadSpecification((f"unknown map attribute in '{text}': '{name}'",), met)
        order = _search_order(text, split_list(value), met)
    return table, order


def _search_order(text: str, words: list[str], met: str) -> tuple[int, ...]:
    for word in words:
        if word.lower() not in SEARCH_ORDER:
            raise BadSpecification((f"unknown search type '{word}' in '{text}'",), met)
    return tuple(SEARCH_ORDER.index(word.lower()) for word in words)


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

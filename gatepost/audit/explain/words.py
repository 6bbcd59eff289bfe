"""What each restriction looks at, and what its answers mean, for people who have not read its documentation."""

from collections.abc import Callable

import msgspec

from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_list import DnsList

Words = str | Callable[[Context, object], str]


class Text(msgspec.Struct, frozen=True):
    """`decides`: why it permits or refuses (whichever of both it can); `passes`: why it has no opinion."""

    decides: Words
    passes: Words


def _helo(text: str) -> Words:
    return lambda ctx, argument: (
        f"the client calls itself {ctx.helo_name}, {text}" if ctx.helo_name is not None else _NO_HELO
    )


def _domain(address: str | None) -> str:
    return (address or "").rpartition("@")[2]


def _sender(text: str) -> Words:
    return lambda ctx, argument: text.replace("DOMAIN", _domain(ctx.sender)) if ctx.sender else _NO_SENDER


def _recipient(text: str) -> Words:
    return lambda ctx, argument: text.replace("DOMAIN", _domain(ctx.recipient)) if ctx.recipient else _NO_RECIPIENT


def _listed(what: Callable[[Context], str], *, on: bool) -> Words:
    def words(ctx: Context, argument: object) -> str:
        subject = what(ctx)
        domain = argument.zone if isinstance(argument, DnsList) else "the list"
        if not subject or subject.lower() == "unknown":
            return f"there is no name that {domain} could be asked about"
        return f"{subject} is {'' if on else 'not '}on the DNS list {domain}"

    return words


def _welcome(what: Callable[[Context], str]) -> Words:
    def words(ctx: Context, argument: object) -> str:
        domain = argument.zone if isinstance(argument, DnsList) else "the list"
        return (
            f"{what(ctx)} is not on the DNS list of good senders {domain}, or the mail is for others, which this list "
            "cannot permit"
        )

    return words


def _address(ctx: Context) -> str:
    return ctx.client.address


def _list_text(what: Callable[[Context], str]) -> Text:
    return Text(_listed(what, on=True), _listed(what, on=False))


def _login(ctx: Context, argument: object) -> str:
    return f"the client has logged in as {ctx.facts.sasl_username}"


def _no_login(ctx: Context, argument: object) -> str:
    if not ctx.params.smtpd_sasl_auth_enable:
        return "nobody can log in here (smtpd_sasl_auth_enable = no)"
    return "the client has not logged in"


def _owner(ctx: Context, argument: object) -> str:
    login = ctx.facts.sasl_username
    who = f"is not that of {login}, who has logged in" if login else "belongs to somebody, and the client has no login"
    return f"the sender <{ctx.sender or ''}> {who} (smtpd_sender_login_maps)"


def _own_sender(ctx: Context, argument: object) -> str:
    if not ctx.params.smtpd_sasl_auth_enable:
        return "nobody can log in here, so that nothing is compared (smtpd_sasl_auth_enable = no)"
    if not ctx.sender:
        return _NO_SENDER
    return f"nothing says that <{ctx.sender}> belongs to somebody else (smtpd_sender_login_maps)"


def _no_name(ctx: Context, argument: object) -> str:
    return f"{ctx.client.address} has no name that leads back to it in DNS"


def _has_name(ctx: Context, argument: object) -> str:
    return f"the name {ctx.client.name} leads back to {ctx.client.address}"


def _certificate(ctx: Context, argument: object) -> str:
    if not ctx.facts.fingerprints:
        return "the client has shown no certificate"
    return "the client's certificate is not among those that are trusted (relay_clientcerts)"


def _client_says(text: str) -> Words:
    return lambda ctx, argument: f"{ctx.client.address} {text}"


_NO_HELO = "the client has not said HELO"
_NO_SENDER = "mail without a sender, such as a notice of a failure, is not looked at"
_NO_RECIPIENT = "there is no single recipient to look at"
_EVERYBODY = "it holds for everybody who comes this far"
_SENDER_OWNER = Text(_owner, _own_sender)

_TEXTS: dict[str, Text] = {
    "permit": Text(_EVERYBODY, ""),
    "reject": Text(_EVERYBODY, ""),
    "defer": Text(_EVERYBODY, ""),
    "defer_if_permit": Text("if the mail is permitted in the end, the client is to come back later", ""),
    "defer_if_reject": Text("if the mail is refused in the end, the client is to come back later", ""),
    "sleep": Text("", lambda ctx, argument: f"it only waits, {argument} s, before the next one is asked"),
    "permit_sasl_authenticated": Text(_login, _no_login),
    "permit_inet_interfaces": Text(
        _client_says("is an address of this server itself"), _client_says("is no address of this server itself")
    ),
    "permit_tls_clientcerts": Text("the client's certificate is trusted (relay_clientcerts)", _certificate),
    "permit_tls_all_clientcerts": Text("the client has shown a certificate that is trusted", _certificate),
    "permit_mx_backup": Text(
        _recipient("DNS names this server as a second mail server for DOMAIN, or it takes mail for it anyhow"),
        _recipient("DNS does not name this server as a second mail server for DOMAIN"),
    ),
    "permit_dnswl_client": Text(_listed(_address, on=True), _welcome(_address)),
    "permit_rhswl_client": Text(_listed(lambda ctx: ctx.client.name, on=True), _welcome(lambda ctx: ctx.client.name)),
    "reject_unknown_client_hostname": Text(_no_name, _has_name),
    "reject_unknown_reverse_client_hostname": Text(
        _client_says("has no name in DNS at all"),
        lambda ctx, argument: f"{ctx.client.address} has the name {ctx.client.reverse_name} in DNS",
    ),
    "reject_invalid_helo_hostname": Text(
        _helo("which is no well-formed name of a host"), _helo("which is a well-formed name")
    ),
    "reject_non_fqdn_helo_hostname": Text(
        _helo("which is no full name of a host, like mail.example.com"), _helo("which is a full name")
    ),
    "reject_unknown_helo_hostname": Text(
        _helo("a name that DNS does not have"), _helo("a name that DNS has, or an address")
    ),
    "reject_non_fqdn_sender": Text(
        lambda ctx, argument: f"<{ctx.sender}> has no full domain, like example.com", _sender("DOMAIN is a full domain")
    ),
    "reject_non_fqdn_recipient": Text(
        lambda ctx, argument: f"<{ctx.recipient}> has no full domain, like example.com",
        _recipient("DOMAIN is a full domain"),
    ),
    "reject_unknown_sender_domain": Text(
        _sender("no answer could be sent: DNS has no mail server and no address for DOMAIN"),
        _sender("DNS knows DOMAIN, or it is one of this server's own"),
    ),
    "reject_unknown_recipient_domain": Text(
        _recipient("DNS has no mail server and no address for DOMAIN"),
        _recipient("DNS knows DOMAIN, or it is one of this server's own"),
    ),
    "reject_unlisted_sender": Text(
        _sender("DOMAIN is this server's own, and the sender is none of its users"),
        _sender("the sender is a known user, or DOMAIN has no table of users here"),
    ),
    "reject_unlisted_recipient": Text(
        _recipient("DOMAIN is this server's own, and the recipient is none of its users"),
        _recipient("the recipient is a known user, or DOMAIN has no table of users here"),
    ),
    "reject_unverified_sender": Text(
        lambda ctx, argument: f"no delivery to <{ctx.sender}> has been found possible",
        _sender("nothing is known against a delivery to the sender (explain sends no probe of its own)"),
    ),
    "reject_unverified_recipient": Text(
        lambda ctx, argument: f"no delivery to <{ctx.recipient}> has been found possible",
        _recipient("nothing is known against a delivery to the recipient (explain sends no probe of its own)"),
    ),
    "reject_multi_recipient_bounce": Text(
        "mail without a sender is a notice of a failure, which goes to one recipient only",
        "the mail has a sender, or no more than one recipient",
    ),
    "reject_plaintext_session": Text("the client does not use TLS", "the client uses TLS"),
    "reject_unauth_pipelining": Text(
        "the client has sent commands without waiting for the answers that it has to wait for",
        "the client has waited for answers where it has to",
    ),
    "reject_rbl_client": _list_text(_address),
    "reject_rhsbl_client": _list_text(lambda ctx: ctx.client.name),
    "reject_rhsbl_reverse_client": _list_text(lambda ctx: ctx.client.reverse_name),
    "reject_rhsbl_helo": _list_text(lambda ctx: ctx.helo_name or ""),
    "reject_rhsbl_sender": _list_text(lambda ctx: _domain(ctx.sender)),
    "reject_rhsbl_recipient": _list_text(lambda ctx: _domain(ctx.recipient)),
    "reject_authenticated_sender_login_mismatch": _SENDER_OWNER,
    "reject_known_sender_login_mismatch": _SENDER_OWNER,
    "reject_sender_login_mismatch": _SENDER_OWNER,
    "reject_unauthenticated_sender_login_mismatch": _SENDER_OWNER,
    "check_policy_service": Text(
        "the policy service, a program of its own, has decided so", "the policy service has no objection"
    ),
}


def text_of(name: str) -> Text | None:
    """The words for a restriction that takes no table; None if there are none."""
    return _TEXTS.get(name)


_SERVERS = {"_a_access": "the addresses", "_mx_access": "the mail servers", "_ns_access": "the name servers"}


def asked_about(name: str, ctx: Context) -> str:
    """What an access table is asked about, in words; empty if the client has not said it."""
    subject = _subject(name, ctx)
    for ending, servers in _SERVERS.items():
        if name.endswith(ending) and subject:
            return f"{servers} of {subject}"
    return subject


def _subject(name: str, ctx: Context) -> str:
    client = ctx.client
    if name.startswith("check_reverse_client"):
        reverse = client.reverse_name
        return f"{reverse} or {client.address}" if reverse != "unknown" else client.address
    if name.startswith("check_client"):
        return f"{client.name} or {client.address}" if client.name != "unknown" else client.address
    if name.startswith("check_helo"):
        return ctx.helo_name or ""
    if name.startswith("check_sender"):
        if ctx.sender is None:
            return ""
        return f"<{ctx.sender}>" if ctx.sender else "mail without a sender (<>)"
    if name.startswith("check_recipient"):
        return f"<{ctx.recipient}>" if ctx.recipient else ""
    if name.startswith("check_etrn"):
        return ctx.facts.etrn_name or ""
    if name.startswith("check_sasl"):
        return f"the login {ctx.facts.sasl_username}" if ctx.facts.sasl_username else ""
    return "the client's certificate" if ctx.facts.fingerprints else ""


def not_asked(name: str) -> str:
    """Why a table is not asked at all."""
    if name.startswith("check_helo"):
        return _NO_HELO
    if name.startswith("check_sasl"):
        return "the client has not logged in"
    if name.startswith("check_ccert"):
        return "the client has shown no certificate"
    if name.startswith("check_recipient"):
        return _NO_RECIPIENT
    return "there is nothing that the table could be asked about"

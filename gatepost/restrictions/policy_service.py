"""check_policy_service: a server of the operator's decides (SMTPD_POLICY_README)."""

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.values import parse_int, parse_time, split_list
from gatepost.mail.hostname import valid_hostaddr, valid_hostname
from gatepost.net.policy_client import Leases, PolicyPool, PolicyPools, PolicyTimes
from gatepost.net.policy_connection import split_endpoint
from gatepost.protocol import xtext
from gatepost.restrictions.access import apply_result
from gatepost.restrictions.context import Context
from gatepost.restrictions.facts import Encryption
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.verdict import Verdict
from gatepost.tables.braces import SEPARATORS, BraceError, split_name_value, strip_braces

_TIMES = ("timeout", "max_idle", "max_ttl", "retry_delay")
_NUMBERS = {"request_limit": 0, "try_limit": 1}
_TEXTS = {"default_action": 1, "policy_context": 0}
"""Settings of a service, as in `smtpd_policy_service_*`, with the least that they may be."""

_LAST_RESORT = "451 4.3.5 Server configuration problem"
_COUNTED = frozenset(("DATA", "BDAT", "END-OF-MESSAGE"))
_DATUM = "policy query"
_PLAINTEXT = Encryption("", "", 0)


class PolicyService(msgspec.Struct, frozen=True):
    """One server as one list names it: `text` is how, for the log."""

    text: str
    pools: PolicyPools
    pool: PolicyPool
    default_action: str
    policy_context: str


def policy_service(text: str, params: AccessParameters, pools: PolicyPools) -> PolicyService:
    """`inet:host:port`, `unix:path`, or `{ inet:host:port, name=value, ... }`.

    Raises ConfigError, in Postfix's words, for what Postfix would not start with.
    """
    options: dict[str, str] = {}
    server = text
    if text.startswith("{"):
        try:
            items = split_list(strip_braces(text), SEPARATORS)
        except BraceError as error:
            raise ConfigError(f"policy service syntax error: {error}") from None
        if not items:
            raise ConfigError(f'empty policy service: "{text}"')
        server = items.pop(0)
        options = dict(_option(item) for item in items)
    transport, colon, endpoint = server.partition(":")
    if not (colon and transport and endpoint):
        raise ConfigError(f'need service transport:endpoint instead of "{server}"')
    if transport == "local":
        transport = "unix"
    if transport not in ("inet", "unix"):
        raise ConfigError(f"invalid transport name: {transport} in service: {server}")
    if transport == "inet":
        host, port = split_endpoint(endpoint)
        if not port or (host and not valid_hostname(host) and not valid_hostaddr(host)):
            raise ConfigError(f"{endpoint}: valid hostname or network address required")
    times = PolicyTimes(
        timeout=_time("timeout", options, params.smtpd_policy_service_timeout),
        max_idle=_time("max_idle", options, params.smtpd_policy_service_max_idle),
        max_ttl=_time("max_ttl", options, params.smtpd_policy_service_max_ttl),
        retry_delay=_time("retry_delay", options, params.smtpd_policy_service_retry_delay),
        request_limit=_number("request_limit", options, params.smtpd_policy_service_request_limit),
        try_limit=_number("try_limit", options, params.smtpd_policy_service_try_limit),
    )
    return PolicyService(
        text,
        pools,
        pools.pool(transport, endpoint, times),
        options.get("default_action", params.smtpd_policy_service_default_action),
        options.get("policy_context", params.smtpd_policy_service_policy_context),
    )


def _option(item: str) -> tuple[str, str]:
    """One `name=value`, or `{ name = value }`."""
    inside = strip_braces(item) if item.startswith("{") else item
    try:
        name, value = split_name_value(inside)
    except BraceError as error:
        raise ConfigError(f'malformed option: {error}: "...{inside}..."') from None
    if name not in _TIMES and name not in _NUMBERS and name not in _TEXTS:
        raise ConfigError(f'unknown option: "{name} = {value}"')
    if len(value) < _TEXTS.get(name, 0):
        raise ConfigError(f"bad string length {len(value)} < {_TEXTS[name]}: {name} = {value}")
    return name, value


def _time(name: str, options: dict[str, str], default: int) -> int:
    if name not in options:
        return default
    try:
        seconds = parse_time(options[name], "s")
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None
    if seconds < 1:
        raise ConfigError(f"invalid {name}: {seconds} (min 1)")
    return seconds


def _number(name: str, options: dict[str, str], default: int) -> int:
    if name not in options:
        return default
    try:
        number = parse_int(name, options[name])
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if number < _NUMBERS[name]:
        raise ConfigError(f"invalid {name} parameter value {number} < {_NUMBERS[name]}")
    return number


@restriction("check_policy_service", argument="endpoint")
async def check_policy_service(ctx: Context, service: PolicyService) -> Verdict:
    """Ask a policy server; what it answers is what an access table could."""
    leases = _leases(ctx, service)
    warn = ctx.ports.log.warning
    answer = await service.pool.ask(_request(ctx, service.policy_context), leases, warn)
    action = None if answer is None else _text(ctx, answer, service.text)
    if action is not None:
        return await apply_result(ctx, action, service.text, _DATUM, ctx.reply_name, ctx.reply_class)
    failed = ctx.parts.policy_failures
    if ctx in failed:
        # The default action has named a service that fails as well.
        return await apply_result(ctx, _LAST_RESORT, service.text, _DATUM, ctx.reply_name, ctx.reply_class)
    failed.add(ctx)
    try:
        action = service.default_action
        return await apply_result(ctx, action, service.text, _DATUM, ctx.reply_name, ctx.reply_class)
    finally:
        failed.discard(ctx)


def _leases(ctx: Context, service: PolicyService) -> Leases | None:
    """What keeps the connections of this transaction; None while there is none. It gets its instance here."""
    facts = ctx.facts
    if facts.policy_leases is None and facts.sender is not None and facts.stage != "MAIL":
        facts.instance = service.pools.new_instance()
        facts.policy_leases = Leases()
    return facts.policy_leases


def _text(ctx: Context, answer: bytes, server: str) -> str | None:
    try:
        return answer.decode()
    except UnicodeDecodeError:
        shown = answer.decode("ascii", "replace")
        if not ctx.params.smtputf8_enable:
            return shown.replace("\ufffd", " ")  # as in all replies then
        ctx.ports.log.warning(
            f'malformed UTF-8 in policy server {server} response: "{shown.replace(chr(0xFFFD), "?")}"'
        )
        return None


def _quoted(name: str) -> str:
    """A name of the client's choice as xtext (RFC 3461 section 4), so that it stays on its line."""
    return xtext.encode(name).replace("+3D", "=")


def _request(ctx: Context, policy_context: str) -> bytes:
    facts, client = ctx.facts, ctx.client
    stage = facts.stage
    certificate, public_key = facts.fingerprints or ("", "")
    encryption = facts.encryption or _PLAINTEXT
    return (
        f"request=smtpd_access_policy\n"
        f"protocol_state={'DATA' if stage == 'BDAT' else stage}\n"
        f"protocol_name={facts.protocol}\n"
        f"client_address={client.address}\n"
        f"client_name={client.name}\n"
        f"client_port={client.port}\n"
        f"reverse_client_name={client.reverse_name}\n"
        f"server_address={facts.server_address}\n"
        f"server_port={facts.server_port}\n"
        f"helo_name={ctx.helo_name or ''}\n"
        f"sender={ctx.sender or ''}\n"
        f"recipient={ctx.recipient or ''}\n"
        f"recipient_count={facts.recipient_count if stage in _COUNTED else 0}\n"
        f"queue_id={facts.queue_id}\n"
        f"instance={facts.instance}\n"
        f"size={facts.size}\n"
        f"etrn_domain={facts.etrn_name or ''}\n"
        f"stress={facts.stress or ctx.params.stress}\n"
        f"sasl_method={facts.sasl_method}\n"
        f"sasl_username={facts.sasl_username}\n"
        f"sasl_sender={facts.sasl_sender or ''}\n"
        f"ccert_subject={_quoted(encryption.subject)}\n"
        f"ccert_issuer={_quoted(encryption.issuer)}\n"
        f"ccert_fingerprint={certificate}\n"
        f"ccert_pubkey_fingerprint={public_key}\n"
        f"encryption_protocol={encryption.protocol}\n"
        f"encryption_cipher={encryption.cipher}\n"
        f"encryption_keysize={encryption.keysize}\n"
        f"policy_context={policy_context}\n"
        f"\n"
    ).encode()

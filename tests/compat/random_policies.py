"""Restriction lists and sessions by the dice, for comparison with a real Postfix."""

import random
from collections.abc import Sequence

from tests.dialogs.dialog import Dialog

EARLY_LISTS = ("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions")
LATE_LISTS = ("smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions")

_PERMITS = ("OK", "RELAY", "12345", "permit")
_RESULTS = (
    *_PERMITS, "DUNNO", "REJECT", "REJECT no", "REJECT 5.1.1 no", "DEFER", "DEFER 4.1.2 later", "DEFER_IF_PERMIT p",
    "DEFER_IF_REJECT r", "450 4.2.1 soft", "550 hard", "421 4.7.0 enough", "HOLD", "DISCARD", "INFO i", "WARN w",
    "REDIRECT alice@ours.example", "BCC alice@ours.example", "PREPEND X-A: b", "FILTER smtp:[1.2.3.4]", "reject",
    "defer", "reject_non_fqdn_sender, reject_unlisted_recipient", "warn_if_reject reject", "defer_if_permit",
    "defer_if_reject, reject", "reject_unknown_sender_domain", "reject_rhsbl_sender rhs.example", "inner_class",
)  # fmt: skip
_KEYS = {
    "check_client_access": ("192.0.2.7", "192.0.2", "192", "unknown", "c.example", "example", "client.example"),
    "check_helo_access": ("client.example", "example", "bad.example", "single", "spam.example", "192.0.2.1"),
    "check_sender_access": ("x.example", "a@x.example", "a@", "example", "<>", "spam.example", "grün@", "köln.example"),
    "check_recipient_access": ("ours.example", "bob@ours.example", "alice@", "example", "relay.example"),
}
_SERVER_KEYS = ("192.0.2.25", "192.0.2.26", "192.0.2", "mx.client.example", "ns.client.example", "192.0.2.53")
_SERVER_CHECKS = (
    *(f"check_{who}_{kind}_access" for who in ("client", "helo", "sender", "recipient") for kind in ("a", "mx", "ns")),
    "check_reverse_client_hostname_access", "check_reverse_client_hostname_a_access",
)  # fmt: skip
_DNS_LISTS = (
    "reject_rbl_client list.example", "reject_rbl_client list.example=127.0.0.[2..4]",
    "permit_dnswl_client good.example", "permit_rhswl_client goodname.example", "reject_rhsbl_client rhs.example",
    "reject_rhsbl_reverse_client rhs.example", "reject_rhsbl_helo rhs.example", "reject_rhsbl_sender rhs.example",
    "reject_rhsbl_recipient rhs.example",
)  # fmt: skip
_PLAIN = (
    "reject", "defer", "defer_if_permit", "defer_if_reject", "reject_unauth_pipelining", "reject_plaintext_session",
    "permit_mynetworks", "permit_sasl_authenticated", "permit_tls_clientcerts", "permit_tls_all_clientcerts",
    "reject_unknown_client_hostname", "reject_unknown_reverse_client_hostname", "reject_invalid_helo_hostname",
    "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname", "reject_non_fqdn_sender",
    "reject_unknown_sender_domain", "reject_unauth_destination", "defer_unauth_destination",
    "permit_auth_destination", "permit_mx_backup", "reject_non_fqdn_recipient", "reject_unknown_recipient_domain",
    "reject_unlisted_recipient", "reject_multi_recipient_bounce",
)  # fmt: skip
_SWITCHES = (
    ("smtpd_delay_reject", "no"), ("soft_bounce", "yes"), ("smtpd_reject_unlisted_sender", "yes"),
    ("smtpd_reject_unlisted_recipient", "no"), ("smtpd_relay_before_recipient_restrictions", "no"),
    ("smtpd_log_access_permit_actions", "static:all"), ("unknown_address_tempfail_action", "defer"),
    ("unknown_helo_hostname_tempfail_action", "defer"),
    ("allow_untrusted_routing", "yes"), ("smtpd_null_access_lookup_key", "a@"), ("smtpd_helo_required", "yes"),
)  # fmt: skip
_CODES = tuple(
    f"{name}_code"
    for name in (
        "access_map_reject", "access_map_defer", "reject", "defer", "relay_domains_reject", "unknown_client_reject",
        "multi_recipient_bounce_reject", "non_fqdn_reject", "invalid_hostname_reject", "unknown_hostname_reject",
        "unknown_address_reject", "unknown_local_recipient_reject", "unknown_virtual_alias_reject",
        "unknown_virtual_mailbox_reject", "maps_rbl_reject", "plaintext_reject",
    )
)  # fmt: skip
_CLIENTS = (
    "unknown [192.0.2.7]", "unknown [192.0.2.9]", "client.example [192.0.2.7]", "www.client.example [192.0.2.28]",
    "unknown [192.0.2.7] reverse=spam.example", "unknown [192.0.2.10] status=temp", "sub.c.example [192.0.2.8]",
    "unknown [192.168.87.2]", "known.example [192.0.2.11]", "spam.example [192.0.2.12]", "unknown [2001:db8::7]",
)  # fmt: skip
_HELO_NAMES = (
    "client.example", "single", "-bad", "[192.0.2.1]", "[x]", "spam.example", "broken.example", "nosuch.example",
    "192.0.2.1", "sub.bad.example",
)  # fmt: skip
_SENDERS = (
    "a@x.example", "", "a@spam.example", "a@broken.example", "a@nosuch.example", "a@nomail.example", "a@single",
    "nobody@ours.example", "bob@ours.example", "a+b@x.example", "a@client.example", "a@sub.x.example",
    '"a b"@x.example', "a@[192.0.2.1]", "A@X.Example", "grün@x.example", "a@KÖLN.example",
)  # fmt: skip
_RECIPIENTS = (
    "bob@ours.example", "alice@ours.example", "nobody@ours.example", "carol@box.example", "info@alias.example",
    "nobody@alias.example", "c@relay.example", "c@elsewhere.example", "c@spam.example", "c@broken.example", "bob",
    "postmaster", "x%elsewhere.example@relay.example", "c@byname.example", "c@lostfirst.example", "c@[127.0.0.1]",
    "c@nomail.example", "c@sub.relay.example", "alice+x@ours.example", "grün@ours.example", "c@köln.example",
)  # fmt: skip


def policies(seed: int, count: int) -> list[Dialog]:
    """Dialogues without the server's side; each has one parameter set, one client, and complete lines to send."""
    dice = random.Random(seed)
    return [_dialog(dice, f"{seed}-{number}") for number in range(count)]


def _dialog(dice: random.Random, name: str) -> Dialog:
    parameters = {
        "smtpd_restriction_classes": "inner_class, outer_class",
        "inner_class": _list(dice, 2, classes=False),
        "outer_class": f"{_list(dice, 1, classes=False)}, inner_class",
    }
    for parameter in (*EARLY_LISTS, *LATE_LISTS, "smtpd_etrn_restrictions"):
        if dice.random() < 0.45:
            parameters[parameter] = _list(dice, dice.randint(1, 4))
            # In the client and HELO lists, and so in classes, it is forgetful (compat/differences.toml).
            if parameter in ("smtpd_sender_restrictions", *LATE_LISTS) and dice.random() < 0.2:
                parameters[parameter] += ", reject_unlisted_sender"
    if dice.random() < 0.4:
        parameters["smtpd_relay_restrictions"] = f"{_list(dice, dice.randint(1, 2))}, reject_unauth_destination"
    parameters |= {switch: value for switch, value in _SWITCHES if dice.random() < 0.12}
    parameters |= {code: dice.choice(("450", "451", "550", "554", "421", "521")) for code in dice.sample(_CODES, 2)}
    parameters["smtpd_hard_error_limit"] = "100"
    return Dialog(name, parameters, dice.choice(_CLIENTS), steps=[("C", line) for line in _session(dice)])


def _list(dice: random.Random, length: int, *, classes: bool = True) -> str:
    items = [("warn_if_reject " if dice.random() < 0.2 else "") + _item(dice, classes) for _ in range(length)]
    return dice.choice((", ", ",", " ", " , ")).join(items)


def _item(dice: random.Random, classes: bool) -> str:
    luck = dice.random()
    if luck < 0.45:
        check = dice.choice(tuple(_KEYS))
        results = _RESULTS if classes else _RESULTS[:-1]
        return f"{check} {_table(dice, _KEYS[check], results)}"
    if luck < 0.6:
        # OK is no result of these.
        return f"{dice.choice(_SERVER_CHECKS)} {_table(dice, _SERVER_KEYS, _RESULTS[len(_PERMITS) : -1])}"
    if luck < 0.7:
        return dice.choice(_DNS_LISTS)
    if classes and luck < 0.75:
        return dice.choice(("inner_class", "outer_class"))
    name = dice.choice(_PLAIN)
    return name.upper() if dice.random() < 0.1 else name


def _table(dice: random.Random, keys: Sequence[str], results: Sequence[str]) -> str:
    entries = [f"{{{key} = {dice.choice(results)}}}" for key in dice.sample(keys, dice.randint(1, 3))]
    return f"inline:{{ {', '.join(entries)} }}"


def _session(dice: random.Random) -> list[str]:
    lines = [f"{dice.choice(('HELO', 'EHLO'))} {dice.choice(_HELO_NAMES)}"] if dice.random() < 0.93 else []
    for _ in range(dice.randint(1, 3)):
        lines.append(f"MAIL FROM:<{dice.choice(_SENDERS)}>{dice.choice(('', '', ' SMTPUTF8', ' SIZE=1000'))}")
        lines += [f"RCPT TO:<{dice.choice(_RECIPIENTS)}>" for _ in range(dice.randint(1, 3))]
        if dice.random() < 0.5:
            lines.append("DATA")
        lines.append("RSET")
        extra = dice.choice(("ETRN ours.example", "ETRN spam.example", "VRFY", "HELO", "", "", ""))
        if extra == "VRFY":
            extra = f"VRFY {dice.choice(_RECIPIENTS)}"
        elif extra == "HELO":
            extra = f"HELO {dice.choice(_HELO_NAMES)}"
        lines += [extra] if extra else []
    return [*lines, "QUIT"]

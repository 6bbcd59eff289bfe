"""The main.cf parameters that access policy reads, with their types."""

from collections.abc import Mapping

import msgspec

from gatepost.config.compatibility import compare_levels
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list


class AccessParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Names and defaults as in postconf(5). `classes` are the definitions of smtpd_restriction_classes.

    `unset`: parameters that main.cf leaves alone while compatibility_level gives them the default of an old version;
    what depends on them is told in the log.
    """

    smtpd_client_restrictions: str = ""
    smtpd_helo_restrictions: str = ""
    smtpd_sender_restrictions: str = ""
    smtpd_relay_restrictions: str = "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"
    smtpd_recipient_restrictions: str = ""
    smtpd_data_restrictions: str = ""
    smtpd_end_of_data_restrictions: str = ""
    smtpd_etrn_restrictions: str = ""
    smtpd_restriction_classes: str = ""
    classes: Mapping[str, str] = {}
    unset: frozenset[str] = frozenset()

    smtpd_delay_reject: bool = True
    smtpd_relay_before_recipient_restrictions: bool = True
    smtpd_reject_unlisted_sender: bool = False
    smtpd_reject_unlisted_recipient: bool = True
    smtpd_log_access_permit_actions: str = ""
    smtpd_null_access_lookup_key: str = "<>"
    smtpd_sasl_auth_enable: bool = False
    smtpd_proxy_filter: str = ""
    smtputf8_enable: bool = True
    soft_bounce: bool = False
    allow_untrusted_routing: bool = False
    show_user_unknown_table_name: bool = True
    local_header_rewrite_clients: str = "permit_inet_interfaces"
    receive_override_options: str = ""
    parent_domain_matches_subdomains: str = (
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,"
        "qmqpd_authorized_clients,relay_domains,smtpd_access_maps"
    )

    mynetworks: str = ""
    mynetworks_style: str = "host"
    recipient_delimiter: str = ""
    owner_request_special: bool = True
    double_bounce_sender: str = "double-bounce"
    address_verify_sender: str = "double-bounce"
    address_verify_sender_ttl: int = 0
    myorigin: str = ""

    local_recipient_maps: str = ""
    virtual_mailbox_maps: str = ""
    relay_recipient_maps: str = ""
    virtual_alias_maps: str = ""
    canonical_maps: str = ""
    sender_canonical_maps: str = ""
    recipient_canonical_maps: str = ""

    reject_code: int = 554
    defer_code: int = 450
    access_map_reject_code: int = 554
    access_map_defer_code: int = 450
    relay_domains_reject_code: int = 554
    unknown_client_reject_code: int = 450
    invalid_hostname_reject_code: int = 501
    non_fqdn_reject_code: int = 504
    unknown_address_reject_code: int = 450
    multi_recipient_bounce_reject_code: int = 550
    unknown_local_recipient_reject_code: int = 550
    unknown_virtual_alias_reject_code: int = 550
    unknown_virtual_mailbox_reject_code: int = 550
    unknown_relay_recipient_reject_code: int = 550
    unknown_address_tempfail_action: str = "defer_if_permit"
    unverified_sender_reject_code: int = 450
    unverified_sender_defer_code: int = 450
    unverified_sender_reject_reason: str = ""
    unverified_sender_tempfail_action: str = "defer_if_permit"
    unverified_recipient_reject_code: int = 450
    unverified_recipient_defer_code: int = 450
    unverified_recipient_reject_reason: str = ""
    unverified_recipient_tempfail_action: str = "defer_if_permit"

    unknown_hostname_reject_code: int = 450
    unknown_helo_hostname_tempfail_action: str = "defer_if_permit"
    maps_rbl_reject_code: int = 554
    default_rbl_reply: str = (
        "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}"
    )
    rbl_reply_maps: str = ""
    smtpd_expansion_filter: str = "\\t\\40" + "".join(map(chr, range(0x21, 0x7F))).replace("\\", "\\\\")
    smtpd_dns_reply_filter: str = ""
    permit_mx_backup_networks: str = ""
    smtpd_sender_login_maps: str = ""
    plaintext_reject_code: int = 450
    relay_clientcerts: str = ""
    smtpd_tls_ask_ccert: bool = False
    stress: str = ""
    smtpd_policy_service_timeout: int = 100
    smtpd_policy_service_max_idle: int = 300
    smtpd_policy_service_max_ttl: int = 1000
    smtpd_policy_service_retry_delay: int = 1
    smtpd_policy_service_request_limit: int = 0
    smtpd_policy_service_try_limit: int = 2
    smtpd_policy_service_default_action: str = "451 4.3.5 Server configuration problem"
    smtpd_policy_service_policy_context: str = ""
    inet_protocols: str = "all"
    proxy_interfaces: str = ""
    myhostname: str = "localhost"

    def __post_init__(self) -> None:
        for parameter in _TEMPFAIL_ACTIONS:
            value = getattr(self, parameter)
            if value not in ("defer", "defer_if_permit"):
                # As Postfix's fatal error: anything else would be guessing.
                raise ConfigError(f"unexpected value {value!r}; specify defer or defer_if_permit", parameter=parameter)

    @property
    def no_unknown_recipient_checks(self) -> bool:
        """receive_override_options turns reject_unlisted_* off, the explicit ones too."""
        options = self.receive_override_options
        return bool(options) and "no_unknown_recipient_checks" in split_list(options)

    @property
    def access_parents_by_name(self) -> bool:
        """Do access tables find parent domains as `dom.tld` (else as `.dom.tld`)?"""
        return "smtpd_access_maps" in split_list(self.parent_domain_matches_subdomains)


_TEMPFAIL_ACTIONS = (
    "unknown_address_tempfail_action",
    "unknown_helo_hostname_tempfail_action",
    "unverified_sender_tempfail_action",
    "unverified_recipient_tempfail_action",
)
_NOT_SETTINGS = frozenset({"classes", "unset"})

# Parameters whose default changed at some compatibility level, and what must be unset for that to matter.
_CHANGED_DEFAULTS = (
    ("smtpd_relay_restrictions", "1", ("smtpd_relay_restrictions",)),
    ("relay_domains", "2", ("relay_domains",)),
    ("mynetworks", "2", ("mynetworks", "mynetworks_style")),
    ("smtpd_relay_before_recipient_restrictions", "3.6", ("smtpd_relay_before_recipient_restrictions",)),
)


def access_parameters(settings: Settings) -> AccessParameters:
    """Take what access policy needs from a service's settings. Raises ConfigError."""
    names = (name for name in AccessParameters.__struct_fields__ if name not in _NOT_SETTINGS)
    values = {name: getattr(settings, name) for name in names}
    classes = {name: settings.text(name) for name in split_list(values["smtpd_restriction_classes"])}
    level = settings.compatibility_level
    unset = frozenset(
        parameter
        for parameter, since, involved in _CHANGED_DEFAULTS
        if compare_levels(level, since) < 0 and not any(settings.defined(name) for name in involved)
    )
    return AccessParameters(classes=classes, unset=unset, **values)

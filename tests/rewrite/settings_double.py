"""main.cf's values as the parts of gatepost.rewrite see them, with Postfix's defaults for a host of ours.example."""

import time
from types import SimpleNamespace

from gatepost.rewrite.assemble import AddressServices, address_services
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables

DEFAULTS: dict[str, object] = {
    "myhostname": "mail.ours.example",
    "mydomain": "ours.example",
    "myorigin": "mail.ours.example",
    "mydestination": "mail.ours.example localhost.ours.example localhost",
    "remote_header_rewrite_domain": "",
    "append_at_myorigin": True,
    "append_dot_mydomain": False,
    "swap_bangpath": True,
    "allow_percent_hack": True,
    "allow_min_user": False,
    "empty_address_recipient": "MAILER-DAEMON",
    "empty_address_relayhost_maps_lookup_key": "<>",
    "empty_address_default_transport_maps_lookup_key": "<>",
    "resolve_dequoted_address": True,
    "resolve_null_domain": False,
    "resolve_numeric_domain": False,
    "show_user_unknown_table_name": True,
    "smtputf8_enable": True,
    "helpful_warnings": True,
    "recipient_delimiter": "",
    "owner_request_special": True,
    "double_bounce_sender": "double-bounce",
    "parent_domain_matches_subdomains": "debug_peer_list,relay_domains,smtpd_access_maps",
    "propagate_unmatched_extensions": "canonical, virtual",
    "virtual_alias_maps": "",
    "virtual_alias_domains": "",
    "virtual_mailbox_domains": "",
    "relay_domains": "",
    "relayhost": "",
    "transport_maps": "",
    "sender_dependent_relayhost_maps": "",
    "sender_dependent_default_transport_maps": "",
    "relocated_maps": "",
    "local_transport": "local:mail.ours.example",
    "virtual_transport": "virtual",
    "relay_transport": "relay",
    "default_transport": "smtp",
    "virtual_alias_expansion_limit": 1000,
    "virtual_alias_recursion_limit": 1000,
    "virtual_alias_address_length_limit": 1000,
}
VERIFY = (
    "local_transport",
    "virtual_transport",
    "relay_transport",
    "default_transport",
    "relayhost",
    "transport_maps",
    "sender_dependent_relayhost_maps",
    "sender_dependent_default_transport_maps",
)


class Services:
    """The services, the warnings they gave, and a clock to be set."""

    def __init__(self, **changes: object) -> None:
        self.warnings: list[str] = []
        self.now = 100.0
        values = DEFAULTS | changes
        for name in VERIFY:
            values.setdefault(f"address_verify_{name}", values[name])
        self.tables = Tables(TableEnvironment(clock=time.monotonic, warn=self.warnings.append))
        self.all: AddressServices = address_services(
            SimpleNamespace(**values),
            self.tables,
            ("127.0.0.1", "::1", "192.0.2.25"),
            clock=lambda: self.now,
            warn=self.warnings.append,
        )

"""What all commands of one listener are judged by: parameters, ports, opened tables and match lists."""

from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.config.networks import protocol_versions
from gatepost.config.values import split_list
from gatepost.restrictions.check import CheckList
from gatepost.restrictions.dns_lookup import DnsLookup
from gatepost.restrictions.facts import SessionFacts
from gatepost.restrictions.macros import unescape
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.ports import Ports
from gatepost.tables.address_find import Find
from gatepost.tables.maps import Maps
from gatepost.tables.match_list import MatchList


def _versions(params: AccessParameters) -> frozenset[int]:
    try:
        return frozenset(protocol_versions(params.inet_protocols))
    except ValueError as error:
        raise ConfigError(str(error), parameter="inet_protocols") from None


def _no_lists(value: str, default_access: str) -> CheckList:
    raise NotImplementedError(value, default_access)


class PolicyParts:
    """Opens what the parameters name; raises ConfigError. The compiler adds `classes` and `compile_result`.

    `compile_result(value, default_access)` compiles the right-hand side of an access table that is a list.
    """

    __slots__ = (
        "access_parents_by_name",
        "access_parents_by_name",
        "access_strategy",
        "canonical_maps",
        "classes",
        "compile_result",
        "dns",
        "expansion_filter",
        "local_recipient_maps",
        "mynetworks",
        "own_or_proxied",
        "params",
        "permit_actions",
        "permit_mx_backup_networks",
        "policy_failures",
        "policy_services",
        "ports",
        "rbl_reply_maps",
        "recipient_canonical_maps",
        "relay_clientcerts",
        "relay_recipient_maps",
        "replaces_addresses",
        "sender_canonical_maps",
        "sender_login_maps",
        "told",
        "virtual_alias_maps",
        "virtual_mailbox_maps",
    )

    def __init__(self, params: AccessParameters, ports: Ports) -> None:
        self.params = params
        self.ports = ports
        # Who keeps decisions is told of them: facts, verb as in the log, reply.
        self.told: Callable[[SessionFacts, str, str], None] | None = None
        self.classes: dict[str, CheckList] = {}
        self.compile_result: Callable[[str, str], CheckList] = _no_lists
        self.access_parents_by_name = params.access_parents_by_name
        self.access_strategy = Find.ACCESS | (Find.PMS if self.access_parents_by_name else Find.PMDS)
        # Where mail comes to us, also by way of others (proxy_interfaces).
        self.own_or_proxied = ports.own_addresses | frozenset(split_list(params.proxy_interfaces))
        parents = split_list(params.parent_domain_matches_subdomains)
        tables = ports.tables
        self.mynetworks = MatchList.compile(
            "mynetworks", params.mynetworks, tables, match_parent="mynetworks" in parents
        )
        self.permit_actions: MatchList | None = None
        if params.smtpd_log_access_permit_actions:
            parameter = "smtpd_log_access_permit_actions"
            self.permit_actions = MatchList.compile(
                parameter, params.smtpd_log_access_permit_actions, tables, match_parent=False
            )
        parameter = "permit_mx_backup_networks"
        self.permit_mx_backup_networks = MatchList.compile(
            parameter, params.permit_mx_backup_networks, tables, match_parent=parameter in parents
        )
        self.rbl_reply_maps = self._maps("rbl_reply_maps")
        self.expansion_filter = unescape(params.smtpd_expansion_filter)
        self.dns = DnsLookup(ports.dns, self._maps("smtpd_dns_reply_filter"), ports.log, _versions(params), ports.hosts)
        self.sender_login_maps = self._maps("smtpd_sender_login_maps")
        self.relay_clientcerts = self._maps("relay_clientcerts")
        self.policy_services = 0  # how many the lists name
        self.policy_failures: set[object] = set()  # contexts for which the action of one that failed is under way
        self.local_recipient_maps = self._maps("local_recipient_maps")
        self.virtual_mailbox_maps = self._maps("virtual_mailbox_maps")
        self.relay_recipient_maps = self._maps("relay_recipient_maps")
        self.virtual_alias_maps = self._maps("virtual_alias_maps")
        self.canonical_maps = self._maps("canonical_maps")
        self.sender_canonical_maps = self._maps("sender_canonical_maps")
        self.recipient_canonical_maps = self._maps("recipient_canonical_maps")
        # Is there any table by which an address may be replaced by another?
        self.replaces_addresses = bool(
            self.virtual_alias_maps
            or self.canonical_maps
            or self.sender_canonical_maps
            or self.recipient_canonical_maps
        )

    def _maps(self, parameter: str) -> Maps:
        return self.ports.tables.maps(parameter, getattr(self.params, parameter))

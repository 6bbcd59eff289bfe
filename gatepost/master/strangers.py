"""The listeners of a configuration, as an inquiry about strangers sees them."""

from ipaddress import ip_address

from gatepost.audit.lists import DOMAIN_LISTS
from gatepost.audit.strangers.inquiry import Listener
from gatepost.master.prove import ProvedListener


def inquired(listener: ProvedListener) -> Listener:
    """One listener of a proof."""
    addresses = listener.addresses
    return Listener(
        listener.service.name,
        listener.policy.params,
        listener.policy.parts.ports,
        {parameter: listener.lists[parameter] for parameter in DOMAIN_LISTS},
        listener.lists["smtpd_authorized_xclient_hosts"],
        helo_required=listener.settings.smtpd_helo_required,
        local_only=bool(addresses) and all(_is_loopback(address.host) for address in addresses),
    )


def _is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback

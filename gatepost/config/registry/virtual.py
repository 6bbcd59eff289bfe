"""Delivery to virtual mailboxes."""

from gatepost.config.declaration import Parameter, number, size, text

PARAMETERS: tuple[Parameter, ...] = (
    text(
        "virtual_delivery_status_filter",
        "$default_delivery_status_filter",
        kind="lookup tables",
        since="3.0",
        owner="virtual",
    ),
    text("virtual_gid_maps", "", kind="lookup tables", since="<=3.0", owner="virtual"),
    text("virtual_mailbox_base", "", shortest=1, since="<2.1", owner="virtual"),
    text(
        "virtual_mailbox_domains",
        "$virtual_mailbox_maps",
        kind="domain match list",
        since="2.0",
        owner="proxymap smtpd trivial-rewrite virtual",
        honoured=True,
    ),
    size("virtual_mailbox_limit", "51200000", since="<=1.0", owner="virtual"),
    text("virtual_mailbox_lock", "fcntl, dotlock", kind="choice", shortest=1, since="<2.1", owner="virtual"),
    text(
        "virtual_mailbox_maps",
        "",
        kind="lookup tables",
        since="<=1.1",
        owner="proxymap smtpd trivial-rewrite virtual",
        honoured=True,
        partly="who is in it is a known recipient, but there is no delivery to virtual mailboxes yet: the mail waits",
    ),
    number("virtual_minimum_uid", "100", minimum=1, since="<2.1", owner="virtual"),
    text("virtual_uid_maps", "", kind="lookup tables", since="<=3.0", owner="virtual"),
)

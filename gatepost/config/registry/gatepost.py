"""Gatepost's own parameters, which Postfix does not have."""

from gatepost.config.declaration import Parameter, boolean, number, text, time

PARAMETERS: tuple[Parameter, ...] = (
    # Gateways that may relay although strangers come through them.
    text("gatepost_trusted_gateways", "", kind="list", since="gatepost 0.1", owner="master", honoured=True),
    # Start although strangers can relay (gatepost prove).
    boolean("gatepost_allow_open_relay", "no", since="gatepost 0.1", owner="master", honoured=True),
    # Keep refusals with their reasons, for gatepost explain.
    boolean("gatepost_decision_log", "yes", since="gatepost 0.1", owner="smtpd", honoured=True),
    # Octets of all that is kept of them.
    number(
        "gatepost_decision_log_size", "67108864", minimum=1048576, since="gatepost 0.1", owner="smtpd", honoured=True
    ),
    # How many delivery worker processes; 0 = as many as there are processors.
    number("gatepost_delivery_processes", "0", minimum=0, since="gatepost 0.1", owner="master", honoured=True),
    # Messages per time, by destination: N/s, N/min, N/h, N/day.
    text("gatepost_destination_rates", "", kind="lookup tables", since="gatepost 0.1", owner="qmgr", honoured=True),
    # ADDRESS:PORT of the DNS servers to ask in place of those in resolv.conf.
    text("gatepost_dns_servers", "", kind="list", since="gatepost 0.1", owner="all", honoured=True),
    # Seconds for which a next hop that did not take mail comes behind the others of its list; 0 = it keeps its place.
    time("gatepost_nexthop_rest_time", "0s", since="gatepost 0.1", owner="qmgr", honoured=True),
    # Transports whose limits are by mail provider (the set of MX hosts), not by domain.
    text("gatepost_provider_limit_transports", "", kind="list", since="gatepost 0.1", owner="qmgr", honoured=True),
    # From MX hosts, or the domains above them (.domain), to names: hosts of one name are one provider.
    text("gatepost_provider_maps", "", kind="lookup tables", since="gatepost 0.1", owner="qmgr", honoured=True),
    # When deferred mail is tried again, by recipient domain or next hop: `5m 10m 1h; expire 2d`.
    text("gatepost_retry_schedule_maps", "", kind="lookup tables", since="gatepost 0.1", owner="qmgr", honoured=True),
    # Where the queue is kept. For an ordinary user: gatepost/queue in the user's state directory.
    text(
        "gatepost_queue_directory",
        "/var/spool/gatepost",
        kind="pathname",
        computed=True,
        shortest=1,
        since="gatepost 0.1",
        owner="all",
        honoured=True,
    ),
    # The mechanisms of smtpd_sasl_type = gatepost.
    text(
        "gatepost_sasl_mechanisms",
        "PLAIN LOGIN SCRAM-SHA-256",
        kind="list",
        since="gatepost 0.1",
        owner="smtpd",
        honoured=True,
    ),
    # Who may log in where smtpd_sasl_type = gatepost: login names, and what verifies their passwords.
    text("gatepost_sasl_users", "", kind="lookup tables", since="gatepost 0.1", owner="smtpd", honoured=True),
    # How many SMTP server worker processes; 0 = as many as there are processors.
    number("gatepost_smtpd_processes", "0", minimum=0, since="gatepost 0.1", owner="master", honoured=True),
    # Sessions at one time, where master.cf says `-` for the process limit of an inet smtpd line.
    number("gatepost_smtpd_session_limit", "10000", minimum=1, since="gatepost 0.1", owner="smtpd", honoured=True),
    # For one question to a tcp or socketmap table; Postfix has no parameter for its 100 seconds.
    time("gatepost_table_timeout", "100s", minimum=1, since="gatepost 0.1", owner="all", honoured=True),
)

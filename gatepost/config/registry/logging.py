"""The log."""

from gatepost.config.declaration import Parameter, boolean, number, text, time

PARAMETERS: tuple[Parameter, ...] = (
    number("debug_peer_level", "2", minimum=1, since="<=1.0", owner="qmqpd sendmail smtp smtpd"),
    text("debug_peer_list", "", kind="domain match list", since="<=1.0", owner="qmqpd sendmail smtp smtpd"),
    text("debugger_command", "", since="<=2.2", owner="master sendmail"),
    number("delay_logging_resolution_limit", "2", maximum=6, since="2.3", owner="all", honoured=True),
    number("fault_injection_code", "0", since="<=1.1", owner="all"),
    text(
        "info_log_address_format",
        "external",
        kind="choice",
        shortest=1,
        since="3.5",
        owner="cleanup local oqmgr pickup pipe postscreen qmgr smtp smtpd virtual",
    ),
    text("maillog_file", "", kind="pathname", since="3.4", owner="postfix postlog postlogd", honoured=True),
    text("maillog_file_compressor", "gzip", shortest=1, since="3.4", owner="postfix", honoured=True),
    text("maillog_file_permissions", "0600", shortest=1, since="3.9", owner="postlog postlogd", honoured=True),
    text(
        "maillog_file_prefixes",
        "/var, /dev/stdout",
        kind="list",
        shortest=1,
        since="3.4",
        owner="postfix",
        honoured=True,
    ),
    text("maillog_file_rotate_suffix", "%Y%m%d-%H%M%S", shortest=1, since="3.4", owner="postfix", honoured=True),
    text("postlog_service_name", "postlog", kind="service", shortest=1, since="3.4", owner="postfix postlog"),
    time("postlogd_watchdog_timeout", "10s", minimum=10, since="3.4", owner="postlogd"),
    boolean(
        "respectful_logging", "${{$compatibility_level} <level {3.6} ? {no} : {yes}}", since="3.6", owner="postscreen"
    ),
    text("syslog_facility", "mail", kind="choice", shortest=1, since="<=1.0", owner="all", honoured=True),
    text(
        "syslog_name",
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        shortest=1,
        since="<=1.1",
        owner="all",
        honoured=True,
    ),
)

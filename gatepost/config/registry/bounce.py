"""Non-delivery and other notices."""

from gatepost.config.declaration import Parameter, boolean, number, text, time

PARAMETERS: tuple[Parameter, ...] = (
    text("2bounce_notice_recipient", "postmaster", shortest=1, since="<=1.0", owner="bounce error", honoured=True),
    text("bounce_notice_recipient", "postmaster", shortest=1, since="<=1.0", owner="bounce error smtpd", honoured=True),
    text("bounce_service_name", "bounce", kind="service", shortest=1, since="2.0", owner="all"),
    number("bounce_size_limit", "50000", minimum=1, since="<2.1", owner="bounce sendmail", honoured=True),
    text("bounce_template_file", "", kind="pathname", since="2.3", owner="bounce postconf"),
    text(
        "default_delivery_status_filter",
        "",
        kind="lookup tables",
        since="3.0",
        owner="all",
        honoured=True,
        partly="of smtp, lmtp and local deliveries",
    ),
    text(
        "default_verp_delimiters", "+=", kind="characters", shortest=2, longest=2, since="1.1", owner="sendmail smtpd"
    ),
    text("defer_service_name", "defer", kind="service", shortest=1, since="2.0", owner="all"),
    text("delay_notice_recipient", "postmaster", shortest=1, since="<=1.0", owner="bounce", honoured=True),
    time("delay_warning_time", "0h", since="<=1.0", owner="bounce cleanup sendmail", honoured=True),
    boolean("disable_verp_bounces", "no", since="1.1", owner="cleanup oqmgr qmgr"),
    text("double_bounce_sender", "double-bounce", shortest=1, since="<2.1", owner="discard error smtpd", honoured=True),
    boolean("enable_threaded_bounces", "no", since="3.6", owner="bounce"),
    text("error_notice_recipient", "postmaster", shortest=1, since="<=1.0", owner="smtp smtpd", honoured=True),
    text("error_service_name", "error", kind="service", shortest=1, since="2.0", owner="all"),
    text("header_from_format", "standard", kind="choice", shortest=1, since="3.3", owner="bounce cleanup smtp smtpd"),
    text(
        "notify_classes",
        "resource, software",
        kind="list",
        since="2.9",
        owner="bounce error smtp smtpd",
        honoured=True,
        partly="transcripts of the SMTP client's sessions are not sent",
    ),
    boolean("requiretls_redact_dsn", "yes", since="<=3.11", owner="bounce"),
    text("trace_service_name", "trace", kind="service", shortest=1, since="2.1", owner="all"),
    text("verp_delimiter_filter", "-=+", kind="characters", shortest=1, since="1.1", owner="qmqpd sendmail smtpd"),
)

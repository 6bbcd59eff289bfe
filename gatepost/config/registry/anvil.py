"""Client rates."""

from gatepost.config.declaration import Parameter, number, text, time

PARAMETERS: tuple[Parameter, ...] = (
    time("anvil_rate_time_unit", "60s", minimum=1, since="<2.1", owner="anvil", honoured=True),
    time("anvil_status_update_time", "600s", minimum=1, since="2.2", owner="anvil", honoured=True),
    number("smtpd_client_auth_rate_limit", "0", since="3.1", owner="smtpd", honoured=True),
    number("smtpd_client_connection_count_limit", "50", since="2.2", owner="postscreen smtpd", honoured=True),
    number("smtpd_client_connection_rate_limit", "0", since="2.2", owner="smtpd", honoured=True),
    text(
        "smtpd_client_event_limit_exceptions",
        "${smtpd_client_connection_limit_exceptions:$mynetworks}",
        kind="domain match list",
        since="2.2",
        owner="smtpd",
        honoured=True,
    ),
    number("smtpd_client_message_rate_limit", "0", since="2.2", owner="smtpd", honoured=True),
    number("smtpd_client_new_tls_session_rate_limit", "0", since="2.3", owner="smtpd", honoured=True),
    number("smtpd_client_recipient_rate_limit", "0", since="2.2", owner="smtpd", honoured=True),
)

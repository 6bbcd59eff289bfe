"""Mail filters."""

from gatepost.config.declaration import Parameter, text, time

PARAMETERS: tuple[Parameter, ...] = (
    time("milter_command_timeout", "30s", minimum=1, since="2.3", owner="cleanup smtpd"),
    text("milter_connect_macros", "j {daemon_name} {daemon_addr} v _", kind="list", since="2.3", owner="cleanup smtpd"),
    time("milter_connect_timeout", "30s", minimum=1, since="2.3", owner="cleanup smtpd"),
    time("milter_content_timeout", "300s", minimum=1, since="2.3", owner="cleanup smtpd"),
    text("milter_data_macros", "i", kind="list", since="2.3", owner="cleanup smtpd"),
    text("milter_default_action", "tempfail", kind="choice", shortest=1, since="2.3", owner="cleanup smtpd"),
    text("milter_end_of_data_macros", "i", kind="list", since="2.3", owner="cleanup smtpd"),
    text("milter_end_of_header_macros", "i", kind="list", since="2.5", owner="cleanup smtpd"),
    text("milter_header_checks", "", kind="lookup tables", since="2.7", owner="cleanup", harmless=("",)),
    text(
        "milter_helo_macros",
        "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
        kind="list",
        since="2.3",
        owner="cleanup smtpd",
    ),
    text("milter_macro_daemon_name", "$myhostname", shortest=1, since="2.3", owner="cleanup smtpd"),
    text("milter_macro_defaults", "", since="3.1", owner="cleanup smtpd"),
    text("milter_macro_v", "$mail_name $mail_version", shortest=1, since="2.3", owner="cleanup smtpd"),
    text(
        "milter_mail_macros",
        "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
        kind="list",
        since="2.3",
        owner="cleanup smtpd",
    ),
    text("milter_protocol", "6", kind="choice", shortest=1, since="2.3", owner="cleanup smtpd"),
    text(
        "milter_rcpt_macros", "i {rcpt_addr} {rcpt_host} {rcpt_mailer}", kind="list", since="2.3", owner="cleanup smtpd"
    ),
    text("milter_unknown_command_macros", "", kind="list", since="2.3", owner="cleanup smtpd"),
    text("non_smtpd_milters", "", kind="list", since="2.3", owner="cleanup", harmless=("",)),
    text("smtpd_milter_maps", "", kind="lookup tables", since="3.2", owner="smtpd", harmless=("",)),
    text("smtpd_milters", "", kind="list", since="2.3", owner="smtpd", harmless=("",)),
)

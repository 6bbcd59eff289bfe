"""Lookup tables."""

from gatepost.config.declaration import Parameter, boolean, number, size, text

PARAMETERS: tuple[Parameter, ...] = (
    number("berkeley_db_create_buffer_size", "16777216", minimum=1, since="2.0", owner="postalias postmap"),
    number("berkeley_db_read_buffer_size", "131072", minimum=1, since="2.0", owner="postalias postmap"),
    boolean("daemon_table_open_error_is_fatal", "no", since="2.9", owner="all"),
    text("default_cache_db_type", "btree", shortest=1, since="3.11", owner="all"),
    text(
        "default_database_type", "hash", shortest=1, since="<=2.11", owner="postalias postmap sendmail", honoured=True
    ),
    size("lmdb_map_size", "16777216", minimum=1, since="2.11", owner="postalias postmap", honoured=True),
    text("non_bdb_custom_mapping", "", kind="lookup tables", since="3.11", owner="postfix-non-bdb"),
    text(
        "non_bdb_migration_allow_root_prefixes",
        "/etc /usr/local/etc",
        since="3.11",
        owner="nbdb_reindexd postfix-non-bdb",
    ),
    text(
        "non_bdb_migration_allow_user_prefixes",
        "$data_directory /var/lib/mailman /var/lib/mailman3",
        since="3.11",
        owner="nbdb_reindexd postfix-non-bdb",
    ),
    text("non_bdb_migration_level", "disable", shortest=1, since="3.11", owner="nbdb_reindexd postfix-non-bdb"),
    boolean("non_bdb_migration_log_redirect", "yes", since="3.11", owner="all"),
    text("non_bdb_migration_service_name", "nbdb_reindex", kind="service", since="3.11", owner="all"),
    text(
        "proxy_read_maps",
        (
            "$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains "
            "$virtual_mailbox_maps $virtual_mailbox_domains $relay_recipient_maps $relay_domains "
            "$canonical_maps $sender_canonical_maps $recipient_canonical_maps $relocated_maps "
            "$transport_maps $mynetworks $smtpd_sender_login_maps $sender_bcc_maps $recipient_bcc_maps "
            "$smtp_generic_maps $lmtp_generic_maps $alias_maps $smtpd_client_restrictions "
            "$smtpd_helo_restrictions $smtpd_sender_restrictions $smtpd_relay_restrictions "
            "$smtpd_recipient_restrictions $address_verify_sender_dependent_default_transport_maps "
            "$address_verify_sender_dependent_relayhost_maps $address_verify_transport_maps "
            "$fallback_transport_maps $lmtp_discard_lhlo_keyword_address_maps "
            "$lmtp_pix_workaround_maps $lmtp_sasl_password_maps $lmtp_tls_policy_maps "
            "$mailbox_command_maps $mailbox_transport_maps "
            "$postscreen_discard_ehlo_keyword_address_maps $rbl_reply_maps "
            "$sender_dependent_default_transport_maps $sender_dependent_relayhost_maps "
            "$smtp_discard_ehlo_keyword_address_maps $smtp_pix_workaround_maps "
            "$smtp_sasl_password_maps $smtp_tls_policy_maps $smtpd_discard_ehlo_keyword_address_maps "
            "$smtpd_milter_maps $virtual_gid_maps $virtual_uid_maps $local_login_sender_maps "
            "$postscreen_reject_footer_maps $smtpd_reject_footer_maps $tls_server_sni_maps "
            "$tlsproxy_client_policy_maps $default_delivery_status_filter $lmtp_delivery_status_filter "
            "$lmtp_dns_reply_filter $lmtp_reply_filter $local_delivery_status_filter "
            "$pipe_delivery_status_filter $postscreen_command_filter $smtp_delivery_status_filter "
            "$smtp_dns_reply_filter $smtp_reply_filter $smtpd_command_filter $smtpd_dns_reply_filter "
            "$virtual_delivery_status_filter $body_checks $header_checks $lmtp_body_checks "
            "$lmtp_header_checks $lmtp_mime_header_checks $lmtp_nested_header_checks "
            "$milter_header_checks $mime_header_checks $nested_header_checks $smtp_body_checks "
            "$smtp_header_checks $smtp_mime_header_checks $smtp_nested_header_checks"
        ),
        kind="list",
        since="2.0",
        owner="proxymap",
    ),
    text(
        "proxy_write_maps",
        ("$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map $postscreen_cache_map"),
        kind="list",
        since="2.5",
        owner="proxymap",
    ),
    text("proxymap_service_name", "proxymap", kind="service", shortest=1, since="2.6", owner="all"),
    text("proxywrite_service_name", "proxywrite", kind="service", shortest=1, since="2.6", owner="all"),
    number("socketmap_max_query_size", "10000", minimum=1, since="3.12", owner="all"),
    number("socketmap_max_reply_size", "100000", minimum=1, since="3.10", owner="all"),
)

"""SASL (RFC 4422): mechanisms without I/O, and who knows the passwords: Dovecot, saslauthd, or a table of our own."""

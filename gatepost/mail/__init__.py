"""Nouns of mail, pure values: address, envelope, reply, headers, delivery status, DSN. No I/O, no clock."""

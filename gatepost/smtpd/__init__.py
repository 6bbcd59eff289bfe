"""SMTP server sessions: connection, session, transaction."""

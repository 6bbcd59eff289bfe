"""Contexts, certificates and the words about them for TLS, as Postfix 3.7 has them. No sockets, no event loop."""

"""SSLContexts from plain values. Nothing here fails a handshake for a certificate: who asks reads `verification`."""

import ssl
from collections.abc import Callable

from gatepost.tls.values import ClientValues, ServerValues

Warn = Callable[[str], None]


def server_context(values: ServerValues, warn: Warn) -> ssl.SSLContext:
    """For `start_tls(..., server_side=True)`. Client certificates are asked for, never judged: see verification.py.

    Raises BadTlsValue (the text is the log's). `warn` gets what Postfix only warns about.
    """
    raise NotImplementedError


def client_context(values: ClientValues, warn: Warn) -> ssl.SSLContext:
    """For any server: no name is checked and no certificate refused in the handshake. One per distinct `values`:

    sessions can be resumed within one context only. Raises BadTlsValue.
    """
    raise NotImplementedError

"""While the queue manager cannot start, master tells those who ask for it on the control socket, and why."""

import contextlib
import socket

from gatepost.ipc.messages import Down, framed

PATIENCE = 2.0
"""Seconds within which a queue manager that has died may be back: so long it is waited for."""


def turn_away(listening: socket.socket, reason: str) -> None:
    """Answer all who wait on this (non-blocking) socket, whatever they have asked."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # there is nobody more
            return
        with client, contextlib.suppress(OSError):
            client.send(framed(Down(reason)), socket.MSG_DONTWAIT)

"""Descriptors over Unix sockets, without waiting (Python 3.11's `socket.send_fds` and `recv_fds` ignore all flags)."""

import array
import os
import socket
from collections.abc import Sequence


def send_now(sock: socket.socket, octets: bytes, descriptors: Sequence[int]) -> None:
    """One packet, and these descriptors with it. Raises OSError, as when nobody takes what was sent before."""
    passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sock.sendmsg([octets], passed, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def receive_one(sock: socket.socket, size: int) -> tuple[bytes, int]:
    """A packet and the descriptor that came with it, -1 if none did; more than one are let go. Raises OSError.

    No program that is started meanwhile inherits it.
    """
    one = array.array("i")
    octets, control, _, _ = sock.recvmsg(size, socket.CMSG_LEN(one.itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            one.frombytes(data[: len(data) - len(data) % one.itemsize])
    for extra in one[1:]:
        os.close(extra)
    return octets, one[0] if one else -1

"""Many sends in one system call: io_submit(2) of Linux, by ctypes since no library of repute offers it for sockets.

On a socket such a request does what send(2) does, at once, and does not wait if the socket does not: nothing is
asynchronous in it, and nothing is left under way when `submit` returns.
"""

import ctypes
import errno
import platform
import struct
import sys
import weakref

CAPACITY = 64
"""Sends in one call."""
OCTETS = 256 * 1024
"""Of all of them together."""

# io_setup, io_destroy, io_getevents, io_submit.
_NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
# struct iocb and struct io_event of linux/aio_abi.h, as 64-bit little-endian machines have them.
_IOCB = struct.Struct("<QIIHhIQQqQII")
_EVENT = struct.Struct("<QQqq")
_PWRITE = 1


class SocketSends:
    """`add` what is to be sent, then `submit` all of it. Raises OSError where the system has no such call.

    The sockets must be non-blocking.
    """

    def __init__(self) -> None:
        if sys.platform != "linux" or platform.machine() not in _NUMBERS or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise OSError(errno.ENOSYS, "io_submit is not known here")
        setup, destroy, getevents, submit = map(ctypes.c_long, _NUMBERS[platform.machine()])
        self._call = call = ctypes.CDLL(None, use_errno=True).syscall
        call.restype = ctypes.c_long
        context = ctypes.c_ulong(0)
        if call(setup, ctypes.c_long(CAPACITY), ctypes.byref(context)):
            raise OSError(ctypes.get_errno(), "io_setup")
        weakref.finalize(self, call, destroy, context)
        self._submit, self._getevents, self._context = submit, getevents, context
        self._requests = ctypes.create_string_buffer(CAPACITY * _IOCB.size)
        first = ctypes.addressof(self._requests)
        self._pointers = (ctypes.c_void_p * CAPACITY)(*range(first, first + CAPACITY * _IOCB.size, _IOCB.size))
        self._events = ctypes.create_string_buffer(CAPACITY * _EVENT.size)
        self._data = ctypes.create_string_buffer(OCTETS)
        self._view = memoryview(self._data).cast("B")
        self._address = ctypes.addressof(self._data)
        self._count = self._used = 0

    def add(self, descriptor: int, data: bytes) -> bool:
        """False: there is no room for it before the next `submit`."""
        count, start = self._count, self._used
        end = start + len(data)
        if count == CAPACITY or end > OCTETS:
            return False
        self._view[start:end] = data
        _IOCB.pack_into(
            self._requests, count * _IOCB.size, count, 0, 0, _PWRITE, 0, descriptor, self._address + start, end - start,
            0, 0, 0, 0,
        )  # fmt: skip
        self._count, self._used = count + 1, end
        return True

    def submit(self) -> list[int]:
        """How many octets of each were sent, in the order in which they were added; a negative errno: none."""
        count, self._count, self._used = self._count, 0, 0
        results = [-errno.EAGAIN] * count
        begun = self._call(self._submit, self._context, ctypes.c_long(count), self._pointers) if count else 0
        if begun > 0:
            # They are over already: this only takes what came of them, of which there is room for no more than these.
            number = ctypes.c_long(begun)
            ended = self._call(self._getevents, self._context, number, number, self._events, None)
            for at in range(ended):
                index, _, result, _ = _EVENT.unpack_from(self._events, at * _EVENT.size)
                results[index] = result
        return results

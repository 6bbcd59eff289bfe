"""The accounts of this host, found, not there, or not known now: out of descriptors, or a directory service is down.

Python's pwd and grp say "not found" for all that goes wrong; mail would be rejected or returned for it.
"""

import ctypes
import errno
import grp
import os
import pwd
from typing import Any

from gatepost.tables.table import LookupTemporaryFailure

_NOT_THERE = frozenset((0, errno.ENOENT, errno.ESRCH, errno.EBADF, errno.EPERM))  # getpwnam(3), ERRORS
_STRUCTURE, _TEXT = 256, 1 << 16

_library = ctypes.CDLL(None)


def user_of(name: str) -> pwd.struct_passwd | None:
    """The account; raises LookupTemporaryFailure with the reason."""
    try:
        return pwd.getpwnam(name)
    except ValueError:  # a NUL in the name
        return None
    except KeyError:
        _make_sure("/etc/passwd", _library.getpwnam_r, "unix:passwd.byname", name)
        return None


def group_of(name: str) -> grp.struct_group | None:
    """The group; raises LookupTemporaryFailure with the reason."""
    try:
        return grp.getgrnam(name)
    except ValueError:
        return None
    except KeyError:
        _make_sure("/etc/group", _library.getgrnam_r, "unix:group.byname", name)
        return None


def _make_sure(file: str, ask: Any, table: str, name: str) -> None:
    """Asked again, this time for the error number. Of several sources (nsswitch.conf) the last one's counts, even where
    the first one, the file, could not be asked: so that is tried, too.
    """
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        pass
    except OSError as failure:
        raise LookupTemporaryFailure(table, name, failure.strerror or "") from None
    buffers = [ctypes.create_string_buffer(size) for size in (_STRUCTURE, _TEXT)]
    result = ctypes.c_void_p()
    error = ask(os.fsencode(name), *buffers, ctypes.c_size_t(_TEXT), ctypes.byref(result))
    if error not in _NOT_THERE or result.value:
        raise LookupTemporaryFailure(table, name, os.strerror(error or errno.EAGAIN))

"""Opening a file as root whose name comes from the configuration, on a way that mail_owner cannot have laid.

A folder that mail_owner can write in could hold, in the place of the table that the configuration means, a link to
any file of the host. So each folder and link on the way is looked at.
"""

import errno
import os
import pwd
import stat

_MOST_LINKS = 40
"""As many as the kernel follows."""


def open_checked(path: str, owner: pwd.struct_passwd) -> int:
    """A descriptor for reading. Raises OSError: PermissionError if `owner` can put another file there.

    `path` is absolute, and that of a regular file.
    """
    parts = _parts(path)[::-1]
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    links = 0
    try:
        while True:
            if not parts:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            name = parts.pop()
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if name != "..":
                _check(os.fstat(folder), found, owner, path)
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(name, dir_fd=folder)
                parts += _parts(target)[::-1]
                if target.startswith("/"):
                    folder = _enter(folder, "/")
            elif parts:
                folder = _enter(folder, name)
            else:
                return _open_file(folder, name, path)
    finally:
        os.close(folder)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _enter(folder: int, name: str) -> int:
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    os.close(folder)
    return inner


def _open_file(folder: int, name: str, path: str) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EACCES, "not a regular file", path)


def _check(folder: os.stat_result, found: os.stat_result, owner: pwd.struct_passwd, path: str) -> None:
    """Can `owner` put what he likes in the place of what was found in this folder?"""
    mode = folder.st_mode
    writable = mode & 0o002 or (mode & 0o020 and folder.st_gid == owner.pw_gid)
    if mode & stat.S_ISVTX:  # there one can only take away what is one's own
        writable = writable and found.st_uid == owner.pw_uid
    if writable or folder.st_uid == owner.pw_uid:
        raise PermissionError(errno.EACCES, f"in a folder that {owner.pw_name} can write in", path)

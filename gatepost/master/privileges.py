"""Dropping root for mail_owner (postconf(5) mail_owner, setgid_group)."""

import contextlib
import ctypes
import grp
import os
import pwd
import resource

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings


def owner_of(settings: Settings) -> pwd.struct_passwd:
    """The passwd entry of mail_owner; raises ConfigError with the command that makes a missing user."""
    name = settings.mail_owner
    try:
        return pwd.getpwnam(name)
    except KeyError:
        where = settings.where("mail_owner") or ("main.cf", 0)
        raise ConfigError(
            f"user {name} does not exist; make it with:"
            f" useradd --system --no-create-home --shell /usr/sbin/nologin {name}",
            path=where[0], line=where[1], parameter="mail_owner",
        ) from None  # fmt: skip


def drop_to(owner: pwd.struct_passwd) -> None:
    """Become `owner` for good, with its own group only. Does nothing for a process that is not root."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    # Libraries look for their own settings there; in root's folder they would not even be let in.
    os.environ["HOME"] = owner.pw_dir


def group_id(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """What this process knows must not end in a core file, nor be read by others of its user (prctl(2)).

    Programs that it runs are not concerned.
    """
    with contextlib.suppress(OSError, AttributeError):  # another system
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def raise_file_limit() -> None:
    """As many descriptors as the system lets us have: a session is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

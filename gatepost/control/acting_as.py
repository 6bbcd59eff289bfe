"""Being mail_owner for a while, as root: so that files are seen, and made, as its processes see and make them."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from gatepost.control.client import ControlError


@contextmanager
def acting_as(owner: pwd.struct_passwd | None) -> Iterator[None]:
    """Effective user and groups of `owner` meanwhile. Nothing changes for None, or without root."""
    if owner is None:
        yield
        return
    with acting_with(owner.pw_uid, owner.pw_gid):
        yield


@contextmanager
def acting_with(user: int, group: int) -> Iterator[None]:
    """This effective user and group meanwhile, and no other group. Nothing changes without root."""
    if os.geteuid() != 0 or (user, group) == (0, os.getegid()):
        yield
        return
    own_group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_group)
        os.setgroups(groups)


def owner_of(name: str) -> pwd.struct_passwd:
    """The user mail_owner; raises ControlError."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ControlError(f"mail_owner: there is no user {name}") from None

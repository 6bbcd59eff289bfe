"""Being mail_owner for a while, as root: so that files are seen, and made, as its processes see and make them."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def acting_as(owner: pwd.struct_passwd | None) -> Iterator[None]:
    """Effective user and groups of `owner` meanwhile. Nothing changes for None, or without root."""
    if owner is None or os.geteuid() != 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(owner.pw_gid)
    os.seteuid(owner.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)

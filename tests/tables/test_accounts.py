"""An account that cannot be looked up now is not one that there is not."""

import os
import pwd
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gatepost.tables.accounts import group_of, user_of
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.surroundings import Surroundings


@contextmanager
def no_descriptors() -> Iterator[None]:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


def test_found_and_not_there() -> None:
    mine = pwd.getpwuid(os.getuid())
    assert user_of(mine.pw_name) == mine
    assert user_of("no such user") is None and user_of("a\0b") is None and user_of("") is None
    group = group_of("root")
    assert group is not None and group.gr_gid == 0
    assert group_of("no such group") is None and group_of("a\0b") is None


def test_nobody_knows() -> None:
    with no_descriptors(), pytest.raises(LookupTemporaryFailure) as failure:
        user_of("news")
    assert failure.value.reason == "Too many open files"
    with no_descriptors(), pytest.raises(LookupTemporaryFailure):
        group_of("news")


async def test_a_table_cannot_tell_and_does_not_remember_it(world: Surroundings) -> None:
    table = world.tables.open("unix:passwd.byname")
    with no_descriptors(), pytest.raises(LookupTemporaryFailure):
        await table.lookup("news")
    assert (await table.lookup("news") or "").startswith("news:")

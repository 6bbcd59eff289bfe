import grp
import os
import pwd

from tests.tables.surroundings import Surroundings


async def test_accounts(world: Surroundings) -> None:
    account = pwd.getpwuid(os.getuid())
    passwd = world.tables.open("unix:passwd.byname")
    for _ in range(2):
        value = await passwd.lookup(account.pw_name)
        assert value is not None and value.split(":")[2] == str(account.pw_uid)
    assert await passwd.lookup("no such account") is None
    assert await passwd.lookup("nul\0") is None
    group = grp.getgrgid(os.getgid())
    value = await world.tables.open("unix:group.byname").lookup(group.gr_name)
    assert value is not None and value.split(":")[2] == str(group.gr_gid)
    assert await world.tables.open("unix:group.byname").lookup("no such group") is None


async def test_answers_are_kept_for_a_second(world: Surroundings) -> None:
    passwd = world.tables.open("unix:passwd.byname")
    assert await passwd.lookup("nobody") == await passwd.lookup("NOBODY")
    world.later(2)
    assert await passwd.lookup("nobody") is not None

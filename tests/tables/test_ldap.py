"""`ldap:` tables, asked of a real OpenLDAP server, and compared with Postfix's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.asked import Asked
from tests.tables.database_servers import Slapd, closing, garbage, silent, strange_server
from tests.tables.postmap import query
from tests.tables.surroundings import Surroundings


def person(name: str, *more: str, folder: str = "people") -> str:
    """A person's entry: `cn=NAME,ou=FOLDER,dc=example`, mail NAME@example.com."""
    dn = name.replace("\\", r"\\")
    lines = [f"dn: cn={dn},ou={folder},dc=example", "objectClass: inetOrgPerson", "objectClass: extensibleObject"]
    return "\n".join((*lines, f"cn: {name}", f"sn: {name}", f"mail: {name}@example.com", *more, "", ""))


LDIF = (
    "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
    + "".join(
        f"dn: ou={name},dc=example\nobjectClass: organizationalUnit\n\n"
        for name in ("people", "groups", "private", r"a\+b")
    )
    + person("joe", "uid: joe", "description: one", "description: two@b.example")
    + person("ann", "uid: ann", "title: ann@terminal.example")
    + person("star*", "uid: star")
    + person("par(en)", "uid: paren")
    + person("back\\slash", "uid: back")
    + person("umlaut", "uid: umlaut", "description:: asO8cmdlbg==")
    + person("hidden", "uid: hidden", folder="private")
    + person("inside", "uid: inside", folder=r"a\+b")
    + person("all", "seeAlso: cn=joe,ou=people,dc=example", "seeAlso: cn=ann,ou=people,dc=example", folder="groups")
    + person("nested", "seeAlso: cn=all,ou=groups,dc=example", "description: extra", folder="groups")
    + person("gone", "seeAlso: cn=nobody,ou=people,dc=example", "description: rest", folder="groups")
    + person("circle", "seeAlso: cn=circle,ou=groups,dc=example", folder="groups")
    + person(
        "urls",
        "labeledURI: ldap:///ou=people,dc=example?mail?sub?(uid=joe)",
        "labeledURI: ldap:///cn=ann,ou=people,dc=example",
        "labeledURI: ldap:///ou=people,dc=example?sn?one?(uid=*)",
        folder="groups",
    )
    + "dn: cn=link,ou=people,dc=example\nobjectClass: alias\nobjectClass: extensibleObject\ncn: link\n"
    "aliasedObjectName: cn=inside,ou=a\\+b,dc=example\n\n"
)

KEYS = (
    r"joe@example.com JOE@example.com ann@example.com star*@example.com * *@example.com par(en)@example.com joe ann "
    r"back\slash@example.com umlaut@example.com hidden@example.com inside@example.com all@example.com "
    r"nested@example.com gone@example.com urls@example.com nobody@example.com example.com @example.com "
    r"joe)(cn=*@example.com a+b groups people private x,dc=example link"
)
BASE = "search_base = dc=example\nresult_attribute = cn\n"


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    server = Slapd()
    try:
        server.create(LDIF)
        yield server
    finally:
        server.remove()


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    asked = Asked("ldap", tmp_path)
    yield asked
    await asked.close()


def server(slapd: Slapd) -> str:
    return f"server_host = ldap://127.0.0.1:{slapd.port}\nversion = 3\n"


@pytest.mark.parametrize(
    "settings",
    [
        BASE + "query_filter = (mail=%s)",
        BASE + "query_filter = (uid=%u)\nresult_format = %s|%u|%S|%U",
        BASE + "query_filter = (uid=%u)\nresult_format = %d|%D|%1\nresult_attribute = mail description",
        BASE + "query_filter = (mail=%s)\nresult_attribute = mail, sn, DESCRIPTION\nresult_filter = <%s>",
        BASE + "query_filter = (mail=%s)\ndomain = example.com",
        BASE + "query_filter = (mail=%s)\nscope = one",
        BASE + "query_filter = (objectClass=*)\nscope = base\nresult_attribute = o",
        "search_base = ou=%s,dc=example\nquery_filter = (objectClass=*)\nresult_attribute = ou\nscope = base",
        "search_base = cn=%u,ou=people,dc=example\nquery_filter = (cn=%u)\nresult_attribute = mail",
        BASE + "query_filter = (mail=%s)\nresult_attribute = mail\nspecial_result_attribute = seeAlso",
        BASE + "query_filter = (mail=%s)\nresult_attribute = description\nspecial_result_attribute = seeAlso\n"
        "leaf_result_attribute = mail",
        BASE + "query_filter = (mail=%s)\nresult_attribute = description\nspecial_result_attribute = seeAlso\n"
        "leaf_result_attribute = mail\nterminal_result_attribute = title",
        BASE + "query_filter = (mail=%s)\nresult_attribute = mail\nspecial_result_attribute = labeledURI",
        BASE + "query_filter = (mail=%s)\nresult_attribute = mail sn\nspecial_result_attribute = labeledURI seeAlso\n"
        "expansion_limit = 100\nsize_limit = 100",
        BASE + "query_filter = (cn=%s)\nbind = no",
        BASE + "query_filter = (cn=%s)\nbind_dn = cn=root,dc=example\nbind_pw = secret\nquery_filter = (mail=%s)",
        BASE + "query_filter = (cn=%s)\nversion = 2",
        "search_base = ou=people,dc=example\nquery_filter = (cn=inside)\nresult_attribute = mail\ndereference = 3",
        "search_base = ou=people,dc=example\nquery_filter = (cn=inside)\nresult_attribute = mail\ndereference = 2",
    ],
)
async def test_as_postfix(slapd: Slapd, asked: Asked, tmp_path: Path, settings: str) -> None:
    table = asked.open(server(slapd) + settings + "\n")
    keys = KEYS.split()
    theirs, _ = query(tmp_path, table.name, keys)
    mine = {key: value for key in keys if (value := await table.lookup(key)) is not None}
    assert mine == theirs
    assert table.fixed


async def test_default_filter_and_attribute(slapd: Slapd, asked: Asked) -> None:
    """No such attributes in this directory, so that nothing is found; but it can tell."""
    assert await asked.open(server(slapd) + "search_base = dc=example").lookup("joe@example.com") is None


async def test_utf8(slapd: Slapd, asked: Asked) -> None:
    table = asked.open(server(slapd) + BASE + "query_filter = (description=%s)")
    assert await table.lookup("JÜRGEN") == "umlaut"
    assert await table.lookup("a\0b") is None


async def test_limits(slapd: Slapd, asked: Asked) -> None:
    text = (
        server(slapd) + BASE + "result_attribute = mail\nquery_filter = (mail=%s)\nspecial_result_attribute = seeAlso\n"
    )
    table = asked.open(text + "expansion_limit = 2\nsize_limit = 0", "expansion.cf")
    assert await table.lookup("joe@example.com") == "joe@example.com"
    with pytest.raises(LookupTemporaryFailure, match="expansion limit"):
        await table.lookup("all@example.com")
    table = asked.open(text + "recursion_limit = 2", "recursion.cf")
    assert await table.lookup("all@example.com") is not None
    for key in ("nested@example.com", "circle@example.com"):
        with pytest.raises(LookupTemporaryFailure, match="recursion limit"):
            await table.lookup(key)
    table = asked.open(server(slapd) + BASE + "query_filter = (mail=*%d)\nsize_limit = 2", "size.cf")
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("any@example.com")


async def test_base_is_not_there(slapd: Slapd, asked: Asked) -> None:
    table = asked.open(server(slapd) + BASE + "search_base = dc=nowhere\nquery_filter = (mail=%s)")
    with pytest.raises(LookupTemporaryFailure, match="search base 'dc=nowhere' not found"):
        await table.lookup("joe@example.com")


async def test_bind(slapd: Slapd, asked: Asked) -> None:
    text = server(slapd) + BASE + "query_filter = (mail=%s)\n"
    assert await asked.open(text, "anonymous.cf").lookup("hidden@example.com") is None
    login = "bind_dn = cn=root,dc=example\nbind_pw = "
    assert await asked.open(text + login + "secret", "right.cf").lookup("hidden@example.com") == "hidden"
    with pytest.raises(LookupTemporaryFailure, match="Invalid credentials"):
        await asked.open(text + login + "wrong", "wrong.cf").lookup("hidden@example.com")


async def test_bind_by_sasl(slapd: Slapd, asked: Asked, tmp_path: Path) -> None:
    """The server learns from the socket who we are; the private part is for those who are somebody."""
    text = f"server_host = {slapd.local_url}\n" + BASE + "query_filter = (mail=%s)\nversion = 3\n"
    assert await asked.open(text + "bind = no", "nobody.cf").lookup("hidden@example.com") is None
    table = asked.open(text + "bind = sasl\nsasl_mechs = EXTERNAL")
    assert await table.lookup("hidden@example.com") == "hidden"
    assert query(tmp_path, table.name, ["hidden@example.com"])[0] == {"hidden@example.com": "hidden"}


async def test_unix_socket_and_plain_host(slapd: Slapd, asked: Asked) -> None:
    more = BASE + "query_filter = (mail=%s)"
    table = asked.open(f"server_host = {slapd.local_url}\n" + more, "socket.cf")
    assert await table.lookup("joe@example.com") == "joe"
    table = asked.open(f"server_host = 127.0.0.1\nserver_port = {slapd.port}\n" + more, "port.cf")
    assert await table.lookup("joe@example.com") == "joe"


@pytest.mark.parametrize("start_tls", [True, False])
async def test_tls(slapd: Slapd, asked: Asked, start_tls: bool) -> None:
    text = f"server_host = ldaps://127.0.0.1:{slapd.tls_port}\n" + BASE + "query_filter = (mail=%s)\n"
    if start_tls:
        text = server(slapd) + BASE + "query_filter = (mail=%s)\nstart_tls = yes\n"
    assert await asked.open(text, "any.cf").lookup("joe@example.com") == "joe"
    strict = text + "tls_require_cert = yes\n"
    trusting = asked.open(f"{strict}tls_ca_cert_file = {slapd.certificate}\n", "trusting.cf")
    assert await trusting.lookup("joe@example.com") == "joe"
    with pytest.raises(LookupTemporaryFailure):
        await asked.open(strict, "strict.cf").lookup("joe@example.com")


async def test_second_server(slapd: Slapd, asked: Asked) -> None:
    async with strange_server(closing) as port:
        hosts = f"server_host = ldap://127.0.0.1:{port} ldap://127.0.0.1:{slapd.port}\n"
        table = asked.open(hosts + BASE + "query_filter = (mail=%s)")
        for _ in range(2):
            assert await table.lookup("joe@example.com") == "joe"
    assert len(asked.world.take_warnings()) == 1


async def test_many_at_once(slapd: Slapd, asked: Asked) -> None:
    table = asked.open(server(slapd) + BASE + "query_filter = (mail=%s)")
    answers = await asyncio.gather(*(table.lookup(f"{name}@example.com") for name in ("joe", "ann", "all") * 10))
    assert answers == ["joe", "ann", "all"] * 10


async def test_server_goes_and_comes_back(slapd: Slapd, asked: Asked) -> None:
    table = asked.open(server(slapd) + BASE + "query_filter = (mail=%s)")
    assert await table.lookup("joe@example.com") == "joe"
    slapd.stop()
    try:
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@example.com")
        assert any("connect to ldap server" in text for text in asked.world.take_warnings())
    finally:
        slapd.start()
    assert await table.lookup("joe@example.com") == "joe"


@pytest.mark.parametrize("talk", [silent, garbage, closing])
async def test_server_that_is_none(asked: Asked, talk: object) -> None:
    async with strange_server(talk) as port:  # type: ignore[arg-type]
        table = asked.open(f"server_host = ldap://127.0.0.1:{port}\ntimeout = 1\n" + BASE)
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@a")


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("version = 4", "version"),
        ("version = 2\nstart_tls = yes", "version"),
        ("bind = perhaps", "bind"),
        ("scope = all", "scope"),
        ("dereference = 4", "dereference"),
        ("timeout = soon", "timeout"),
        ("query_filter = (a=%x)", "% expansion"),
    ],
)
async def test_mistakes(asked: Asked, setting: str, name: str) -> None:
    table = asked.open(BASE + setting)
    assert name in asked.world.tables.problems()[0].text
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("joe@a")


async def test_settings_in_main_cf(slapd: Slapd) -> None:
    values = {"people_server_host": f"ldap://127.0.0.1:{slapd.port}", "people_search_base": "dc=example"}
    values |= {"people_query_filter": "(mail=%s)", "people_result_attribute": "cn"}
    world = Surroundings(parameter=values.get)
    assert await world.tables.open("ldap:people").lookup("joe@example.com") == "joe"
    world.tables.close()
    with pytest.raises(ConfigError, match="others_search_base"):
        world.tables.open("ldap:others")


def test_library_missing(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ldap", None)
    with pytest.raises(ConfigError, match=r"pip install 'gatepost\[ldap\]'"):
        asked.open("search_base = x")

"""The files of certificates and keys that a table of server names has as values (tls_server_sni_maps).

The configuration names the table, and the table names the files. A worker says which table, and a digest of the name of
the file it wants there; that way it, too, picks one and names none.
"""

import hashlib
import os
import pwd

from gatepost.config.values import split_list
from gatepost.master.checked_open import open_checked
from gatepost.tables.postmap_text import parse_postmap
from gatepost.tables.source import decode

Signature = tuple[int, int, int, int]


def digest_of(path: str) -> bytes:
    """What stands for a file in a table."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()


class ServerNames:
    """Tables, read as root, and again when they change."""

    def __init__(self, owner: pwd.struct_passwd) -> None:
        self._owner = owner
        self._tables: dict[str, tuple[Signature, dict[bytes, str]]] = {}

    def path(self, table: str, digest: bytes) -> str | None:
        """The file that is meant; None if the table has no such file. Raises OSError if the table cannot be read."""
        with open(open_checked(table, self._owner), "rb") as stream:
            status = os.fstat(stream.fileno())
            signature = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
            known = self._tables.get(table)
            if known is None or known[0] != signature:
                known = self._tables[table] = (signature, _files(stream.read()))
        return known[1].get(digest)


def _files(text: bytes) -> dict[bytes, str]:
    parsed = parse_postmap(decode(text), where="", fold=str.lower)
    return {
        digest_of(path): path
        for value in parsed.content.values()
        if value.startswith("/")
        for path in split_list(value)
        if path.startswith("/")
    }

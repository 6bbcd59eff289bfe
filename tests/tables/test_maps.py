import contextlib
import sqlite3
from pathlib import Path

from tests.tables.surroundings import Surroundings


async def test_a_key_that_is_no_text_is_in_no_table_that_wants_text(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as database:
        database.execute("CREATE TABLE t (k, v)")
    (tmp_path / "cf").write_text(f"dbpath = {tmp_path}/db\nquery = SELECT v FROM t WHERE k = '%s'\n")
    maps = Surroundings().tables.maps("canonical_maps", f"sqlite:{tmp_path}/cf, static:x")
    hit = await maps.find(b"gr\xfc\xdfe".decode("utf-8", "surrogateescape"))
    assert hit is not None
    assert hit.table == "static:x"

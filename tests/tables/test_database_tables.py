"""The types of tables that live elsewhere."""

from gatepost.config.references import DATABASE_TYPES
from gatepost.tables.connection_pool import Shared
from gatepost.tables.database_tables import SERVER_TYPES, database_openers
from tests.tables.surroundings import Surroundings


def test_the_lists_of_types_are_complete() -> None:
    """A type that is added must be put into the lists that it belongs to. No mongodb is here."""
    known = set(database_openers(Surroundings().tables, Shared()))
    assert known == {*SERVER_TYPES, "sqlite"}
    assert set(DATABASE_TYPES) - {"mongodb"} == known - {"tcp", "socketmap"}

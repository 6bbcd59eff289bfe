"""The tables of the queue file, and how its connections are opened.

`message` rows are written once and never changed, so that a deferral does not write the content again. What changes is
in `waiting`, which has a row only for messages that were tried, held or found damaged. A message that was never tried
has a row in `fresh` instead, so that a start finds it without reading the table of messages.
"""

from pathlib import Path

import apsw

LARGE_OCTETS = 64 * 1024 * 1024
"""A log that has become longer than this is moved at all costs, and cut when it starts over."""

FILE_NAME = "queue.db"
"""In the store's folder."""

APPLICATION_ID = 0x47617465  # "Gate"
VERSION = 2

# The bits of waiting.flags.
WARN_SENT = 1
EXPIRE = 2
REQUEUE = 4

# With the content last, and large, reading the columns before it touches one page per message.
SCHEMA = """
CREATE TABLE message(
    id INTEGER PRIMARY KEY,       -- the number inside the queue ID
    queue_id TEXT NOT NULL,
    recipients INTEGER NOT NULL,  -- how many; more than 100: the others are in recipient_chunk
    checksum INTEGER NOT NULL,    -- CRC-32 of envelope
    envelope BLOB NOT NULL,       -- JSON array, see gatepost/mail/envelope.py: Message
    content BLOB NOT NULL         -- LF line ends; empty when it is in a file of its own
);
CREATE TABLE fresh(id INTEGER PRIMARY KEY, arrival REAL NOT NULL, queue_id TEXT NOT NULL);
CREATE TABLE waiting(
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL,
    queue TEXT NOT NULL,          -- incoming, deferred, hold, corrupt, saved
    next_attempt REAL,            -- seconds since 1970; NULL: not before an operator acts
    flags INTEGER NOT NULL,       -- 1: a delay notice went out; 2: return it at the next attempt; 4: take it in anew
    state TEXT                    -- of the first 100 recipients, see gatepost/queue/chunks.py
);
CREATE TABLE recipient_chunk(
    id INTEGER NOT NULL, number INTEGER NOT NULL, recipients TEXT NOT NULL, state TEXT,
    PRIMARY KEY(id, number)
) WITHOUT ROWID;
CREATE TABLE content_file(id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE reserved(number INTEGER NOT NULL);
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    DELETE FROM fresh WHERE id = OLD.id;
    DELETE FROM waiting WHERE id = OLD.id;
    DELETE FROM recipient_chunk WHERE id = OLD.id;
    DELETE FROM content_file WHERE id = OLD.id;
END;
CREATE VIEW queue AS
    SELECT m.queue_id, coalesce(w.queue, 'incoming') AS queue,
        datetime(CAST(m.envelope AS TEXT) ->> 1, 'unixepoch') AS arrival,
        datetime(w.next_attempt, 'unixepoch') AS next_attempt,
        CAST(m.envelope AS TEXT) ->> 2 AS sender, m.recipients, CAST(m.envelope AS TEXT) ->> 18 AS size,
        w.state ->> '$[1][0][1]' AS reason
    FROM message AS m LEFT JOIN waiting AS w ON w.id = m.id;
"""

SLOT_SECONDS = 16
"""What is to be tried within such a time stands together in the index of waiting mail, by number."""

SLOT = f"CAST(next_attempt / {SLOT_SECONDS} AS INTEGER)"

# By slot and number, and not by the moment alone: what is held or released by the hundred thousand has numbers near to
# one another, but moments that are hours apart, so that each would have a page of the index of its own written. What is
# flushed together is read in the order in which it lies in the file. (Files of before have another index.)
WAITING_ORDER = f"""
DROP INDEX IF EXISTS waiting_due;
DROP INDEX IF EXISTS waiting_order;
CREATE INDEX IF NOT EXISTS waiting_slot ON waiting({SLOT}, id, next_attempt, queue_id) WHERE next_attempt IS NOT NULL;
"""

# Deferred mail by the domain that it waits for, where fast_flush_domains has that: what Postfix's flush(8) keeps in a
# file per domain. As there, what has left the queue since stands in it until the domain is flushed. (Files of before
# have no such table.)
FLUSH_LIST = """
CREATE TABLE IF NOT EXISTS flush_list(domain TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(domain, id)) WITHOUT ROWID;
"""

# A whole batch is one statement: an INSERT into this view. Each statement gives up the GIL, and under load getting it
# back costs more than the statement; and one statement needs no BEGIN and COMMIT. Lists come as JSON, the octets of
# all new messages as one blob with offsets into it.
BATCH_VIEW = """
CREATE TEMP VIEW batch AS SELECT NULL AS new, NULL AS octets, NULL AS removed, NULL AS other;
CREATE TEMP TRIGGER batch_written INSTEAD OF INSERT ON batch BEGIN
    DELETE FROM main.message WHERE id IN (SELECT value FROM json_each(NEW.removed));
    INSERT INTO main.message(id, queue_id, recipients, checksum, envelope, content)
        SELECT value ->> 0, value ->> 1, value ->> 3, value ->> 4,
            substr(NEW.octets, value ->> 5, value ->> 6), substr(NEW.octets, value ->> 7, value ->> 8)
        FROM json_each(NEW.new);
    INSERT INTO main.fresh(id, arrival, queue_id)
        SELECT value ->> 0, value ->> 2, value ->> 1 FROM json_each(NEW.new);
    INSERT INTO temp.other_marks SELECT NEW.other WHERE NEW.other IS NOT NULL;
END;
CREATE TEMP VIEW other_marks AS SELECT NULL AS marks;
CREATE TEMP TRIGGER other_marks_written INSTEAD OF INSERT ON other_marks BEGIN
    INSERT INTO main.waiting(id, queue_id, queue, next_attempt, flags, state)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
        FROM json_each(NEW.marks, '$.waiting') WHERE true
        ON CONFLICT(id) DO UPDATE SET queue = excluded.queue, next_attempt = excluded.next_attempt,
            flags = excluded.flags, state = excluded.state;
    DELETE FROM main.fresh WHERE id IN (SELECT value FROM json_each(NEW.marks, '$.tried'));
    INSERT INTO main.recipient_chunk(id, number, recipients)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(NEW.marks, '$.chunks');
    UPDATE main.recipient_chunk SET state = c.value ->> 2 FROM json_each(NEW.marks, '$.chunk_states') AS c
        WHERE recipient_chunk.id = c.value ->> 0 AND number = c.value ->> 1;
    INSERT INTO main.content_file(id, name, size)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(NEW.marks, '$.files');
    DELETE FROM main.flush_list WHERE (domain, id) IN (
        SELECT f.domain, f.id FROM json_each(NEW.marks, '$.flushed') AS c CROSS JOIN main.flush_list AS f
        ON f.domain = c.value ->> 0 AND f.id BETWEEN c.value ->> 1 AND c.value ->> 2);
    INSERT OR IGNORE INTO main.flush_list(domain, id)
        SELECT value ->> 0, value ->> 1 FROM json_each(NEW.marks, '$.listed');
    UPDATE main.reserved SET number = NEW.marks ->> '$.reserved' WHERE NEW.marks ->> '$.reserved' IS NOT NULL;
END;
"""

WRITE_BATCH = "INSERT INTO batch VALUES(?, ?, ?, ?)"

SHIFT = """
UPDATE fresh SET arrival = arrival + ?;
UPDATE waiting SET next_attempt = next_attempt + ? WHERE next_attempt > 0;
"""

BUSY_MILLISECONDS = 10_000
"""How long a connection waits for a lock that another program (sqlite3, a backup) holds."""


class NotAQueueFile(Exception):
    """The file is no queue file, or one of a later version."""


def open_connection(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection in write-ahead mode that syncs each commit and never checkpoints by itself. Raises apsw.Error."""
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    if not connection.pragma("page_count"):
        # Asked of a file that has pages, this would be a write of its own.
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.wal_autocheckpoint(0)
    connection.execute(f"PRAGMA journal_size_limit = {LARGE_OCTETS}")
    # A connection closed because of a failure must not move what the log holds; the store does so when it is well.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def prepare_file(connection: apsw.Connection, first_number: int) -> None:
    """Make the tables in an empty file, or bring those of an earlier version up to date. Raises NotAQueueFile,
    apsw.Error.
    """
    with connection:
        if connection.pragma("application_id") == 0 and not connection.pragma("schema_version"):
            connection.execute(SCHEMA)
            connection.execute("INSERT INTO reserved VALUES(?)", (first_number,))
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", VERSION)
        elif connection.pragma("application_id") == APPLICATION_ID and connection.pragma("user_version") == 1:
            connection.execute("ALTER TABLE waiting RENAME COLUMN warn_sent TO flags")
            connection.pragma("user_version", VERSION)
        check_file(connection)
        connection.execute(FLUSH_LIST)
        connection.execute(WAITING_ORDER)


def check_file(connection: apsw.Connection) -> None:
    """Raises NotAQueueFile, apsw.Error."""
    if connection.pragma("application_id") != APPLICATION_ID or connection.pragma("user_version") != VERSION:
        raise NotAQueueFile(f"{connection.filename}: not a queue file of version {VERSION}")

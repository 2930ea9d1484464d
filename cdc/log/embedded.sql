-- The embedded log: one table in the order of commits. Statements by name; `embedded_sql.py` reads them.

-- name: create
-- `seq` is the place in the log and is never given twice. Columns are those of LogRecord.
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    channel TEXT NOT NULL,
    event_id TEXT NOT NULL,
    replay_id TEXT NOT NULL,
    schema_id TEXT NOT NULL,
    part TEXT NOT NULL,
    appended_at INTEGER NOT NULL
);
-- Control records are few among many changes: read by topic, looked up and compacted by key.
CREATE INDEX IF NOT EXISTS control_records ON records (topic, key, seq)
    WHERE topic IN ('alerts', 'coverage', 'decisions', 'jobs', 'positions', 'schemas');
-- Who may append: the holder of the newest epoch. One row.
CREATE TABLE IF NOT EXISTS writer (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    org TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT NOT NULL
);

-- name: take_ownership
INSERT INTO writer (one, org, epoch, owner) VALUES (1, :org, 1, :owner)
    ON CONFLICT (one) DO UPDATE SET epoch = epoch + 1, owner = excluded.owner;

-- name: writer
SELECT org, epoch, owner FROM writer WHERE one = 1;

-- name: append
INSERT INTO records
    (topic, key, value, ordinal, committed_at, channel, event_id, replay_id, schema_id, part, appended_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: newest
-- The newest record of a key of a control topic.
SELECT value FROM records
    WHERE topic IN ('alerts', 'coverage', 'decisions', 'jobs', 'positions', 'schemas')
        AND topic = :topic AND key = :key
    ORDER BY seq DESC LIMIT 1;

-- name: recent
-- The newest changes that came by a channel, newest first: what is compared with to drop repeats.
SELECT event_id, CASE topic WHEN 'quarantine' THEN '' ELSE key END
    FROM records
    WHERE channel <> '' AND topic NOT IN ('alerts', 'coverage', 'decisions', 'jobs', 'positions', 'schemas')
    ORDER BY seq DESC LIMIT :limit;

-- name: read
SELECT topic, key, value, ordinal, committed_at, channel, event_id, replay_id, schema_id, part, appended_at, seq
    FROM records WHERE seq >= :from ORDER BY seq LIMIT :limit;

-- name: read_control
-- Control topics only; `topics` is a JSON array of names.
SELECT topic, key, value, ordinal, committed_at, channel, event_id, replay_id, schema_id, part, appended_at, seq
    FROM records
    WHERE topic IN ('alerts', 'coverage', 'decisions', 'jobs', 'positions', 'schemas')
        AND topic IN (SELECT value FROM json_each(:topics)) AND seq >= :from
    ORDER BY seq LIMIT :limit;

-- name: bounds
SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM records;

-- name: first_kept
-- The first row of a few that is not too old, if there is one.
SELECT seq FROM records WHERE seq BETWEEN :from AND :to AND appended_at >= :before ORDER BY seq LIMIT 1;

-- name: expire
-- Of a few rows at a time those too old to keep; the newest records of compacted topics stay.
DELETE FROM records
    WHERE seq BETWEEN :from AND :to AND appended_at < :before
        AND topic NOT IN ('jobs', 'positions', 'schemas');

-- name: compact
-- A few records of compacted topics that a newer record of their key replaces.
DELETE FROM records WHERE seq IN (
    SELECT older.seq FROM records AS older
        WHERE older.topic IN ('alerts', 'coverage', 'decisions', 'jobs', 'positions', 'schemas')
            AND older.topic IN ('jobs', 'positions', 'schemas') AND older.seq <= :to
            AND EXISTS (
                SELECT 1 FROM records AS newer
                    WHERE newer.topic IN ('alerts', 'coverage', 'decisions', 'jobs', 'positions', 'schemas')
                        AND newer.topic = older.topic AND newer.key = older.key AND newer.seq > older.seq
            )
        LIMIT :limit
);

-- name: give_back
PRAGMA incremental_vacuum(500);

-- What the journal keeps, in the schema `store`. Tables only grow; what changes later is a new version of
-- its row, and the public views show the latest. Exceptions are the two that say how far things are:
-- `checkpoint` (one row) and `channels` (one row a channel). No indexes: rows are found by column scans,
-- and an index on text would cost more than the insert.
-- Every time is UTC without a zone. `seq` is the ordinal: the place in the order of everything recorded.
CREATE SCHEMA store;

-- A closed set, stored as a number: a text column of 6 M rows costs more to write than what it says is worth.
CREATE TYPE store.kind AS ENUM (
    'CREATE', 'UPDATE', 'DELETE', 'UNDELETE', 'GAP_CREATE', 'GAP_UPDATE', 'GAP_DELETE', 'GAP_UNDELETE',
    'GAP_OVERFLOW', 'BASELINE', 'REREAD', 'ABSENT'
);

CREATE TABLE store.meta (
    key VARCHAR NOT NULL,
    value VARCHAR NOT NULL
);

CREATE TABLE store.checkpoint (
    ordinal BIGINT NOT NULL,
    offsets VARCHAR NOT NULL            -- JSON: topic/partition -> next offset
);

-- One change of one record: an event, a full state read by a scan, or a record found gone by one.
CREATE TABLE store.changes (
    seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,         -- wildcard and overflow ids as sent
    kind store.kind NOT NULL,
    committed_at TIMESTAMP,             -- as sent; of a full state its SystemModstamp, if it has one
    effective_at TIMESTAMP NOT NULL,    -- events: running maximum on the channel; full states: the anchor
    fold_seq BIGINT NOT NULL,           -- events: seq; full states: last ordinal before their read began
    fold_rank UTINYINT NOT NULL,        -- 0 event, 1 full state, 2 ABSENT
    read_to TIMESTAMP,                  -- full states only: an org time after the read
    scan_id VARCHAR,
    commit_number BIGINT,
    transaction_key VARCHAR,
    sequence_number INTEGER,
    user_id VARCHAR,
    origin VARCHAR,
    client VARCHAR,
    event_id VARCHAR,
    replay_id BLOB,
    schema_id VARCHAR,
    channel VARCHAR,
    source VARCHAR,
    changed_fields VARCHAR[],
    nulled_fields VARCHAR[],
    received_at TIMESTAMP
);

-- One field given a value, or made unknown, by one change; what folding needs of the change stands beside it.
CREATE TABLE store.fields (
    seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    value VARCHAR,
    known BOOLEAN NOT NULL,
    kind store.kind NOT NULL,
    effective_at TIMESTAMP NOT NULL,
    committed_at TIMESTAMP,
    fold_seq BIGINT NOT NULL,
    fold_rank UTINYINT NOT NULL,
    read_to TIMESTAMP
);

CREATE TABLE store.platform_events (
    seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    event_id VARCHAR,
    replay_id BLOB,
    created_at TIMESTAMP,
    created_by VARCHAR,
    payload VARCHAR,                    -- JSON
    schema_id VARCHAR,
    channel VARCHAR,
    received_at TIMESTAMP
);

-- What could not be read, kept raw.
CREATE TABLE store.quarantine (
    seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    channel VARCHAR,
    event_id VARCHAR,
    replay_id BLOB,
    schema_id VARCHAR,
    received_at TIMESTAMP,
    reason VARCHAR NOT NULL,
    payload BLOB NOT NULL,
    entity VARCHAR,
    record_ids VARCHAR[] NOT NULL,
    decoded_at TIMESTAMP
);

CREATE TABLE store.channels (
    channel VARCHAR NOT NULL,
    org VARCHAR NOT NULL,
    replay_id BLOB,
    passed_to TIMESTAMP,                -- org time up to which the stream is known to have passed
    live_from TIMESTAMP,                -- NULL: not yet live
    stored_at TIMESTAMP,                -- wall clock at which replay_id was obtained
    max_committed TIMESTAMP,            -- greatest commit time of an event so far: where effective_at goes on
    at_seq BIGINT NOT NULL              -- place of the record that told
);

-- Versions of stretches of time; see `coverage` for the latest of each.
CREATE TABLE store.coverage (
    stretch_id VARCHAR NOT NULL,
    version BIGINT NOT NULL,            -- grows with the place, so that it is the same under any batching
    seq BIGINT NOT NULL,                -- place of what told
    org VARCHAR NOT NULL,
    channel VARCHAR,
    entity VARCHAR,                     -- NULL: every entity of the channel
    record_id VARCHAR,                  -- NULL: every record
    from_at TIMESTAMP NOT NULL,
    to_at TIMESTAMP,                    -- NULL: still so
    status VARCHAR NOT NULL,            -- live, lost, repaired, unknown
    reason VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL,
    from_ordinal BIGINT NOT NULL,       -- the last ordinal before it
    repaired_at TIMESTAMP
);

-- Versions of scans and re-reads as `schemas/job.avsc` has them; what has not happened yet is NULL.
CREATE TABLE store.jobs (
    job_id VARCHAR NOT NULL,
    version BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    record_ids VARCHAR[] NOT NULL,
    reason VARCHAR NOT NULL,
    requested_by VARCHAR NOT NULL,
    requested_at TIMESTAMP,
    anchor_at TIMESTAMP,
    state VARCHAR NOT NULL,
    after_ordinal BIGINT NOT NULL,
    read_to TIMESTAMP,
    rows BIGINT NOT NULL,
    rows_total BIGINT NOT NULL,
    cursor VARCHAR,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    error VARCHAR NOT NULL
);

-- What has to be read again: a record, or an entity where record_id is NULL. `seq` is what showed it.
CREATE TABLE store.needs (
    seq BIGINT NOT NULL,
    entity VARCHAR NOT NULL,
    record_id VARCHAR,
    anchor_at TIMESTAMP NOT NULL,       -- start of the hole
    reason VARCHAR NOT NULL
);

CREATE TABLE store.schemas (
    schema_id VARCHAR NOT NULL,
    at_seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    entity VARCHAR,
    body VARCHAR NOT NULL               -- the schema's JSON
);

-- The fields of each schema by their path in events. `is_alternative`: one of two shapes a field may have.
CREATE TABLE store.schema_fields (
    schema_id VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    is_alternative BOOLEAN NOT NULL
);

-- What this user may read of an entity, from `at_seq` on.
CREATE TABLE store.descriptions (
    entity VARCHAR NOT NULL,
    at_seq BIGINT NOT NULL,
    fields VARCHAR NOT NULL             -- JSON: [{name, path, type, reference_to}]
);

CREATE TABLE store.readable_fields (
    entity VARCHAR NOT NULL,
    at_seq BIGINT NOT NULL,
    path VARCHAR NOT NULL
);

CREATE TABLE store.alerts (
    alert_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    org VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    merged_into VARCHAR,
    title VARCHAR NOT NULL,
    first_change_at TIMESTAMP,
    last_change_at TIMESTAMP,
    decided_at TIMESTAMP,
    at_change BIGINT NOT NULL,
    at_ordinal BIGINT NOT NULL,
    records BIGINT NOT NULL,
    changes BIGINT NOT NULL,
    kinds VARCHAR NOT NULL,             -- JSON, as are those below that are no plain value
    actors VARCHAR NOT NULL,
    targets VARCHAR NOT NULL,
    transactions BIGINT NOT NULL,
    samples VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL,
    usual VARCHAR NOT NULL,
    setup_before VARCHAR,
    coverage VARCHAR NOT NULL,
    next VARCHAR NOT NULL
);

-- Acknowledgements and the calendar; ticks of org time are not kept.
CREATE TABLE store.decisions (
    seq BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    "at" TIMESTAMP NOT NULL,
    alert_id VARCHAR,
    by_whom VARCHAR,
    detail VARCHAR NOT NULL
);

CREATE TABLE store.setup_changes (
    seq BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    "at" TIMESTAMP,
    user_id VARCHAR,
    section VARCHAR,
    action VARCHAR,
    display VARCHAR,
    component VARCHAR,
    source VARCHAR
);

CREATE TABLE store.restores (
    restore_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    org VARCHAR NOT NULL,
    incident_id VARCHAR,
    plan_hash VARCHAR,
    state VARCHAR NOT NULL,
    requested_by VARCHAR,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    records BIGINT,
    reason VARCHAR
);

CREATE TABLE store.restore_records (
    restore_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    org VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    field VARCHAR,
    before_value VARCHAR,
    written_value VARCHAR,
    result VARCHAR NOT NULL,
    error VARCHAR,
    written_at TIMESTAMP
);

CREATE TABLE store.seals (
    segment VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    org VARCHAR NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    previous_sha256 VARCHAR,
    signature VARCHAR,
    sealed_at TIMESTAMP
);


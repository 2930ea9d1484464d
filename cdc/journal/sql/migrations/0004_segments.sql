-- Older changes move into sealed Parquet segments. The tables of what is recent are named `hot_…`; under
-- `store.changes` and `store.fields` stand views over hot and sealed as one (see segment_views.py).
ALTER TABLE store.changes RENAME TO hot_changes;
ALTER TABLE store.fields RENAME TO hot_fields;

-- A row a manifest, in the order of the chain: `number` counts from 1 and names the manifest and its folder.
DROP VIEW IF EXISTS main.seals;
DROP TABLE store.seals;
CREATE TABLE store.seals (
    number BIGINT NOT NULL,
    org VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,              -- seal, merge, erasure, retention, signature
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    rows BIGINT NOT NULL,               -- of changes
    field_rows BIGINT NOT NULL,
    first_committed_at TIMESTAMP,
    last_committed_at TIMESTAMP,
    sha256 VARCHAR NOT NULL,            -- of the manifest
    previous_sha256 VARCHAR,
    signature VARCHAR,
    sealed_at TIMESTAMP NOT NULL,
    replaces BIGINT[] NOT NULL          -- numbers whose files this one stands in for
);

-- Changes about every record of an entity (overflows, wildcard ids) that are sealed: few, and asked for by
-- every question, so that they are kept beside the segments too.
CREATE TABLE store.sealed_broad AS SELECT 0::BIGINT AS number, * FROM store.hot_changes LIMIT 0;

-- What a segment holds of an entity.
CREATE TABLE store.sealed_entities (
    number BIGINT NOT NULL,
    entity VARCHAR NOT NULL,
    changes BIGINT NOT NULL,
    field_rows BIGINT NOT NULL,
    first_effective_at TIMESTAMP,       -- of events
    last_effective_at TIMESTAMP,
    channels VARCHAR[] NOT NULL         -- that its events came on
);

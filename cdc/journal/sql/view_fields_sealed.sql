-- Hot and sealed as one.
CREATE OR REPLACE VIEW store.fields AS
FROM store.hot_fields
UNION ALL
SELECT
    seq, org, entity, record_id, field, value, known, kind::store.kind AS kind, effective_at, committed_at,
    fold_seq, fold_rank, read_to
FROM read_parquet($files);

-- With how long each row is the newest one of its field, and since when that is known (seal_fields.sql).
CREATE OR REPLACE VIEW store.field_spans AS
SELECT
    *, NULL::TIMESTAMP AS until_at, NULL::BIGINT AS until_place, CASE WHEN known THEN effective_at END AS since_at,
    known AS opens, NULL::BIGINT AS segment
FROM store.hot_fields
UNION ALL
SELECT
    seq, org, entity, record_id, field, value, known, kind::store.kind AS kind, effective_at, committed_at,
    fold_seq, fold_rank, read_to, until_at, until_place, since_at, opens, segment
FROM read_parquet($files);

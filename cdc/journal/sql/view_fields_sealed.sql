-- Hot and sealed as one.
CREATE OR REPLACE VIEW store.fields AS
FROM store.hot_fields
UNION ALL
SELECT
    seq, org, entity, record_id, field, value, known, kind::store.kind AS kind, effective_at, committed_at,
    fold_seq, fold_rank, read_to
FROM read_parquet($files);

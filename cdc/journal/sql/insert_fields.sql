-- The fields of one batch's changes.
INSERT INTO store.hot_fields
SELECT
    seq, $org, entity, record_id, field, value, known, kind, effective_at, committed_at, fold_seq, fold_rank,
    read_to
FROM batch_fields;

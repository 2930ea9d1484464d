-- Hot and sealed as one.
CREATE OR REPLACE VIEW store.changes AS
FROM store.hot_changes
UNION ALL
SELECT
    seq, org, entity, record_id, kind::store.kind AS kind, committed_at, effective_at, fold_seq, fold_rank, read_to,
    scan_id, commit_number, transaction_key, sequence_number, user_id, origin, client, event_id, replay_id,
    schema_id, channel, source, changed_fields, nulled_fields, received_at
FROM read_parquet($files);

-- With how long each row is the newest one of its record (seal_changes.sql). Of hot rows nobody knows yet: each
-- stands for itself, `segment` NULL.
CREATE OR REPLACE VIEW store.change_spans AS
SELECT *, NULL::TIMESTAMP AS until_at, NULL::BIGINT AS until_place, effective_at AS since_at, NULL::BIGINT AS segment
FROM store.hot_changes
UNION ALL
SELECT
    seq, org, entity, record_id, kind::store.kind AS kind, committed_at, effective_at, fold_seq, fold_rank, read_to,
    scan_id, commit_number, transaction_key, sequence_number, user_id, origin, client, event_id, replay_id,
    schema_id, channel, source, changed_fields, nulled_fields, received_at,
    until_at, until_place, since_at, segment
FROM read_parquet($files);

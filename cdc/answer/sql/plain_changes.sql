-- One record's changes, the columns that its answers need; `segment` NULL is hot.
SELECT
    seq, record_id, kind, committed_at, effective_at, fold_seq, fold_rank, read_to, source, user_id, origin, client,
    transaction_key, segment
FROM store.change_spans
WHERE entity = $entity AND record_id = $id;

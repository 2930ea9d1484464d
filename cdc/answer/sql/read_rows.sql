-- The full states of an entity that lie at one place, a page of them in the order of record ids.
SELECT seq, entity, record_id, kind::VARCHAR AS kind, committed_at, effective_at, source
FROM store.changes
WHERE entity = $entity AND fold_rank > 0 AND fold_seq = $place AND record_id > $after
QUALIFY row_number() OVER (PARTITION BY record_id ORDER BY fold_rank DESC, seq DESC) = 1
ORDER BY record_id
LIMIT $limit;

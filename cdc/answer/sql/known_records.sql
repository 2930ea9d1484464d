-- Records of an entity behind an id, in the order of their ids: whether each is there, and the org time up to which
-- the journal knows of it.
SELECT
    record_id,
    arg_max(kind, {'a': fold_seq, 'b': fold_rank, 'c': seq}) NOT IN ('DELETE', 'GAP_DELETE', 'ABSENT') AS is_present,
    max(CASE WHEN fold_rank = 0 THEN effective_at ELSE read_to END) AS known_to
FROM store.changes
WHERE entity = $entity AND record_id > $after AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
GROUP BY record_id
ORDER BY record_id
LIMIT $limit;

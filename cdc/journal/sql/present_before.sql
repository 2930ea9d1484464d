-- How many records of an entity were there, as known at an ordinal.
SELECT count(*)
FROM (
    SELECT arg_max(kind, {'a': fold_seq, 'b': fold_rank, 'c': seq}) AS last_kind
    FROM store.changes
    WHERE entity = $entity AND seq <= $after_ordinal AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
    GROUP BY record_id
)
WHERE last_kind NOT IN ('DELETE', 'GAP_DELETE', 'ABSENT');

-- The next records of an entity, in the order of their ids.
SELECT DISTINCT record_id
FROM store.changes
WHERE entity = $entity AND record_id > $after AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
ORDER BY record_id
LIMIT $limit;

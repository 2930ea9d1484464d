-- Records known before a scan began and not deleted then, that it did not find, and of which nothing came
-- since: they are gone. They stand at the scan's anchor and fold right behind what was recorded before it.
INSERT INTO store.hot_changes
WITH
known AS (
    SELECT record_id, arg_max(kind, {'a': fold_seq, 'b': fold_rank, 'c': seq}) AS last_kind
    FROM store.changes
    WHERE entity = $entity AND seq <= $after_ordinal AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
      AND (len($record_ids) = 0 OR record_id IN (SELECT unnest($record_ids)))
    GROUP BY record_id
),
accounted_for AS (
    SELECT record_id
    FROM store.changes
    WHERE entity = $entity AND seq <= $place AND (scan_id = $job_id OR (fold_rank = 0 AND seq > $after_ordinal))
)
SELECT
    $place, $org, $entity, record_id, 'ABSENT', NULL, make_timestamp($anchor_at), $after_ordinal, 2, make_timestamp($read_to), $job_id,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, $source, [], [], make_timestamp($received_at)
FROM known
ANTI JOIN accounted_for USING (record_id)
WHERE last_kind NOT IN ('DELETE', 'GAP_DELETE', 'ABSENT')
ORDER BY record_id;

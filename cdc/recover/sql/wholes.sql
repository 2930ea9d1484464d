-- Whole records of one entity as they should be: what was known before the first meant change ($cut), and what
-- others changed since. `wanted` has their ids.
WITH
events AS (
    SELECT seq, record_id FROM main.changes
    WHERE entity = $entity AND seq >= $cut AND source IN ('pubsub', 'cometd')
),
said AS (
    SELECT record_id, field, value, is_known AS known, -1 AS seq
    FROM answer.folded($entity, $lo, $hi, 'infinity'::TIMESTAMP, $cut::BIGINT) f
    SEMI JOIN wanted w ON w.record_id = f.record_id
    WHERE field IS NOT NULL
    UNION ALL
    SELECT f.record_id, f.field, f.value, f.known, f.seq
    FROM main.field_changes f
    JOIN events e ON e.seq = f.seq AND e.record_id = f.record_id
    SEMI JOIN wanted w ON w.record_id = f.record_id
    ANTI JOIN temp.meant_writes m ON m.seq = f.seq AND m.record_id = f.record_id AND m.field = f.field
    WHERE f.entity = $entity AND f.seq >= $cut
)
SELECT record_id, field, last.value AS value, last.known AS known
FROM (
    SELECT record_id, field, arg_max({'value': value, 'known': known}, seq) AS last
    FROM said
    GROUP BY record_id, field
)
ORDER BY record_id, field;

-- Entities that a channel of many may carry, as known at a place: those described, and those seen on it.
SELECT entity, bool_or(is_seen) AS is_seen
FROM (
    SELECT entity, false AS is_seen FROM store.descriptions WHERE at_seq <= $place
    UNION ALL
    SELECT DISTINCT entity, true
    FROM store.changes
    WHERE fold_rank = 0 AND seq <= $place AND ($channel IS NULL OR channel = $channel)
)
GROUP BY entity
ORDER BY entity;

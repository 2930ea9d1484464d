-- Stretches as they stand now, and the live stretch of each channel.
SELECT entity, channel, record_id, from_at, to_at, status, reason, evidence, repaired_at
FROM (
    SELECT 0 AS place, entity, channel, record_id, from_at, to_at, status, reason, evidence, repaired_at
    FROM store.coverage_now
    UNION ALL
    SELECT 1, NULL, channel, NULL, live_from, NULL, 'live', 'recorded without a known hole', '', NULL
    FROM store.channels
    WHERE live_from IS NOT NULL
      AND channel NOT IN (SELECT c.channel FROM store.coverage_now c WHERE c.status = 'live' AND c.channel IS NOT NULL)
)
WHERE $entity::VARCHAR IS NULL OR entity = $entity
   OR (entity IS NULL AND channel IN (SELECT s.channel FROM answer.stream_of($entity) s))
ORDER BY from_at, place, entity;
